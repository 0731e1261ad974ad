"""SpaceNet: a GeoTIFF per chip and product, and a GeoJSON of footprints per chip.

Van Etten et al., SpaceNet: a remote sensing dataset and challenge series, https://arxiv.org/abs/1807.01232. Folders
are called by product: `PS-RGB/` beside `geojson_buildings/` (from SpaceNet 2 on, as it is published now), or
`RGB-PanSharpen/` beside `geojson/buildings/`; files are called alike but for the product.
"""

from __future__ import annotations

import re
from pathlib import Path

from domains.formats.finding import files, folders, pair
from domains.formats.layout import Fault
from domains.formats.raster_vectors import RASTERS, Pair, RasterVectors

PRODUCTS = ("PS-RGB", "RGB-PanSharpen", "3band", "PS-MS", "MUL-PanSharpen", "8band", "MUL", "MS", "PAN")
"""The sharp RGB first; with bands the multispectral ones."""
MULTISPECTRAL = ("PS-MS", "MUL-PanSharpen", "8band", "MUL", "MS")
LABELS = ("geojson_buildings", "geojson/buildings", "geojson", "vectordata/geojson")
_WORDS = re.compile(
    r"(PS-RGB|RGB-PanSharpen|3band|PS-MS|MUL-PanSharpen|8band|MUL|MS|PAN|geojson_buildings|buildings|Geo)_?", re.I
)


class SpaceNet(RasterVectors):
    name = "spacenet"
    before = "raster_vectors"  # which would pair other products, or none
    entities = "one building footprint, drawn where it covers the centre of a pixel"
    expects = "PS-RGB/ (or RGB-PanSharpen/, PS-MS/, ...) beside geojson_buildings/ (or geojson/buildings/)"

    def pairs(self, root: Path) -> tuple[list[Pair], list[Fault]]:
        """Each chip's raster with its footprints, and the chips that lack one of them."""
        chips, alone = [], []
        for base in (root, *folders(root)):
            inner = {folder.name.lower(): folder for folder in folders(base)}
            order = (*MULTISPECTRAL, *PRODUCTS) if self.reading.bands else PRODUCTS
            images = next((inner[product.lower()] for product in order if product.lower() in inner), None)
            labels = next((base / product for product in LABELS if files(base / product, {".geojson"})), None)
            if images is None or labels is None:
                continue
            pairs, faults = pair(files(images, RASTERS), files(labels, {".geojson"}), "footprint file", [(chip, chip)])
            chips += pairs
            alone += faults
        return chips, alone


def chip(path: Path) -> str:
    """`AOI_2_Vegas_img1` of `SN2_buildings_train_AOI_2_Vegas_PS-RGB_img1` and of `buildings_AOI_2_Vegas_img1`."""
    name = _WORDS.sub("", path.stem)
    return name[max(name.find("AOI_"), 0) :].strip("_")
