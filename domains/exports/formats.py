"""The table of output formats, and all that a run asked for behind one `add`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import TYPE_CHECKING, Protocol, cast

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

if TYPE_CHECKING:
    from domains.predictions.prediction import Prediction


class Export(Protocol):
    """One format. Every write is atomic; a full disk is an InputError and leaves nothing half written."""

    def __init__(self, destination: Destination) -> None: ...

    def file(self, name: str) -> str:
        """The file that the entities of image `name` go into."""
        ...

    def add(self, name: str, image: np.ndarray, prediction: EntityMap, place: Place) -> None:
        """name: from `output_names`; image: (H, W, 3) uint8; place.scene: what tables call the image."""
        ...

    def close(self) -> None:
        """Write what is for all images together."""
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
    for filename in dict.fromkeys(part.file(name) for name in names for part in parts.values()):
        destination.path(filename)
    streamed = [word for word in formats or DEFAULT_STREAMED if word in STREAMED]
    return Exports(parts, tuple(formats or DEFAULT), tuple(streamed))


@dataclass(frozen=True)
class Exports:
    """Several formats as one; a context manager, so that a run which is stopped keeps the tables of what it has.

    whole, streamed: the formats that scenes in memory go into, and those for scenes of any size.
    """

    parts: dict[str, Export]
    whole: tuple[str, ...]
    streamed: tuple[str, ...]
    _scenes: list[str] = field(default_factory=list)

    def add(
        self,
        name: str,
        image: np.ndarray,
        prediction: EntityMap,
        place: Place,
        without: frozenset[str] = frozenset(),
    ) -> None:
        """Write all formats but those that the image cannot have."""
        self._scenes.append(name)
        for word in dict.fromkeys(word for word in self.whole if word not in without):
            self.parts[word].add(name, image, prediction, place)

    def stream(self, name: str, prediction: Prediction, place: Place, without: frozenset[str] = frozenset()) -> None:
        """Write all formats for scenes of any size but those that the scene cannot have."""
        self._scenes.append(name)
        for word in dict.fromkeys(word for word in self.streamed if word not in without):
            cast(StreamedExport, self.parts[word]).stream(name, prediction, place)

    def close(self) -> None:
        for part in self.parts.values():
            part.close()

    def __enter__(self) -> Exports:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._scenes:  # empty tables, of a run stopped or refused before its first result, would block the next
            self.close()
