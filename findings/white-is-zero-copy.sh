#!/usr/bin/env bash
# rasterio 1.4.4 (GDAL 3.10.3): a white-is-zero GeoTIFF copied by its `profile` becomes its own negative.
# `read` gives the stored numbers, and the profile says nothing of the photometric tag; neither does `colorinterp`
# ("undefined"). Only a colour table and the tag MINISWHITE in the name space IMAGE_STRUCTURE betray it.
# A guess from memory: that `open(copy, "w", **source.profile)` and `write(source.read())` make the same picture.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q rasterio==1.4.4 numpy==2.4.6 tifffile==2026.3.3 pillow==13.0.0
cd "$work"
"$work/venv/bin/python" - <<'PY'
import warnings

import numpy as np
import rasterio
import tifffile
from PIL import Image

warnings.simplefilter("ignore")
for dtype in ("uint8", "uint16"):
    values = np.arange(64 * 64, dtype=dtype).reshape(1, 64, 64)
    about = {"driver": "GTiff", "height": 64, "width": 64, "count": 1, "dtype": dtype, "crs": "EPSG:32633"}
    about["transform"] = rasterio.Affine(1, 0, 5e5, 0, -1, 5e6)
    with rasterio.open("white.tif", "w", photometric="miniswhite", **about) as file:
        file.write(values)
    with rasterio.open("white.tif") as source:
        tag = source.tags(ns="IMAGE_STRUCTURE").get("MINISWHITE")
        try:
            source.colormap(1)
            table = True
        except ValueError:
            table = False
        said = {"photometric" in source.profile, source.colorinterp[0].name == "gray"}
        with rasterio.open("copy.tif", "w", **source.profile) as copy:
            copy.write(source.read())
    stored = np.array_equal(tifffile.imread("white.tif"), tifffile.imread("copy.tif"))
    tags = [tifffile.TiffFile(name).pages.first.photometric.name for name in ("white.tif", "copy.tif")]
    print(dtype, "| MINISWHITE", tag, "| colour table", table, "| numbers equal", stored, "| photometric", tags)
    assert tag == "YES" and said == {False} and table and stored
    assert tags == ["MINISWHITE", "MINISBLACK"]
    if dtype == "uint8":
        shown = [np.asarray(Image.open(name).convert("L")) for name in ("white.tif", "copy.tif")]
        assert np.array_equal(shown[0], 255 - shown[1])
        print("      what a viewer shows of the copy is the negative of the source")
PY
