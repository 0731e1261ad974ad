from __future__ import annotations

import numpy as np
import pytest

from domains.check import Count, check_folder


def test_a_folder_is_counted(build, tmp_path):
    report = check_folder(build.coco(tmp_path, count=3))
    assert report.layout == "coco" and report.total == Count(images=3, entities=6, groups=3)
    assert {split: count.images for split, count in report.splits.items()} == {"train": 1, "val": 1, "test": 1}
    assert np.median(report.areas) == (9 + 24) / 2 and report.per_image[2] == 2
    assert report.sizes == {(20, 30): 3} and report.annotators == {1: 3} and report.without_entity == 0
    assert report.unlabelled == pytest.approx(27 / 600)
    assert "faults        none" in report.text()


def test_several_annotators_and_classes_are_told(build, tmp_path):
    report = check_folder(build.bsds500(tmp_path / "b"))
    assert report.annotators == {2: 3} and report.total.entities == 15
    assert "2 (3x)" in report.text() and "15 in 6 truths" in report.text()
    report = check_folder(build.magnetic_tile(tmp_path / "m"))
    assert report.strata == {"MT_Blowhole": 3, "MT_Free": 1} and report.without_entity == 1
    assert "MT_Blowhole (3x), MT_Free (1x)" in report.text()


def test_every_fault_has_its_line(build, tmp_path):
    root = build.label_maps(tmp_path)
    (root / "labels" / "0.png").unlink()
    (root / "images" / "1.png").write_bytes(b"")
    report = check_folder(root)
    assert report.total.images == 1 and len(report.faults) == 2
    lines = report.text().splitlines()
    assert any("'images/0.png': has no label picture" in line for line in lines)
    assert any("'images/1.png': wanted a picture, got an empty file" in line for line in lines)


def test_a_folder_of_which_nothing_is_usable_is_still_told(build, tmp_path):
    root = build.label_maps(tmp_path, count=1)
    (root / "images" / "0.png").write_bytes(b"")
    report = check_folder(root)
    assert report.total == Count() and "images        0 images in 0 groups" in report.text()


@pytest.mark.parametrize(("name", "groups", "images", "entities"), [
    ("crackforest", True, 60, 186), ("magnetic_tile", True, 258, 234),
])  # fmt: skip
def test_the_real_folders_are_counted(real_data, name, groups, images, entities):
    report = check_folder(real_data / name, real_data / "index" / f"{name}.csv")
    assert (report.total.images, report.total.entities, report.total.groups) == (images, entities, 54)
    assert all(count.images for count in report.splits.values())
