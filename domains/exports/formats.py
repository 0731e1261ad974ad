"""The table of output formats, and all that a run asked for behind one `stream`."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from types import TracebackType
from typing import Any, ClassVar, Protocol

from domains.errors import InputError, suggest
from domains.exports.coco import CocoJson
from domains.exports.density import DensityTiff
from domains.exports.destination import Destination
from domains.exports.entity_table import EntityTable
from domains.exports.forest_files import ForestFiles
from domains.exports.geojson import GeoJson
from domains.exports.geopackage import GeoPackage
from domains.exports.heat import HeatTiff
from domains.exports.image_table import ImageTable
from domains.exports.label_image import LabelZarr
from domains.exports.label_raster import LabelTiff
from domains.exports.nested_outlines import NestedCoco, NestedGeoJson, NestedGeoPackage
from domains.exports.parquet import ParquetTable
from domains.exports.pictures import OverlayPng
from domains.tiling.image_journal import TABLES
from domains.tiling.prediction import Prediction


class Export(Protocol):
    """One format. Every write is atomic; a full disk is an InputError and leaves nothing half written."""

    any_size: ClassVar[bool]
    """Whether it can hold the entities of a scene of any size; else of those that fit into memory."""

    def __init__(self, destination: Destination) -> None: ...

    def files(self, name: str) -> tuple[str, ...]:
        """The files that the entities of image `name` may go into; of a table for all images, that one."""
        ...

    def stream(self, prediction: Prediction) -> None:
        """Write the entities of a scene, or keep their rows in the journal."""
        ...

    def close(self) -> None:
        """Write what is for all images together, from the journal's rows."""
        ...


FORMATS: dict[str, type[Export]] = {
    "labels": LabelTiff,
    "geojson": GeoJson,
    "coco": CocoJson,
    "csv": EntityTable,
    "images": ImageTable,
    "overlay": OverlayPng,
    "zarr": LabelZarr,
    "parquet": ParquetTable,
    "density": DensityTiff,
    "heat": HeatTiff,
    "gpkg": GeoPackage,
    "forest": ForestFiles,
    "forest-geojson": NestedGeoJson,
    "forest-coco": NestedCoco,
    "forest-gpkg": NestedGeoPackage,
}
DEFAULT = ("labels", "geojson", "coco", "csv", "images", "overlay")
DEFAULT_STREAMED = ("zarr", "geojson", "csv", "images")
FOR_ALL = ("coco", "csv", "images", "parquet")
"""Formats of one file for all images."""
STREAMED = tuple(word for word, kind in FORMATS.items() if kind.any_size)


def open_exports(formats: Sequence[str], destination: Destination, names: Iterable[str]) -> Exports:
    """The formats of a run over the scenes `names`, after a check that none of their files would be replaced.

    formats: none for `DEFAULT`, and `DEFAULT_STREAMED` for scenes that do not fit into memory.
    """
    for word in formats:
        if word not in FORMATS:
            raise InputError(f"output format is {word!r}; {suggest(word, FORMATS)}")
    try:
        destination.folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"cannot make the folder {str(destination.folder)!r}: {error.strerror}") from error
    chosen = list(dict.fromkeys(formats or (*DEFAULT, *DEFAULT_STREAMED)))
    exports = {word: FORMATS[word](destination) for word in chosen}
    for filename in dict.fromkeys(file for name in names for export in exports.values() for file in export.files(name)):
        destination.path(filename)
    streamed = [word for word in formats or DEFAULT_STREAMED if word in STREAMED]
    return Exports(exports, tuple(formats or DEFAULT), tuple(streamed), destination)


@dataclass(frozen=True)
class Exports:
    """Several formats as one; a context manager, so that a run which is stopped keeps the tables of what it has.

    held, streamed: the formats that scenes in memory go into, and those for scenes of any size.
    """

    exports: dict[str, Export]
    held: tuple[str, ...]
    streamed: tuple[str, ...]
    destination: Destination

    def begin(self, name: str, scene: str, about: Sequence[int] = (), **values: Any) -> None:
        """From here on the image's files are ours to replace. about: its size and time of change; values: what the
        journal is to remember of it.
        """
        files = [file for word, export in self.exports.items() if word not in FOR_ALL for file in export.files(name)]
        files += [tiles] if self.destination.is_free(tiles := f"{name}.tiles.png") else []
        self.destination.journal.begin(name, scene, about, files, values)

    def stream(self, prediction: Prediction, without: frozenset[str] = frozenset()) -> None:
        """Write all formats but those that the scene cannot have, of the entities within the limits."""
        prediction = self.destination.limits.applied(prediction)
        if not self.destination.journal.is_current(prediction.name):
            self.begin(prediction.name, prediction.place.scene)
        for word in self.words(prediction.entity_map is not None):
            if word not in without:
                self.exports[word].stream(prediction)
        self._done(prediction.count)

    def words(self, in_memory: bool) -> tuple[str, ...]:
        """The formats that a scene goes into, by whether it fits into memory."""
        return tuple(dict.fromkeys(self.held if in_memory else self.streamed))

    def _done(self, entities: int) -> None:
        """Results of an earlier state of the image, which this one does not have, go."""
        for path in self.destination.journal.outdated():
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink()
        self.destination.journal.done(entities=entities)

    def close(self) -> bool:
        """Write the tables, of all images that are done; whether that was needed."""
        journal = self.destination.journal
        of = blake2b(repr([(entry.name, entry.scene, entry.rows) for entry in self.destination.done()]).encode())
        files = [file for word, export in self.exports.items() if word in FOR_ALL for file in export.files("")]
        tables = journal.entries.get(TABLES)
        if tables and tables.values == {"of": of.hexdigest()} and all(map(self.destination.exists, files)):
            return False
        journal.begin(TABLES, files=files)
        for export in self.exports.values():
            export.close()
        journal.done(of=of.hexdigest())
        return True

    def __enter__(self) -> Exports:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.destination.done():  # empty tables, of a run without a first result, would block the next
            self.close()
