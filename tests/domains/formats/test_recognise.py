from __future__ import annotations

import pickle
from dataclasses import replace

import pytest

from domains.errors import InputError, SkippedFilesError
from domains.formats import LAYOUTS, all_layouts, in_order, recognise
from domains.formats.label_maps import LabelMaps
from domains.registry import house_specs

ORDER = """monuseg pannuke nuinsseg cryonuseg consep lizard dsb2018 magnetic_tile crackforest bsds500 mvtec_ad visa dagm
kolektor severstal slides spacenet raster_vectors xview2 mask_tiles coco yolo_seg label_studio cvat labelme clip_frames
crack_masks label_maps drawn_pictures"""
"""In which a folder is tried: of two that it could be, the former has the rarer marks."""


def test_layouts_of_all_domains_are_tried_in_one_order_whatever_domain_is_named() -> None:
    assert list(all_layouts()) == ORDER.split()
    for spec in house_specs():
        assert spec.known_layouts == all_layouts() and list(spec.known_layouts) == ORDER.split()


def test_a_layout_comes_before_the_one_that_it_names_else_before_all() -> None:
    class Sheets(LabelMaps):
        name, before = "sheets", "coco"

    class Scans(LabelMaps):
        name = "scans"

    names = list(in_order([Sheets(), Scans()]))
    assert names[0] == "scans" and names[names.index("sheets") + 1] == "coco"
    assert [name for name in names if name not in ("scans", "sheets")] == list(LAYOUTS)
    spec = replace(house_specs()[0], layouts=(Scans(),))
    assert list(spec.known_layouts) == ["scans", *ORDER.split()]


@pytest.mark.parametrize("name", all_layouts())
def test_every_layout_is_recognised_listed_pickled_and_read(build, tmp_path, name):
    root = getattr(build, name)(tmp_path / "data")
    layout = recognise(root)
    assert layout.name == name and all_layouts()[name] is layout
    records, faults = layout.scan(root, strict=True)
    assert records and not faults
    assert len({record.name for record in records}) == len(records)
    for record in pickle.loads(pickle.dumps(records)):
        sample = pickle.loads(pickle.dumps(layout)).read(record)
        assert sample.place.scene == record.name and record.name.isprintable() and record.group
        for truth in sample.truths:
            assert truth.shape == sample.image.shape[:2]


@pytest.mark.parametrize("name", all_layouts())
def test_hidden_files_and_other_files_are_ignored(build, tmp_path, name):
    root = getattr(build, name)(tmp_path / "data")
    before = recognise(root).scan(root)
    for folder in [root, *(path for path in root.rglob("*") if path.is_dir())]:
        for file in ("._1.png", ".DS_Store", "Thumbs.db", "readme.txt", "config.json"):
            (folder / file).write_text("{}")
    assert recognise(root).scan(root) == before


@pytest.mark.parametrize("name", ["dsb2018", "magnetic_tile", "crackforest", "bsds500", "coco", "label_maps"])
def test_an_image_without_truth_is_a_fault_and_under_strict_an_error(build, tmp_path, name):
    root = getattr(build, name)(tmp_path / "data")
    layout = recognise(root)
    count = len(layout.scan(root).records)
    image = layout.scan(root).records[0].image
    if name == "dsb2018":
        alone = build.save(root / "stage1_train" / "ff" / "images" / "ff.png", build.picture())
    else:
        alone = build.save(image.with_stem("exp1_num_77777"), build.picture(channels=1)[..., 0])
    records, faults = layout.scan(root)
    assert len(records) == count and [fault.path for fault in faults] == [alone]
    with pytest.raises(SkippedFilesError, match=r"1 skipped, the first is .*(exp1_num_77777|ff\.png)") as caught:
        layout.scan(root, strict=True)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("came", ["nothing at that path", "a file", "an empty one", "not known"])
def test_what_is_no_data_folder_says_what_was_expected(tmp_path, came):
    root = tmp_path / "data"
    if came == "a file":
        root.write_text("")
    elif came != "nothing at that path":
        root.mkdir()
        if came == "not known":
            (root / "notes.txt").write_text("")
    with pytest.raises(InputError) as caught:
        recognise(root)
    text = str(caught.value)
    assert came in text and repr(str(root)) in text and "\n" not in text
    assert "images/ and masks/ with the same file names" in text and "docs/formats.md" in text
