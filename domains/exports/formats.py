"""The table of output formats, and all that a run asked for behind one `add`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Protocol

import numpy as np

from domains.entities import EntityMap, Place
from domains.errors import InputError, suggest
from domains.exports.coco import CocoJson
from domains.exports.destination import Destination
from domains.exports.entity_table import EntityTable
from domains.exports.geojson import GeoJson
from domains.exports.pictures import LabelTiff, OverlayPng


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


FORMATS: dict[str, type[Export]] = {
    "labels": LabelTiff,
    "geojson": GeoJson,
    "coco": CocoJson,
    "csv": EntityTable,
    "overlay": OverlayPng,
}


def open_exports(formats: Sequence[str], destination: Destination, names: Iterable[str]) -> Exports:
    """The formats of a run over the images `names`, after a check that none of their files would be replaced."""
    for word in formats:
        if word not in FORMATS:
            raise InputError(f"output format is {word!r}; {suggest(word, FORMATS)}")
    try:
        destination.folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"cannot make the folder {str(destination.folder)!r}: {error.strerror}") from error
    parts = tuple(FORMATS[word](destination) for word in dict.fromkeys(formats))
    for filename in dict.fromkeys(part.file(name) for name in names for part in parts):
        destination.path(filename)
    return Exports(parts)


@dataclass(frozen=True)
class Exports:
    """Several formats as one; a context manager, so that a run which is stopped keeps the tables of what it has."""

    parts: tuple[Export, ...]

    def add(self, name: str, image: np.ndarray, prediction: EntityMap, place: Place) -> None:
        for part in self.parts:
            part.add(name, image, prediction, place)

    def close(self) -> None:
        for part in self.parts:
            part.close()

    def __enter__(self) -> Exports:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
