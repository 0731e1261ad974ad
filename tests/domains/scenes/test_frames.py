"""Folders of numbered frames and stacks of TIFF as clips."""

from __future__ import annotations

import os
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import tifffile
from PIL import Image

from domains.errors import InputError
from domains.scenes.frames import StackClip, rate_of
from domains.scenes.video import open_clip


def folder(path: Path, *names: str, sizes: tuple[int, ...] = ()) -> Path:
    """Grey pictures 20 px high, as bright as their place in the list."""
    path.mkdir()
    for place, name in enumerate(names):
        side = sizes[place] if sizes else 30
        Image.fromarray(np.full((20, side), place, np.uint8)).save(path / name)
    return path


def values(clip) -> list[tuple[float, int]]:
    """(tick, first value) of every frame."""
    return [(frame.tick, int(frame.scene.read(0, 0, 1, 1).flat[0])) for frame in clip.frames()]


def test_a_folder_is_in_the_order_of_its_numbers_and_a_gap_is_time(tmp_path: Path) -> None:
    clip = open_clip(folder(tmp_path / "a", "f2.png", "f10.png", "f3.png"))
    assert values(clip) == [(0, 0), (1, 2), (8, 1)]
    assert clip.about.remarks == ("6 numbers are missing among 3 frames, which counts as time",)
    whole = open_clip(folder(tmp_path / "b", "00.png", "01.png"))
    assert whole.about.remarks == () and [frame.number for frame in whole.frames(1)] == [1]


def test_names_of_several_patterns_are_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    clip = open_clip(folder(tmp_path / "a", "f2.png", "f10.png", "f3.png", "f1b.png"))
    assert [value for _, value in values(clip)] == [3, 0, 2, 1]


def test_a_microscope_s_folder_of_several_channels_is_refused(tmp_path: Path) -> None:
    names = [f"exp1_t{t:03}_c{c}.png" for t in range(3) for c in range(2)]
    with pytest.raises(InputError, match="2 numbers that change"):
        open_clip(folder(tmp_path / "a", *names))
    assert len(values(open_clip(folder(tmp_path / "b", *names[::2])))) == 3


def test_frames_of_another_size_are_refused_where_they_come(tmp_path: Path) -> None:
    clip = open_clip(folder(tmp_path / "a", "0.png", "1.png", "2.png", sizes=(30, 30, 24)))
    frames = clip.frames()
    next(frames), next(frames)
    with pytest.raises(InputError, match="frame 2 .* is 24 x 20 px, those before 30 x 20"):
        next(frames)


def test_a_folder_without_pictures_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "notes.txt").write_text("x")
    with pytest.raises(InputError, match="holds no frame"):
        open_clip(tmp_path / "a")


@pytest.mark.parametrize("kind", ["imagej", "ome", "plain", "imagej-colours"])
def test_a_stack_is_read_frame_by_frame(tmp_path: Path, kind: str) -> None:
    path, colours = tmp_path / "stack.tif", kind.endswith("colours")
    shape = (4, 2, 20, 30) if colours else (4, 20, 30)
    stack = np.arange(np.prod(shape), dtype=np.uint16).reshape(shape)
    if kind.startswith("imagej"):
        metadata = {"axes": "TCYX" if colours else "TYX", "finterval": 0.5}
        tifffile.imwrite(path, stack, imagej=True, metadata=metadata)
    elif kind == "ome":
        tifffile.imwrite(path, stack, ome=True, metadata={"axes": "TYX", "TimeIncrement": 0.5, "PhysicalSizeX": 0.2,
                         "PhysicalSizeY": 0.2, "PhysicalSizeXUnit": "µm", "PhysicalSizeYUnit": "µm"})  # fmt: skip
    else:
        tifffile.imwrite(path, stack, photometric="minisblack")
    clip = open_clip(path)
    assert clip.about.count == 4 and clip.about.shape == (20, 30)
    assert clip.about.rate == (None if kind == "plain" else 2)
    assert clip.about.pixel_size_m == (pytest.approx(0.2e-6) if kind == "ome" else None)
    for frame in clip.frames(1):
        expected = stack[frame.number] if colours else stack[frame.number][None]
        assert np.array_equal(frame.scene.read(0, 0, 20, 30), np.moveaxis(expected, 0, -1))
    assert ("taken for time" in " ".join(clip.about.remarks)) == (kind == "plain")
    clip.close()


def test_a_picture_is_no_clip(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "flat.tif", np.zeros((20, 30), np.uint8))
    with pytest.raises(InputError, match="no time; wanted TYX"):
        open_clip(tmp_path / "flat.tif")
    (tmp_path / "notes.txt").write_text("x")
    with pytest.raises(InputError, match="is no clip"):
        open_clip(tmp_path / "notes.txt")


def test_a_stack_whose_list_of_pages_is_cut_off_is_refused_in_a_line(tmp_path: Path) -> None:
    path = tmp_path / "time.ome.tif"
    stack = np.random.default_rng(0).integers(0, 255, (8, 40, 40), np.uint8)
    tifffile.imwrite(path, stack, photometric="minisblack", metadata={"axes": "TYX"}, compression="zlib")
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 6 // 10])
    with pytest.raises(InputError, match="is damaged or cut off .*; copy it again"):
        open_clip(path)


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="open files are listed by Linux alone")
def test_a_stack_that_is_refused_is_left_closed(tmp_path: Path, monkeypatch) -> None:
    path = tmp_path / "stack.tif"
    tifffile.imwrite(path, np.zeros((3, 20, 30), np.uint8), photometric="minisblack")

    def breaks(*_: Any) -> None:
        raise ValueError("a chain of pages that breaks off")

    monkeypatch.setattr("domains.scenes.frames.whole_series", breaks)
    with pytest.raises(InputError, match="is damaged or cut off") as caught:
        StackClip(path)
    links = [link for link in Path("/proc/self/fd").iterdir() if link.is_symlink()]
    assert str(path) not in [os.readlink(link) for link in links if os.path.lexists(link)]
    assert caught.value.__cause__ is not None  # which keeps what was opened from the collector


@pytest.mark.parametrize("axes", ["TYX", "TCYX"])
def test_a_stack_that_is_cut_off_gives_what_came_before(tmp_path: Path, axes: str) -> None:
    path = tmp_path / "stack.tif"
    stack = np.arange(6 * 2 * 20 * 30, dtype=np.uint16).reshape(6, 2, 20, 30)[:, : 2 if axes == "TCYX" else 1]
    tifffile.imwrite(path, stack if axes == "TCYX" else stack[:, 0], imagej=True, metadata={"axes": axes})
    path.write_bytes(path.read_bytes()[: -stack[0].nbytes * 3 // 2])
    clip, frames = open_clip(path), []
    assert clip.about.count == 6
    with closing(clip), pytest.raises(InputError, match="ends before frame .* it is cut off"):
        for frame in clip.frames():
            frames.append(frame.scene.read(0, 0, 20, 30))
    assert np.array_equal(np.moveaxis(frames, -1, 1), stack[: len(frames)]) and 0 < len(frames) < 6


def test_numbers_that_come_twice_are_in_the_order_of_the_names(tmp_path: Path) -> None:
    assert values(open_clip(folder(tmp_path / "a", "f2.png", "f01.png", "f1.png"))) == [(0, 1), (1, 2), (2, 0)]


def test_a_stack_of_too_many_pixels_is_refused_before_they_are_read(tmp_path: Path, monkeypatch) -> None:
    tifffile.imwrite(tmp_path / "stack.tif", np.zeros((4, 20, 30), np.uint8), imagej=True, metadata={"axes": "TYX"})
    with closing(open_clip(tmp_path / "stack.tif")) as clip:
        assert clip.noted() == ()
    monkeypatch.setattr("domains.scenes.frames.MAX_PIXELS", 100)
    with pytest.raises(InputError, match="stack.tif.*30 x 20"):
        open_clip(tmp_path / "stack.tif")


@pytest.mark.parametrize(
    "xml, rate",
    [
        ('<OME><Pixels TimeIncrement="0.5"/></OME>', 2.0),
        ('<OME><Pixels TimeIncrement="500" TimeIncrementUnit="ms"/></OME>', 2.0),
        ('<OME><Pixels TimeIncrement="soon"/></OME>', None),
        ('<OME><Pixels TimeIncrement="0.5" TimeIncrementUnit="furlong"/></OME>', None),
        ("<OME><Pixels", None),
        ("<OME/>", None),
    ],
)
def test_a_beat_is_what_ome_says_and_unknown_where_that_is_no_number(xml: str, rate: float | None) -> None:
    assert rate_of(SimpleNamespace(is_imagej=False, is_ome=True, ome_metadata=xml)) == rate
