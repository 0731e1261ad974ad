"""What is told of a folder before it is learnt from."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from domains.datasets.dataset import open_folder
from domains.datasets.read_as import Fact, ReadAs, read_as
from domains.formats.label_maps import LabelMaps
from domains.formats.layout import Assumption, Fault


def lines_of(root: Path, extra: list[Fault]) -> list[str]:
    folder = open_folder(root)
    return read_as(root, folder.layout, folder.records, [*folder.faults, *extra]).brief("D")


def test_a_folder_that_leaves_no_doubt_takes_three_lines(build, tmp_path: Path) -> None:
    lines = lines_of(build.label_maps(tmp_path), [])
    assert lines[0].startswith("read as label_maps: images/ with labels/ or masks/")
    assert lines[1:] == ["images: 3 x PNG, RGB of 8 bits", f"an entity is {LabelMaps.entities}"]


def test_assumptions_are_counted_by_their_reason_and_told_apart_from_faults(build, tmp_path: Path) -> None:
    root = build.label_maps(tmp_path)
    Image.fromarray(np.zeros((20, 30), np.uint8)).save(root / "images" / "1.png")
    (root / "images" / "2.png").write_bytes(b"")
    rare = Assumption(root / "labels" / "0.png", "ids of many pieces are classes")
    lines = lines_of(root, [rare, *(Assumption(root / "labels" / f"{i}.png", "255 is unlabelled") for i in (1, 0))])
    assert lines[1] == "images: 1 x PNG, RGB of 8 bits | 1 x PNG, grey of 8 bits"
    see = "see python cli.py domains check D"
    assert lines[3] == f"assumed: 255 is unlabelled (2 files, first 'labels/1.png'); and 1 more assumption, {see}"
    assert lines[4].startswith(f"left out: 1, the first is '{root}/images/2.png': wanted a picture, got an empty file")
    assert len(lines) == 5


@pytest.mark.parametrize("count", [0, 1, 9])
def test_never_more_than_five_lines(count: int) -> None:
    facts = [Fact(f"fact {i}", 9 - i, "a.png") for i in range(count)]
    faults = [Fault(Path("b.png"), "has no mask")] * count
    lines = ReadAs("coco", "a JSON", "one annotation", facts, facts, faults, count).brief("D")
    assert len(lines) <= 5 and all("\n" not in line for line in lines)
    if count == 9:
        assert "and 6 more kinds, see" in lines[1] and "9 not looked at" in lines[1]
        assert "and 8 more assumptions" in lines[3] and "left out: 9" in lines[4]


def test_images_that_are_no_scenes_are_counted_nowhere(build, tmp_path: Path) -> None:
    """An array of many images has no kind of its own."""
    folder = open_folder(build.pannuke(tmp_path / "pannuke"))
    lines = read_as(folder.root, folder.layout, folder.records, folder.faults).brief("D")
    assert lines[0].startswith("read as pannuke") and lines[1].startswith("an entity is")
