"""Tiny exports of annotation tools, label maps, and BSDS500's segmentations."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from scipy.io import savemat

from tests.domains.tiny.basics import HEIGHT, WIDTH, box, picture, runs, save


def bsds500(root: Path, parts: tuple[str, ...] = ("train",), count: int = 3) -> Path:
    """Per image two annotators, of two and of three regions."""
    coarse = np.ones((HEIGHT, WIDTH), np.uint16)
    coarse[:, 12:] = 2
    fine = coarse.copy()
    fine[10:] = 3
    cell = np.empty((1, 2), object)
    cell[0, 0], cell[0, 1] = {"Segmentation": coarse}, {"Segmentation": fine}
    for number, part in enumerate(parts):
        (root / "groundTruth" / part).mkdir(parents=True)
        for i in range(count):
            name = f"{100 * number + i}"
            save(root / "images" / part / f"{name}.jpg", picture(i))
            savemat(root / "groundTruth" / part / f"{name}.mat", {"groundTruth": cell})
    return root


def coco_content(count: int = 3) -> dict:
    """Per image a ship of 6 x 4 px as polygon and a plane of 3 x 3 px as RLE inside a crowd region."""
    images, annotations = [], []
    for i in range(1, count + 1):
        images.append({"id": i, "file_name": f"{i}.png", "height": HEIGHT, "width": WIDTH})
        annotations += [
            {"id": 3 * i, "image_id": i, "category_id": 7, "iscrowd": 0, "segmentation": [[2, 2, 8, 2, 8, 6, 2, 6]]},
            {"id": 3 * i + 1, "image_id": i, "category_id": 2, "iscrowd": 0, "segmentation": runs(box(10, 10, 13, 13))},
            {"id": 3 * i + 2, "image_id": i, "category_id": 2, "iscrowd": 1, "segmentation": runs(box(9, 9, 15, 15))},
        ]
    categories = [{"id": 7, "name": "ship"}, {"id": 2, "name": "plane"}]
    return {"images": images, "annotations": annotations, "categories": categories}


def coco(root: Path, content: dict | None = None, count: int = 3) -> Path:
    for i in range(1, count + 1):
        save(root / "imgs" / f"{i}.png", picture(i))
    (root / "annotations").mkdir()
    (root / "annotations" / "annotations.json").write_text(json.dumps(content or coco_content(count)))
    return root


def label_maps(root: Path, count: int = 3) -> Path:
    """Per image three entities in a 16-bit PNG of ids with a gap."""
    ids = (box(1, 1, 5, 5, 1) + box(8, 8, 12, 14, 2) + box(15, 15, 18, 18, 9)).astype(np.uint16)
    for i in range(count):
        save(root / "images" / f"{i}.png", picture(i))
        save(root / "labels" / f"{i}.png", ids)
    return root


def clip_frames(root: Path, count: int = 3) -> Path:
    """A clip of the Cell Tracking Challenge with a mother and her two daughters."""
    (root / "01_GT" / "TRA").mkdir(parents=True)
    for i in range(count):
        cells = box(2, 2, 8, 10, 1) if i == 0 else box(2, 2, 8, 6, 2) + box(2, 7, 8, 10, 3)
        save(root / "01" / f"t{i:03d}.tif", picture(i))
        save(root / "01_GT" / "TRA" / f"man_track{i:03d}.tif", cells.astype(np.uint16))
    (root / "01_GT" / "TRA" / "man_track.txt").write_text(f"1 0 0 0\n2 1 {count - 1} 1\n3 1 {count - 1} 1\n")
    return root


def yolo_seg(root: Path) -> Path:
    """Per split an image with a dent of 6 x 4 px and a scratch of 3 x 3 px, and one without file."""
    for part in ("train", "val"):
        for i in range(2):
            save(root / "images" / part / f"{i}.png", picture(i))
        corners = [(2, 2), (8, 2), (8, 6), (2, 6)], [(10, 10), (13, 10), (13, 13), (10, 13)]
        lines = [
            f"{label} " + " ".join(f"{x / WIDTH} {y / HEIGHT}" for x, y in points)
            for label, points in zip((1, 0), corners, strict=True)
        ]
        (root / "labels" / part).mkdir(parents=True)
        (root / "labels" / part / "0.txt").write_text("\n".join(lines) + "\n")
        (root / "labels" / part / "classes.txt").write_text("scratch\ndent\n")
    (root / "data.yaml").write_text("train: images/train\nval: images/val\nnames: {0: scratch, 1: dent}\n")
    return root


def label_studio_content() -> list[dict]:
    """Two tasks: two annotators who drew a dent of 6 x 4 px, the second a scratch too; and one with nothing in it."""
    size = {"original_width": WIDTH, "original_height": HEIGHT, "image_rotation": 0}

    def polygon(name: str, label: str, points: list[tuple[float, float]]) -> dict:
        shares = [[100 * x / WIDTH, 100 * y / HEIGHT] for x, y in points]
        value = {"points": shares, "closed": True, "polygonlabels": [label]}
        return {"id": name, "type": "polygonlabels", "from_name": "label", "to_name": "image", "value": value, **size}

    dent = polygon("a", "dent", [(2, 2), (8, 2), (8, 6), (2, 6)])
    scratch = polygon("b", "scratch", [(10, 10), (13, 10), (13, 13), (10, 13)])
    done = [
        {"id": 1, "was_cancelled": False, "result": [dent]},
        {"id": 2, "was_cancelled": True, "result": [scratch]},
        {"id": 3, "was_cancelled": False, "result": [dent, scratch]},
    ]
    return [
        {"id": 5, "annotations": done, "data": {"image": "/data/upload/1/0f3a2b4c-part%201.png"}},
        {"id": 6, "annotations": [{"id": 4, "result": []}], "data": {"image": "/data/local-files/?d=photos/2.png"}},
    ]


def label_studio(root: Path, content: list[dict] | None = None) -> Path:
    save(root / "part 1.png", picture(1))
    save(root / "2.png", picture(2))
    (root / "export.json").write_text(json.dumps(content or label_studio_content(), indent=1))
    return root


def cvat_content() -> str:
    """A polygon of 6 x 4 px, a mask of 3 px, an ellipse, a tag; and an image with nothing in it."""
    return f"""<?xml version="1.0" encoding="utf-8"?>
<annotations>
  <version>1.1</version>
  <meta><task><name>dents</name></task></meta>
  <image id="0" name="a.png" subset="Train" width="{WIDTH}" height="{HEIGHT}">
    <polygon label="dent" occluded="0" points="2.00,2.00;8.00,2.00;8.00,6.00;2.00,6.00" z_order="0"></polygon>
    <mask label="scratch" occluded="0" rle="1, 2, 2, 1" left="20" top="10" width="3" height="2" z_order="0"></mask>
    <ellipse label="dent" cx="12.0" cy="14.0" rx="4.0" ry="2.0" rotation="90.0" z_order="0"></ellipse>
    <tag label="seen"></tag>
  </image>
  <image id="1" name="b.png" subset="Validation" width="{WIDTH}" height="{HEIGHT}"></image>
</annotations>
"""


def cvat(root: Path, content: str | None = None) -> Path:
    for name in ("a", "b"):
        save(root / "images" / f"{name}.png", picture())
    (root / "annotations.xml").write_text(content or cvat_content())
    return root


def labelme_content(name: str, *shapes: dict) -> dict:
    """A file as labelme 5 writes it."""
    return {
        "version": "5.5.0", "flags": {}, "shapes": list(shapes), "imagePath": name, "imageData": None,
        "imageHeight": HEIGHT, "imageWidth": WIDTH,
    }  # fmt: skip


def labelme_shape(label: str, points: list[tuple[float, float]], kind: str = "polygon", **more: object) -> dict:
    points_ = [list(point) for point in points]
    return {"label": label, "points": points_, "group_id": None, "shape_type": kind, "flags": {}, **more}


def labelme(root: Path) -> Path:
    """A photograph with a dent of 6 x 4 px in two parts and a scratch, and one with nothing in it."""
    dent = [labelme_shape("dent", [(x, 2), (x + 3, 2), (x + 3, 6), (x, 6)], group_id=0) for x in (2, 8)]
    scratch = labelme_shape("scratch", [(10, 10), (13, 10), (13, 13), (10, 13)])
    for i, shapes in enumerate(([*dent, scratch], [])):
        save(root / f"{i}.png", picture(i))
        (root / f"{i}.json").write_text(json.dumps(labelme_content(f"{i}.png", *shapes), indent=2))
    return root
