from __future__ import annotations

import numpy as np
import pytest

from domains.errors import InputError
from domains.formats.cvat import Cvat


def test_polygons_masks_and_ellipses_are_entities(build, tmp_path):
    records, faults = Cvat().scan(build.cvat(tmp_path))
    assert not faults and [(record.name, record.split) for record in records] == [
        ("images/a", "train"),
        ("images/b", "val"),
    ]
    truth = Cvat().read(records[0]).truth
    assert truth.vocabulary == ("dent", "scratch") and truth.labels.tolist() == [0, 1, 0]
    assert truth.areas[:2].tolist() == [24, 3]
    assert np.argwhere(truth.ids == 2).tolist() == [[10, 21], [10, 22], [11, 22]]
    rows, columns = np.nonzero(truth.ids == 3)  # an ellipse of 4 x 2 px about (12, 14), turned upright
    assert abs(truth.areas[2] - np.pi * 8) < 4 and np.ptp(rows) > np.ptp(columns)
    assert Cvat().read(records[1]).truth.count == 0


@pytest.mark.parametrize("tag", ["box", "polyline", "points", "cuboid", "skeleton"])
def test_a_shape_without_outline_is_refused(build, tmp_path, tag):
    root = build.cvat(tmp_path, build.cvat_content().replace("polygon", tag))
    with pytest.raises(InputError, match=f"got a '{tag}', which has no outline"):
        Cvat().read(Cvat().scan(root).records[0])


@pytest.mark.parametrize(
    "old, new, why",
    [
        ('rle="1, 2, 2, 1"', 'rle="1, 2, 2"', "runs of 5 pixels for a box of 6"),
        ('rle="1, 2, 2, 1"', 'rle="1, -2, 6, 1"', "runs of"),
        ('rle="1, 2, 2, 1"', 'rle="1, x"', "where numbers are wanted"),
        ('left="20"', 'left="28"', "outside its"),
        ('left="20"', 'left="-1"', "outside its"),
        ("8.00,2.00;", "8.00;", "where numbers are wanted"),
        ("8.00,2.00;", "inf,2.00;", "where numbers are wanted"),
        ("8.00,2.00;8.00,6.00;2.00,6.00", "8.00,2.00", "fewer than 3 points"),
        ('rx="4.0"', "", "where numbers are wanted"),
    ],
)
def test_a_flawed_shape_is_left_out_and_told(build, tmp_path, old, new, why):
    content = build.cvat_content()
    assert old in content
    root = build.cvat(tmp_path, content.replace(old, new))
    sample, faults = Cvat().examine(Cvat().scan(root).records[0])
    assert sample.truth.count == 2 and len(faults) == 1 and why in faults[0].reason


def test_a_document_type_is_refused_before_it_expands(build, tmp_path):
    bomb = "".join(f'<!ENTITY a{i} "{f"&a{i - 1};" * 10 if i else "ha"}">' for i in range(12))
    head = f'<?xml version="1.0"?>\n<!DOCTYPE annotations [{bomb}]>\n<annotations>'
    content = build.cvat_content().partition("<annotations>")[2].replace("dents", "&a11;")
    with pytest.raises(InputError, match=r"annotations\.xml.*document type 'annotations'"):
        Cvat().scan(build.cvat(tmp_path, head + content))


@pytest.mark.parametrize("cut", [300, 600])
def test_a_cut_off_file_and_one_of_a_video_are_refused_in_one_line(build, tmp_path, cut):
    with pytest.raises(InputError, match=r"annotations\.xml.*no whole XML") as caught:
        Cvat().scan(build.cvat(tmp_path, build.cvat_content()[:cut]))
    assert "\n" not in str(caught.value)
    video = build.cvat_content().replace('<image id="1"', '<track id="1"').replace("</image>\n</ann", "</track>\n</ann")
    with pytest.raises(InputError, match="'CVAT for video', wanted"):
        Cvat().scan(build.cvat(tmp_path, video))


def test_images_that_are_missing_elsewhere_or_unlisted_are_faults(build, tmp_path):
    root = build.cvat(tmp_path / "data", build.cvat_content().replace("b.png", "../../c.png"))
    reasons = {fault.path.name: fault.reason for fault in Cvat().scan(root).faults}
    assert "leads out of the folder" in reasons["annotations.xml"] and "listed in no" in reasons["b.png"]


def shape(left: int, top: int, wide: int, tall: int, more: str = "", label: str = "dent") -> str:
    corners = (left, top), (left + wide, top), (left + wide, top + tall), (left, top + tall)
    points = ";".join(f"{x},{y}" for x, y in corners)
    return f'<polygon label="{label}" points="{points}" {more}></polygon>'


def written(build, root, *images: str, name: str = "annotations.xml"):
    """A folder with the images a.png and b.png, 30 x 20 px, and these elements."""
    build.cvat(root)
    (root / "annotations.xml").unlink()
    (root / name).write_text(f"<annotations><version>1.1</version>{''.join(images)}</annotations>")
    return root


def test_shapes_of_one_label_and_group_are_one_entity_masks_and_ellipses_too(build, tmp_path):
    mask = '<mask label="dent" group_id="3" rle="0, 4" left="20" top="10" width="2" height="2"></mask>'
    round_one = '<ellipse label="dent" group_id="3" cx="25" cy="5" rx="2" ry="2"></ellipse>'
    parts = shape(2, 2, 3, 3, 'group_id="3"') + shape(10, 2, 3, 3, 'group_id="3"') + mask + round_one
    others = shape(2, 10, 3, 3) + shape(8, 10, 3, 3, 'group_id="0"') + shape(14, 10, 3, 3, 'group_id="3"', "scratch")
    root = written(build, tmp_path, f'<image name="a.png">{parts}{others}</image>')
    records, faults = Cvat().scan(root)
    truth = Cvat().read(records[0]).truth
    assert truth.count == 4 and len({truth.ids[at] for at in ((3, 3), (3, 11), (11, 21), (5, 25))}) == 1
    assert [type(fault).__name__ for fault in faults] == ["Assumption", "Fault"]  # several labels; b.png
    assert "groups of shapes of several labels" in faults[0].reason


def test_of_shapes_that_overlap_the_highest_lies_on_top_and_of_one_height_the_smaller(build, tmp_path):
    low, high = shape(4, 4, 6, 6, 'z_order="-1"'), shape(2, 2, 12, 12, 'z_order="2"')
    level = shape(16, 2, 12, 12) + shape(18, 4, 6, 6)
    root = written(build, tmp_path, f'<image name="a.png">{low}{high}{level}</image>')
    truth = Cvat().read(Cvat().scan(root).records[0]).truth
    assert truth.ids[6, 6] == truth.ids[3, 3] and truth.ids[6, 20] != truth.ids[3, 17] and truth.count == 3


def test_the_subset_says_which_picture_of_a_name_is_meant(build, tmp_path):
    for i, subset in enumerate(("Train", "Validation")):
        build.save(tmp_path / "images" / subset / "1.png", build.picture(i))
    images = [
        f'<image name="1.png" subset="{s}">{shape(2 + 9 * i, 2, 3, 3)}</image>'
        for i, s in enumerate(("Train", "Validation"))
    ]
    records, faults = Cvat().scan(written(build, tmp_path, *images))
    assert [(record.name, record.split) for record in records] == [
        ("images/Train/1", "train"),
        ("images/Validation/1", "val"),
    ]
    assert [Cvat().read(record).truth.ids[3, 3 + 9 * i] for i, record in enumerate(records)] == [1, 1]


def test_one_picture_for_two_names_or_two_tasks_is_left_out(build, tmp_path):
    images = [f'<image name="{name}" {more}>{shape(2, 2, 3, 3)}</image>' for name, more in (
        ("a.png", 'task_id="1"'), ("a.png", 'task_id="2"'), ("lot1/b.png", ""), ("lot2/b.png", ""),
    )]  # fmt: skip
    records, faults = Cvat().scan(written(build, tmp_path, *images))
    assert not records and [fault.reason[15:22] for fault in faults if fault.path.name == "a.png"] == [
        "2 tasks",
        "2 tasks",
    ]
    assert sum("others would be the same 'b.png'" in fault.reason for fault in faults) == 2


def test_a_picture_whose_shapes_all_fail_is_no_negative(build, tmp_path):
    root = written(build, tmp_path, f'<image name="a.png">{shape(100, 100, 3, 3)}</image>')
    with pytest.raises(InputError, match="none of the 1 shapes on this picture can be drawn"):
        Cvat().read(Cvat().scan(root).records[0])


def test_two_exports_of_one_picture_are_joined_and_a_broken_one_is_told(build, tmp_path):
    first, second = shape(2, 2, 5, 3), shape(10, 2, 3, 3, label="scratch")
    root = written(build, tmp_path, f'<image name="a.png">{first}</image>')
    (root / "b.xml").write_text(f'<annotations><image name="a.png">{first}{second}</image></annotations>')
    (root / "c.xml").write_text("<annotations><image ")
    records, faults = Cvat().scan(root)
    truth = Cvat().read(records[0]).truth
    assert truth.count == 2 and [truth.vocabulary[label] for label in truth.labels] == ["dent", "scratch"]
    assert "no whole XML" in faults[0].reason and "is joined" in faults[1].reason
