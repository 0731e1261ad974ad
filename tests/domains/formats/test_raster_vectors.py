from __future__ import annotations

import json
import re

import numpy as np
import pytest
from PIL import Image

from domains.datasets.domain import build_domain
from domains.entities import UNLABELLED
from domains.errors import InputError
from domains.formats import all_layouts, recognise
from domains.formats.blocks import GAP_PX
from domains.formats.layout import Reading
from domains.formats.polygons import Outline, Part
from domains.formats.raster_vectors import BOUNDARY, burned
from domains.scenes import open_scene
from domains.tiling.grid import Window

rasterio = pytest.importorskip("rasterio")
LAYOUT = all_layouts()["raster_vectors"]


def whole(root, records) -> np.ndarray:
    """The truth of all blocks laid together, -1 where no block is."""
    shape = open_scene(records[0].image).shape
    ids = np.full(shape, UNLABELLED)
    for i, record in enumerate(records):
        truth = LAYOUT.read(record).truth.ids
        ids[record.truth.window.slices] = np.where(truth > 0, truth + 1000 * i, truth)
    return ids


def test_polygons_lie_where_rasterio_burns_them(build, tmp_path):
    root = build.raster_vectors(tmp_path)
    found = recognise(root)
    records, faults = found.scan(root, strict=True)
    assert found.name == "raster_vectors" and not faults and len({one.group for one in records}) == len(records) == 20
    assert all(record.pixel_size_m == pytest.approx(0.5) for record in records)
    with rasterio.open(root / "city.tif") as file:
        shapes = [one["geometry"] for one in json.loads((root / "footprints.geojson").read_text())["features"]]
        from rasterio.features import rasterize

        wanted = rasterize(shapes, file.shape, transform=file.transform, all_touched=False)
    ids = whole(root, records)
    assert ((ids > 0) <= (wanted > 0)).all() and ((ids == 0) <= (wanted == 0)).all()
    inside = ids != UNLABELLED
    assert inside.mean() > 0.6 and (ids[inside] > 0).sum() > 0.8 * (wanted[inside] > 0).sum()


def test_a_block_shows_the_pixels_of_its_window(build, tmp_path):
    root = build.raster_vectors(tmp_path)
    records = LAYOUT.listing(root).records
    assert len(records) == 20
    for record in records[::5]:
        sample = LAYOUT.read(record)
        window = record.truth.window
        assert np.array_equal(sample.image[..., 0], np.mgrid[:400, :480][0][window.slices] % 256)
        assert (sample.place.y, sample.place.x) == window[:2] and sample.place.georeference is not None
        assert np.array_equal(LAYOUT.image(record), sample.image)


def test_no_pixel_and_no_house_is_in_two_splits(build, tmp_path):
    domain = build_domain("remote_sensing", build.raster_vectors(tmp_path))
    parts = {split: domain.dataset(split).records for split in ("train", "val", "test")}
    assert all(parts.values())
    for one in ("train", "val", "test"):
        for other in {"train", "val", "test"} - {one}:
            for a in parts[one]:
                for b in parts[other]:
                    wide = Window(
                        a.truth.window.y - 12,
                        a.truth.window.x - 12,
                        a.truth.window.height + 24,
                        a.truth.window.width + 24,
                    )
                    shared = wide.shared(b.truth.window)
                    assert shared.height <= 0 or shared.width <= 0
                    assert not {id(house) for house in a.truth.outlines} & {id(house) for house in b.truth.outlines}
    assert GAP_PX >= 12


def test_a_house_over_a_gap_is_unlabelled_but_in_the_block_of_its_middle(build, tmp_path):
    build.raster(tmp_path / "a.tif", build.ground(400, 400))
    boxes = [(20, 40, 40, 110), (50, 60, 70, 140)]  # blocks end at column 94 and begin again at 106
    build.footprints(tmp_path / "a.geojson", boxes)
    records = {record.name: record for record in LAYOUT.listing(tmp_path).records}
    left, right = (LAYOUT.read(records[f"a/y0_x{x}"]).truth.ids for x in (0, 106))
    assert (left > 0).sum() == 20 * 54 and (
        left == UNLABELLED
    ).sum() == 20 * 34  # the middle of the other is in the gap
    assert (right > 0).sum() == 0 and (right == UNLABELLED).sum() == 20 * 4 + 20 * 34


@pytest.mark.parametrize("suffix", [".gpkg", ".shp", ".fgb"])
@pytest.mark.parametrize("crs", ["EPSG:32633", "EPSG:4326", "EPSG:3035"])
def test_every_vector_format_in_any_crs_gives_the_same_labels(build, tmp_path, suffix, crs):
    pyogrio, shapely = pytest.importorskip("pyogrio"), pytest.importorskip("shapely")
    from domains.scenes.ground import moved, transformer

    root = build.raster_vectors(tmp_path / "geojson")
    other = tmp_path / "other"
    build.raster(other / "city.tif", build.ground(400, 480))
    content = json.loads((root / "footprints.geojson").read_text())["features"]
    shapes = [shapely.from_geojson(json.dumps(one["geometry"])) for one in content]
    change = transformer("EPSG:32633", crs)
    blobs = np.array([shapely.to_wkb(shapely.transform(one, lambda xy: moved(change, xy))) for one in shapes], object)
    kinds = np.array([one["properties"]["kind"] for one in content], object)
    pyogrio.raw.write(other / f"city{suffix}", blobs, [kinds], ["kind"], geometry_type="Polygon", crs=crs)
    layout = LAYOUT.with_reading(Reading(attribute="kind"))
    records, others = layout.listing(root).records, layout.listing(other).records
    assert len(records) == 20
    for one, two in zip(records, others, strict=True):
        first, second = layout.read(one).truth, layout.read(two).truth
        assert ((first.ids > 0) != (second.ids > 0)).mean() < 0.002 and first.count == second.count
        assert first.vocabulary == second.vocabulary == ("house", "shed")
        assert np.bincount(first.labels).tolist() == np.bincount(second.labels).tolist()


def test_an_attribute_is_kept_as_class(build, tmp_path):
    domain = build_domain("remote_sensing", build.raster_vectors(tmp_path), attribute="kind")
    for sample in domain.dataset("all"):
        assert sample.truth.vocabulary == ("house", "shed") and len(sample.truth.labels) == sample.truth.count
    with pytest.raises(InputError, match="domain.attribute is 'knid', which .* lacks; known: floors, kind .*'kind'"):
        build_domain("remote_sensing", tmp_path, attribute="knid", strict=True).dataset("all")


def test_one_of_a_table_with_empty_cells_is_one_of_others(build, tmp_path):
    for i, floors in enumerate(([1, 2, 3], [1.0, None, 3.0], [2.0, 2.5, None])):
        place = 5e5 + 200 * i, 5e6
        build.raster(tmp_path / f"{i}.tif", build.ground(70, 90), corner=place)
        path = build.footprints(
            tmp_path / f"{i}.geojson", [(5, 5, 9, 9), (15, 5, 19, 9), (25, 5, 29, 9)], upper_left=place
        )
        content = json.loads(path.read_text())
        for feature, value in zip(content["features"], floors, strict=True):
            feature["properties"]["floors"] = value
        path.write_text(json.dumps(content))
    layout = LAYOUT.with_reading(Reading(attribute="floors"))
    truths = [layout.read(record).truth for record in layout.scan(tmp_path, strict=True).records]
    assert {truth.vocabulary for truth in truths} == {("1", "2", "2.5", "3", "unknown")}
    assert [truth.labels.tolist() for truth in truths] == [[0, 1, 3], [0, 4, 3], [1, 2, 4]]


def test_rings_are_filled_by_the_even_odd_rule_and_by_pixel_centres():
    outer = np.array([(0.6, 0.6), (9.4, 0.6), (9.4, 9.4), (0.6, 9.4)])
    inner = np.array([(3, 3), (6, 3), (6, 6), (3, 6)], float)
    ids = burned([Outline((Part(outer, (inner,)),))], Window(0, 0, 10, 10))
    assert ids[1:9, 1:9].sum() == 64 - 9 and ids.sum() == 64 - 9  # the centres of the outer pixels lie outside


def test_pixels_without_data_are_unlabelled(build, tmp_path):
    image = build.ground(300, 300).astype(np.uint16) + 1
    image[:, :40] = 0
    build.raster(tmp_path / "a.tif", image, nodata=0)
    build.footprints(tmp_path / "a.geojson", [(10, 10, 30, 30), (200, 200, 220, 220)])
    first = LAYOUT.read(LAYOUT.listing(tmp_path).records[0])
    assert (first.truth.ids[40:, :40] == UNLABELLED).all() and (first.truth.ids[10:30, 10:30] == 1).all()
    assert (first.image[:, :40] == 0).all()


@pytest.mark.parametrize("kind", ["alpha", "mask", "nodata"])
def test_so_are_pixels_of_eight_bits_outside_of_alpha_or_mask(build, tmp_path, kind):
    image, seen = build.ground(300, 300) // 2 + 1, np.full((300, 300), 255, np.uint8)
    seen[:, :40] = 0
    image[seen == 0] = 200
    options = {"alpha": {"alpha": "yes"}, "mask": {}, "nodata": {"nodata": 200}}[kind]
    build.raster(tmp_path / "a.tif", np.dstack([image, seen]) if kind == "alpha" else image, **options)
    if kind == "mask":
        with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True), rasterio.open(tmp_path / "a.tif", "r+") as file:
            file.write_mask(seen)
    build.footprints(tmp_path / "a.geojson", [(10, 10, 30, 30), (200, 200, 220, 220)])
    first = LAYOUT.read(LAYOUT.listing(tmp_path).records[0])
    assert (first.truth.ids[40:, :40] == UNLABELLED).all() and (first.truth.ids[10:30, 10:30] == 1).all()
    assert (first.image[:, :40] == 0).all() and (first.truth.ids[40:, 41:] != UNLABELLED).all()


def test_bands_are_stretched_alike_in_every_block(build, tmp_path):
    image = np.concatenate([build.ground(400, 400).astype(np.float32) * 3, build.ground(400, 400)[..., :1]], axis=2)
    build.raster(tmp_path / "a.tif", image)
    build.footprints(tmp_path / "a.geojson", build.houses(400, 400))
    domain = build_domain(
        "remote_sensing", tmp_path, bands=("3", "2", "1", "4", "ndvi"), band_names=("blue", "green", "red", "nir")
    )
    values = {}
    for sample in domain.dataset("all"):
        assert sample.image.shape[2] == 5
        rows = (sample.place.y + np.arange(sample.image.shape[0])) % 256
        for row, shown in zip(rows, sample.image[:, 0, 2], strict=True):
            values.setdefault(int(row), set()).add(int(shown))
    assert all(len(shown) == 1 for row, shown in values.items() if row)
    assert values[0] <= {0, 1} and values[255] == {255}  # 1 where all bands would be 0


# What a user can get wrong


def content_of(build, tmp_path, **change):
    build.raster(tmp_path / "a.tif", build.ground(200, 200))
    path = build.footprints(tmp_path / "a.geojson", build.houses(200, 200))
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    return path


@pytest.mark.parametrize(
    ("change", "wanted"),
    [
        ({"features": None}, "has no list `features`"),
        ({"crs": None}, "wanted longitude and latitude.*or a member `crs`, got coordinates up to 4999992"),
        ({"features": [{"geometry": {"type": "Point", "coordinates": [1, 2]}}]}, "1 points or lines.*draw polygons"),
        ({"crs": {"properties": {"name": "EPSG:999999"}}}, "cannot be brought to|not known"),
    ],
)
def test_vectors_that_will_not_do_are_told_in_one_line(build, tmp_path, change, wanted):
    pytest.importorskip("pyproj")
    content_of(build, tmp_path, **change)
    records, faults = LAYOUT.listing(tmp_path)
    assert not records and re.search(wanted, str(faults[-1])) and "\n" not in str(faults[-1])
    with pytest.raises(InputError, match="none is usable"):
        build_domain("remote_sensing", tmp_path).dataset("all")


def test_a_broken_feature_is_a_fault_and_the_others_stay(build, tmp_path):
    path = content_of(build, tmp_path)
    features = json.loads(path.read_text())["features"]
    broken = [{}, {"geometry": {"type": "Polygon", "coordinates": [[[0, 0], [1]]]}}, {"geometry": None}]
    path.write_text(json.dumps({**json.loads(path.read_text()), "features": [*broken, *features]}))
    records, faults = LAYOUT.listing(tmp_path)
    assert sum(len(one.truth.outlines) for one in records) > 5 and len(faults) == 1
    assert "feature 2" in str(faults[0])


def test_vectors_that_lie_elsewhere_are_no_silent_background(build, tmp_path):
    build.raster(tmp_path / "a.tif", build.ground(200, 200))
    build.footprints(tmp_path / "a.geojson", [(90_000, 10, 90_020, 40)])
    records, faults = LAYOUT.listing(tmp_path)
    assert not records and "none of 1 lies there; is 'EPSG:32633' their CRS?" in str(faults[0])
    build.footprints(tmp_path / "a.geojson", [])  # somebody looked, and there is nothing
    assert len(LAYOUT.listing(tmp_path).records) == 9


def test_one_vector_file_serves_rasters_that_it_does_not_reach(build, tmp_path):
    for i, name in enumerate("abc"):
        build.raster(tmp_path / f"{name}.tif", build.ground(70, 90 if name == "b" else 60), corner=(5e5 + 200 * i, 5e6))
    build.footprints(tmp_path / "all.geojson", [(5, 465, 20, 485)])
    records, faults = LAYOUT.listing(tmp_path)
    assert not faults and [LAYOUT.read(one).truth.count for one in records] == [0, 1, 0]


def test_a_raster_that_lies_nowhere_is_a_fault(build, tmp_path):
    build.save(tmp_path / "a.tif", build.picture())
    build.footprints(tmp_path / "a.geojson", [(1, 1, 5, 5)])
    records, faults = LAYOUT.listing(tmp_path)
    assert not records and "does not say where it lies" in str(faults[0])


def test_other_content_under_the_name_of_a_vector_file_is_not_opened(build, tmp_path):
    pytest.importorskip("pyogrio")
    build.raster(tmp_path / "a.tif", build.ground(200, 200))
    (tmp_path / "a.gpkg").write_text("<OGRVRTDataSource><OGRVRTLayer/></OGRVRTDataSource>")
    assert "got other content" in str(LAYOUT.listing(tmp_path).faults[0])


def test_bounding_boxes_are_refused_with_a_clear_word(build, tmp_path):
    build.save(tmp_path / "a.tif", build.picture())
    (tmp_path / "a.csv").write_text("image_path,xmin,ymin,xmax,ymax,label\na.tif,1,1,5,5,Tree\n")
    with pytest.raises(InputError, match="boxes are no masks") as error:
        recognise(tmp_path)
    assert "a.csv" in str(error.value) and "\n" not in str(error.value)
    (tmp_path / "a.csv").unlink()
    (tmp_path / "a.xml").write_text("<annotation><object><bndbox><xmin>1</xmin></bndbox></object></annotation>")
    with pytest.raises(InputError, match="boxes are no masks"):
        recognise(tmp_path)


def test_bands_of_a_layout_without_rasters_are_refused(build, tmp_path):
    with pytest.raises(InputError, match="'pannuke' has RGB alone"):
        all_layouts()["pannuke"].with_reading(Reading(bands=("1", "2", "3")))
    with pytest.raises(InputError, match="'coco' has no vector labels"):
        all_layouts()["coco"].with_reading(Reading(attribute="kind"))


# The real footprints


def test_the_real_footprints_of_atlanta(real_data):
    root = real_data / "geotiff" / "spacenet_atlanta"
    records, faults = recognise(root).scan(root)
    assert not faults and len(records) == 16
    houses = {id(one) for record in records for one in record.truth.outlines}
    assert 30 <= len(houses) <= 43
    ids = whole(root, records)
    assert 0.8 < (ids != UNLABELLED).mean() < 0.9


def test_the_real_boxes_of_neon_are_refused(real_data):
    with pytest.raises(InputError, match="boxes are no masks"):
        recognise(real_data / "geotiff" / "neon_osbs")


PLACED = [("ortho.jpg", "ortho.jgw"), ("ortho.png", "ortho.wld"), ("ortho.tif", "ortho.tfw")]


@pytest.mark.parametrize("name, world", PLACED)
def test_vectors_lie_on_pictures_that_a_world_file_places(build, tmp_path, name, world):
    Image.fromarray(np.full((80, 100, 3), 120, np.uint8)).save(tmp_path / name)
    (tmp_path / world).write_text("0.5\n0\n0\n-0.5\n400000.25\n4999999.75\n")
    (tmp_path / "ortho.prj").write_text(rasterio.crs.CRS.from_epsg(32633).to_wkt())
    ring = [[400010, 4999990], [400030, 4999990], [400030, 4999970], [400010, 4999970], [400010, 4999990]]
    feature = {"type": "Feature", "properties": {}, "geometry": {"type": "Polygon", "coordinates": [ring]}}
    crs = {"type": "name", "properties": {"name": "EPSG:32633"}}
    content = {"type": "FeatureCollection", "crs": crs, "features": [feature]}
    (tmp_path / "ortho.geojson").write_text(json.dumps(content))
    layout = recognise(tmp_path)
    ids = np.zeros((80, 100), bool)
    for record in layout.scan(tmp_path).records:
        y, x, height, width = record.truth.window
        ids[y : y + height, x : x + width] |= layout.read(record).truth.ids > 0
    assert layout.name == "raster_vectors" and ids[20:60, 20:60].sum() == ids.sum() > 100


def test_a_raster_with_a_world_file_alone_says_what_is_missing(build, tmp_path):
    Image.fromarray(np.full((80, 100, 3), 120, np.uint8)).save(tmp_path / "ortho.tif")
    (tmp_path / "ortho.tfw").write_text("0.5\n0\n0\n-0.5\n400000.25\n4999999.75\n")
    content = {"type": "FeatureCollection", "features": []}
    (tmp_path / "ortho.geojson").write_text(json.dumps(content))
    (fault,) = all_layouts()["raster_vectors"].scan(tmp_path).faults
    assert "without a CRS" in fault.reason and "add a .prj" in fault.reason


def test_a_polygon_around_all_others_is_told(build, tmp_path):
    root = build.raster_vectors(tmp_path)
    path = root / "footprints.geojson"
    content = json.loads(path.read_text())
    with rasterio.open(root / "city.tif") as file:
        left, bottom, right, top = file.bounds
    corners = [[left - 9, bottom - 9], [right + 9, bottom - 9], [right + 9, top + 9], [left - 9, top + 9]]
    boundary = {"type": "Polygon", "coordinates": [[*corners, corners[0]]]}
    content["features"].append({"type": "Feature", "properties": {}, "geometry": boundary})
    path.write_text(json.dumps(content))
    assert BOUNDARY in [fault.reason for fault in LAYOUT.scan(root).faults]
