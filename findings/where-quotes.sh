#!/usr/bin/env bash
# pyogrio 0.13.0 (its GDAL): in `where`, a double quote inside a column's name is escaped in two ways, by format.
# GeoPackage wants it doubled ("a""b", SQLite's way), Shapefile and FlatGeobuf want a backslash ("a\"b", OGR SQL's way);
# the other form is refused: FeatureError and ValueError. A guess from memory: one SQL for all formats of one function.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q pyogrio==0.13.0 numpy==2.4.6 shapely==2.2.0
cd "$work"
"$work/venv/bin/python" - <<'PY'
import numpy as np
import pyogrio.raw
import shapely

blobs = np.array([shapely.to_wkb(shapely.box(i, 0, i + 1, 1)) for i in range(3)], object)
column, doubled, slashed = 'a"b', '"a""b" = 2', '"a\\"b" = 2'
results = {}
for driver, suffix in (("GPKG", "gpkg"), ("FlatGeobuf", "fgb"), ("ESRI Shapefile", "shp")):
    name = f"x.{suffix}"
    pyogrio.raw.write(name, blobs, field_data=[np.array([1, 2, 3])], fields=[column], geometry_type="Polygon",
                      crs="EPSG:4326", driver=driver)
    for form, where in (("doubled", doubled), ("backslash", slashed)):
        try:
            results[suffix, form] = len(pyogrio.raw.read(name, where=where)[2])
        except Exception as error:
            results[suffix, form] = type(error).__name__
print(results)
assert results["gpkg", "doubled"] == 1 and results["gpkg", "backslash"] == "FeatureError"
for suffix in ("fgb", "shp"):
    assert results[suffix, "backslash"] == 1 and results[suffix, "doubled"] == "ValueError"
PY
