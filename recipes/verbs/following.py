"""From a clip's frames to its tracks: a network finds each frame's entities, a tracker says which are the same."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from adapters.inference.segment import InputContract
from adapters.inference.tapped import pooled, segmented
from adapters.network import EntitySegmenter
from adapters.tracking import FrameEntities, Tracker
from adapters.tracking.propagation import Detected, Propagation
from domains.entities import EntitySample, Place, renumber
from domains.entities.tracks import Track
from domains.scenes.images import as_rgb


class SeenFrame(NamedTuple):
    """A frame as it comes to a tracker. ids: (H, W) of its entities, in any numbers; features: (N, D) by ascending
    number, where there are any; image: (H, W, 3) uint8, for trackers that look for themselves.
    """

    ids: np.ndarray
    features: np.ndarray | None = None
    image: np.ndarray | None = None


@dataclass
class Followed:
    """The tracks of a clip, while it is read: `maps` once, and then the parents are known.

    frames: of each frame its `SeenFrame`.
    """

    tracker: Tracker
    frames: Iterable[SeenFrame]
    parents: dict[int, int] = field(default_factory=dict)

    @property
    def maps(self) -> Iterator[np.ndarray]:
        """(H, W) int32 of track ids, frame by frame; nothing of a frame is kept but what the tracker remembers."""
        for tick, seen in enumerate(self.frames):
            dense, _ = renumber(seen.ids)
            frame = FrameEntities(np.maximum(dense, 0), float(tick), seen.features, seen.image)
            step = self.tracker.step(frame)
            self._keep(step.ended)
            yield step.tracks(frame)[0]
        self._keep(self.tracker.close())

    def _keep(self, ended: Iterable[Track]) -> None:
        self.parents.update({track.id: track.parent for track in ended if track.parent})


def carried(frames: Iterable[SeenFrame], propagation: Propagation) -> Iterator[SeenFrame]:
    """The frames with the entities of keyframes alone, which optical flow carries to those between; all have images."""
    for seen in frames:
        ids = np.maximum(renumber(seen.ids)[0], 0)
        network = Detected(ids, np.full(ids.max(initial=0), np.nan), seen.features)
        assert seen.image is not None
        detected = propagation.step(seen.image, lambda network=network: network)
        yield SeenFrame(detected.ids, detected.features, seen.image)


def entities_of(
    segmenter: EntitySegmenter,
    contract: InputContract,
    images: Iterable[np.ndarray],
    pixel_size_m: float | None = None,
) -> Iterator[SeenFrame]:
    """Of each image (H, W, C) uint8 its entities, and what the backbone says of each. pixel_size_m: of the images;
    None: the adapter's.
    """
    for image in images:
        photograph = contract.photograph(EntitySample(image, (), Place("frame", pixel_size_m=pixel_size_m)))
        prediction, tiles, taps = segmented(segmenter, photograph, contract)
        ids, _ = renumber(prediction.whole_map.ids)
        yield SeenFrame(ids, pooled(taps, tiles.grid, ids), as_rgb(photograph.image))
