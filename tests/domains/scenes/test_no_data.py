"""No data, by value, by alpha or by a mask in the file: shown as 0, and nothing else is, however a scene is read."""

from __future__ import annotations

import numpy as np
import pytest
import tifffile

from domains.scenes import Photograph, Viewed, open_scene, plain_view
from domains.scenes.band_view import band_view
from domains.scenes.images import read_image
from domains.scenes.validity import Validity

rasterio = pytest.importorskip("rasterio")
HOLE = np.s_[8:40, 16:48]
KINDS = ("nodata", "alpha", "mask")


def raster(path, kind, dtype="uint8", count=3, overviews=False):
    """Values of 100..200 with a hole, in which values are 250, a black pixel and a white one that is half saturated."""
    image = np.random.default_rng(0).integers(100, 201, (count, 64, 96)).astype(dtype)
    image[:, 50, 50] = 0
    image[0, 51, 51] = 255
    image[(slice(None), *HOLE)] = 255 if kind == "nodata" else 250
    seen = np.full((64, 96), 255, dtype)
    seen[HOLE] = 0
    profile = {"driver": "GTiff", "height": 64, "width": 96, "dtype": dtype, "crs": "EPSG:32633", "tiled": True}
    profile |= {"count": count + (kind == "alpha"), "blockxsize": 16, "blockysize": 16}
    profile |= (
        {"nodata": 255} if kind == "nodata" else {"alpha": "yes", "photometric": "RGB"} if kind == "alpha" else {}
    )
    with (
        rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True),
        rasterio.open(path, "w", transform=rasterio.Affine(1, 0, 5e5, 0, -1, 5e6), **profile) as file,
    ):
        file.write(np.concatenate([image, seen[None]]) if kind == "alpha" else image)
        if kind == "mask":
            file.write_mask(seen.astype(np.uint8))
        if overviews:
            file.build_overviews([2])
    return path


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
@pytest.mark.parametrize("bands", [(), ("1", "2", "3", "1")], ids=["rgb", "bands"])
@pytest.mark.parametrize("kind", KINDS)
def test_what_has_no_data_is_shown_as_0_and_nothing_else_is(tmp_path, kind, bands, dtype):
    scene = open_scene(raster(tmp_path / "a.tif", kind, dtype, overviews=True))
    shown = Viewed(scene, band_view(scene, bands) if bands else plain_view(scene))
    image = shown.read(0, 0, 64, 96)
    hole = np.zeros((64, 96), bool)
    hole[HOLE] = True
    assert shown.nodata == 0 and np.array_equal(~image.any(axis=2), hole)
    assert (shown.read(-4, 0, 4, 96) == 0).all() and not shown.read(4, 8, 16, 16, level=1).any()
    assert image[..., 0][~hole].max() == 255 and image[50, 50].tolist() == [1] * image.shape[2]
    if dtype == "uint8":
        assert image[51, 51, 0] == 255 and np.array_equal(image[:8, :, :3], scene.read(0, 0, 8, 96)[..., :3])
    scene.close()


@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
@pytest.mark.parametrize("kind", ["nodata", "alpha"])
def test_without_rasterio_and_as_a_picture_it_is_the_same(tmp_path, kind, dtype, monkeypatch):
    path = raster(tmp_path / "a.tif", kind, dtype)
    scene = open_scene(path)
    wanted = Viewed(scene, plain_view(scene)).read(0, 0, 64, 96)
    scene.close()
    monkeypatch.setattr("domains.scenes.open.has_rasterio", lambda: False)
    scene = open_scene(path)
    assert np.array_equal(Viewed(scene, plain_view(scene)).read(0, 0, 64, 96), wanted)
    assert np.array_equal(read_image(path), wanted)
    scene.close()


def test_the_range_of_a_stretch_is_of_what_has_data(tmp_path):
    image = np.random.default_rng(0).integers(1000, 2001, (60, 60, 2)).astype(np.uint16)
    image[:30, :, 0], image[..., 1] = 60000, 1
    image[:30, :, 1] = 0
    scene = Photograph(image, channels=("", "alpha"))
    for view in (plain_view(scene), band_view(scene, ["1"])):
        assert 100 < np.median(Viewed(scene, view).read(30, 0, 30, 60)) < 155


@pytest.mark.parametrize("kind, alpha", [("unassalpha", True), ("assocalpha", True), ("unspecified", False)])
def test_a_fourth_sample_is_alpha_where_the_tags_say_so(tmp_path, textured, kind, alpha):
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, textured(channels=4), photometric="rgb", extrasamples=[kind])
    scene = open_scene(path)
    assert scene.channels == ("red", "green", "blue", "alpha" if alpha else "")
    scene.close()


def test_names_of_bands_overrule_an_alpha_that_is_none():
    scene = Photograph(np.zeros((4, 4, 4), np.uint8), channels=("red", "green", "blue", "alpha"))
    names = ("red", "green", "blue", "nir")
    assert band_view(scene, names, names).validity == Validity()
    assert band_view(scene, ["red"]).validity == Validity(alpha=3)


@pytest.mark.parametrize("text", ["-9999", "nan"])
def test_a_value_that_the_type_cannot_hold_declares_nothing(tmp_path, textured, text):
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, textured(), photometric="rgb", extratags=[(42113, "s", 0, text, True)])
    scene = open_scene(path)
    shown = Viewed(scene, plain_view(scene))
    assert shown.nodata is None and (shown.read(-2, 0, 2, 4) == 0).all()
    scene.close()
