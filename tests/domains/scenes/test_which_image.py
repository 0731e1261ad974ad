"""Which image of a file is the picture, and what is said of the others."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
import tifffile

from domains.errors import InputError
from domains.scenes import open_scene
from tests.domains.scenes.picture_kinds import COLOUR, GREY, WIDE, planes

TILED = {"photometric": "rgb", "tile": (16, 16), "metadata": None}
LARGE = np.kron(COLOUR, np.ones((4, 4, 1), np.uint8))  # (192, 256, 3)


def shape_and_levels(path: Path) -> tuple[tuple[int, int], ...]:
    with closing(open_scene(path)) as scene:
        assert np.array_equal(scene.read(0, 0, *scene.shape), LARGE)
        for level, (height, width) in enumerate(scene.levels):
            step = scene.shape[0] // height
            assert np.array_equal(scene.read(0, 0, height, width, level), LARGE[::step, ::step])
        return scene.levels


@pytest.mark.parametrize("order", [(1, 2, 4), (4, 2, 1), (2, 1, 4), (4, 1, 2)], ids=str)
@pytest.mark.parametrize("marked", [True, False], ids=["marked", "unmarked"])
def test_a_pyramid_is_the_same_in_any_order_of_its_pages(tmp_path, order, marked):
    with tifffile.TiffWriter(tmp_path / "a.tif") as file:
        for step in order:
            file.write(LARGE[::step, ::step], subfiletype=int(marked and step > 1), **TILED)
    assert shape_and_levels(tmp_path / "a.tif") == ((192, 256), (96, 128), (48, 64))


def test_a_thumbnail_of_the_same_shape_in_strips_is_no_level_of_a_tiled_slide(tmp_path):
    with tifffile.TiffWriter(tmp_path / "a.tif") as file:
        file.write(LARGE[::8, ::8] // 2, photometric="rgb", metadata=None)
        file.write(LARGE, **TILED)
    assert shape_and_levels(tmp_path / "a.tif") == ((192, 256),)


@pytest.mark.parametrize("name", ["label", "Macro image", "overview", "thumbnail"])
def test_an_attached_picture_of_an_ome_tiff_is_not_the_scan_however_large_it_is(tmp_path, name):
    with tifffile.TiffWriter(tmp_path / "a.ome.tif", ome=True) as file:
        file.write(np.zeros((400, 400, 3), np.uint8), photometric="rgb", metadata={"axes": "YXS", "Name": name})
        metadata = {"axes": "YXS", "Name": "scan", "PhysicalSizeX": 0.5, "PhysicalSizeY": 0.5}
        file.write(LARGE, photometric="rgb", tile=(16, 16), metadata=metadata)
    assert shape_and_levels(tmp_path / "a.ome.tif") == ((192, 256),)
    with closing(open_scene(tmp_path / "a.ome.tif")) as scene:
        assert scene.pixel_size_m == pytest.approx(0.5e-6)


def test_the_picture_of_a_raw_photograph_lies_in_a_sub_ifd_behind_its_preview(tmp_path):
    with tifffile.TiffWriter(tmp_path / "a.tif") as file:
        file.write(LARGE[::8, ::8], photometric="rgb", metadata=None, subfiletype=1, subifds=1)
        file.write(LARGE, photometric="rgb", metadata=None)
    assert shape_and_levels(tmp_path / "a.tif") == ((192, 256), (24, 32))


@pytest.mark.parametrize(
    "axes, shape, word",
    [("TYX", (3,), "points in time"), ("ZYX", (3,), "planes in depth"), ("TZCYX", (2, 2, 3), "planes in depth")],
)
def test_of_a_stack_the_first_plane_is_read_and_a_line_says_so(tmp_path, axes, shape, word):
    stack = np.stack([GREY + index for index in range(int(np.prod(shape)))]).reshape(*shape, *GREY.shape)
    tifffile.imwrite(tmp_path / "a.ome.tif", stack, ome=True, photometric="minisblack", metadata={"axes": axes})
    with closing(open_scene(tmp_path / "a.ome.tif")) as scene:
        assert np.array_equal(scene.read(0, 0, *scene.shape)[..., 0], GREY)
        assert any(f"of several {word} the first is read" == remark for remark in scene.remarks)


def test_several_images_of_one_size_are_told(tmp_path):
    with tifffile.TiffWriter(tmp_path / "a.ome.tif", ome=True) as file:
        for name in ("first", "second"):
            file.write(planes(WIDE), photometric="minisblack", metadata={"axes": "CYX", "Name": name})
    with closing(open_scene(tmp_path / "a.ome.tif")) as scene:
        assert scene.remarks == ("of several images of one size the first is read",)


def test_a_plain_picture_is_told_nothing_of(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", COLOUR, photometric="rgb")
    with closing(open_scene(tmp_path / "a.tif")) as scene:
        assert scene.remarks == ()


def test_pages_that_lie_over_each_other_are_refused_before_they_are_walked(tmp_path):
    """Directories of 400 tags each, a byte apart, in 12 kB: tifffile would read 7,000 of them."""
    body = bytearray(12_000)
    body[:8] = b"II*\0" + (8).to_bytes(4, "little")
    for start in range(8, 7000):
        body[start : start + 2] = (400).to_bytes(2, "little")
        end = start + 2 + 400 * 12
        body[end : end + 4] = (start + 1).to_bytes(4, "little") if end + 4 <= len(body) else b""
    (tmp_path / "a.tif").write_bytes(body)
    with pytest.raises(InputError, match="lie over each other|damaged"):
        open_scene(tmp_path / "a.tif")
