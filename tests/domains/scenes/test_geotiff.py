from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from domains.errors import InputError
from domains.scenes import Viewed, open_scene, plain_view
from domains.scenes.geotags import ground_size
from domains.scenes.geotiff import GeoScene, crs_of, meaning_of
from domains.scenes.images import read_image
from domains.scenes.pixel_size import warn_stretched
from domains.scenes.tiff import TiffScene

REAL = {
    "geotiff/RGB.byte.tif": ((718, 791), "EPSG:32618", 300.0399),
    "geotiff/RGBA.uint16.tif": ((411, 634), "EPSG:32612", 1.379663),
    "geotiff/cogeo.tif": ((1024, 1024), "EPSG:3857", 0.47269),
    "geotiff/neon_osbs/OSBS_029.tif": ((400, 400), "EPSG:32617", 0.1),
    "geotiff/spacenet_atlanta/sample_geotiff.tif": ((900, 900), "EPSG:32616", 0.5),
    "geotiff/terratorch_10band/regression_test_0_input.tif": ((224, 224), "EPSG:32614", 30.0),
}


def write(path, image, crs="EPSG:32633", size=10.0, overviews=(), **options):
    rasterio = pytest.importorskip("rasterio")
    from rasterio.enums import Resampling
    from rasterio.transform import from_origin

    height, width, count = image.shape
    corner = (12.0, 60.0) if crs == "EPSG:4326" else (500_000.0, 5e6)
    transform = from_origin(*corner, size, size)
    profile = {"driver": "GTiff", "height": height, "width": width, "count": count, "dtype": image.dtype, "crs": crs}
    with rasterio.open(path, "w", **profile, transform=transform, **options) as file:
        file.write(np.moveaxis(image, -1, 0))
        if overviews:
            file.build_overviews(list(overviews), Resampling.nearest)
    return path


@pytest.fixture(params=["rasterio", "tifffile"])
def reader(request, monkeypatch):
    """Both ways to read a GeoTIFF: with the optional extra and without."""
    if request.param == "tifffile":
        monkeypatch.setattr("domains.scenes.open.has_rasterio", lambda: False)
    else:
        pytest.importorskip("rasterio")
    return request.param


@pytest.mark.parametrize("channels, dtype", [(1, "float32"), (3, "uint8"), (8, "uint16")])
@pytest.mark.parametrize(
    "options", [{"tiled": True, "blockxsize": 32, "blockysize": 32}, {"interleave": "band"}], ids=str
)
def test_both_readers_say_the_same(tmp_path, textured, holds, reader, channels, dtype, options):
    image = textured(channels=channels, dtype=dtype)
    scene = open_scene(write(tmp_path / "a.tif", image, overviews=[2], compress="deflate", **options))
    assert isinstance(scene, TiffScene) == (reader == "tifffile")
    holds(scene, image)
    assert scene.levels == ((70, 90), (35, 45))
    assert scene.pixel_size_m == pytest.approx(10.0)
    assert scene.georeference == ("EPSG:32633", (10.0, 0.0, 500_000.0, 0.0, -10.0, 5e6))
    scene.close()


def test_degrees_are_measured_on_the_ellipsoid(tmp_path, textured, reader):
    scene = open_scene(write(tmp_path / "a.tif", textured(), "EPSG:4326", 1e-4))
    # at 59.9965 N a ten-thousandth of a degree is 11.1412 m of meridian and 5.5805 m of parallel (pyproj)
    assert scene.pixel_size_m == pytest.approx((11.1412 * 5.5805) ** 0.5, rel=1e-3)
    scene.close()


def test_pixels_that_are_not_square_are_said_in_one_line_once(tmp_path, textured, reader, caplog):
    warn_stretched.cache_clear()
    for name, crs in (("a", "EPSG:4326"), ("b", "EPSG:4326"), ("c", "EPSG:32633")):
        open_scene(write(tmp_path / f"{name}.tif", textured(), crs, 1e-4)).close()  # a and b at 60 degrees north
    (line,) = caplog.messages
    assert "2 times as tall as wide" in line and "gdalwarp -t_srs" in line


def test_a_metre_of_web_mercator_is_less_on_the_ground(tmp_path, textured, reader):
    scene = open_scene(write(tmp_path / "a.tif", textured(), "EPSG:3857", 2.0))  # at 5,000,000 m north
    assert scene.pixel_size_m == pytest.approx(2.0 * 0.75567, rel=1e-4)  # cos 40.915 degrees
    scene.close()


def test_nodata_fills_what_lies_outside_and_is_shown_black(tmp_path, textured, reader):
    image = textured(channels=1, dtype="float32")
    image[:20] = -9999
    scene = open_scene(write(tmp_path / "a.tif", image, nodata=-9999))
    assert scene.nodata == -9999 and (scene.read(-4, 0, 4, 9) == -9999).all()
    shown = Viewed(scene, plain_view(scene)).read(0, 0, 70, 90)
    assert (shown[:20] == 0).all() and shown[20:].max() == 255 and np.median(shown[20:]) > 60
    scene.close()


def test_without_rasterio_other_rasters_are_refused_with_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setattr("domains.scenes.geotiff.has_rasterio", lambda: False)
    (tmp_path / "a.jp2").write_bytes(b"\0\0\0\x0cjP  ")
    with pytest.raises(InputError, match=r"pip install .*\[geo\]"):
        open_scene(tmp_path / "a.jp2")


@pytest.mark.parametrize("name", REAL)
def test_the_real_rasters(real_data, reader, name):
    shape, crs, size_m = REAL[name]
    scene = open_scene(real_data / name)
    assert scene.shape == shape and scene.pixel_size_m == pytest.approx(size_m, rel=1e-5)
    assert scene.georeference is not None and scene.georeference.crs == crs
    shown = Viewed(scene, plain_view(scene)).read(0, 0, *shape)
    difference = np.abs(shown.astype(int) - read_image(real_data / name))
    assert difference.max() <= (16 if reader == "rasterio" and "cogeo" in name else 0)  # GDAL smooths chroma
    scene.close()


@pytest.mark.parametrize("dtype", ["complex64", "complex_int16"])
def test_complex_numbers_are_refused_in_one_line(tmp_path, dtype):
    rasterio = pytest.importorskip("rasterio")
    options = {"driver": "GTiff", "height": 8, "width": 8, "count": 1, "dtype": dtype, "crs": "EPSG:32633"}
    with rasterio.open(tmp_path / "a.tif", "w", **options, transform=rasterio.Affine(1, 0, 5e5, 0, -1, 5e6)) as file:
        file.write(np.ones((8, 8), np.complex64), 1)
    with pytest.raises(InputError, match="wanted real numbers, got complex.*save the amplitude"):
        open_scene(tmp_path / "a.tif")


def test_the_no_data_of_a_palette_is_transparent(tmp_path, reader):
    image = np.array([[[1], [2]], [[3], [1]]], np.uint8)
    path = write(tmp_path / "a.tif", image, nodata=3, photometric="palette")
    import rasterio

    with rasterio.open(path, "r+") as file:
        file.write_colormap(1, {1: (255, 0, 0, 255), 2: (0, 255, 0, 255), 3: (9, 9, 9, 255)})
    scene = open_scene(path)
    values = scene.read(0, 0, 2, 2)
    assert scene.channels[-1] == "alpha" and (values[..., 3] > 0).tolist() == [[True, True], [False, True]]
    assert values[0, :, :3].tolist() == [[255, 0, 0], [0, 255, 0]]
    scene.close()
    with rasterio.open(path) as file:  # as a file beside the raster says it
        assert meaning_of(file, np.dtype(np.uint8), 2.0).transparent == (2, 3)


def test_what_is_no_raster_or_has_too_many_bands_is_refused_in_a_line(tmp_path, textured, monkeypatch):
    pytest.importorskip("rasterio")
    (tmp_path / "a.jp2").write_bytes(b"\0\0\0\x0cjP  \r\n\x87\n" + bytes(64))
    with pytest.raises(InputError, match="wanted a raster, GDAL says: .*; copy or export it again") as caught:
        GeoScene(tmp_path / "a.jp2")
    assert "\n" not in str(caught.value)
    path = write(tmp_path / "b.tif", textured(channels=4))
    monkeypatch.setattr("domains.scenes.geotiff.MAX_CHANNELS", 3)
    with pytest.raises(InputError, match="wanted bands of one type in .*, got 4 of .'uint8'. in GTiff; gdal_translate"):
        GeoScene(path)


def test_a_crs_beside_a_raster_that_nobody_knows_is_none():
    pytest.importorskip("rasterio")
    assert crs_of(None, 'PROJCS["broken') is None and crs_of(None, None) is None
    assert crs_of(None, "EPSG:32633").to_epsg() == 32633


def test_keys_that_are_damaged_say_no_size_and_a_matrix_says_one():
    class Damaged:
        @property
        def geotiff_tags(self):
            raise ValueError("damaged")

    assert ground_size(Damaged(), (8, 8)) is None
    turned = [[0, 3.0, 0, 5e5], [4.0, 0, 0, 5e6], [0, 0, 0, 0], [0, 0, 0, 1]]
    page = SimpleNamespace(geotiff_tags={"ModelTransformation": turned, "GTModelTypeGeoKey": 1})
    assert ground_size(page, (8, 8)) == pytest.approx(12**0.5)
