"""OpenSlide, an optional extra, on tiled TIFFs, which it reads as well as the formats that it alone reads."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile

from domains.entities.resize import resize_image
from domains.errors import InputError
from domains.scenes import open as opening
from domains.scenes import open_scene
from domains.scenes.openslide import INSTALL, OpenSlideScene
from domains.scenes.resampled import Resampled
from domains.scenes.tiff import TiffScene

SIDE = 256


def write_slide(path: Path, image: np.ndarray) -> None:
    """Two levels in tiles, 0.5 micrometres a pixel, as a scanner might."""
    options = {"photometric": "rgb", "tile": (64, 64), "compression": "deflate", "resolutionunit": "CENTIMETER"}
    with tifffile.TiffWriter(path) as file:
        file.write(image, resolution=(2e4, 2e4), **options)
        file.write(image[::2, ::2], resolution=(1e4, 1e4), subfiletype=1, **options)


@pytest.fixture
def slide(tmp_path: Path, textured) -> tuple[Path, np.ndarray]:
    pytest.importorskip("openslide")
    image = textured(SIDE, SIDE)
    write_slide(tmp_path / "a.svs", image)
    return tmp_path / "a.svs", image


def refused(path: Path, *_: object) -> None:
    raise InputError(f"{str(path)!r}: wanted a scene in tiles")


def test_windows_at_every_level_and_the_pixel_size_are_those_of_the_file(slide) -> None:
    path, image = slide
    scene = OpenSlideScene(path)
    assert scene.shape == (SIDE, SIDE) and scene.levels == ((SIDE, SIDE), (SIDE // 2, SIDE // 2))
    assert scene.pixel_size_m == pytest.approx(0.5e-6)
    assert np.array_equal(scene.read(30, 50, 100, 90), image[30:130, 50:140])
    assert np.array_equal(scene.read(20, 10, 40, 60, level=1), image[::2, ::2][20:60, 10:70])
    over = scene.read(-8, SIDE - 8, 16, 16)
    assert np.array_equal(over[8:, :8], image[:8, -8:]) and not over[:8].any() and not over[:, 8:].any()
    scene.close()
    told = OpenSlideScene(path, 1e-6)
    assert told.pixel_size_m == 1e-6
    told.close()


def test_windows_of_an_odd_slide_agree_wherever_they_begin(tmp_path: Path, textured) -> None:
    pytest.importorskip("openslide")
    image = textured(301, 451)
    write_slide(tmp_path / "odd.svs", image[:, :, :])
    scene = OpenSlideScene(tmp_path / "odd.svs")
    assert scene.levels == ((301, 451),)
    half = Resampled(scene, 0.5)
    whole = half.read(0, 0, *half.shape)
    assert np.abs(whole.astype(int) - resize_image(image, half.shape)).max() <= 1
    for y, x in ((0, 0), (37, 50), (90, 161)):
        assert np.array_equal(half.read(y, x, 50, 60), whole[y : y + 50, x : x + 60])
    scene.close()


def test_what_tifffile_cannot_read_goes_through_openslide(slide, monkeypatch: pytest.MonkeyPatch) -> None:
    path, image = slide
    scene = open_scene(path)
    assert isinstance(scene, TiffScene)
    scene.close()
    for failing in (refused, lambda *_, **__: 1 / 0):
        monkeypatch.setattr(opening, "open_tiff", failing)
        scene = open_scene(path)
        assert isinstance(scene, OpenSlideScene) and np.array_equal(scene.read(0, 0, SIDE, SIDE), image)
        scene.close()


def test_a_tiff_that_is_no_scanners_is_refused_as_it_was(slide, monkeypatch: pytest.MonkeyPatch) -> None:
    path, _ = slide
    monkeypatch.setattr(opening, "open_tiff", refused)
    with pytest.raises(InputError, match="wanted a scene in tiles$"):
        open_scene(path.rename(path.with_suffix(".tif")))


def test_a_slide_that_is_cut_off_is_not_opened_by_it(slide) -> None:
    path, _ = slide
    with tifffile.TiffFile(path) as file:
        end = max(file.pages.first.dataoffsets) + 40
    path.write_bytes(path.read_bytes()[:end])
    with pytest.raises(InputError, match="cut off; copy it again$"):
        open_scene(path)


def test_without_it_the_line_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(opening, "has_openslide", lambda: False)
    monkeypatch.setattr(opening, "open_tiff", refused)
    (tmp_path / "old.ndpi").write_bytes(b"II*\0" + bytes(60))
    with pytest.raises(InputError) as caught:
        open_scene(tmp_path / "old.ndpi")
    assert str(caught.value).endswith(f"wanted a scene in tiles, or read it through OpenSlide: {INSTALL}")


def test_what_is_no_slide_is_one_line(tmp_path: Path) -> None:
    pytest.importorskip("openslide")
    (tmp_path / "a.mrxs").write_bytes(b"no slide")
    with pytest.raises(InputError, match="OpenSlide says: .*; copy it again"):
        open_scene(tmp_path / "a.mrxs")
