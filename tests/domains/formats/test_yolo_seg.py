from __future__ import annotations

import unicodedata

import pytest

from domains.errors import InputError
from domains.formats import recognise
from domains.formats.shapes import CORNERED
from domains.formats.yolo_seg import YoloSeg


def test_polygons_are_entities_with_the_names_of_data_yaml(build, tmp_path):
    root = build.yolo_seg(tmp_path)
    records, faults = YoloSeg().scan(root)
    assert not faults and [record.split for record in records] == ["train", "train", "val", "val"]
    truth = YoloSeg().read(records[0]).truth
    assert (
        truth.areas.tolist() == [24, 9] and truth.vocabulary == ("scratch", "dent") and truth.labels.tolist() == [1, 0]
    )
    assert truth.ids[2:6, 2:8].all() and truth.foreground.sum() == 33


def test_an_image_without_file_or_with_an_empty_one_has_no_entity(build, tmp_path):
    root = build.yolo_seg(tmp_path)
    (root / "labels" / "train" / "1.txt").write_text("\n")
    records = YoloSeg().scan(root).records
    assert [YoloSeg().read(record).truth.count for record in records] == [2, 0, 2, 0]


def test_splits_may_lie_above_the_folders_and_names_be_a_list_or_missing(build, tmp_path):
    build.save(tmp_path / "train" / "images" / "a.jpg", build.picture())
    (tmp_path / "train" / "labels").mkdir()
    (tmp_path / "train" / "labels" / "a.txt").write_text("2 0.1 0.1 0.5 0.1 0.5 0.5\n")
    layout = recognise(tmp_path)
    (record,) = layout.scan(tmp_path).records
    assert (layout.name, record.split) == ("yolo_seg", "train")
    assert layout.read(record).truth.vocabulary == ("0", "1", "2")
    (tmp_path / "dents.yml").write_text("names: [a, b, c]\n")
    assert layout.read(layout.scan(tmp_path).records[0]).truth.vocabulary == ("a", "b", "c")


@pytest.mark.parametrize(
    "line, why",
    [
        ("0 0.5 0.5 0.2 0.2", "got a box, which has no outline"),
        ("0 0.1 0.1 0.5 x 0.5 0.5", "wanted `class x1 y1"),
        ("0.5 0.1 0.1 0.5 0.1 0.5 0.5", "wanted `class x1 y1"),
        ("-1 0.1 0.1 0.5 0.1 0.5 0.5", "wanted a class from 0"),
        ("0 0.1 0.1 nan 0.1 0.5 0.5", "shares from 0 to 1"),
        ("0 10 10 50 10 50 50", "shares from 0 to 1"),
    ],
)
def test_boxes_and_lines_that_are_no_polygon_are_refused(build, tmp_path, line, why):
    root = build.yolo_seg(tmp_path)
    file = root / "labels" / "train" / "0.txt"
    file.write_text(file.read_text() + line + "\n")
    with pytest.raises(InputError, match=r"0\.txt': line 3: ") as caught:
        YoloSeg().read(YoloSeg().scan(root).records[0])
    assert why in str(caught.value)


def test_a_polygon_that_covers_nothing_is_left_out_and_told(build, tmp_path):
    root = build.yolo_seg(tmp_path)
    file = root / "labels" / "train" / "0.txt"
    file.write_text(file.read_text() + "1 0.5 0.5 0.5 0.5 0.5 0.5\n0 0.1 0.1 0.2 0.2 0.3\n")
    sample, faults = YoloSeg().examine(YoloSeg().scan(root).records[0])
    assert sample.truth.count == 2 and [fault.reason[:6] for fault in faults] == ["line 3", "line 4"]


def test_a_label_file_without_image_is_a_fault(build, tmp_path):
    root = build.yolo_seg(tmp_path)
    (root / "labels" / "val" / "7.txt").write_text((root / "labels" / "val" / "0.txt").read_text())
    assert [fault.path.name for fault in YoloSeg().scan(root).faults] == ["7.txt"]


def test_yaml_that_would_run_something_is_refused(build, tmp_path):
    root = build.yolo_seg(tmp_path)
    (root / "data.yaml").write_text("names: !!python/object/apply:os.getcwd []\n")
    with pytest.raises(InputError, match=r"data\.yaml.*wanted YAML"):
        YoloSeg().scan(root)


SQUARE, TRIANGLE = "0 0.1 0.1 0.5 0.1 0.5 0.5 0.1 0.5\n", "1 0.1 0.1 0.5 0.1 0.5 0.5\n"


def folder(build, root, images: tuple[str, ...], labels: dict[str, str]):
    for i, name in enumerate(images):
        build.save(root / "images" / name, build.picture(i))
    for name, text in labels.items():
        (root / "labels" / name).parent.mkdir(parents=True, exist_ok=True)
        (root / "labels" / name).write_text(text)
    return root


def counts(root) -> dict[str, int]:
    return {record.image.name: YoloSeg().read(record).truth.count for record in YoloSeg().scan(root).records}


def test_classes_that_went_through_numpy_are_whole_numbers(build, tmp_path):
    root = folder(build, tmp_path, ("a.png",), {"a.txt": TRIANGLE.replace("1 ", "1.000000 ", 1)})
    truth = YoloSeg().read(recognise(root).scan(root).records[0]).truth
    assert truth.vocabulary == ("0", "1") and truth.labels.tolist() == [1]


def test_images_of_one_stem_share_a_label_file_unless_each_has_its_own(build, tmp_path):
    both = ("part.jpg", "part.png")
    shared = folder(build, tmp_path / "shared", both, {"part.txt": TRIANGLE})
    listing = YoloSeg().scan(shared)
    assert counts(shared) == {"part.jpg": 1, "part.png": 1}
    assert [record.name for record in listing.records] == ["images/part.jpg", "images/part.png"]
    assert ["of several images of one stem" in fault.reason for fault in listing.faults] == [True]
    own = folder(build, tmp_path / "own", both, {"part.jpg.txt": TRIANGLE, "part.png.txt": TRIANGLE + SQUARE})
    assert counts(own) == {"part.jpg": 1, "part.png": 2} and not YoloSeg().scan(own).faults


@pytest.mark.parametrize("forms", [("NFC", "NFD"), ("NFD", "NFC")])
def test_labels_are_joined_however_accents_are_composed(build, tmp_path, forms):
    image, label = (unicodedata.normalize(form, "prüfling") for form in forms)
    assert list(counts(folder(build, tmp_path, (f"{image}.png",), {f"{label}.txt": TRIANGLE})).values()) == [1]


def test_an_image_whose_labels_lie_elsewhere_is_no_negative(build, tmp_path):
    labels = {"lot1/a.txt": TRIANGLE, "b.txt": TRIANGLE, "gone.txt": TRIANGLE}
    root = folder(build, tmp_path, ("lot1/a.png", "lot1/b.png", "lot1/c.png"), labels)
    assert counts(root) == {"a.png": 1, "c.png": 0}
    faults = {fault.path.name: fault.reason for fault in YoloSeg().scan(root).faults}
    assert {*faults} == {"b.png", "b.txt", "gone.txt"} and "there is 'labels/b.txt'; left out" in faults["b.png"]


def test_label_files_none_of_which_has_an_image_are_refused(build, tmp_path):
    root = folder(build, tmp_path, ("1.png", "2.png"), {"image_1.txt": TRIANGLE, "image_2.txt": TRIANGLE})
    with pytest.raises(InputError, match="got 2 that belong to none"):
        YoloSeg().scan(root)


def test_an_image_whose_lines_all_fail_is_left_out(build, tmp_path):
    root = folder(build, tmp_path, ("a.png", "b.png"), {"a.txt": "0 0.1 0.1 0.2 0.2 0.3\n", "b.txt": TRIANGLE})
    with pytest.raises(InputError, match="line 1 of 'images/a' has an odd count.*none of the 1 shapes"):
        counts(root)


def test_polygons_that_are_all_upright_rectangles_are_told(build, tmp_path):
    root = folder(build, tmp_path, ("a.png", "b.png"), {"a.txt": SQUARE * 4, "b.txt": SQUARE * 4})
    assert ["as bounding boxes made into polygons" in fault.reason for fault in YoloSeg().scan(root).faults] == [True]
    (root / "labels" / "b.txt").write_text(SQUARE * 4 + TRIANGLE)
    assert not YoloSeg().scan(root).faults


def test_shapes_that_all_have_four_corners_are_told(build, tmp_path):
    turned = "0 0.2 0.1 0.4 0.2 0.3 0.5 0.1 0.4\n"
    root = folder(build, tmp_path, ("a.png",), {"a.txt": turned * 8})
    assert [fault.reason for fault in YoloSeg().scan(root).faults] == [CORNERED]
    (root / "labels" / "a.txt").write_text(turned * 8 + TRIANGLE)
    assert not YoloSeg().scan(root).faults


def test_key_points_are_no_outline(build, tmp_path):
    root = folder(build, tmp_path, ("a.png",), {"a.txt": "0 0.5 0.5 0.2 0.2 0.4 0.4 2 0.6 0.6 2\n"})
    with pytest.raises(InputError, match="a box with key points"):
        YoloSeg().read(YoloSeg().scan(root).records[0])
