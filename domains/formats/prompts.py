"""Points and boxes that a network is prompted with: CSV, COCO boxes, and GeoJSON of a map or of QuPath.

A CSV has a header. Points: x and y, or centroid_x and centroid_y; boxes: x0, y0, x1, y1, or xmin, ymin, xmax, ymax, or
left, top, right, bottom, or x, y, width, height. Beside them may stand `image`, the name of the image's file; of points
`label`, 1 inside the entity and 0 outside, and `prompt`: rows of one value are one prompt. Of GeoJSON a feature's Point
is a prompt, and so is each of a MultiPoint; boxes are those around its polygons. COCO boxes are `bbox`.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np

from domains.errors import InputError
from domains.formats.geojson_frame import frame_of, is_geojson, read_json
from domains.formats.vectors import LONLAT, crs_named
from domains.scenes.georeference import Georeference
from domains.scenes.ground import same_crs

Kind = Literal["points", "boxes"]
POINTS = (("x", "y"), ("centroid_x", "centroid_y"))
BOXES = (("x0", "y0", "x1", "y1"), ("xmin", "ymin", "xmax", "ymax"), ("left", "top", "right", "bottom"))
SIZED = ("x", "y", "width", "height")
INSIDE, OUTSIDE = 1, 0


@dataclass(frozen=True)
class Prompt:
    """What an entity is asked for by. points: (n, 2) x, y; labels: (n,), 1 inside and 0 outside; box: (4,) x0, y0, x1,
    y1, None without one. In pixels, or in `crs`. place: where it stands in its file; image: the name of the image that
    it is of, None where that is not said.
    """

    place: str
    points: np.ndarray = field(default_factory=lambda: np.zeros((0, 2)))
    labels: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int32))
    box: np.ndarray | None = None
    image: str | None = None
    crs: str | None = None

    @property
    def corners(self) -> np.ndarray:
        """(K, 2) its points, and the two corners of its box."""
        return self.points if self.box is None else np.concatenate([self.points, self.box.reshape(2, 2)])

    def in_pixels(self, name: str, georeference: Georeference | None) -> Prompt:
        """The prompt in pixels of an image of that name. Raises InputError where it lies on another map."""
        if self.crs is None:
            return self
        if georeference is None:
            raise InputError(
                f"{self.place} lies on a map ({self.crs}), and {name!r} does not say where it lies; give pixels"
            )
        alike = {self.crs, georeference.crs} <= {LONLAT, "EPSG:4326"} or same_crs(self.crs, georeference.crs)
        if not alike:
            raise InputError(
                f"{self.place} is in {self.crs:.60}, {name!r} in {georeference.crs:.60}; bring the prompts to the "
                "image's CRS"
            )
        if self.box is None:
            return replace(self, points=georeference.to_pixels(self.points), crs=None)
        x0, y0, x1, y1 = self.box
        corners = georeference.to_pixels(np.array([[x0, y0], [x1, y0], [x0, y1], [x1, y1]]))
        return replace(self, box=np.concatenate([corners.min(0), corners.max(0)]), crs=None)

    def within(self, name: str, shape: tuple[int, int]) -> Prompt:
        """The prompt, its box cut to an image (H, W). Raises InputError for points outside, and for boxes outside or
        without area.
        """
        size = np.array(shape[::-1])
        wrong = ((self.points < 0) | (self.points > size)).any(1)
        extent = f"{name!r}, {shape[1]} x {shape[0]} px; wanted pixels from the upper left"
        if wrong.any():
            x, y = self.points[wrong.argmax()]
            raise InputError(f"{self.place}: a point at x {x:g}, y {y:g} lies outside of {extent}")
        if self.box is None:
            return self
        x0, y0, x1, y1 = self.box
        text = f"a box of x {x0:g} to {x1:g}, y {y0:g} to {y1:g}"
        if x1 <= x0 or y1 <= y0:
            raise InputError(f"{self.place}: {text} has no area; wanted x0 < x1 and y0 < y1")
        low, high = np.clip(self.box[:2], 0, size), np.clip(self.box[2:], 0, size)
        if (high <= low).any():
            raise InputError(f"{self.place}: {text} lies outside of {extent}")
        return replace(self, box=np.concatenate([low, high]))


def read_prompts(path: Path, kind: Kind) -> list[Prompt]:
    """The prompts of a file, in its order. Raises InputError: no such file, unknown content, nothing in it."""
    if not path.is_file():
        raise InputError(f"--{kind} {str(path)!r} does not exist; wanted a file of {kind}")
    if path.suffix.lower() == ".csv":
        prompts = list(of_csv(path, kind))
    elif is_geojson(path):
        prompts = list(of_geojson(path, kind))
    elif path.suffix.lower() == ".json" and kind == "boxes":
        prompts = list(of_coco(path))
    else:
        kinds = ".csv, .geojson or COCO's .json" if kind == "boxes" else ".csv or .geojson"
        raise InputError(f"--{kind} {str(path)!r} is of no known kind; wanted a {kinds}")
    if not prompts:
        raise InputError(f"--{kind} {str(path)!r} holds no {kind}; wanted one at least")
    return prompts


def prompts_of(prompts: Iterable[Prompt], source: str, images: Iterable[str]) -> dict[str, list[Prompt]]:
    """The prompts of each image, by the names of their files. source: where the prompts come from.

    Raises InputError for prompts of none of the images, and of many images for those that do not say of which.
    """
    names = list(images)
    by_word: dict[str, list[str]] = {}
    for name in names:
        for word in {name, Path(name).stem}:
            by_word.setdefault(word, []).append(name)
    chosen: dict[str, list[Prompt]] = {name: [] for name in names}
    for prompt in prompts:
        if prompt.image is None and len(names) > 1:
            raise InputError(
                f"{prompt.place} does not say of which of the {len(names)} images it is; name it in a column `image`, "
                "or predict one image"
            )
        matches = names if prompt.image is None else by_word.get(Path(prompt.image).name, [])
        if not matches:
            raise InputError(f"{prompt.place} is of {prompt.image!r}, which is none of the images; the first is "
                             f"{names[0]!r}")  # fmt: skip
        if len(matches) > 1:
            raise InputError(f"{source}: {len(matches)} of the images are called {prompt.image!r}; predict them apart")
        chosen[matches[0]].append(prompt)
    return chosen


def of_csv(path: Path, kind: Kind) -> Iterator[Prompt]:
    """The prompts of a table. Raises InputError for columns that are lacking, and for what is no number."""
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:
            rows = list(csv.DictReader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"--{kind} {str(path)!r} cannot be read as a table: {error}; wanted CSV in UTF-8") from error
    names = {str(name).strip().lower(): name for name in (rows[0] if rows else {}) if name}
    choices = POINTS if kind == "points" else (*BOXES, SIZED)
    columns = next((choice for choice in choices if all(name in names for name in choice)), None)
    if rows and columns is None:
        header = " or ".join(", ".join(choice) for choice in choices)
        raise InputError(
            f"--{kind} {str(path)!r} has the columns {', '.join(names)[:80]}; wanted a header with {header}"
        )
    grouped: dict[Any, Prompt] = {}
    for number, row in enumerate(rows, 1):
        place = f"{str(path)!r}, row {number}"
        assert columns is not None
        values = [number_of(row[names[name]], name, place) for name in columns]
        image = (row.get(names.get("image", "")) or "").strip() or None
        if kind == "boxes":
            if columns == SIZED:
                values[2:] = values[0] + values[2], values[1] + values[3]
            grouped[number] = Prompt(place, box=np.array(values), image=image)
            continue
        label = label_of(row.get(names.get("label", "")), place)
        group = (row.get(names.get("prompt", "")) or "").strip() or number
        before = grouped.get((image, group), Prompt(place, image=image))
        points = np.concatenate([before.points, [values]])
        grouped[image, group] = replace(before, points=points, labels=np.append(before.labels, label))
    yield from grouped.values()


def number_of(text: Any, column: str, place: str) -> float:
    """A finite number. Raises InputError."""
    try:
        value = float(text)
    except (TypeError, ValueError):
        value = math.nan
    if not math.isfinite(value):
        raise InputError(f"{place}: {column} is {text!r:.40}; wanted a number of pixels")
    return value


def label_of(text: str | None, place: str) -> int:
    """1 or 0; 1 where nothing is said. Raises InputError."""
    word = (text or "1").strip()
    if word not in ("0", "1"):
        raise InputError(f"{place}: label is {word!r:.40}; wanted 1 for a point inside the entity or 0 for one outside")
    return INSIDE if word == "1" else OUTSIDE


def of_coco(path: Path) -> Iterator[Prompt]:
    """The boxes of annotations or of a list of detections. Raises InputError for what has none."""
    content = read_json(path, "boxes")
    annotations = content.get("annotations") if isinstance(content, dict) else content
    images = content.get("images") if isinstance(content, dict) else None
    if not isinstance(annotations, list):
        raise InputError(
            f"--boxes {str(path)!r} has no list `annotations`; wanted COCO's JSON, or a list of detections"
        )
    names = {str(image.get("id")): image.get("file_name") for image in images or () if isinstance(image, Mapping)}
    for number, annotation in enumerate(annotations, 1):
        place = f"{str(path)!r}, annotation {number}"
        box = annotation.get("bbox") if isinstance(annotation, Mapping) else None
        if not isinstance(box, list) or len(box) != 4:
            raise InputError(f"{place} has no `bbox` of four numbers; wanted x, y, width, height")
        x, y, width, height = (number_of(value, "bbox", place) for value in box)
        image = names.get(str(annotation.get("image_id")))
        yield Prompt(place, box=np.array([x, y, x + width, y + height]), image=image)


def of_geojson(path: Path, kind: Kind) -> Iterator[Prompt]:
    """The points of a file, or the boxes around its polygons. Raises InputError for other geometries."""
    content = read_json(path, kind)
    declared = content.get("crs") if isinstance(content, dict) else None
    crs = None
    if isinstance(declared, Mapping):
        crs = crs_named(str((declared.get("properties") or {}).get("name")))
    elif frame_of(path) == "map":
        crs = LONLAT
    for number, feature in enumerate(features_of(content), 1):
        place = f"{str(path)!r}, feature {number}"
        geometry = feature.get("geometry", feature)
        shape = geometry.get("type") if isinstance(geometry, Mapping) else None
        shapes = ("Point", "MultiPoint") if kind == "points" else ("Polygon", "MultiPolygon")
        if shape not in shapes:
            raise InputError(f"{place} is a {shape}; --{kind} wants {' or '.join(shapes)}")
        try:
            corners = np.array([*pairs(geometry["coordinates"])], float).reshape(-1, 2)
        except (KeyError, TypeError, ValueError) as error:
            raise InputError(f"{place} has no coordinates that can be read; wanted pairs of numbers") from error
        if not len(corners) or not np.isfinite(corners).all():
            raise InputError(f"{place} has no coordinates that can be read; wanted pairs of numbers")
        if kind == "boxes":
            yield Prompt(place, box=np.concatenate([corners.min(0), corners.max(0)]), crs=crs)
        else:
            yield from (Prompt(place, point[None], np.array([INSIDE], np.int32), crs=crs) for point in corners)


def features_of(content: Any) -> Iterator[Mapping[str, Any]]:
    """The features of a collection, of a list, or of a single one."""
    if isinstance(content, Mapping) and isinstance(content.get("features"), list):
        content = content["features"]
    for feature in content if isinstance(content, list) else [content]:
        if isinstance(feature, Mapping):
            yield feature


def pairs(coordinates: Any) -> Iterator[list[float]]:
    """The x and y of nested lists of positions."""
    if coordinates and not isinstance(coordinates[0], list):
        yield [float(coordinates[0]), float(coordinates[1])]
        return
    for nested in coordinates:
        yield from pairs(nested)
