"""A clip whose entities have ids, as the formats of clips are given it; and how their files are made."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np
from scipy import ndimage

from domains.atomic import atomic_folder, refusals_told
from domains.entities.tracks import Tracks
from domains.exports.destination import Destination
from domains.exports.track_classes import TrackClasses
from domains.tiling.clip_journal import TrackedFrame


@dataclass(frozen=True)
class TrackedClip:
    """name: of its results; scene: what it is of; shape: (height, width); rate: frames per second, None where unknown.

    frames: all of them from the first, one in memory; images: (H, W, 3) uint8 of the same frames. persistent_ids: of
    each track, by a registry that knows the same entities elsewhere; None without one. classes: of the tracks; None
    where the adapter knows none.
    """

    name: str
    scene: str
    shape: tuple[int, int]
    rate: float | None
    pixel_size_m: float | None
    tracks: Tracks
    frames: Callable[[], Iterator[TrackedFrame]]
    images: Callable[[], Iterator[np.ndarray]]
    persistent_ids: Mapping[int, int] | None = None
    classes: TrackClasses | None = None


class ClipExport(Protocol):
    """One format of a clip. Every result is whole or absent."""

    def files(self, name: str) -> tuple[str, ...]:
        """The files and folders that the clip of that name goes into."""
        ...

    def write(self, clip: TrackedClip, destination: Destination) -> None:
        """Write it. Raises InputError where the disk is full, or the format cannot hold the clip."""
        ...


class Visible(NamedTuple):
    """An entity of a frame. box: (rows, columns); mask: (h, w) bool in it; score: nan where unknown."""

    track: int
    box: tuple[slice, slice]
    mask: np.ndarray
    score: float

    @property
    def centre(self) -> tuple[float, float]:
        """The mean y and x of its pixels."""
        y, x = np.nonzero(self.mask)
        return float(y.mean()) + self.box[0].start, float(x.mean()) + self.box[1].start


def visible(frame: TrackedFrame) -> Iterator[Visible]:
    """The entities of a frame, by track."""
    order = np.argsort(frame.tracks, kind="stable")
    present = frame.tracks[order]
    dense = np.where(frame.ids > 0, np.searchsorted(present, frame.ids) + 1, 0)
    for row, box in enumerate(ndimage.find_objects(dense, max_label=len(present))):
        if box is not None:
            yield Visible(int(present[row]), box, dense[box] == row + 1, float(frame.scores[order[row]]))


@contextmanager
def writing_folder(destination: Destination, name: str) -> Iterator[Path]:
    """A temporary folder that becomes the result of that name when the block ends well."""
    path = destination.path(name)
    with refusals_told(path), atomic_folder(path, destination.temporaries, overwrite=True) as temporary:
        yield temporary
    destination.journal.wrote(path)
