"""Tiny rasters with footprints, and tiles seen from above."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from tests.domains.tiny.basics import box, picture, save

UTM = 500_000.0, 5_000_000.0  # of the upper left corner of `raster`


def raster(path: Path, image: np.ndarray, size: float = 0.5, crs: str = "EPSG:32633", corner=UTM, **options) -> Path:
    """A GeoTIFF in UTM 33 N."""
    rasterio = pytest.importorskip("rasterio")
    height, width, count = image.shape
    profile = {"driver": "GTiff", "height": height, "width": width, "count": count, "dtype": image.dtype, "crs": crs}
    path.parent.mkdir(parents=True, exist_ok=True)
    with rasterio.open(
        path, "w", **profile, transform=rasterio.Affine(size, 0, corner[0], 0, -size, corner[1]), **options
    ) as file:
        file.write(np.moveaxis(image, -1, 0))
    return path


def ground(y: int, x: int) -> np.ndarray:
    """(y, x, 3) uint8 whose colour says where: red y, green x, modulo 256."""
    rows, columns = np.mgrid[:y, :x]
    return np.stack([rows % 256, columns % 256, (rows + columns) % 256], axis=-1).astype(np.uint8)


def footprints(
    path: Path, boxes: list[tuple[int, int, int, int]], size: float = 0.5, upper_left=UTM, **members
) -> Path:
    """GeoJSON of boxes (y0, x0, y1, x1) in pixels of `raster`, in UTM as its member `crs` says; kinds in turn."""

    def corner(y: float, x: float) -> tuple[float, float]:
        return upper_left[0] + x * size, upper_left[1] - y * size

    features = [
        {
            "type": "Feature",
            "properties": {"kind": ("house", "shed")[i % 2], "floors": i},
            "geometry": {
                "type": "Polygon",
                "coordinates": [[corner(a, b), corner(a, d), corner(c, d), corner(c, b), corner(a, b)]],
            },
        }
        for i, (a, b, c, d) in enumerate(boxes)
    ]
    crs = {"type": "name", "properties": {"name": "urn:ogc:def:crs:EPSG::32633"}}
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"type": "FeatureCollection", "crs": crs, "features": features, **members}))
    return path


def houses(height: int, width: int, every: int = 50) -> list[tuple[int, int, int, int]]:
    """Boxes of 12 x 20 px on a grid."""
    return [(y, x, y + 12, x + 20) for y in range(15, height - 20, every) for x in range(11, width - 24, every)]


def raster_vectors(root: Path) -> Path:
    """One raster of 400 x 480 px at 0.5 m with one file of houses, called otherwise."""
    raster(root / "city.tif", ground(400, 480), tiled=True, blockxsize=128, blockysize=128)
    footprints(root / "footprints.geojson", houses(400, 480))
    return root


def spacenet(root: Path) -> Path:
    """Four chips of 65 px of Vegas as published since SpaceNet 2, sharp RGB and eight bands; one without a building."""
    for i in (1, 2, 10, 21):
        stem = f"SN2_buildings_train_AOI_2_Vegas_{{}}_img{i}"
        place = UTM[0] + 1000 * i, UTM[1]
        image = (ground(65, 65) * 8 + i).astype(np.uint16)
        raster(root / "PS-RGB" / f"{stem.format('PS-RGB')}.tif", image, corner=place)
        bands = np.concatenate([ground(33, 33)] * 3, axis=2)[..., :8].astype(np.uint16) * 9 + i
        raster(root / "PS-MS" / f"{stem.format('PS-MS')}.tif", bands, size=1.0, corner=place)
        boxes = [] if i == 10 else [(5, 5, 17, 25), (30, 20, 60, 50)]
        footprints(root / "geojson_buildings" / f"{stem.format('geojson_buildings')}.geojson", boxes, upper_left=place)
    return root


def xview2(root: Path) -> Path:
    """Two places before and after a flood: a house that stands and one that is gone; with empty and broken WKT."""
    shapes = [
        "POLYGON ((2 2, 8 2, 8 6, 2 6, 2 2))",
        "POLYGON ((10.0 10.0, 14.0 10.0, 14.0 15.0, 10.0 15.0, 10.0 10.0))",
    ]
    for number in (1, 7):
        for when in ("pre", "post"):
            name = f"midwest-flooding_{number:08}_{when}_disaster"
            damage: list[dict] = [{"subtype": "no-damage"}, {"subtype": "destroyed"}]
            features = [
                {"properties": {"feature_type": "building", **(extra if when == "post" else {})}, "wkt": wkt}
                for extra, wkt in zip(damage, shapes, strict=True)
            ]
            content = {"features": {"lng_lat": [], "xy": features}, "metadata": {"img_name": f"{name}.png"}}
            save(root / "train" / "images" / f"{name}.png", picture(number))
            (root / "train" / "labels").mkdir(parents=True, exist_ok=True)
            (root / "train" / "labels" / f"{name}.json").write_text(json.dumps(content))
    return root


def mask_tiles(root: Path) -> Path:
    """Inria: tiles 1 and 6 of two cities, of 20 x 30 px."""
    for city in ("austin", "tyrol-w"):
        for number in (1, 6):
            save(root / "train" / "images" / f"{city}{number}.tif", picture(number))
            save(root / "train" / "gt" / f"{city}{number}.tif", box(2, 2, 5, 6) + box(10, 10, 14, 15))
    return root
