"""The table of output formats, and all that a run asked for behind one `add`."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from types import TracebackType
from typing import TYPE_CHECKING, Any, Protocol, cast

import numpy as np

from domains.entities import EntityMap, Place
from domains.errors import InputError, suggest
from domains.exports.coco import CocoJson
from domains.exports.density import DensityTiff
from domains.exports.destination import Destination
from domains.exports.entity_table import EntityTable
from domains.exports.geojson import GeoJson
from domains.exports.geopackage import GeoPackage
from domains.exports.heat import HeatTiff
from domains.exports.image_table import ImageTable
from domains.exports.label_image import LabelZarr
from domains.exports.label_raster import LabelTiff
from domains.exports.parquet import ParquetTable
from domains.exports.pictures import OverlayPng
from domains.tiling.image_journal import TABLES

if TYPE_CHECKING:
    from domains.tiling.prediction import Prediction


class Export(Protocol):
    """One format. Every write is atomic; a full disk is an InputError and leaves nothing half written."""

    def __init__(self, destination: Destination) -> None: ...

    def files(self, name: str) -> tuple[str, ...]:
        """The files that the entities of image `name` may go into; of a table for all images, that one."""
        ...

    def add(self, name: str, image: np.ndarray, prediction: EntityMap, place: Place) -> None:
        """name: from `output_names`; image: (H, W, 3) uint8; place.scene: what tables call the image."""
        ...

    def close(self) -> None:
        """Write what is for all images together, from the journal's rows."""
        ...


class StreamedExport(Export, Protocol):
    """A format that can hold the entities of a scene of any size."""

    def stream(self, name: str, prediction: Prediction, place: Place) -> None:
        """As `add`, of a scene that does not fit into memory."""
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
}
DEFAULT = ("labels", "geojson", "coco", "csv", "images", "overlay")
DEFAULT_STREAMED = ("zarr", "geojson", "csv", "images")
FOR_ALL = ("coco", "csv", "images", "parquet")
"""Formats of one file for all images."""
STREAMED = tuple(word for word, kind in FORMATS.items() if hasattr(kind, "stream"))


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
    parts = {word: FORMATS[word](destination) for word in chosen}
    for filename in dict.fromkeys(file for name in names for part in parts.values() for file in part.files(name)):
        destination.path(filename)
    streamed = [word for word in formats or DEFAULT_STREAMED if word in STREAMED]
    return Exports(parts, tuple(formats or DEFAULT), tuple(streamed), destination)


@dataclass(frozen=True)
class Exports:
    """Several formats as one; a context manager, so that a run which is stopped keeps the tables of what it has.

    whole, streamed: the formats that scenes in memory go into, and those for scenes of any size.
    """

    parts: dict[str, Export]
    whole: tuple[str, ...]
    streamed: tuple[str, ...]
    destination: Destination

    def begin(self, name: str, scene: str, about: Sequence[int] = (), **values: Any) -> None:
        """From here on the image's files are ours to replace. about: its size and time of change; values: what the
        journal is to remember of it.
        """
        files = [file for word, part in self.parts.items() if word not in FOR_ALL for file in part.files(name)]
        files += [tiles] if self.destination.is_free(tiles := f"{name}.tiles.png") else []
        self.destination.journal.begin(name, scene, about, files, values)

    def add(
        self,
        name: str,
        image: np.ndarray,
        prediction: EntityMap,
        place: Place,
        without: frozenset[str] = frozenset(),
    ) -> None:
        """Write all formats but those that the image cannot have."""
        for part in self._of(name, place, self.whole, without):
            part.add(name, image, prediction, place)
        self._done(prediction.count)

    def stream(self, name: str, prediction: Prediction, place: Place, without: frozenset[str] = frozenset()) -> None:
        """Write all formats for scenes of any size but those that the scene cannot have."""
        for part in self._of(name, place, self.streamed, without):
            cast(StreamedExport, part).stream(name, prediction, place)
        self._done(prediction.count)

    def _of(self, name: str, place: Place, words: Iterable[str], without: frozenset[str]) -> list[Export]:
        if not self.destination.journal.is_current(name):
            self.begin(name, place.scene)
        return [self.parts[word] for word in dict.fromkeys(words) if word not in without]

    def _done(self, entities: int) -> None:
        """Results of an earlier state of the image, which this one does not have, go."""
        for path in self.destination.journal.left():
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink()
        self.destination.journal.done(entities=entities)

    def close(self) -> bool:
        """Write the tables, of all images that are done; whether that was needed."""
        journal = self.destination.journal
        of = blake2b(repr([(entry.name, entry.scene, entry.rows) for entry in self.destination.done()]).encode())
        files = [file for word, part in self.parts.items() if word in FOR_ALL for file in part.files("")]
        tables = journal.entries.get(TABLES)
        if tables and tables.values == {"of": of.hexdigest()} and all(map(self.destination.exists, files)):
            return False
        journal.begin(TABLES, files=files)
        for part in self.parts.values():
            part.close()
        journal.done(of=of.hexdigest())
        return True

    def __enter__(self) -> Exports:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.destination.done():  # empty tables, of a run without a first result, would block the next
            self.close()
