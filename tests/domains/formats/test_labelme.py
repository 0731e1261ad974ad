from __future__ import annotations

import base64
import io
import json
import shutil

import numpy as np
import pytest
from PIL import Image

from domains.errors import InputError
from domains.formats import recognise
from domains.formats.coco_regions import region
from domains.formats.labelme import Labelme

TRIANGLE = [(2, 2), (12, 2), (12, 12)]


def folder(build, root, *shapes: dict, name: str = "a.png", **more):
    """A picture a.png and a.json that draws these on it."""
    build.save(root / "a.png", build.picture())
    (root / "a.json").write_text(json.dumps({**build.labelme_content(name, *shapes), **more}))
    return root


def read(root):
    return Labelme().examine(Labelme().scan(root).records[0])


def png(mask: np.ndarray) -> str:
    file = io.BytesIO()
    Image.fromarray(mask).save(file, "PNG")
    return base64.b64encode(file.getvalue()).decode()


def test_a_group_of_one_label_is_one_entity_and_an_empty_file_none(build, tmp_path):
    root = build.labelme(tmp_path)
    records, faults = Labelme().scan(root)
    truth = Labelme().read(records[0]).truth
    assert not faults and truth.areas.tolist() == [24, 9] and truth.vocabulary == ("dent", "scratch")
    assert truth.ids[3, 3] == truth.ids[3, 9] == 1 and Labelme().read(records[1]).truth.count == 0


def test_a_circle_and_a_mask_are_drawn_where_labelme_has_them(build, tmp_path):
    mask = np.zeros((4, 6), bool)
    mask[1:, ::2] = True
    circle = build.labelme_shape("hole", [(10, 10), (10, 14)], "circle")
    patch = build.labelme_shape("patch", [(20.7, 3.2), (25.9, 6.9)], "mask", mask=png(mask))
    truth = read(folder(build, tmp_path, circle, patch))[0].truth
    assert abs(truth.areas[0] - np.pi * 16) < 5 and np.array_equal(truth.ids[3:7, 20:26] == 2, mask)


def test_the_later_of_two_shapes_lies_on_top_and_what_is_ignored_is_unlabelled(build, tmp_path):
    shapes = [
        build.labelme_shape("small", [(4, 4), (8, 4), (8, 8), (4, 8)]),
        build.labelme_shape("large", [(2, 2), (12, 2), (12, 6), (2, 6)]),
        build.labelme_shape("__ignore__", [(20, 2), (28, 2), (28, 10), (20, 10)]),
        build.labelme_shape("_background_", [(20, 12), (28, 12), (28, 18), (20, 18)]),
    ]
    truth = read(folder(build, tmp_path, *shapes))[0].truth
    assert truth.vocabulary == ("large", "small") and truth.ids[5, 5] == truth.ids[3, 3] != truth.ids[7, 5]
    assert (truth.ids[2:10, 20:28] == -1).all() and not truth.ids[12:18, 20:28].any()


@pytest.mark.parametrize("kind", ["rectangle", "line", "linestrip", "point", "points", "rotation"])
def test_a_shape_without_outline_is_refused(build, tmp_path, kind):
    root = folder(build, tmp_path, build.labelme_shape("a", TRIANGLE), build.labelme_shape("a", TRIANGLE[:2], kind))
    with pytest.raises(InputError, match=f"a.json': shape 1 of 'a'.*got a '{kind}', which has no outline"):
        read(root)


@pytest.mark.parametrize(
    ("kind", "points", "more", "why"),
    [
        ("polygon", [(1, 1), (2, 2)], {}, "fewer than 3 points"),
        ("polygon", [(1, 1, 1), (2, 2, 2), (3, 3, 3)], {}, "has polygons nested|no finite numbers"),
        ("circle", [(5, 5), (5, 5)], {}, "radius of 0 px"),
        ("circle", [(5, 5), (5, 1e17)], {}, "radius of 1e"),
        ("circle", [(5, 5)], {}, "has no points"),
        ("mask", [(5, 5), (9, 9)], {"mask": png(np.ones((4, 5), bool))}, "a PNG of 5 x 4, wanted 5 x 5"),
        ("mask", [(28, 5), (32, 9)], {"mask": png(np.ones((5, 5), bool))}, "outside its 30 x 20"),
        ("mask", [(5, 5), (9, 9)], {"mask": png(np.zeros((5, 5), bool))}, "covers no pixel"),
        ("mask", [(5, 5), (9, 9)], {"mask": None}, "has no PNG"),
        ("mask", [(5, 5), (9, 9)], {"mask": "no base64!"}, "cannot be read"),
    ],
)
def test_a_flawed_shape_is_told_and_alone_makes_no_negative(build, tmp_path, kind, points, more, why):
    flawed = build.labelme_shape("a", points, kind, **more)
    sample, faults = read(folder(build, tmp_path, build.labelme_shape("a", TRIANGLE), flawed))
    assert sample.truth.count == 1 and len(faults) == 1
    with pytest.raises(InputError, match=f"({why}).*none of the 1 shapes"):
        read(folder(build, tmp_path, flawed))


@pytest.mark.parametrize("name", ["..\\lot\\a.png", "C:\\data\\a.png", "/home/me/a.png", "A.PNG", "./a.png"])
def test_the_image_beside_the_file_is_meant_whatever_path_it_once_had(build, tmp_path, name):
    build.save(tmp_path / "lot2" / "a.png", build.picture(1))
    folder(build, tmp_path / "lot", build.labelme_shape("a", TRIANGLE), name=name)
    assert [record.name for record in Labelme().scan(tmp_path).records] == ["lot/a"]


def test_files_without_image_say_so_and_broken_ones_are_told(build, tmp_path):
    root = folder(build, tmp_path, build.labelme_shape("a", TRIANGLE))
    gone = {**build.labelme_content("gone.png"), "imageData": "AAAA"}
    (root / "gone.json").write_text(json.dumps(gone))
    (root / "cut.json").write_text('{"shapes": [{"shape_type": "polygon"')
    (root / "odd.json").write_text('{"shapes": 3, "imagePath": "a.png"}')
    records, faults = recognise(root).scan(root)
    reasons = {fault.path.name: fault.reason for fault in faults}
    assert len(records) == 1 and "(imageData), save that" in reasons["gone.json"]
    assert "no whole JSON" in reasons["cut.json"] and "no list `shapes`" in reasons["odd.json"]


def test_a_declared_size_that_is_another_is_refused(build, tmp_path):
    with pytest.raises(InputError, match="got 20 x 30; one of the two is turned"):
        read(folder(build, tmp_path, build.labelme_shape("a", TRIANGLE), imageHeight=30, imageWidth=20))


def test_the_real_files_are_what_labelme_itself_exports(real_data, tmp_path):
    """To the pixel as its COCO; within the rim as its VOC, which Pillow draws with the outline."""
    source = real_data / "annotation_formats" / "labelme_instance"
    for path in (*source.glob("*.jpg"), *source.glob("*.json")):
        shutil.copy(path, tmp_path)
    coco = json.loads((source / "expected_coco" / "annotations.json").read_text())
    number_of = {image["file_name"].rpartition("/")[2]: image["id"] for image in coco["images"]}
    names = {category["id"]: category["name"] for category in coco["categories"]}
    layout = recognise(tmp_path)
    records, faults = layout.scan(tmp_path, strict=True)
    assert layout.name == "labelme" and len(records) == 3 and not faults
    for record in records:
        truth = layout.read(record).truth
        drawn = [entry for entry in coco["annotations"] if entry["image_id"] == number_of[record.image.name]]
        assert [truth.vocabulary[label] for label in truth.labels] == [names[entry["category_id"]] for entry in drawn]
        ids = np.zeros(truth.shape, int)
        for number, entry in enumerate(drawn, 1):
            ids.flat[region(entry["segmentation"], truth.shape)] = number
        assert np.array_equal(truth.ids[truth.labelled], ids[truth.labelled])
        voc = np.asarray(Image.open(source / "expected_voc_SegmentationObject" / f"{record.name}.png")).astype(int)
        assert (np.maximum(truth.ids, 0) > 0).sum() == pytest.approx((voc > 0).sum(), rel=0.02)
        for number in range(1, truth.count + 1):
            mine = truth.ids == number
            other = voc == np.bincount(voc[mine]).argmax()
            assert (mine & other).sum() / (mine | other).sum() > 0.92 and not other[~truth.labelled].sum() > 5
    assert not layout.read(records[0]).truth.labelled.all()  # __ignore__


def test_real_shapes_of_all_kinds_are_refused_as_some_have_no_outline(real_data, tmp_path):
    for path in (real_data / "annotation_formats" / "labelme_primitives").iterdir():
        shutil.copy(path, tmp_path)
    path = tmp_path / "primitives.json"
    with pytest.raises(InputError, match="got a 'rectangle', which has no outline"):
        read(tmp_path)
    content = json.loads(path.read_text())
    content["shapes"] = [shape for shape in content["shapes"] if shape["shape_type"] in ("polygon", "circle", "mask")]
    path.write_text(json.dumps(content))
    sample, faults = read(tmp_path)
    assert not faults and sample.truth.count == 3 and sample.truth.vocabulary == ("circle", "octagon", "polygon")
