from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domains.errors import InputError
from domains.exports.destination import Destination, output_names


def names(*paths: str) -> list[str]:
    return list(output_names(Path(path) for path in paths).values())


def test_the_stem_is_the_name_where_that_is_enough():
    assert names("a/x.png", "b/y.tif", "slide.ome.tif") == ["x", "y", "slide.ome"]


def test_equal_stems_of_different_folders_take_their_parents():
    assert names("a/x.png", "b/x.png", "b/y.png") == ["a_x", "b_x", "y"]
    assert names("1/images/x.png", "2/images/x.png") == ["1_images_x", "2_images_x"]


def test_equal_stems_of_one_folder_take_their_suffix():
    assert names("a/x.png", "a/x.jpg", "a/z.jpg") == ["x_png", "x_jpg", "z"]


def test_names_that_differ_in_case_only_are_the_same_on_some_disks():
    assert len({name.casefold() for name in names("a/X.png", "b/x.png")}) == 2


def test_names_that_differ_in_composition_only_are_the_same_on_a_mac():
    apart, together = "e\u0301", "\u00e9"
    assert names(f"a/{apart}.png", f"b/{together}.png") == [f"a_{apart}", f"b_{together}"]
    assert names(f"a/{apart}.png", f"a/{together}.png") == [f"{apart}_png", f"{together}_png-2"]


def test_an_input_is_never_replaced(tmp_path):
    picture = tmp_path / "a.overlay.png"
    picture.write_text("mine")
    destination = Destination(tmp_path, overwrite=True, inputs=frozenset({picture.resolve()}))
    with pytest.raises(InputError, match=r"a.overlay.png.*is an input.*name another --out"):
        destination.path("a.overlay.png")


def test_the_same_input_twice_is_one():
    assert output_names([Path("a/x.png"), Path("a/./x.png")]) == {Path("a/x.png"): "x"}


def test_joined_parents_that_meet_by_accident_are_numbered():
    found = names("/a_b/x.png", "/a/b_x.png", "/c/x.png", "/c/b_x.png")
    assert len(set(found)) == 4


@pytest.mark.parametrize("path", ["../../x.png", "a/..png", "a/.png", "/x.png", "a/ü:*.png", "a/x\\y.png"])
def test_no_name_leaves_its_folder_or_hides(path, tmp_path):
    (name,) = names(path)
    assert not name.startswith(".") and "/" not in name and "\\" not in name and name
    assert Destination(tmp_path).path(f"{name}.labels.tif").parent == tmp_path


def test_a_long_name_leaves_room_for_suffixes():
    (first, second) = names("a/" + "ü" * 120 + "1.png", "b/" + "ü" * 120 + "1.png")
    assert first != second and len(first.encode()) <= 210


@settings(deadline=None)
@given(st.lists(st.text("ab_./Xü\udcff", min_size=1, max_size=8), min_size=1, max_size=8))
def test_every_input_has_a_name_of_its_own(paths):
    found = output_names(Path(path) for path in paths)
    assert set(found) == {Path(path) for path in paths}
    assert len({name.casefold() for name in found.values()}) == len(found)


def test_an_existing_result_is_replaced_only_on_request(tmp_path):
    (tmp_path / "x.geojson").write_text("mine")
    with pytest.raises(InputError, match="x.geojson.*--overwrite"):
        Destination(tmp_path).path("x.geojson")
    assert Destination(tmp_path, overwrite=True).path("x.geojson") == tmp_path / "x.geojson"


@pytest.mark.parametrize("filename", ["../x", "a/x", "", "..", "/x"])
def test_a_path_is_not_a_file_name(filename, tmp_path):
    with pytest.raises(ValueError, match="plain file name"):
        Destination(tmp_path).path(filename)
