"""An OME-Zarr label image (NGFF 0.4, https://ngff.openmicroscopy.org/0.4/#labels-md): int64 ids, with a pyramid."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import zarr

from domains.atomic import atomic_folder, refusals_told
from domains.exports.destination import Destination
from domains.tiling.canvas import CHUNK_PX, chunk_window
from domains.tiling.grid import Window
from domains.tiling.prediction import Prediction

MOST_LABELLED = 200_000
"""Entities whose classes are written beside a label image: some 15 MB of text."""
SMALLEST_PX = 1024  # the pyramid ends at the first level that is not larger


@dataclass(frozen=True)
class LabelZarr:
    """`<name>.labels.zarr`: int64 ids, 0 none; unlabelled pixels, which predictions don't have, are 0 too.

    Of entities that were labelled `image-label` has the class and how likely it is, by `properties` as NGFF has them,
    where there are up to `MOST_LABELLED`.
    """

    destination: Destination
    any_size: ClassVar[bool] = True

    def files(self, name: str) -> tuple[str, ...]:
        """The label image of an image."""
        return (f"{name}.labels.zarr",)

    def stream(self, prediction: Prediction) -> None:
        """Write the label image of a scene, chunk by chunk."""
        path, size = self.destination.path(*self.files(prediction.name)), prediction.place.pixel_size_m
        keys, temporaries = prediction.chunks(), self.destination.temporaries
        labels = properties_of(prediction) if prediction.classes else None
        write_label_image(path, prediction.shape, prediction.read, keys, size, temporaries, labels=labels)
        self.destination.journal.wrote(path)

    def close(self) -> None:
        """All is written."""


Reader = Callable[[Window], np.ndarray]


def write_label_image(
    path: Path,
    shape: tuple[int, int],
    read: Reader,
    keys: Iterable[tuple[int, int]],
    pixel_size_m: float | None = None,
    within: Path | None = None,
    *,
    labels: Sequence[Mapping[str, Any]] | None = None,
) -> None:
    """Chunk by chunk, under another name until it is whole. Each level takes every second pixel of the finer one.

    read: a window to its (h, w) ids; keys: row and column of the chunks, `CHUNK_PX` a side, that may hold an entity;
    the others are not stored. within: as in `atomic_path`. labels: `properties` of the entities. Raises InputError
    where the disk is full.
    """
    with refusals_told(path), atomic_folder(path, within, overwrite=True) as temporary:
        group = zarr.open_group(str(temporary), mode="w", zarr_format=2)
        shapes = [shape]
        while max(shapes[-1]) > SMALLEST_PX:
            shapes.append((-(-shapes[-1][0] // 2), -(-shapes[-1][1] // 2)))
        levels = [_level(group, i, shape) for i, shape in enumerate(shapes)]
        keys = sorted(set(keys))
        for key in keys:
            window = chunk_window(key, shape)
            levels[0][window.slices] = np.maximum(read(window), 0)
        for (finer, coarser), small in zip(pairwise(levels), shapes[1:], strict=True):
            keys = sorted({(row // 2, column // 2) for row, column in keys})
            for key in keys:
                window = chunk_window(key, small)
                rows, columns = (slice(2 * axis.start, 2 * axis.stop) for axis in window.slices)
                coarser[window.slices] = np.asarray(finer[rows, columns])[::2, ::2]
        group.attrs.update(attributes(len(shapes), pixel_size_m, labels))


def _level(group: zarr.Group, number: int, shape: tuple[int, int]) -> zarr.Array:
    separator: Any = {"name": "v2", "separator": "/"}
    chunks = CHUNK_PX, CHUNK_PX
    return group.create_array(
        str(number), shape=shape, chunks=chunks, dtype="int64", fill_value=0, chunk_key_encoding=separator
    )


def properties_of(prediction: Prediction) -> list[dict[str, Any]]:
    """The class of every entity, as `image-label` has it; of too many none."""
    if prediction.count > MOST_LABELLED:
        return []
    return [
        {"label-value": entity.id, "class": entity.label, "class-probability": entity.label_score}
        for entity in prediction.measures()
    ]


def attributes(
    levels: int, pixel_size_m: float | None, labels: Sequence[Mapping[str, Any]] | None = None
) -> dict[str, Any]:
    """`multiscales` and `image-label` of NGFF 0.4."""
    unit = {} if pixel_size_m is None else {"unit": "micrometer"}
    size = 1.0 if pixel_size_m is None else pixel_size_m * 1e6
    axes = [{"name": axis, "type": "space", **unit} for axis in "yx"]
    datasets = [
        {
            "path": str(i),
            "coordinateTransformations": [{"type": "scale", "scale": [size * 2**i] * 2}],
        }
        for i in range(levels)
    ]
    multiscale = {"version": "0.4", "name": "entities", "axes": axes, "datasets": datasets}
    properties = {"properties": [*labels]} if labels else {}
    return {"multiscales": [multiscale], "image-label": {"version": "0.4", **properties}}
