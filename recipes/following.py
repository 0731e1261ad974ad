"""From a clip's frames to its tracks: a network finds each frame's entities, a tracker says which are the same."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import numpy as np

from adapters.inference.segment import InputContract
from adapters.inference.tapped import pooled, segmented
from adapters.network import EntitySegmenter
from adapters.tracking import FrameEntities, Tracker
from domains.entities import EntitySample, Place, renumber
from domains.entities.tracks import Track


@dataclass
class Followed:
    """The tracks of a clip, while it is read: `maps` once, and then the parents are known.

    frames: of each frame the ids (H, W) of its entities, in any numbers, and their features (N, D) by ascending number
    where there are any.
    """

    tracker: Tracker
    frames: Iterable[tuple[np.ndarray, np.ndarray | None]]
    parents: dict[int, int] = field(default_factory=dict)

    @property
    def maps(self) -> Iterator[np.ndarray]:
        """(H, W) int32 of track ids, frame by frame; nothing of a frame is kept but what the tracker remembers."""
        for tick, (ids, features) in enumerate(self.frames):
            dense, _ = renumber(ids)
            step = self.tracker.step(FrameEntities(np.maximum(dense, 0), float(tick), features))
            self._keep(step.ended)
            yield np.concatenate([[0], step.ids]).astype(np.int32)[np.maximum(dense, 0)]
        self._keep(self.tracker.close())

    def _keep(self, ended: Iterable[Track]) -> None:
        self.parents.update({track.id: track.parent for track in ended if track.parent})


def entities_of(
    segmenter: EntitySegmenter, contract: InputContract, images: Iterable[np.ndarray]
) -> Iterator[tuple[np.ndarray, np.ndarray | None]]:
    """Of each image (H, W, C) uint8 the ids (H, W) of its entities, and what the backbone says of each (N, D)."""
    for image in images:
        photograph = contract.photograph(EntitySample(image, (), Place("frame")))
        prediction, tiles, taps = segmented(segmenter, photograph, contract)
        ids, _ = renumber(prediction.whole_map.ids)
        yield ids, pooled(taps, tiles.grid, ids)
