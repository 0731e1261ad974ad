"""Rasters beside each other with vector labels: which are one group, and the gap between cells."""

from __future__ import annotations

import numpy as np
import pytest

from domains.formats import all_layouts, recognise
from domains.formats.neighbours import Raster, placed
from domains.scenes.georeference import Georeference
from domains.tiling.grid import Window

pytest.importorskip("rasterio")
LAYOUT = all_layouts()["raster_vectors"]


def mosaic(build, folder, rows, columns, step_m, crs="EPSG:32633"):
    """Rasters of 80 x 80 px of half a metre, one every `step_m`, each with two houses."""
    for y, x in np.ndindex(rows, columns):
        place = 5e5 + step_m * x, 5e6 - step_m * y
        build.raster(folder / f"{y}_{x}.tif", build.ground(80, 80), corner=place, crs=crs)
        build.footprints(folder / f"{y}_{x}.geojson", [(30, 30, 45, 50), (0, 0, 3, 3)], upper_left=place)


def test_three_rasters_are_three_groups(build, tmp_path):
    for i, name in enumerate("abc"):
        place = 5e5 + 200 * i, 5e6
        build.raster(tmp_path / "images" / f"{name}.tif", build.ground(70, 90), corner=place)
        build.footprints(tmp_path / "labels" / f"{name}.geojson", [(5, 5, 20, 30)], upper_left=place)
    records, faults = recognise(tmp_path).scan(tmp_path, strict=True)
    assert [(one.name, one.group) for one in records] == [(f"images/{name}",) * 2 for name in "abc"]
    assert [LAYOUT.read(one).truth.areas.tolist() for one in records] == [[15 * 25]] * 3


def test_rasters_that_touch_are_one_group_as_long_as_three_remain(build, tmp_path):
    mosaic(build, tmp_path, 3, 3, 300)
    build.raster(tmp_path / "z.tif", build.ground(80, 80), corner=(5e5 + 40, 5e6))  # beside 0_0
    build.footprints(tmp_path / "z.geojson", [(30, 30, 45, 50)], upper_left=(5e5 + 40, 5e6))
    records, faults = LAYOUT.listing(tmp_path)
    assert not faults and {one.name: one.group for one in records}["z"] == "0_0"
    assert len({one.group for one in records}) == 9 and len(records) == 10


def test_a_mosaic_of_tiles_is_split_by_cells_with_a_gap_between_them(build, tmp_path):
    mosaic(build, tmp_path, 6, 6, 40)  # each touches the next
    records, faults = LAYOUT.listing(tmp_path)
    groups = {tuple(map(int, one.name.split("_"))): one.group for one in records}
    assert not faults and len(records) == 36 and len(set(groups.values())) == 16
    for record in records:
        y, x = map(int, record.name.split("_"))
        beside = [groups.get((y + dy, x + dx)) for dy in (-1, 0, 1) for dx in (-1, 0, 1)]
        rim = 10 if {*beside} - {None, record.group} else 0
        assert record.truth.window == Window(rim, rim, 80 - 2 * rim, 80 - 2 * rim)
        assert LAYOUT.read(record).truth.count == (1 if rim else 2)


def test_rasters_that_overlap_are_never_split_and_a_line_says_what_to_do(build, tmp_path):
    mosaic(build, tmp_path, 2, 2, 20)
    records, faults = LAYOUT.listing(tmp_path)
    assert len({one.group for one in records}) == 1 and len(records) == 4
    assert "merge them into one raster" in str(faults[0]) and len(faults) == 1


def test_rasters_of_two_crs_are_brought_together(build, tmp_path):
    pytest.importorskip("pyproj")
    from domains.scenes.ground import moved, transformer

    there = moved(transformer("EPSG:32633", "EPSG:32632"), np.array([[5e5, 5e6]]))[0]
    rasters = [
        Raster(Georeference("EPSG:32633", (0.5, 0, 5e5 + x, 0, -0.5, 5e6)), (80, 80)) for x in (0, 900, 2000, 4000)
    ]
    rasters.append(Raster(Georeference("EPSG:32632", (0.5, 0, there[0] + 25, 0, -0.5, there[1])), (80, 80)))
    rasters.append(Raster(None, (80, 80)))
    assert placed(rasters).groups.tolist() == [0, 1, 2, 3, 0, 5]


def test_what_has_a_split_of_its_own_keeps_it():
    here = Georeference("EPSG:32633", (0.5, 0, 5e5, 0, -0.5, 5e6))
    lying = placed([Raster(here, (80, 80), split=True)] * 4)
    assert lying.groups.tolist() == [0, 1, 2, 3] and not lying.rims_px.any()
