"""A published set's rules apply only where its marks are all there; what else lies in such folders is read as it is."""

from __future__ import annotations

import numpy as np
import pytest

from domains.datasets.dataset import open_folder
from domains.errors import InputError
from domains.formats import all_layouts, recognise
from domains.formats.layout import Assumption, Reading, assumed


def numbered(build, count: int = 3) -> np.ndarray:
    ids = np.zeros_like(build.box(0, 0, 1, 1))
    for i in range(count):
        ids[2:8, 2 + 9 * i : 9 + 9 * i] = i + 1
        ids[10:16, 2 + 9 * i : 11 + 9 * i] = count + i + 1  # these touch
    return ids


def put(build, root, image: str, label: str, names, values):
    for i, name in enumerate(names):
        build.save(root / image.format(name), build.picture(i))
        build.save(root / label.format(name), values)


def counted(root) -> tuple[str, dict[str, int]]:
    opened = open_folder(root)
    return opened.layout.name, {sample.place.scene: sample.truth.count for sample in opened.dataset("all")}


@pytest.mark.parametrize(("image", "label", "names"), [
    ("train/images/img{}.png", "train/gt/img{}.png", "123"),
    ("train/images/austin{}.png", "train/gt/austin{}.png", "123"),  # Inria's names, other values
    ("train/sample{}.png", "train_labels/sample{}.png", "123"),
    ("train/2282893{}_15.png", "train_labels/2282893{}_15.png", "123"),  # the survey's names, other values
    ("train/1234{}.png", "train/1234{}_GT.png", "123"),  # KolektorSDD2's names, other values
    ("train/a{}.png", "train/a{}_GT.png", "123"),
    ("kos0{}/Part0.png", "kos0{}/Part0_label.png", "123"),
    ("train/images/{}.png", "train/masks/{}.png", "1"),  # a picture, a folder: no case of DSB 2018
    ("train/images/{}.png", "train/masks/{}_mask.png", "1"),
])  # fmt: skip
def test_ids_in_folders_like_those_of_published_sets_are_ids(build, tmp_path, image, label, names):
    put(build, tmp_path, image, label, names, numbered(build))
    layout, counts = counted(tmp_path)
    assert layout == "label_maps" and set(counts.values()) == {6} and len(counts) == len(names)
    records = recognise(tmp_path).scan(tmp_path).records
    assert {record.pixel_size_m for record in records} == {None}


def test_masks_in_such_folders_have_no_pixel_size_and_no_split_of_inria(build, tmp_path):
    put(build, tmp_path, "train/images/field{}.png", "train/gt/field{}.png", "1239", build.box(2, 2, 6, 6))
    records = recognise(tmp_path).scan(tmp_path).records
    assert {(record.pixel_size_m, record.split) for record in records} == {(None, "train")}


@pytest.mark.parametrize(("image", "label"), [
    ("train_img/{}.jpg", "train_lab/{}.png"),
    ("{}.jpg", "{}.png"),
    ("MT_Crack/Imgs/exp1_num_{}.jpg", "MT_Crack/Imgs/exp1_num_{}.png"),
    ("test/dent/{}.png", "ground_truth/dent/{}_mask.png"),
])  # fmt: skip
def test_ids_are_no_masks_of_a_set_that_has_masks(build, tmp_path, image, label):
    put(build, tmp_path, image, label, "123", 30 * numbered(build))
    with pytest.raises(InputError, match="wanted a binary mask"):
        open_folder(tmp_path)


def test_ids_beside_photographs_are_read_when_it_is_said(build, tmp_path):
    put(build, tmp_path, "{}.jpg", "{}.png", "123", 30 * numbered(build))
    opened = open_folder(tmp_path, layout=all_layouts()["crack_masks"].with_reading(Reading(labels="ids")))
    assert [sample.truth.count for sample in opened.dataset("all")] == [6, 6, 6]


def test_a_folder_of_cases_with_masks_of_other_names_is_dsb_2018(build, tmp_path):
    for case in ("slide a", "slide b"):
        build.save(tmp_path / case / "images" / "1.png", build.picture())
        for k, column in enumerate((2, 12)):
            build.save(tmp_path / case / "masks" / f"1{k}.png", build.box(2, column, 6, column + 6))
    assert counted(tmp_path) == ("dsb2018", {"slide a": 2, "slide b": 2})


def test_an_example_beside_the_set_does_not_hide_it(build, tmp_path):
    put(build, tmp_path, "images/{}.png", "masks/{}.png", "123456", build.box(2, 2, 6, 6))
    put(build, tmp_path, "example/images/{}.png", "example/masks/{}.png", "9", build.box(2, 2, 6, 6))
    layout, counts = counted(tmp_path)
    assert layout == "label_maps" and len(counts) == 7


def test_a_second_set_in_the_folder_is_told(build, tmp_path):
    build.dsb2018(tmp_path)
    put(build, tmp_path, "images/{}.png", "labels/{}.png", "123", numbered(build))
    opened = open_folder(tmp_path)
    (told,) = assumed(opened.faults)
    assert opened.layout.name == "dsb2018" and "as label_maps too" in told.reason and told.path == tmp_path
    assert open_folder(tmp_path, strict=True).records == opened.records


@pytest.mark.parametrize("name", all_layouts())
def test_a_set_alone_is_told_nothing_of(build, tmp_path, name):
    root = getattr(build, name)(tmp_path / "data")
    assert not [fault for fault in open_folder(root).faults if isinstance(fault, Assumption) and fault.path == root]


@pytest.mark.parametrize("suffix", [".bmp", ".png"])
def test_btad_calls_its_good_parts_ok(build, tmp_path, suffix):
    for i in range(3):
        build.save(tmp_path / "01" / "train" / "ok" / f"000{i}{suffix}", build.picture(i))
        build.save(tmp_path / "01" / "test" / "ok" / f"100{i}{suffix}", build.picture(i + 3))
        build.save(tmp_path / "01" / "test" / "ko" / f"200{i}{suffix}", build.picture(i + 6))
        build.save(tmp_path / "01" / "ground_truth" / "ko" / f"200{i}.png", build.box(3, 3, 8, 8))
    for root in (tmp_path, tmp_path / "01"):
        layout, counts = counted(root)
        assert layout == "mvtec_ad" and sorted(counts.values()) == [0] * 6 + [1] * 3
    kinds = {record.stratum for record in recognise(tmp_path).scan(tmp_path).records}
    assert kinds == {"01/good", "01/ko"}


def test_an_image_whose_label_is_written_otherwise_is_not_good(build, tmp_path):
    root = build.dagm(tmp_path)
    label = next(root.rglob("*_label.PNG"))
    label.rename(label.with_name(label.name.lstrip("0").replace("_label", "_Label")))
    assert sum(counted(root)[1].values()) > 0


def test_severstal_images_of_no_row_are_good_only_where_rows_are_theirs(build, tmp_path):
    root = build.severstal(tmp_path)
    (root / "train_images" / "a.jpg").rename(root / "train_images" / "A.png")
    assert sorted(counted(root)[1].values())[-1] > 0  # converted since
    table = root / "train.csv"
    table.write_text(table.read_text() + "b.jpg,,1 3\n")
    opened = open_folder(root)
    assert [record.image.name for record in opened.records] == ["A.png"] and "without class" in str(opened.faults[0])
    table.write_text("ImageId,ClassId,EncodedPixels\nz.jpg,1,1 3\n")
    with pytest.raises(InputError, match="none is usable"):
        open_folder(root)


def test_pictures_in_the_form_of_a_set_have_no_pixel_size_of_it(build, tmp_path):
    for kind in ("monuseg", "consep"):
        root = getattr(build, kind)(tmp_path / kind)
        sizes = {record.pixel_size_m for record in recognise(root).scan(root).records}
        for path in sorted(root.rglob("*.*")):
            if path.is_file():
                path.rename(
                    path.with_stem(path.stem.replace("TCGA", "mine").replace("train_", "a").replace("test_", "b"))
                )
        records = recognise(root).scan(root).records
        assert sizes == {0.25e-6} and {record.pixel_size_m for record in records} == {None}
    assert recognise(root).read(records[0]).truth.vocabulary[:2] == ("1", "2")


def test_other_labels_of_the_same_images_are_told(build, tmp_path):
    root = build.yolo_seg(tmp_path)
    assert not assumed(open_folder(root).faults)
    for image in sorted((root / "images").rglob("*.*")):
        build.save((root / "masks" / image.relative_to(root / "images")).with_suffix(".png"), build.box(2, 2, 9, 9))
    opened = open_folder(root)
    assert opened.layout.name == "yolo_seg"
    assert ["labels as label_maps of the same images" in str(fault) for fault in assumed(opened.faults)] == [True]
