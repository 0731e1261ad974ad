from __future__ import annotations

import json
from contextlib import closing

import numpy as np
import pytest
import tifffile

from domains.datasets.dataset import open_folder
from domains.entities import EntityMap
from domains.errors import InputError, SkippedFilesError
from domains.formats import recognise
from domains.formats.label_pictures import INVERTED, PLANES
from domains.formats.layout import Fault, skipped
from domains.formats.slides import MASK, SEVERAL, STRATA, UNMARKED, Slides, balanced, tiles_of
from domains.scenes import open_scene


def of(records, slide: str) -> list:
    return [record for record in records if record.image.stem == slide]


def test_tiles_lie_in_the_region_and_beyond_it_nothing_is_labelled(build, tmp_path):
    records, faults = Slides().scan(build.slides(tmp_path))
    assert not faults and {record.pixel_size_m for record in records} == {0.5e-6}
    first = of(records, "a")
    assert [record.name for record in first] == ["a/y0_x0", "a/y512_x0"]  # of the others less than a quarter lies in it
    sample = Slides().read(first[0])
    assert sample.image.shape == (512, 512, 3) and (sample.image[100, 80] == (25, 10, 128)).all()
    assert sample.truth.count == 12 and sample.truth.labelled.all()
    assert {sample.truth.vocabulary[i] for i in sample.truth.labels} == {"tumour", "immune"}
    assert np.median(sample.truth.areas) == pytest.approx(200, abs=10)


def test_classes_are_those_of_all_slides_and_an_outline_may_have_none(build, tmp_path):
    for slide, names in (("a", ("tumour", "")), ("b", ("immune",))):
        build.slide(tmp_path / f"{slide}.tif")
        path = build.qupath(tmp_path / f"{slide}.geojson", build.lozenges(), names=names)
        content = json.loads(path.read_text())
        for feature in content["features"]:
            if not feature["properties"]["classification"]["name"]:
                del feature["properties"]["classification"]
        path.write_text(json.dumps(content))
    records, faults = Slides().scan(tmp_path)
    assert not faults
    first, second = (Slides().read(of(records, slide)[0]).truth for slide in "ab")
    assert first.vocabulary == second.vocabulary == ("immune", "tumour")
    assert np.bincount(first.labels + 1).tolist() == [6, 0, 6] and set(second.labels) == {0}


def test_the_edge_of_a_region_is_the_edge_of_the_labels(build, tmp_path):
    root = build.slides(tmp_path)
    region = [(0, 0), (700, 0), (700, 700), (0, 700)]
    build.qupath(root / "a.geojson", [[(600, 20), (610, 30), (600, 40), (590, 30)]], region)
    tiles = {record.name: Slides().read(record) for record in of(Slides().scan(root).records, "a")}
    assert set(tiles) == {"a/y0_x0", "a/y0_x512", "a/y512_x0", "a/y512_x512"}
    right = tiles["a/y0_x512"]
    assert right.truth.count == 1 and right.place.x == 512
    assert right.truth.labelled[:, :188].all() and not right.truth.labelled[:, 189:].any()


def test_without_regions_only_the_surroundings_of_outlines_are_labelled(build, tmp_path):
    records = of(Slides().scan(build.slides(tmp_path)).records, "TCGA-18-5592-01Z")
    assert {record.group for record in records} == {"TCGA-18-5592"}
    truth = Slides().read(records[0]).truth
    assert truth.count == 30 and truth.labels is None
    assert truth.labelled[:300, :170].all() and not truth.labelled[:, 200:].any()


def test_a_label_tiff_is_read_by_windows_and_negative_is_unlabelled(build, tmp_path):
    records = of(Slides().scan(build.slides(tmp_path)).records, "c")
    assert [record.name for record in records] == ["c/y0_x0"]
    truth = Slides().read(records[0]).truth
    assert truth.areas.tolist() == [100, 144] and truth.labelled.all()


def test_tiles_of_every_density_come_in_turn() -> None:
    counts = np.r_[np.zeros(80, int), np.full(10, 2), np.full(6, 20), np.full(4, 100)]
    chosen = balanced(counts, 16, "slide")
    assert len(chosen) == 16 and chosen == balanced(counts, 16, "slide") != balanced(counts, 16, "other")
    strata = [list(chosen.values()).count(name) for name in STRATA]
    assert strata[0] == 4 or strata[0] == 5
    assert np.mean(counts[list(chosen)] > 0) >= 0.6 > np.mean(counts > 0)
    assert len(balanced(counts, 1000, "slide")) == 100
    assert set(balanced(np.zeros(5, int), 3, "a").values()) == {"empty"}


def test_a_table_of_patients_names_slides(build, tmp_path):
    root = build.slides(tmp_path)
    (root / "groups.csv").write_text("file,group\na.tif,patient 1\nc,patient 1\nTCGA-18-5592-01Z.tiff,patient 2\n")
    groups = {record.image.stem: record.group for record in open_folder(root).records}
    assert groups == {"a": "patient 1", "c": "patient 1", "TCGA-18-5592-01Z": "patient 2"}


def test_points_boxes_and_annotations_elsewhere_are_told_with_the_slide(build, tmp_path):
    slide = build.slide(tmp_path / "a.tif")
    with pytest.raises(InputError, match="bounding boxes"):
        tiles_of(slide, build.qupath(tmp_path / "a.geojson", [[(0, 0), (9, 0), (9, 9), (0, 9)]]), [])
    with pytest.raises(InputError, match="none of 1 lies on it"):
        tiles_of(slide, build.qupath(tmp_path / "a.geojson", [[(5000, 0), (5009, 9), (5000, 9)]]), [])
    tifffile.imwrite(tmp_path / "a.labels.tif", np.zeros((5, 5), np.uint16))
    with pytest.raises(InputError, match="got 5 x 5"):
        tiles_of(slide, tmp_path / "a.labels.tif", [])
    faults = skipped(Slides().scan(tmp_path).faults)
    assert len(faults) == 1 and faults[0].path == slide


def test_a_map_with_its_vectors_is_no_slide(build, tmp_path):
    build.slide(tmp_path / "field.tif")
    (tmp_path / "field.geojson").write_text('{"type": "FeatureCollection", "features": []}')
    assert not Slides().matches(tmp_path)
    build.qupath(tmp_path / "field.geojson", [[(0, 0), (9, 2), (3, 9)]])
    assert recognise(tmp_path).name == "slides"


def feature(ring: list, kind: str, name: str | None = None) -> dict:
    properties = {"objectType": kind, **({"classification": {"name": name}} if name else {})}
    return {"type": "Feature", "geometry": {"type": "Polygon", "coordinates": [ring]}, "properties": properties}


def test_an_ignored_area_is_unlabelled_inside_of_a_region(build, tmp_path):
    build.slide(tmp_path / "a.tif")
    whole, fold = [(0, 0), (500, 1), (500, 500), (0, 500)], [(200, 200), (300, 201), (300, 300), (200, 300)]
    cells = [feature(ring, "annotation", "Tumor") for ring in build.lozenges()]
    areas = [feature(whole, "annotation", "Region*"), feature(fold, "annotation", "Ignore*")]
    (tmp_path / "a.geojson").write_text(json.dumps([*areas, *cells, feature(fold, "annotation", "Tumor")]))
    (record,), faults = Slides().scan(tmp_path)
    truth = Slides().read(record).truth
    assert not faults and truth.count == 12 and truth.vocabulary == ("Tumor",)
    assert (truth.ids[205:295, 205:295] == -1).all() and truth.ids[400, 400] == 0


@pytest.mark.parametrize("image", ["a.tif", "a.ome.tif", "a.svs", "a.png", "a.jpg", "slides/a.png"])
@pytest.mark.parametrize(
    "marks", [{"objectType": "annotation"}, {"object_type": "annotation"}, {"id": "PathAnnotationObject"}]
)
def test_a_file_of_qupath_is_known_by_its_content_wherever_the_image_is(build, tmp_path, image, marks):
    path = tmp_path / image
    path.parent.mkdir(exist_ok=True)
    if path.suffix in (".png", ".jpg"):
        build.save(path, np.tile(build.picture(), (30, 30, 1)))
    else:
        build.slide(path)
    said = {"id": marks["id"], "properties": {}} if "id" in marks else {"properties": marks}
    ring = [(20, 20), (40, 30), (20, 40), (10, 30)]
    content = {"type": "Feature", "geometry": {"type": "Polygon", "coordinates": [ring]}} | said
    for place in (path.with_suffix(".geojson"), tmp_path / "annotations" / f"{path.name}.geojson", tmp_path / "a.json"):
        place.parent.mkdir(exist_ok=True)
        place.write_text(json.dumps([content]))
        layout = recognise(tmp_path)
        (record,), faults = layout.scan(tmp_path)
        assert layout.name == ("drawn_pictures" if path.suffix in (".png", ".jpg") else "slides") and not faults
        assert layout.read(record).truth.count == 1
        place.unlink()


def test_unmarked_coordinates_beyond_degrees_are_pixels_where_no_place_is_said(build, tmp_path):
    build.slide(tmp_path / "a.tif")
    ring = [(420, 20), (440, 30), (420, 40), (410, 30)]
    content = {"type": "FeatureCollection", "features": [{"geometry": {"type": "Polygon", "coordinates": [ring]}}]}
    (tmp_path / "a.geojson").write_text(json.dumps(content))
    assert recognise(tmp_path).name == "slides"
    assert [fault.reason for fault in Slides().listing(tmp_path).faults] == [UNMARKED]
    (tmp_path / "a.geojson").write_text(json.dumps({"crs": {"properties": {"name": "EPSG:32633"}}, **content}))
    assert recognise(tmp_path).name == "raster_vectors"
    (tmp_path / "a.geojson").write_text(json.dumps(content).replace("4", "1"))
    assert recognise(tmp_path).name == "raster_vectors"  # these may be degrees
    (fault,) = recognise(tmp_path).listing(tmp_path).faults
    assert "does not say where it lies" in fault.reason and "objectType" in fault.reason


def test_several_annotation_files_of_a_slide_are_told(build, tmp_path):
    build.slide(tmp_path / "a.tif")
    build.qupath(tmp_path / "a.geojson", build.lozenges(3))
    build.aperio(tmp_path / "annotations" / "a.xml", *build.lozenges(9))
    (record,), faults = Slides().listing(tmp_path)
    assert len(record.truth.outlines) == 3 and [fault.reason for fault in faults] == [SEVERAL]


def test_a_mark_behind_a_long_outline_is_seen(build, tmp_path):
    build.slide(tmp_path / "a.tif")
    turn = np.linspace(0, 2 * np.pi, 40_000)
    ring = np.column_stack([300 + 200 * np.cos(turn), 300 + 200 * np.sin(turn)]).tolist()
    build.qupath(tmp_path / "a.geojson", [ring])
    assert (tmp_path / "a.geojson").stat().st_size > 2**20 and recognise(tmp_path).name == "slides"


def test_a_slide_whose_every_annotation_failed_is_left_out_and_told(build, tmp_path):
    for name in "ab":
        build.slide(tmp_path / f"{name}.tif")
    build.qupath(tmp_path / "a.geojson", build.lozenges())
    build.qupath(tmp_path / "b.geojson", [[(1, 1), (2, 2), (1, 1)]] * 3, [(0, 0), (600, 1), (600, 600), (0, 600)])
    records, faults = Slides().scan(tmp_path)
    assert {record.image.stem for record in records} == {"a"}
    assert faults[-1].path.stem == "b" and "none of 3 can be drawn" in faults[-1].reason


def test_an_outline_beside_its_slide_is_told_and_strict_refuses_it(build, tmp_path):
    build.slide(tmp_path / "a.tif")
    far = [(5000, 0), (5009, 0), (5009, 9)]
    build.qupath(tmp_path / "a.geojson", [*build.lozenges(2), far], [(0, 0), (600, 1), (600, 600), (0, 600)])
    records, faults = Slides().scan(tmp_path)
    assert records and [str(fault) for fault in skipped(faults)] == [
        f"{str(tmp_path / 'a.geojson')!r}: the outline at x 5000, y 0 lies outside its image"
    ]
    with pytest.raises(SkippedFilesError, match="1 skipped, the first is .*a.geojson.*outside its image"):
        Slides().scan(tmp_path, strict=True)


def test_a_slide_beside_which_all_outlines_lie_is_no_empty_one(build, tmp_path):
    build.slide(tmp_path / "a.tif")
    far = [(5000, 0), (5009, 0), (5009, 9)]
    build.qupath(tmp_path / "a.geojson", [far, far[::-1]], [(0, 0), (600, 1), (600, 600), (0, 600)])
    records, faults = Slides().scan(tmp_path)
    (fault,) = skipped(faults)
    assert not records and fault.path.name == "a.tif"
    assert "wanted outlines on 'a.tif', none of 2 lies on it" in fault.reason


def test_faults_of_a_tile_are_handed_on(build, tmp_path, monkeypatch):
    layout = Slides()
    record = layout.scan(build.slides(tmp_path)).records[0]
    told = Fault(tmp_path, "is told")
    monkeypatch.setattr(
        Slides, "truths", lambda self, record, shape, faults: faults.append(told) or [EntityMap(np.zeros(shape, int))]
    )
    assert layout.examine(record)[1] == [told]


def test_a_real_slide_with_drawn_annotations_gives_its_pixels(build, real_data, tmp_path):
    (tmp_path / "small_HE.svs").symlink_to(real_data / "slides" / "small_HE.svs")
    build.qupath(tmp_path / "small_HE.geojson", [[(900, 1000), (915, 1010), (900, 1020), (890, 1010)]])
    folder = open_folder(tmp_path)
    sample = folder.dataset("all")[0]
    assert sample.truth.count == 1 and sample.place.pixel_size_m == pytest.approx(0.499e-6)
    assert sample.image.std() > 20


def test_a_label_tiff_is_read_as_it_is_stored_and_what_it_may_mean_is_told(build, tmp_path):
    slide = build.slide(tmp_path / "a.tif")
    with closing(open_scene(slide)) as scene:
        ids = np.zeros(scene.shape, np.uint8)
    ids[10:30, 10:30], ids[50:60, 50:90] = 1, 2
    path = tmp_path / "a.labels.tif"
    for values, options, told in (
        (ids, {"photometric": "miniswhite"}, [INVERTED]),
        (ids > 0, {}, [INVERTED, MASK]),
        (np.stack([ids, ids]), {"photometric": "minisblack"}, [PLANES]),
        (ids.astype(np.uint16), {}, []),
    ):
        tifffile.imwrite(path, values, **options)
        records = tiles_of(slide, path, faults := [])
        assert [fault.reason for fault in faults] == told
        tile = next(record for record in records if record.truth.window[:2] == (0, 0))
        truth = Slides().read(tile).truth
        assert truth.foreground.sum() == 800 and truth.count == len(np.unique(values)) - 1
