"""What lies beside a picture: world files, `.prj`, `.aux.xml`, masks; and places that are said otherwise."""

from __future__ import annotations

import shutil
from contextlib import closing

import numpy as np
import pytest
import tifffile
from PIL import Image

from domains.errors import InputError
from domains.scenes import Viewed, open_scene, plain_view
from domains.scenes.sidecars import Sidecar, beside
from tests.domains.scenes.picture_kinds import ALPHA, BLANK_COLOUR, COLOUR, HEIGHT, WIDTH, planes, raster

rasterio = pytest.importorskip("rasterio")
WORLD = "0.5\n0\n0\n-0.5\n400000.25\n4999999.75\n"
TRANSFORM = (0.5, 0.0, 400000.0, 0.0, -0.5, 5000000.0)
WKT = rasterio.crs.CRS.from_epsg(32633).to_wkt()


def write(path):
    if path.suffix == ".tif":
        tifffile.imwrite(path, COLOUR, photometric="rgb", metadata=None)
    else:
        Image.fromarray(COLOUR).save(path)
    return path


@pytest.mark.parametrize(
    "name, world",
    [
        ("a.tif", "a.tfw"),
        ("a.tif", "a.tifw"),
        ("a.tif", "a.TFW"),
        ("a.png", "a.pgw"),
        ("a.jpg", "a.jgw"),
        ("a.jpg", "a.wld"),
    ],
)
@pytest.mark.parametrize("crs", ["prj", "aux.xml"])
def test_a_world_file_and_a_crs_beside_a_picture_place_it(tmp_path, name, world, crs):
    path = write(tmp_path / name)
    (tmp_path / world).write_text(WORLD)
    if crs == "prj":
        path.with_suffix(".prj").write_text(WKT)
    else:
        path.with_name(f"{name}.aux.xml").write_text("<PAMDataset><SRS>EPSG:32633</SRS></PAMDataset>")
    with closing(open_scene(path)) as scene:
        assert scene.georeference == ("EPSG:32633", TRANSFORM) and scene.pixel_size_m == pytest.approx(0.5)
        assert scene.channels == ("red", "green", "blue") and not scene.remarks


@pytest.mark.parametrize("name", ["a.tif", "a.png"])
def test_a_world_file_without_a_crs_places_nothing_and_a_line_says_so(tmp_path, name):
    path = write(tmp_path / name)
    (tmp_path / "a.wld").write_text(WORLD)
    with closing(open_scene(path)) as scene:
        assert scene.georeference is None and "without a CRS" in scene.remarks[0]


def test_the_auxiliary_file_gives_transform_and_nodata_too(tmp_path):
    path = write(tmp_path / "a.tif")
    bands = "<PAMRasterBand><NoDataValue>40</NoDataValue></PAMRasterBand>"
    (tmp_path / "a.tif.aux.xml").write_text(
        f"<PAMDataset><SRS>{WKT}</SRS><GeoTransform>400000, 0.5, 0, 5000000, 0, -0.5</GeoTransform>{bands}</PAMDataset>"
    )
    with closing(open_scene(path)) as scene:
        assert scene.georeference == ("EPSG:32633", TRANSFORM) and scene.nodata == 40


@pytest.mark.parametrize("name", ["a.tif", "b.tif", "a.jpg"])
def test_a_mask_beside_a_picture_says_where_it_has_data(tmp_path, name):
    path = tmp_path / name
    if name == "b.tif":
        raster(planes(COLOUR), photometric="rgb")(path)
    else:
        write(path)
    tifffile.imwrite(tmp_path / "mask.tif", ALPHA, photometric="minisblack", metadata=None)
    shutil.move(tmp_path / "mask.tif", tmp_path / f"{name}.msk")
    with closing(open_scene(path)) as scene:
        shown = Viewed(scene, plain_view(scene)).read(0, 0, HEIGHT, WIDTH)
    assert np.array_equal(~shown.any(axis=2), ALPHA == 0)
    assert name == "a.jpg" or np.array_equal(shown, BLANK_COLOUR)


def test_a_mask_of_another_size_is_refused_in_one_line(tmp_path):
    for name in ("a.tif", "a.png"):
        path = write(tmp_path / name)
        tifffile.imwrite(tmp_path / "mask.tif", ALPHA[:-1], photometric="minisblack", metadata=None)
        shutil.move(tmp_path / "mask.tif", tmp_path / f"{name}.msk")
        with pytest.raises(InputError, match="wanted a mask beside it of its size, 64 x 48, got 64 x 47"):
            open_scene(path)


@pytest.mark.parametrize(
    "text",
    ["", "1\n2\n", "0\n0\n0\n0\n0\n0\n", "nan\n0\n0\n-1\n0\n0\n", "<!DOCTYPE x><PAMDataset/>", "<PAMDataset><SRS>"],
)
def test_a_damaged_sidecar_says_nothing(tmp_path, text):
    path = write(tmp_path / "a.tif")
    (tmp_path / "a.tfw").write_text(text)
    (tmp_path / "a.tif.aux.xml").write_text(text)
    assert beside(path) == Sidecar()
    with closing(open_scene(path)) as scene:
        assert scene.georeference is None


def test_an_auxiliary_file_leads_to_no_other_file(tmp_path):
    raster(planes(COLOUR), photometric="rgb")(tmp_path / "secret.tif")
    path = write(tmp_path / "a.tif")
    overview = '<Metadata domain="OVERVIEWS"><MDI key="OVERVIEW_FILE">secret.tif</MDI></Metadata>'
    (tmp_path / "a.tif.aux.xml").write_text(f"<PAMDataset><SRS>EPSG:32633</SRS>{overview}</PAMDataset>")
    (tmp_path / "a.tfw").write_text(WORLD)
    with closing(open_scene(path)) as scene:
        assert scene.levels == ((HEIGHT, WIDTH),)


@pytest.mark.parametrize(
    "crs",
    [
        "+proj=aea +lat_0=37 +lon_0=128 +lat_1=34 +lat_2=41 +datum=WGS84 +units=m",
        "+proj=laea +lat_0=52 +lon_0=10 +datum=WGS84 +units=m",
        "ESRI:54009",
        "ESRI:102003",
        "EPSG:5070",
        "EPSG:4326",
    ],
)
def test_any_crs_that_rasterio_knows_places_a_raster(tmp_path, crs):
    place = {"crs": rasterio.crs.CRS.from_user_input(crs), "transform": rasterio.Affine(30, 0, 1000, 0, -30, 60)}
    raster(planes(COLOUR), photometric="rgb", **place)(tmp_path / "a.tif")
    with closing(open_scene(tmp_path / "a.tif")) as scene:
        assert scene.georeference is not None and scene.georeference.transform == (30, 0, 1000, 0, -30, 60)
        assert rasterio.crs.CRS.from_user_input(scene.georeference.crs) == place["crs"]


@pytest.mark.parametrize("turn", [(0.5, 0.1, 0.2, -0.4), (0.5, 0, 0, 0.5), (-0.5, 0, 0, -0.5)], ids=str)
def test_turned_and_south_up_rasters_lie_where_they_say(tmp_path, turn):
    a, b, d, e = turn
    raster(planes(COLOUR), photometric="rgb", transform=rasterio.Affine(a, b, 4e5, d, e, 5e6))(tmp_path / "a.tif")
    with closing(open_scene(tmp_path / "a.tif")) as scene:
        assert scene.georeference is not None and scene.georeference.transform == (a, b, 4e5, d, e, 5e6)


def test_ground_control_points_alone_place_nothing_and_a_line_says_so(tmp_path):
    from rasterio.control import GroundControlPoint

    corners = [(0, 0), (0, WIDTH), (HEIGHT, 0), (HEIGHT, WIDTH)]
    points = [GroundControlPoint(row, col, 4e5 + col, 5e6 - row) for row, col in corners]
    options = {"driver": "GTiff", "height": HEIGHT, "width": WIDTH, "count": 3, "dtype": "uint8", "photometric": "rgb"}
    with rasterio.open(tmp_path / "a.tif", "w", **options, crs="EPSG:32633", gcps=points) as file:
        file.write(planes(COLOUR))
    with closing(open_scene(tmp_path / "a.tif")) as scene:
        assert scene.georeference is None and "ground control points" in scene.remarks[0]
        assert np.array_equal(scene.read(0, 0, HEIGHT, WIDTH), COLOUR)


def test_a_preview_before_a_raster_does_not_hide_its_place(tmp_path):
    raster(planes(COLOUR), photometric="rgb")(tmp_path / "b.tif")
    with tifffile.TiffFile(tmp_path / "b.tif") as file:
        tags = [(tag.code, tag.dtype, tag.count, tag.value, True) for tag in file.pages.first.tags if tag.code > 33000]
    with tifffile.TiffWriter(tmp_path / "a.tif") as file:
        file.write(COLOUR[::4, ::4], photometric="rgb", subfiletype=1, metadata=None)
        file.write(COLOUR, photometric="rgb", metadata=None, extratags=tags)
    with closing(open_scene(tmp_path / "a.tif")) as scene:
        assert scene.georeference == ("EPSG:32633", TRANSFORM)
        assert np.array_equal(scene.read(0, 0, HEIGHT, WIDTH), COLOUR)
