from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from domains.datasets.check import Count, check_folder
from domains.datasets.dataset import open_folder
from domains.datasets.read_as import read_as
from domains.formats import all_layouts


@pytest.fixture(params=all_layouts())
def any_folder(request, build, tmp_path):
    return getattr(build, request.param)(tmp_path / request.param)


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
    assert "MT_Blowhole (3x), MT_Free (1x)" in report.text() and "classes       MT_Blowhole (3)" in report.text()
    report = check_folder(build.coco(tmp_path / "c", count=3))
    assert report.classes == {"ship": 3, "plane": 3}


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


def test_a_folder_is_checked_as_it_is_opened(any_folder):
    """The same records in the same groups and splits, the same faults, the same entities."""
    report, folder = check_folder(any_folder), open_folder(any_folder)
    assert list(map(str, report.faults)) == list(map(str, folder.faults))
    for split, records in report.records.items():
        assert records == folder.dataset(split).records
    assert report.total.entities == sum(folder.entities.values()) and report.total.images == len(folder.records)
    assert report.reading is not None
    assert report.reading.brief("D") == read_as(folder.root, folder.layout, folder.records, folder.faults).brief("D")


def test_what_a_folder_was_read_as_is_told_first(build, tmp_path):
    root = build.label_maps(tmp_path)
    lines = check_folder(root).text().splitlines()
    assert lines[1].startswith("read as       label_maps: images/ with labels/")
    assert lines[2] == "  images      3 x PNG, RGB of 8 bits; first 'images/0.png'"


def test_a_folder_that_teaches_nothing_says_why(build, tmp_path):
    root = build.label_maps(tmp_path)
    assert check_folder(root).unusable == ""
    for path in (root / "labels").iterdir():
        Image.fromarray(np.zeros((20, 30), np.uint8)).save(path)
    assert "wanted entities, got 3 usable images without any" in check_folder(root).unusable
    for path in (root / "images").iterdir():
        path.write_bytes(b"")
    assert "none can be used: 3 skipped, the first is" in check_folder(root).unusable


@pytest.mark.parametrize(("name", "groups", "images", "entities"), [
    ("crackforest", True, 60, 186), ("magnetic_tile", True, 258, 234),
])  # fmt: skip
def test_the_real_folders_are_counted(real_data, name, groups, images, entities):
    report = check_folder(real_data / name, real_data / "index" / f"{name}.csv")
    assert (report.total.images, report.total.entities, report.total.groups) == (images, entities, 54)
    assert len(report.splits) == 3 and all(count.images for count in report.splits.values())
