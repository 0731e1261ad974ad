"""The frames of a clip one after the other: read, their entities found or carried on, followed, kept; none waits for a
later one.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import closing, suppress
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from adapters.inference.labelled import class_shares
from adapters.inference.segment import Cut, InputContract, decoded
from adapters.inference.tapped import pooled, segmented
from adapters.labelling.labeller import Labeller
from adapters.network import EntitySegmenter
from adapters.tracking import FrameEntities, Tracker
from adapters.tracking.propagation import Detected, Propagation
from domains.errors import InputError
from domains.exports.limits import Limits
from domains.scenes import Photograph, Scene
from domains.scenes.frames import Clip, Frame
from domains.scenes.images import as_rgb
from domains.scenes.view import FramesView
from domains.tiling.clip_journal import ClipJournal, TrackedFrame

LABELLED_FRAMES = 4
"""Of so many frames that the network sees one is asked for classes, and each in which a track begins: classes take a
second pass of the backbone."""


@dataclass
class Reading:
    """(frame, what the network is shown of it) of a clip from a frame on, up to its end or to one that cannot be read:
    `fault` says then why. A frame is read when it is asked for, never ahead; but of clips that are not of 8 bits the
    first few are, by which all are stretched alike, from wherever it begins.
    """

    clip: Clip
    contract: InputContract
    start: int = 0
    fault: str = ""

    def __iter__(self) -> Iterator[tuple[Frame, Photograph]]:
        views: FramesView | None = None
        try:
            for frame in self.clip.frames(self.start):
                with closing(frame.scene) as scene:
                    if scene.dtype == np.uint8:
                        picture = decoded(self.contract.viewed(scene))
                    else:
                        views = views or FramesView.of_frames(self._heads(), self.contract.view)
                        picture = decoded(self.contract.viewed(scene, views.of(scene)))
                yield frame, picture
        except InputError as error:
            self.fault = str(error)

    def _heads(self) -> Iterator[Scene]:
        """The scenes of the clip from its first frame on, up to one that cannot be read; that is told when it comes."""
        with suppress(InputError):
            for frame in self.clip.frames():
                yield frame.scene


@dataclass(frozen=True)
class EntityFinder:
    """Finds the entities of frames: by the network, or where there is a propagation by that from the last keyframe."""

    segmenter: EntitySegmenter
    contract: InputContract
    cut: Cut
    limits: Limits
    propagation: Propagation | None = None
    labeller: Labeller | None = None
    """What gives entities their class; None where nothing does."""

    def entities(self, picture: Photograph) -> Detected:
        """The entities of the next frame."""
        if self.propagation is None:
            return self.seen(picture)
        return self.propagation.step(as_rgb(picture.image), lambda: self.seen(picture))

    def seen(self, picture: Photograph) -> Detected:
        """The entities of a frame as the network finds them."""
        prediction, tiles, taps = segmented(self.segmenter, picture, self.contract, self.cut)
        prediction = self.limits.applied(prediction)
        entities = prediction.whole_map
        scores = np.full(entities.count, np.nan) if entities.scores is None else entities.scores
        return Detected(entities.ids, scores, pooled(taps, tiles.grid, entities.ids), prediction)

    def classes(self, detected: Detected, picture: Photograph) -> np.ndarray | None:
        """(N, K + 1) as `class_shares` has them; None where the network did not see the frame or knows no classes."""
        if self.labeller is None or detected.prediction is None:
            return None
        return class_shares(detected.prediction, picture, self.contract, self.segmenter, self.labeller)


class DoneFrame(NamedTuple):
    """A frame that is done. tracks: the highest number of one so far; pixels: of the frame."""

    number: int
    tracks: int
    pixels: int


def follow_frames(
    reading: Reading, finder: EntityFinder, tracker: Tracker, journal: ClipJournal
) -> Generator[DoneFrame, None, None]:
    """Each frame, when its tracks are in the journal; the state goes there every few seconds, and when this ends or is
    stopped, but for a stop amid a frame: that leaves what was committed before.
    """
    newest, is_whole = journal.newest, True
    try:
        for frame, picture in reading:
            is_whole = finder.propagation is None
            detected = finder.entities(picture)
            entities = FrameEntities(detected.ids, frame.tick, detected.features, as_rgb(picture.image))
            is_whole = False
            step = tracker.step(entities)
            tracked, numbers = step.tracks(entities)
            scores = step.scores_of(numbers, detected.scores)
            journal.add(TrackedFrame(frame.number, frame.tick, tracked, numbers, scores), step.ended)
            birth = int(step.ids.max(initial=0)) > newest
            if finder.propagation is not None or frame.number % LABELLED_FRAMES == 0 or birth:
                classes = finder.classes(detected, picture)
                if classes is not None:
                    followed = step.ids > 0  # SAM 2's tracks leave out entities that are pieces of theirs
                    journal.add_classes(frame.number, step.ids[followed], classes[followed])
            newest, is_whole = max(newest, int(step.ids.max(initial=0))), True
            if journal.is_due():
                journal.commit(state_of_both(tracker, finder))
            yield DoneFrame(frame.number, newest, detected.ids.size)
    finally:
        if is_whole:
            journal.commit(state_of_both(tracker, finder))


def state_of_both(tracker: Tracker, finder: EntityFinder) -> dict[str, np.ndarray]:
    """What a tracker and a propagation go on from."""
    return {**tracker.state(), **({} if finder.propagation is None else finder.propagation.state())}
