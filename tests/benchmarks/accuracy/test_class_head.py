"""A class head's loss, its vote, and one run of both arms on pictures of two classes."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from adapters.network import EntitySegmenter, Output
from benchmarks.accuracy import class_head
from benchmarks.accuracy.class_head import ClassPixels, by_votes
from domains.entities import EntityBatch

SIDE = 48


@pytest.fixture
def classified(tmp_path: Path) -> Path:
    """DIR with `nwpu_vhr10`: eight pictures in COCO's layout, each of a dark square and a bright one."""
    root = tmp_path / "nwpu_vhr10"
    (root / "annotations").mkdir(parents=True)
    (root / "imgs").mkdir()
    rng, images, annotations = np.random.default_rng(0), [], []
    for number in range(12):
        pixels = rng.integers(110, 140, (SIDE, SIDE, 3), np.uint8)
        for category, (value, x) in enumerate(((30, 4), (220, 28)), start=1):
            y = 4 + 2 * number
            pixels[y : y + 16, x : x + 14] = value
            outline = [x, y, x + 14, y, x + 14, y + 16, x, y + 16]
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": number,
                    "category_id": category,
                    "segmentation": [outline],
                    "bbox": [x, y, 14, 16],
                    "area": 224,
                    "iscrowd": 0,
                }
            )
        images.append({"id": number, "file_name": f"{number:02}.png", "height": SIDE, "width": SIDE})
        Image.fromarray(pixels).save(root / "imgs" / f"{number:02}.png")
    categories = [{"id": 1, "name": "dark"}, {"id": 2, "name": "bright"}]
    content = {"images": images, "annotations": annotations, "categories": categories}
    (root / "annotations" / "annotations.json").write_text(json.dumps(content))
    return tmp_path


def test_every_class_and_every_entity_of_one_weighs_alike() -> None:
    """Worked out by hand: three entities of 8, 1 and 1 px, of which "a" has two; without gradient off entities."""
    ids = torch.zeros(1, 4, 4, dtype=torch.int32)
    ids[0, :2], ids[0, 3, 0], ids[0, 3, 2] = 1, 2, 3
    names = ("a", "b")
    batch = EntityBatch(torch.zeros(1, 3, 4, 4), ids, labels=torch.tensor([[1, 1, 0]]), vocabulary=("b", "a", "c"))
    logits = torch.zeros(1, 2, 4, 4, requires_grad=True)
    with torch.no_grad():
        logits[0, 0, :2], logits[0, 1, 3, 2] = 2.0, 1.0
    loss = ClassPixels(names, np.array([2 / 3, 1 / 3]))({"classes": logits}, batch)
    right_a, even, right_b = np.log1p(np.exp(-2)), np.log(2), np.log1p(np.exp(-1))
    assert loss.item() == pytest.approx((1.5 * (right_a + even) + 3 * right_b) / 6)
    loss.backward()
    assert logits.grad is not None and not logits.grad[0, :, 2].any() and logits.grad[0, :, :2].all()


def test_crops_without_a_class_of_the_vocabulary_have_no_loss() -> None:
    batch = EntityBatch(torch.zeros(2, 3, 2, 2), torch.zeros(2, 2, 2, dtype=torch.int32))
    assert ClassPixels(("a", "b"), np.array([0.5, 0.5]))({"classes": torch.ones(2, 2, 2, 2)}, batch).item() == 0


def test_an_entity_has_the_class_of_most_of_its_pixels(monkeypatch: pytest.MonkeyPatch) -> None:
    logits = torch.zeros(1, 2, 4, 8)
    logits[0, 1, 0, :3] = 1
    ids = np.zeros((2, 4), np.int32)
    ids[0], ids[1, :2] = 5, 9
    segmenter = EntitySegmenter.__new__(EntitySegmenter)
    monkeypatch.setattr(EntitySegmenter, "outputs", lambda *_: [Output({"classes": logits}, 0, (2, 4))])
    (classes,) = by_votes(segmenter, ("a", "b")).names(np.zeros((2, 4, 3), np.uint8), ids, np.array([5, 9]))
    assert classes.tolist() == [1, 0]


def test_both_arms_are_fitted_once_and_stand_in_one_table(
    classified: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small = ("domain.crop_px=32", "train.batch_size=2", "domain.scale=1", "train.calibrate=false")
    monkeypatch.setattr(class_head, "ARMS", {arm: (*words, *small) for arm, words in class_head.ARMS.items()})
    monkeypatch.setattr(class_head, "VAL_CROPS", 2)
    monkeypatch.setattr(class_head, "LOOKS", 1)
    out, page = tmp_path / "out", tmp_path / "class_head.md"
    words = [
        "--data",
        str(classified),
        "--seconds",
        "0.2",
        "--set",
        "nwpu_vhr10",
        "--out",
        str(out),
        "--page",
        str(page),
    ]
    class_head.main(words)
    files = sorted(out.glob("*.json"))
    assert [file.name for file in files] == [f"nwpu_vhr10-{arm}-0.2-0.json" for arm in ("adapter", "unet")]
    adapter, unet = (json.loads(file.read_text()) for file in files)
    assert adapter["vocabulary"] == unet["vocabulary"] == ["bright", "dark"]
    assert [*adapter["ways"]] == ["named", "likeliest"] and [*unet["ways"]] == ["named"]
    assert adapter["outlines"]["likeliest"]["maccuracy"] == 1  # a black square and a white one
    for result in (adapter, unet):
        truth = [row[1:] for row in result["outlines"]["named"]["confusion"][1:3]]
        assert sum(map(sum, truth)) == 2 * result["test_images"]
    rows = [line for line in page.read_text().splitlines() if line.startswith("| adapter") or line.startswith("| unet")]
    assert len(rows) == 3

    written = [file.stat().st_mtime_ns for file in files]
    class_head.main(words)
    assert [file.stat().st_mtime_ns for file in files] == written
