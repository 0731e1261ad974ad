"""An annotated clip as every reader of clips gives it: maps of track ids, read when asked for, one frame at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from domains.errors import InputError

MOST_PX = 2**28
"""Pixels of a frame that a file may claim before memory is taken."""
MOST_FRAMES = 10**7


@dataclass(frozen=True)
class LabelledClip:
    """One clip with its labelled frames, which a split never parts: a clip is a group.

    name: of the clip, printable. source: the file or folder that labels it. times: numbers of the labelled frames in
    the clip, ascending from 0 on; a set that labels every fourth has 0, 4, 8. draw: of an index into `times` the map
    (H, W) int32 of track ids, 0 none, -1 unlabelled; raises InputError. pictures: of the labelled frames, () where they
    are not files of their own or not here. parents: the track that each daughter divided from.
    notes: what was assumed or left out, a line each.
    """

    name: str
    source: Path
    times: tuple[int, ...]
    draw: Callable[[int], np.ndarray]
    pictures: tuple[Path, ...] = ()
    parents: Mapping[int, int] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        """Labelled frames."""
        return len(self.times)

    def maps(self, times: Iterable[int] | None = None) -> Iterator[np.ndarray]:
        """The maps of the labelled frames, or of the frames of these numbers. Raises InputError where one has none."""
        index = {time: i for i, time in enumerate(self.times)}
        for time in self.times if times is None else times:
            if time not in index:
                raise InputError(
                    f"{str(self.source)!r}: has no frame {time} of clip {self.name!r}, which the truth has; it has "
                    f"{len(self)} frames from {self.times[0]} to {self.times[-1]}: predict the whole clip"
                )
            yield self.draw(index[time])


def smaller_on_top(shape: tuple[int, int], masks: Mapping[int, np.ndarray]) -> np.ndarray:
    """(H, W) int32 of track ids; of two masks, given as flat indices of their pixels, the smaller lies on top."""
    ids = np.zeros(shape[0] * shape[1], np.int32)
    for number in sorted(masks, key=lambda number: -len(masks[number])):
        ids[masks[number]] = number
    return ids.reshape(shape)


def checked_shape(source: Path, height: object, width: object) -> tuple[int, int]:
    """(H, W) that a file claims. Raises InputError where they are no sizes, or too large to be drawn."""
    sizes = [int(size) if isinstance(size, int | float) and size == size and abs(size) < 2**31 else 0
             for size in (height, width)]  # fmt: skip
    if min(sizes) < 1 or sizes[0] * sizes[1] > MOST_PX:
        raise InputError(
            f"{str(source)!r}: says its frames are {height!r:.20} x {width!r:.20} px (height x width); wanted whole "
            f"numbers from 1 on, and at most {MOST_PX:,} px in all"
        )
    return sizes[0], sizes[1]
