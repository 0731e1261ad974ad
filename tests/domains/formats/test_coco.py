from __future__ import annotations

import contextlib
import json
from dataclasses import replace

import numpy as np
import pytest

from domains.datasets.dataset import open_folder
from domains.entities import EntityMap, Place
from domains.errors import InputError
from domains.exports.destination import Destination
from domains.exports.formats import open_exports
from domains.formats import recognise
from domains.formats.coco import IGNORE, Coco
from domains.formats.shapes import CALLED
from domains.tiling.prediction import Prediction


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


def annotated(build, root, names: tuple[str, ...] = ("1.png",), **lists):
    """A folder of pictures, and a file that draws a triangle on each but for what `lists` replaces."""
    for i, name in enumerate(names):
        build.save(root / "images" / name, build.picture(i))
    content = {
        "images": [{"id": i, "file_name": name} for i, name in enumerate(names, 1)],
        "annotations": [entry(i, i) for i in range(1, len(names) + 1)],
        "categories": [{"id": 1, "name": "dent"}, {"id": 2, "name": "scratch"}],
    }
    (root / "coco.json").write_text(json.dumps({**content, **lists}))
    return root


def entry(number: object, image: object, at: int = 2, **more) -> dict:
    outline = [[at, 2, at + 5, 2, at + 5, 9]]
    return {"id": number, "image_id": image, "category_id": 1, "segmentation": outline, **more}


def counts(root) -> list[int]:
    return [Coco().read(record).truth.count for record in Coco().scan(root).records]


@pytest.mark.parametrize("write", [str, float, lambda i: f"{i}.0", lambda i: f"00{i}", lambda i: f" {i} "])
@pytest.mark.parametrize("where", ["images", "image_id", "category_id", "categories"])
def test_ids_of_one_value_are_one_id(build, tmp_path, write, where):
    images = [{"id": write(i) if where == "images" else i, "file_name": f"{i}.png"} for i in (1, 2)]
    entries = [entry(i, write(i) if where == "image_id" else i) for i in (1, 2)]
    for each in entries:
        each["category_id"] = write(1) if where == "category_id" else 1
    categories = [{"id": write(1) if where == "categories" else 1, "name": "dent"}]
    root = annotated(build, tmp_path, ("1.png", "2.png"), images=images, annotations=entries, categories=categories)
    assert counts(root) == [1, 1] and not Coco().scan(root).faults


def test_ids_that_differ_are_not_joined(build, tmp_path):
    images = [{"id": "1", "file_name": "1.png"}, {"id": "01", "file_name": "2.png"}, {"id": True, "file_name": "3.png"}]
    entries = [entry(1, "1"), entry(2, "01"), entry(3, "01", 12), entry(4, 1, 20), entry(5, True)]
    root = annotated(build, tmp_path, ("1.png", "2.png", "3.png"), images=images, annotations=entries)
    assert counts(root) == [1, 2]
    text = " ".join(fault.reason for fault in Coco().scan(root).faults)
    assert (
        "image id True is missing" in text
        and "4 belongs to image 1, which" in text
        and "5 belongs to image None" in text
    )


def test_an_id_of_two_images_gives_its_annotations_to_neither(build, tmp_path):
    images = [{"id": 1, "file_name": "1.png"}, {"id": 1, "file_name": "2.png"}, {"id": 2, "file_name": "3.png"}]
    root = annotated(
        build, tmp_path, ("1.png", "2.png", "3.png"), images=images, annotations=[entry(1, 1), entry(2, 2)]
    )
    records, faults = Coco().scan(root)
    assert [record.name for record in records] == ["images/3"] and "used for 2 images" in faults[0].reason


def test_a_file_none_of_whose_annotations_belongs_to_an_image_is_refused(build, tmp_path):
    root = annotated(build, tmp_path, ("1.png", "2.png"), annotations=[entry(1, "a"), entry(2, "b")])
    with pytest.raises(InputError, match="none is usable"):
        open_folder(root)
    text = " ".join(fault.reason for fault in Coco().scan(root).faults)
    assert "their image ids are 'a', 'b', and those of its images 1, 2" in text


@pytest.mark.parametrize(
    ("flaw", "why"),
    [
        ({"category_id": 9}, "has 1 annotations, none of which can be used"),
        ({"image_id": 9}, "has no annotation, but 1 of 'coco.json' belong to no listed image"),
        ({"segmentation": []}, "none of the 1 shapes"),
        ({"segmentation": [[300, 300, 310, 300, 310, 310]]}, "none of the 1 shapes"),
    ],
)
def test_an_image_whose_annotations_all_failed_is_no_negative(build, tmp_path, flaw, why):
    root = annotated(build, tmp_path, ("1.png", "2.png"), annotations=[entry(1, 1), {**entry(2, 2), **flaw}])
    folder = open_folder(root)
    assert [record.name for record in folder.records] == ["images/1"]
    assert any(why in fault.reason and fault.path.name == "2.png" for fault in folder.faults)


def test_a_file_of_no_annotation_says_that_all_are_empty(build, tmp_path):
    listing = Coco().scan(annotated(build, tmp_path, annotations=[]))
    assert len(listing.records) == 1 and "lists images and no annotation" in listing.faults[0].reason


@pytest.mark.parametrize(("first", "shift"), [(0, 1), (1, -1)])
def test_annotations_that_count_images_from_another_number_are_refused(build, tmp_path, first, shift):
    images = [{"id": first + i, "file_name": f"{i}.png"} for i in range(4)]
    entries = [entry(i, first + i + shift) for i in range(4)]
    root = annotated(build, tmp_path, tuple(f"{i}.png" for i in range(4)), images=images, annotations=entries)
    records, faults = Coco().scan(root)
    assert not records and any("count from 0 and the other from 1" in fault.reason for fault in faults)


FLAT = [2, 2, 8, 2, 8, 6]
FORMS = {
    "flat": FLAT, "pairs": [[[2, 2], [8, 2], [8, 6]]], "one of pairs": [[2, 2], [8, 2], [8, 6]], "usual": [FLAT],
    "text": "[[2, 2, 8, 2, 8, 6]]", "flat text": "[2, 2, 8, 2, 8, 6]", "floats": [[2.0, 2.0, 8.0, 2.0, 8.0, 6.0]],
}  # fmt: skip


@pytest.mark.parametrize("form", FORMS)
def test_polygons_are_read_in_every_form_in_use(build, tmp_path, form):
    usual = Coco().read(
        Coco().scan(annotated(build, tmp_path, annotations=[entry(1, 1, segmentation=[FLAT])])).records[0]
    )
    root = annotated(build, tmp_path, annotations=[entry(1, 1, segmentation=FORMS[form])])
    assert (Coco().read(Coco().scan(root).records[0]).truth.ids == usual.truth.ids).all() and usual.truth.count == 1


def test_runs_and_sizes_that_went_through_a_table_are_whole_numbers(build, tmp_path):
    runs = {"size": [20.0, 30.0], "counts": [40.0, 5.0, 555.0]}
    images = [{"id": 1, "file_name": "1.png", "width": 30.0, "height": "20"}]
    root = annotated(build, tmp_path, images=images, annotations=[entry(1, 1, segmentation=runs)])
    assert counts(root) == [1]
    images[0]["height"] = "21"
    with pytest.raises(InputError, match="got 30 x 21"):
        counts(annotated(build, tmp_path, images=images))


def write(root, name: str, *entries: dict, images: tuple[str, ...] = ("1.png",), categories=("dent", "scratch")):
    content = {
        "images": [{"id": i, "file_name": image} for i, image in enumerate(images, 1)],
        "categories": [{"id": i, "name": word} for i, word in enumerate(categories, 1)],
        "annotations": list(entries),
    }
    (root / name).write_text(json.dumps(content))


def test_a_file_per_class_is_joined_and_the_same_annotation_counts_once(build, tmp_path):
    root = annotated(build, tmp_path, annotations=[entry(1, 1), entry(2, 1, 12)])
    write(root, "scratch.json", entry(1, 1, 20), entry(2, 1, 12, category_id=2), categories=("scratch", "dent"))
    (record,), faults = Coco().scan(root)
    truth = Coco().read(record).truth
    assert [truth.vocabulary[label] for label in truth.labels] == ["dent", "dent", "scratch"]
    assert [fault.path.name for fault in faults] == ["scratch.json"] and "is joined" in faults[0].reason


def test_an_entity_that_another_file_draws_a_little_otherwise_counts_once(build, tmp_path):
    outline = [[2, 2, 22, 2, 22, 17, 2, 17]]
    root = annotated(build, tmp_path, annotations=[entry(1, 1, segmentation=outline)])
    write(root, "corrected.json", entry(1, 1, segmentation=[[2, 2, 22, 2, 22, 16, 2, 16]]))
    sample, faults = Coco().examine(Coco().scan(root).records[0])
    assert sample.truth.count == 1 and "a little otherwise" in faults[0].reason


def test_predictions_beside_annotations_are_told_and_alone_they_are_the_truth(build, tmp_path):
    root = annotated(build, tmp_path)
    write(root, "predictions.coco.json", *(entry(i, 1, 2 + 6 * i, score=0.5) for i in range(3)))
    assert counts(root) == [1] and "beside annotations" in Coco().scan(root).faults[0].reason
    (root / "coco.json").unlink()
    assert counts(root) == [3] and "taken for the truth" in Coco().scan(root, strict=True).faults[0].reason


def test_what_is_written_as_predictions_is_read_again_to_the_pixel(build, tmp_path):
    rng = np.random.default_rng(0)
    shapes = {"lot1/a.png": rng.integers(0, 4, (20, 30)), "lot2/a.png": rng.integers(0, 4, (20, 30))}
    with open_exports(["coco"], Destination(tmp_path / "out"), [*shapes]) as exports:
        for name, ids in shapes.items():
            path = build.save(tmp_path / "data" / name, build.picture())
            found = EntityMap.from_ids(ids.astype(np.int32))
            scored = replace(found, scores=np.full(found.count, 0.5))
            exports.stream(Prediction.of_map(scored, name, Place(str(path)), build.picture()))
    (tmp_path / "data").rename(tmp_path / "elsewhere")
    (tmp_path / "out" / "predictions.coco.json").rename(tmp_path / "elsewhere" / "predictions.coco.json")
    records = Coco().scan(tmp_path / "elsewhere", strict=True).records
    for record, ids in zip(records, shapes.values(), strict=True):
        truth = Coco().read(record).truth
        assert len(np.unique(np.stack([truth.ids.ravel(), ids.ravel()]), axis=1).T) == 4 == truth.count + 1


@pytest.mark.parametrize("runs", [False, True])
def test_segmentations_that_are_all_boxes_are_told(build, tmp_path, runs):
    box = {"size": [20, 30], "counts": [42, 5, 15, 5, 15, 5, 513]} if runs else [[2, 2, 5, 2, 5, 7, 2, 7]]
    entries = [entry(i, 1, segmentation=box) for i in range(8)]
    root = annotated(build, tmp_path, annotations=entries)
    assert ["as bounding boxes made into polygons" in fault.reason for fault in Coco().scan(root).faults] == [True]
    assert not Coco().scan(annotated(build, tmp_path, annotations=[*entries, entry(9, 1)])).faults


@pytest.mark.parametrize("lists", [
    {"images": [3, None, {"id": [1]}]}, {"annotations": [3, None, {}]}, {"categories": 5}, {"categories": {"id": 1}},
    {"categories": [{"id": 1}]}, {"images": [{"id": float("nan"), "file_name": "1.png"}]},
    {"annotations": [{"id": 1, "image_id": 10**400, "category_id": 1}]},
])  # fmt: skip
def test_lists_of_something_else_end_in_one_line(build, tmp_path, lists):
    with contextlib.suppress(InputError):
        open_folder(annotated(build, tmp_path, **lists))


def test_what_is_to_be_ignored_is_unlabelled_and_told(build, tmp_path):
    root = annotated(
        build, tmp_path, annotations=[entry(1, 1), entry(2, 1, at=12, ignore=1), entry(3, 1, at=20, ignore=0)]
    )
    opened = open_folder(root)
    truth = opened.dataset("all")[0].truth
    assert truth.count == 2 and not truth.labelled[3, 15]
    assert [fault.reason for fault in opened.faults] == [IGNORE]


def test_a_class_that_says_background_is_told(build, tmp_path):
    root = annotated(build, tmp_path, categories=[{"id": 1, "name": "_Background_"}])
    assert [fault.reason for fault in open_folder(root).faults] == [CALLED]
