"""Entity ids as a TIFF; a GeoTIFF where the scene lies on the ground."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import tifffile

from domains.entities import UNLABELLED, EntityMap
from domains.errors import InputError
from domains.exports.destination import Destination
from domains.exports.label_image import Reader
from domains.scenes.georeference import Georeference
from domains.scenes.results import SOFTWARE
from domains.tiling.canvas import CHUNK_PX, chunk_window, chunks_of
from domains.tiling.grid import Window
from domains.tiling.prediction import Prediction

CACHE_MIB = 64


@dataclass(frozen=True)
class LabelTiff:
    """`<name>.labels.tif`: int32 ids, 0 none, -1 unlabelled; deflate, the one compression that every reader has.

    In strips where the map is in memory, else tile by tile. With the geo-transform and the CRS of its scene where that
    has them and rasterio is installed; 0 is nodata then.

    Where entities were labelled, `<name>.classes.tif` beside it has the number of the class, from 1, at each pixel; its
    description is JSON, `{"classes": [names]}`.
    """

    destination: Destination
    any_size: ClassVar[bool] = True

    def files(self, name: str) -> tuple[str, ...]:
        """The label image of an image, and that of its classes."""
        return f"{name}.labels.tif", f"{name}.classes.tif"

    def stream(self, prediction: Prediction) -> None:
        """Write the label image of a scene, and that of its classes where it has any."""
        labels, classes = self.files(prediction.name)
        self._write(labels, prediction)
        if prediction.classes:
            self._write(classes, by_class(prediction), json.dumps({"classes": list(prediction.classes)}))
        elif self.destination.exists(classes) and self.destination.is_free(classes):
            self.destination.path(classes).unlink()  # of other entities, which were overwritten

    def _write(self, filename: str, prediction: Prediction, description: str | None = None) -> None:
        entities, georeference = prediction.entity_map, prediction.place.georeference
        with self.destination.writing(filename) as path:
            if georeference is not None and find_spec("rasterio"):
                band = "entity" if description is None else "class"
                scene = prediction.shape, prediction.read, prediction.chunks(), georeference
                write_geotiff(path, *scene, description, band=band)
            elif entities is not None:
                write_strips(path, entities.ids, description)
            else:
                write_tiff(path, prediction.shape, prediction.read, description)

    def close(self) -> None:
        """All is written."""


def by_class(prediction: Prediction) -> Prediction:
    """A prediction of labelled entities whose numbers are those of their classes, from 1."""
    labels, entities = prediction.entities.labels, prediction.entity_map
    assert labels is not None
    lookup = np.concatenate([[0], labels + 1, [UNLABELLED]])  # -1 is the last
    if entities is not None:
        classes = lookup[entities.ids]
        entities = EntityMap(classes)
    return replace(prediction, read=lambda window: lookup[prediction.read(window)], entity_map=entities)


def write_geotiff(
    path: Path,
    shape: tuple[int, int],
    read: Reader,
    keys: Iterable[tuple[int, int]],
    georeference: Georeference,
    description: str | None = None,
    *,
    band: str = "entity",
) -> None:
    """Chunk by chunk. keys: row and column of the chunks, `CHUNK_PX` a side, that may hold an entity; the others are
    not stored. description: ASCII, of the file. band: what its numbers are of. Raises
    InputError.
    """
    import rasterio
    from rasterio.errors import CRSError, RasterioError
    from rasterio.windows import Window as RasterWindow

    height, width = shape
    profile = {
        "driver": "GTiff", "height": height, "width": width, "count": 1, "dtype": "int32", "nodata": 0,
        "transform": rasterio.Affine(*georeference.transform), "tiled": True, "blockxsize": CHUNK_PX,
        "blockysize": CHUNK_PX, "compress": "deflate", "predictor": 2, "bigtiff": "IF_SAFER", "sparse_ok": True,
    }  # fmt: skip
    try:
        with (
            rasterio.Env(GDAL_CACHEMAX=CACHE_MIB),
            rasterio.open(path, "w", crs=rasterio.CRS.from_user_input(georeference.crs), **profile) as file,
        ):
            file.set_band_description(1, band)
            file.update_tags(TIFFTAG_SOFTWARE=SOFTWARE)
            if description is not None:
                file.update_tags(TIFFTAG_IMAGEDESCRIPTION=description)
            for key in sorted(set(keys)):
                at = chunk_window(key, shape)
                window = RasterWindow(at.x, at.y, at.width, at.height)  # type: ignore[call-arg]
                file.write(read(at).astype(np.int32), 1, window=window)
    except (RasterioError, CRSError) as error:
        raise InputError(f"cannot write {str(path)!r}: {error}; is the disk full?") from error


def write_strips(path: Path, ids: np.ndarray, description: str | None = None) -> None:
    """A map (H, W) int32 that is in memory. description: ASCII, of the file."""
    about: dict[str, Any] = {} if description is None else {"description": description, "metadata": None}
    tifffile.imwrite(path, ids, compression="zlib", photometric="minisblack", software=SOFTWARE, **about)


def write_tiff(path: Path, shape: tuple[int, int], read: Reader, description: str | None = None) -> None:
    """Tile by tile through tifffile. description: ASCII, of the file."""

    def tiles() -> Iterator[np.ndarray]:
        for key in chunks_of(Window(0, 0, *shape)):
            at = chunk_window(key, shape)
            tile = np.zeros((CHUNK_PX, CHUNK_PX), np.int32)
            tile[: at.height, : at.width] = read(at)
            yield tile

    about: dict[str, Any] = {} if description is None else {"description": description, "metadata": None}
    tifffile.imwrite(
        path, tiles(), shape=shape, dtype=np.int32, tile=(CHUNK_PX, CHUNK_PX), compression="zlib",
        photometric="minisblack", bigtiff=shape[0] * shape[1] > 2**29, software=SOFTWARE, **about,
    )  # fmt: skip
