from __future__ import annotations

import numpy as np
import pytest

from domains.errors import InputError
from domains.layouts.cvat import Cvat


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
    root = build.cvat(tmp_path / "data", build.cvat_content().replace("b.png", "../../b.png"))
    reasons = {fault.path.name: fault.reason for fault in Cvat().scan(root).faults}
    assert "leads out of the folder" in reasons["annotations.xml"] and "listed in no" in reasons["b.png"]
