"""COCO instances (https://cocodataset.org/#format-data) with a score per annotation."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from pycocotools import mask as rle

from domains.atomic import atomic_path
from domains.entities import EntityMap, Place
from domains.exports.destination import Destination
from domains.exports.measures import Measure, measure

UNNAMED = "entity"  # the category of entities without a label


@dataclass
class CocoJson:
    """`predictions.coco.json`, all images together: `images`, `categories`, `annotations` with compressed RLE.

    file_name is the place's scene, from the file's own folder on where all lie in that, else from the folder that all
    scenes share where it is an absolute path: the file can be put beside its images, on any machine, and read as their
    annotations. Annotations are kept as text, some 200 bytes
    each, until `close`.
    """

    destination: Destination
    images: list[dict[str, Any]] = field(default_factory=list)
    annotations: list[str] = field(default_factory=list)
    categories: dict[str, int] = field(default_factory=dict)

    def file(self, name: str) -> str:
        return "predictions.coco.json"

    def add(self, name: str, image: np.ndarray, prediction: EntityMap, place: Place) -> None:
        height, width = prediction.shape
        image_id = len(self.images) + 1
        for word in prediction.vocabulary or (UNNAMED,):
            self.categories.setdefault(word, len(self.categories) + 1)
        first = len(self.annotations) + 1
        self.annotations += [
            self._annotation(number, image_id, entity, prediction.ids)
            for number, entity in enumerate(measure(prediction), first)
        ]
        self.images.append({"id": image_id, "file_name": place.scene, "height": height, "width": width})

    def _annotation(self, number: int, image_id: int, entity: Measure, ids: np.ndarray) -> str:
        annotation = {
            "id": number,
            "image_id": image_id,
            "category_id": self.categories[entity.label or UNNAMED],
            "segmentation": run_lengths(ids[entity.box] == entity.id, entity.y, entity.x, ids.shape),
            "bbox": [entity.x, entity.y, entity.width, entity.height],
            "area": entity.area_px,
            "iscrowd": 0,
        }
        return json.dumps(annotation if entity.score is None else {**annotation, "score": entity.score})

    def close(self) -> None:
        categories = [json.dumps({"id": number, "name": word}) for word, number in self.categories.items()]
        names = portable([image["file_name"] for image in self.images], self.destination.folder)
        images = [json.dumps({**image, "file_name": name}) for image, name in zip(self.images, names, strict=True)]
        parts = {"images": images, "categories": categories, "annotations": self.annotations}
        with (
            atomic_path(self.destination.path(self.file(""))) as path,
            path.open("w", encoding="utf-8") as file,
        ):
            lists = (f'"{key}": [\n' + ",\n".join(rows) + "\n]" for key, rows in parts.items())
            file.write("{" + ",\n".join(lists) + "}\n")


def portable(scenes: Sequence[str], folder: Path) -> list[str]:
    """Paths from `folder` on, where the file is written, if all lie in it; else without the folder that all absolute
    ones share, in slashes, and others as they are.
    """
    here = [Path(os.path.abspath(scene)) for scene in scenes]
    base = Path(os.path.abspath(folder))
    if all(scene.is_relative_to(base) for scene in here):
        return [scene.relative_to(base).as_posix() for scene in here]
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
