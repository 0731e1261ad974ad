from __future__ import annotations

import unicodedata

import numpy as np
import pytest
import tifffile
from PIL import Image

from domains.errors import InputError
from domains.formats import recognise
from domains.formats.label_maps import LabelMaps


def only(root):
    layout = recognise(root)
    assert layout.name == "label_maps"
    (record,), faults = layout.scan(root)
    assert not faults
    return layout.read(record).truth


def test_ids_of_a_label_map_are_the_entities(build, tmp_path):
    truth = only(build.label_maps(tmp_path, count=1))
    assert truth.areas.tolist() == [16, 24, 9]


def test_components_of_a_binary_mask_are_the_entities(build, tmp_path):
    build.save(tmp_path / "images" / "a.png", build.picture())
    mask = build.box(1, 1, 5, 5) + build.box(5, 5, 7, 7) + build.box(15, 15, 18, 18)  # the first two touch by a corner
    build.save(tmp_path / "masks" / "a.png", mask)
    assert only(tmp_path).areas.tolist() == [20, 9]


def test_a_binary_mask_with_soft_edges_is_no_map_of_hundreds_of_ids(build, tmp_path):
    mask = build.box(4, 4, 12, 12)
    mask[12, 4:12], mask[3, 4:12] = np.arange(8) * 15, 140 + np.arange(8)
    build.save(tmp_path / "images" / "a.png", build.picture())
    build.save(tmp_path / "masks" / "a.png", mask)
    assert only(tmp_path).areas.tolist() == [72]


def test_minus_1_stays_unlabelled(build, tmp_path):
    ids = build.box(1, 1, 5, 5, 1).astype(np.int32)
    ids[10:] = -1
    build.save(tmp_path / "images" / "a.png", build.picture())
    (tmp_path / "labels").mkdir()
    tifffile.imwrite(tmp_path / "labels" / "a.tif", ids)
    truth = only(tmp_path)
    assert truth.areas.tolist() == [16] and (~truth.labelled).sum() == 300


@pytest.mark.parametrize(("image", "label"), [
    ("images/a.png", "labels/a.tif"),
    ("Images/a.jpg", "Masks/a_mask.png"),
    ("imgs/deep/a.png", "gt/deep/a.png"),
    ("train/images/a.png", "train/labels/a.png"),
    ("a.png", "a_mask.png"),
    ("a.tif", "a_labels.tif"),
    ("a_img.png", "a_masks.png"),
    ("images/a_seg.png", "masks/a_seg.png"),
    (unicodedata.normalize("NFD", "images/é.png"), "labels/é.png"),
])  # fmt: skip
def test_labels_are_found_beside_and_in_folders(build, tmp_path, image, label):
    build.save(tmp_path / image, build.picture())
    build.save(tmp_path / label, build.box(1, 1, 5, 5, 3))
    assert only(tmp_path).areas.tolist() == [16]


@pytest.mark.parametrize("pattern", ["{split}/{kind}/{name}.png", "{kind}/{split}/{name}.png"])
def test_folders_named_after_a_split_are_the_split(build, tmp_path, pattern):
    for split, name in (("train", "a"), ("train", "b"), ("valid", "c"), ("test", "d")):
        for kind in ("images", "labels"):
            build.save(tmp_path / pattern.format(split=split, kind=kind, name=name), build.box(1, 1, 5, 5, 3))
    records, faults = LabelMaps().scan(tmp_path, strict=True)
    splits = {record.image.stem: record.split for record in records}
    assert splits == {"a": "train", "b": "train", "c": "val", "d": "test"}


def test_images_and_labels_alone_are_faults(build, tmp_path):
    root = build.label_maps(tmp_path)
    (root / "images" / "0.png").unlink()
    (root / "labels" / "1.png").unlink()
    records, faults = LabelMaps().scan(root)
    assert [record.name for record in records] == ["images/2"]
    assert sorted((fault.path.parent.name, fault.path.name) for fault in faults) == [
        ("images", "1.png"), ("labels", "0.png"),
    ]  # fmt: skip


def test_a_second_image_or_label_of_the_same_name_is_not_guessed_at(build, tmp_path):
    root = build.label_maps(tmp_path, count=1)
    build.save(root / "images" / "0.bmp", build.picture())
    build.save(root / "labels" / "0.tif", build.box(1, 1, 2, 2))
    records, faults = LabelMaps().scan(root)
    assert not records and len(faults) == 4 and all("several" in str(fault) for fault in faults)


def test_a_jpeg_of_labels_is_refused(build, tmp_path):
    build.save(tmp_path / "images" / "a.png", build.picture())
    build.save(tmp_path / "masks" / "a.jpg", build.box(1, 1, 5, 5))
    with pytest.raises(InputError, match="invents ids"):
        only(tmp_path)


def test_a_label_of_another_size_names_both(build, tmp_path):
    build.save(tmp_path / "images" / "a.png", build.picture())
    build.save(tmp_path / "masks" / "a.png", build.box(1, 1, 5, 5).T)
    with pytest.raises(InputError, match=r"masks/a\.png.*images/a\.png', 30 x 20, got 20 x 30; one .* turned"):
        only(tmp_path)


def test_real_labels_of_video_frames_and_palettes_are_read(real_data, tmp_path):
    source = real_data / "annotation_formats" / "labelme_instance"
    for kind, suffix in (("images", ".jpg"), ("labels", ".png")):
        (tmp_path / kind).mkdir()
        folder = source if kind == "images" else source / "expected_voc_SegmentationObject"
        for path in folder.glob(f"*{suffix}"):
            (tmp_path / kind / path.name).write_bytes(path.read_bytes())
    records, faults = recognise(tmp_path).scan(tmp_path, strict=True)
    assert len(records) == 3
    for record in records:
        truth = LabelMaps().read(record).truth
        with Image.open(record.truth.path) as picture:
            values = set(np.unique(np.asarray(picture)).tolist()) - {0, 255}
        assert truth.count == len(values) > 0
