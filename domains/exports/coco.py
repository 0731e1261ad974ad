"""COCO instances (https://cocodataset.org/#format-data) with a score per annotation."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from pycocotools import mask as rle

from domains.entities.measures import Measure
from domains.exports.destination import Destination
from domains.tiling.prediction import Prediction

UNNAMED = "entity"  # the category of entities without a label


@dataclass(frozen=True)
class CocoJson:
    """`predictions.coco.json`, all images together: `images`, `categories`, `annotations` with compressed RLE.

    file_name is the place's scene, from the file's own folder on where all lie in that, else from the folder that all
    scenes share where it is an absolute path: the file can be put beside its images, on any machine, and read as their
    annotations. Numbers are given when all images are done: of each the journal has a row with its size and words, and
    a row per annotation.
    """

    destination: Destination
    any_size: ClassVar[bool] = False

    def files(self, name: str) -> tuple[str, ...]:
        """The file of all images."""
        return ("predictions.coco.json",)

    def stream(self, prediction: Prediction) -> None:
        """Keep an image's annotations in the journal."""
        height, width = prediction.shape
        about = {"height": height, "width": width, "words": list(prediction.vocabulary or (UNNAMED,))}
        annotations = (annotation(entity, prediction.whole_map.ids) for entity in prediction.measures())
        self.destination.journal.write("coco", chain([about], annotations))

    def close(self) -> None:
        """Number all annotations and write them."""
        abouts = [
            (entry, next(rows))
            for entry in self.destination.done()
            if entry.rows.get("coco") and (rows := self.destination.journal.rows(entry.name, "coco"))
        ]
        names = portable([entry.scene for entry, _ in abouts], self.destination.folder)
        images = (
            {"id": number, "file_name": name, "height": about["height"], "width": about["width"]}
            for number, (name, (_, about)) in enumerate(zip(names, abouts, strict=True), 1)
        )
        categories = {word: 0 for _, about in abouts for word in about["words"]}
        categories = {word: number for number, word in enumerate(categories, 1)}
        lists = {
            "images": images,
            "categories": ({"id": number, "name": word} for word, number in categories.items()),
            "annotations": self._annotations([entry.name for entry, _ in abouts], categories),
        }
        with self.destination.writing(*self.files("")) as path, path.open("w", encoding="utf-8") as file:
            before = "{"
            for key, rows in lists.items():
                file.write(f'{before}"{key}": [')
                separator = "\n"
                for row in rows:
                    file.write(separator + json.dumps(row))
                    separator = ",\n"
                file.write("\n]")
                before = ",\n"
            file.write("}\n")

    def _annotations(self, names: Sequence[str], categories: Mapping[str, int]) -> Iterator[dict[str, Any]]:
        number = 0
        for image_id, name in enumerate(names, 1):
            for label, values in islice(self.destination.journal.rows(name, "coco"), 1, None):
                number += 1
                yield {"id": number, "image_id": image_id, "category_id": categories[label], **values}


def annotation(entity: Measure, ids: np.ndarray) -> tuple[str, dict[str, Any]]:
    """The name of its category, and what an annotation has beside numbers. ids: (H, W) of all entities."""
    values = {
        "segmentation": run_lengths(ids[entity.box] == entity.id, entity.y, entity.x, ids.shape),
        "bbox": [entity.x, entity.y, entity.width, entity.height],
        "area": entity.area_px,
        "iscrowd": 0,
    }
    scores = {"score": entity.score, "category_score": entity.label_score, "persistent_id": entity.persistent_id}
    return entity.label or UNNAMED, {**values, **{key: score for key, score in scores.items() if score is not None}}


def portable(scenes: Sequence[str], folder: Path) -> list[str]:
    """Paths from `folder` on, where the file is written, if all lie in it; else without the folder that all absolute
    ones share, in slashes, and others, addresses too, as they are.
    """
    paths = [Path(scene if "://" in scene else os.path.abspath(scene)) for scene in scenes]
    base = Path(os.path.abspath(folder))
    if all(scene.is_relative_to(base) for scene in paths):
        return [scene.relative_to(base).as_posix() for scene in paths]
    absolute = [scene for scene in scenes if Path(scene).is_absolute()]
    shared = os.path.commonpath([str(Path(scene).parent) for scene in absolute]) if absolute else ""
    return [Path(scene).relative_to(shared).as_posix() if Path(scene).is_absolute() else scene for scene in scenes]


def run_lengths(crop: np.ndarray, y: int, x: int, shape: tuple[int, ...]) -> dict[str, object]:
    """Compressed RLE of a mask that is known by its box; `pycocotools.mask.encode` would read the whole image.

    crop: (h, w) bool with at least one pixel, whose corner lies at y, x of an image of `shape`.
    """
    height, width = shape
    column, row = np.nonzero(crop.T)  # COCO runs go down the columns
    position = (column + x) * height + row + y
    gap = np.flatnonzero(np.diff(position) > 1)
    starts, ends = position[np.r_[0, gap + 1]], position[np.r_[gap, -1]] + 1
    edges = np.r_[0, np.stack([starts, ends], axis=1).ravel()]
    counts = np.diff(edges if edges[-1] == height * width else np.r_[edges, height * width])
    runs = rle.frPyObjects({"counts": counts.tolist(), "size": [height, width]}, height, width)
    return {"size": [height, width], "counts": runs["counts"].decode("ascii")}  # type: ignore[union-attr]
