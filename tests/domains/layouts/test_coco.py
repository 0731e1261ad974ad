from __future__ import annotations

import json

import pytest

from domains.errors import InputError
from domains.layouts import recognise
from domains.layouts.coco import Coco


def read_first(root):
    records, _ = Coco().scan(root)
    return Coco().examine(records[0])


def test_polygons_and_runs_become_entities_and_crowds_unlabelled(build, tmp_path):
    sample, faults = read_first(build.coco(tmp_path))
    truth = sample.truth
    named = dict(zip((truth.vocabulary[label] for label in truth.labels), truth.areas.tolist(), strict=True))
    assert named == {"ship": 24, "plane": 9} and not faults
    assert truth.vocabulary == ("plane", "ship")  # in the order of the category ids
    assert (~truth.labelled).sum() == 36 - 9


def test_labels_follow_when_an_entity_is_hidden_whole(build, tmp_path):
    content = build.coco_content(1)
    square = [[2, 2, 8, 2, 8, 6, 2, 6]]
    content["annotations"] = [
        {"id": i, "image_id": 1, "category_id": kind, "segmentation": square} for i, kind in enumerate((7, 2))
    ]
    truth = read_first(build.coco(tmp_path, content, count=1))[0].truth
    assert truth.count == 1 and [truth.vocabulary[label] for label in truth.labels] == ["plane"]


def test_an_image_without_annotation_has_no_entity_and_no_categories_means_no_labels(build, tmp_path):
    content = build.coco_content(1)
    del content["categories"]
    content["annotations"] = []
    truth = read_first(build.coco(tmp_path, content, count=1))[0].truth
    assert truth.count == 0 and truth.labels is None


FLAWS = {
    "odd": ([[1, 1, 5, 1, 5, 5, 1]], "odd count of coordinates (7)"),
    "two points": ([[1, 1, 5, 5]], "fewer than 3 points"),
    "outside": ([[544, 576, 539, 578, 532, 586]], "lies outside its image of 30 x 20"),
    "just outside": ([[31, 2, 40, 2, 40, 9]], "covers no pixel"),
    "astronomic": ([[1, 1, 1e15, 1, 5, 5]], "lies outside"),
    "empty": ([], "no segmentation"),
    "none": (None, "no segmentation"),
    "text": ([["1", "2", "3", "4", "5", "6"]], "no finite numbers"),
    "nan": ([[1, 1, float("nan"), 1, 5, 5]], "no finite numbers"),
    "nested": ([[[[1, 1], [5, 1], [5, 5]]]], "nested deeper"),
    "other text": ("1, 1, 5, 1, 5, 5", "has the text '1, 1, 5, 1, 5, 5'"),
    "huge": ([[1, 1, 10**400, 1, 5, 5]], "no finite numbers"),
    "short runs": ({"size": [20, 30], "counts": [0, 10, 5]}, "an RLE of 15 pixels, its image has 600"),
    "negative runs": ({"size": [20, 30], "counts": [700, -100]}, "no run lengths"),
    "runs of another size": ({"size": [30, 20], "counts": [600]}, "RLE of size [30, 20]"),
    "runs of nothing": ({"size": [20, 30], "counts": [600]}, "covers no pixel"),
    "compressed garbage": ({"size": [20, 30], "counts": "~~ é"}, "do not belong there"),
    "compressed, cut": ({"size": [20, 30], "counts": "PPP"}, "cut off"),
    "compressed, too long": ({"size": [20, 30], "counts": "00ooooo1"}, "its image has 600"),
    "no counts": ({"size": [20, 30]}, "no run lengths"),
}


@pytest.mark.parametrize("flaw", FLAWS)
def test_an_annotation_that_cannot_be_drawn_is_left_out_and_told(build, tmp_path, flaw):
    segmentation, reason = FLAWS[flaw]
    content = build.coco_content(1)
    content["annotations"].append({"id": 99, "image_id": 1, "category_id": 7, "segmentation": segmentation})
    sample, faults = read_first(build.coco(tmp_path, content, count=1))
    assert sample.truth.count == 2
    assert len(faults) == 1 and "annotation 99 of 'imgs/1'" in str(faults[0]) and reason in str(faults[0])


@pytest.mark.parametrize(("change", "reason"), [
    ({"category_id": 55}, "annotation 99 has category 55, which is not listed"),
    ({"category_id": [7]}, "annotation 99 has category None"),
    ({"image_id": 987}, "annotation 99 belongs to image 987, which is not listed"),
])  # fmt: skip
def test_an_annotation_that_links_to_nothing_is_left_out_and_told(build, tmp_path, change, reason):
    content = build.coco_content(1)
    content["annotations"].append({**content["annotations"][0], "id": 99, **change})
    root = build.coco(tmp_path, content, count=1)
    (record,), faults = Coco().scan(root)
    assert len(record.truth.shapes) == 3
    assert [reason in str(fault) for fault in faults] == [True]


def test_a_second_use_of_an_annotation_id_is_told_and_kept(build, tmp_path):
    content = build.coco_content(1)
    content["annotations"].append({**content["annotations"][0], "segmentation": [[20, 2, 25, 2, 25, 9]]})
    root = build.coco(tmp_path, content, count=1)
    assert "used twice" in str(Coco().scan(root).faults[0])
    assert read_first(root)[0].truth.count == 3


@pytest.mark.parametrize(("name", "reason"), [
    ("../../etc/passwd", "leads out of the folder"),
    ("/etc/passwd", "leads out of the folder"),
    ("..\\..\\3.png", "leads out of the folder"),
    ("absent.png", "there are 0"),
    (None, "wanted text"),
    ("a" * 5000 + ".png", "image 1"),
    ("a\0b.png", "image 1"),
])  # fmt: skip
def test_an_image_that_is_not_in_the_folder_is_left_out_and_told(build, tmp_path, name, reason):
    content = build.coco_content(2)
    content["images"][0]["file_name"] = name
    records, faults = Coco().scan(build.coco(tmp_path, content, count=2))
    assert [record.name for record in records] == ["imgs/2"]
    assert any(reason in str(fault) for fault in faults)


def test_images_are_found_by_windows_paths_and_by_unique_names(build, tmp_path):
    content = build.coco_content(2)
    content["images"][0]["file_name"] = "imgs\\1.png"
    content["images"][1]["file_name"] = "elsewhere/2.png"
    assert len(Coco().scan(build.coco(tmp_path, content, count=2)).records) == 2


def test_two_files_of_one_name_are_not_guessed_between(build, tmp_path):
    root = build.coco(tmp_path, count=1)
    build.save(root / "more" / "1.png", build.picture(1))
    assert "there are 2" in str(Coco().scan(root).faults[0])


def test_a_declared_size_that_is_turned_is_refused(build, tmp_path):
    content = build.coco_content(1)
    content["images"][0].update(width=20, height=30)
    with pytest.raises(InputError, match=r"annotations\.json.*30 x 20, got 20 x 30; one of the two is turned"):
        read_first(build.coco(tmp_path, content, count=1))


def test_parts_beside_the_whole_are_ignored_and_alone_they_are_the_split(build, tmp_path):
    root = build.coco(tmp_path, count=4)
    content = build.coco_content(4)
    for name, chosen in (("x_train", (1, 2, 3)), ("x_val2017", (4,))):
        part = {
            "images": [image for image in content["images"] if image["id"] in chosen],
            "annotations": [entry for entry in content["annotations"] if entry["image_id"] in chosen],
            "categories": content["categories"],
        }
        (root / "annotations" / f"{name}.json").write_text(json.dumps(part))
    assert {record.split for record in Coco().scan(root, strict=True).records} == {None}
    (root / "annotations" / "annotations.json").unlink()
    assert [record.split for record in Coco().scan(root, strict=True).records] == ["train", "train", "train", "val"]


def test_a_byte_order_mark_and_nan_in_unread_fields_do_no_harm(build, tmp_path):
    content = build.coco_content(1)
    content["annotations"][0].update(area=float("nan"), bbox=[-5, 0, -10, 3])
    root = build.coco(tmp_path, content, count=1)
    path = root / "annotations" / "annotations.json"
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    assert read_first(root)[0].truth.count == 2


def test_a_cut_json_is_refused_and_beside_a_whole_one_it_is_told(build, tmp_path):
    root = build.coco(tmp_path)
    path = root / "annotations" / "annotations.json"
    (root / "copy.json").write_bytes(path.read_bytes()[:-40])
    records, faults = Coco().scan(root)
    assert len(records) == 3 and "copy.json': is no whole JSON" in str(faults[0])
    path.unlink()
    with pytest.raises(InputError, match=r"none that can be read.*copy\.json.*no whole JSON") as caught:
        recognise(root).scan(root)
    assert "\n" not in str(caught.value)


def test_the_real_folder_holds_what_its_notes_say(real_data):
    root = real_data / "nwpu_vhr10"
    layout = recognise(root)
    records, faults = layout.scan(root, strict=True)
    assert layout.name == "coco" and len(records) == 180 and {record.split for record in records} == {None}
    assert sum(len(record.truth.shapes) for record in records) == 1087
    some = [layout.examine(record) for record in records[::12]]
    assert not any(found for _, found in some)
    assert all(len(sample.truth.labels) == sample.truth.count for sample, _ in some)
    assert records[0].truth.vocabulary[0] == "airplane" and len(records[0].truth.vocabulary) == 10
