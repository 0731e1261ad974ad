"""Frames of a clip one after the other: none waits for a later one, and a stopped run goes on alike."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
import tifffile

from adapters.inference.contract import InputContract
from adapters.options.tracking import Motion
from adapters.tracking import build_tracker
from adapters.tracking.propagation import Detected, Propagation
from domains.entities import renumber
from domains.procedural.clips import draw_clip
from domains.scenes import Photograph
from domains.scenes.frames import FolderClip, Frame
from domains.scenes.images import read_frames
from domains.tiling.clip_journal import ClipJournal
from recipes.verbs.clip_frames import EntityFinder, Reading, follow_frames

FRAMES = [draw_clip("crossing", 5, 8, 48, 48).frame(at) for at in range(8)]
PASSED_ON = cast(Any, SimpleNamespace(viewed=lambda scene: scene))
"""A contract that changes nothing."""


@dataclass
class Drawn:
    """A clip in memory that notes which frames were asked for."""

    read: list[int] = field(default_factory=list)

    def frames(self, start: int = 0) -> Iterator[Frame]:
        for number in range(start, len(FRAMES)):
            self.read.append(number)
            yield Frame(number, float(number), Photograph(FRAMES[number][0]))


@dataclass(frozen=True)
class Knowing(EntityFinder):
    """Knows the entities of each picture, and says of each that it is of the first class of two."""

    asked: list[int] = field(default_factory=list)

    def seen(self, picture: Photograph) -> Detected:
        number = next(at for at, (image, _) in enumerate(FRAMES) if np.array_equal(image, picture.image))
        self.asked.append(number)
        ids = np.maximum(renumber(FRAMES[number][1])[0], 0)
        return Detected(ids, np.full(ids.max(), 0.5))

    def classes(self, detected: Detected, picture: Photograph) -> np.ndarray:
        return np.tile([0.75, 0.25, 0], (len(detected.scores), 1))


def finder(options: Motion) -> Knowing:
    nothing = cast(Any, None)
    propagation = Propagation(options) if options.realtime else None
    return Knowing(nothing, PASSED_ON, nothing, nothing, propagation)


def rows(journal: ClipJournal) -> list[tuple[int, list[int], bytes]]:
    return [(frame.number, frame.tracks.tolist(), frame.ids.tobytes()) for frame in journal.frames()]


@pytest.mark.parametrize("realtime", [False, True], ids=["every", "realtime"])
def test_no_frame_waits_for_a_later_one_and_a_stopped_run_goes_on_alike(tmp_path: Path, realtime: bool) -> None:
    options = Motion(realtime=realtime, keyframe_frames=3, keyframe_change=1.0)
    clip, network = Drawn(), finder(options)
    whole = ClipJournal(tmp_path / "whole.sqlite", {})
    for answer in follow_frames(Reading(cast(Any, clip), PASSED_ON), network, build_tracker(options), whole):
        assert clip.read == [*range(answer.number + 1)] and whole.done == answer.number + 1
    assert network.asked == ([0, 3, 6] if realtime else [*range(8)])
    tracks, shares = zip(*whole.classes(), strict=True)
    assert all(np.allclose(row, [0.75, 0.25, 0]) for row in shares) and set(tracks[0]) == set(rows(whole)[0][1])

    stopped, tracker, network = ClipJournal(tmp_path / "stopped.sqlite", {}), build_tracker(options), finder(options)
    for answer in follow_frames(Reading(cast(Any, Drawn()), PASSED_ON), network, tracker, stopped):
        if answer.number == 4:
            break
    tracker, network, state = build_tracker(options), finder(options), stopped.state()
    assert state is not None
    tracker.restore(state)
    if network.propagation is not None:
        network.propagation.restore(state)
    for _ in follow_frames(Reading(cast(Any, Drawn()), PASSED_ON, 5), network, tracker, stopped):
        pass
    assert rows(stopped) == rows(whole)
    assert [row.tolist() for row, _ in stopped.classes()] == [row.tolist() for row, _ in whole.classes()]
    whole.close()
    stopped.close()


@pytest.mark.parametrize("realtime", [False, True], ids=["tracker", "network"])
def test_a_stop_amid_a_frame_leaves_tracks_and_state_of_the_frames_before(
    tmp_path: Path, realtime: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ctrl-C behind the step of the tracker, and in the network when optical flow was asked before."""
    options, begin = (
        Motion(realtime=realtime, keyframe_frames=3, keyframe_change=1.0),
        Reading(cast(Any, Drawn()), PASSED_ON),
    )
    whole, stopped = (ClipJournal(tmp_path / f"{name}.sqlite", {}) for name in ("whole", "stopped"))
    [*follow_frames(begin, finder(options), build_tracker(options), whole)]
    tracker, network = build_tracker(options), finder(options)
    stops_in = (Knowing, "seen") if realtime else (type(tracker), "step")
    call = getattr(*stops_in)

    def stop(self: Any, frame: Any) -> Any:
        answer = call(self, frame)
        if stopped.done == 3:
            raise KeyboardInterrupt
        return answer

    with monkeypatch.context() as patch:
        patch.setattr(*stops_in, stop)
        patch.setattr(stopped, "is_due", lambda: stopped.done == 2)
        with pytest.raises(KeyboardInterrupt):
            [*follow_frames(begin, network, tracker, stopped)]
    stopped.close()
    stopped, tracker, network = ClipJournal(tmp_path / "stopped.sqlite", {}), build_tracker(options), finder(options)
    state = stopped.state()
    assert stopped.done == 2 and state is not None
    tracker.restore(state)
    if network.propagation is not None:
        network.propagation.restore(state)
    [*follow_frames(Reading(cast(Any, Drawn()), PASSED_ON, 2), network, tracker, stopped)]
    assert rows(stopped) == rows(whole) and network.asked == ([3, 6] if realtime else [*range(2, 8)])
    whole.close()
    stopped.close()


def test_deep_frames_are_stretched_alike_from_wherever_reading_begins(tmp_path: Path) -> None:
    """Else one bright pixel would darken its frame."""
    rng = np.random.default_rng(0)
    frames = rng.integers(1000, 3000, (12, 16, 20)).astype(np.uint16)
    frames[9, 0, :2] = 60_000
    for at, values in enumerate(frames):
        tifffile.imwrite(tmp_path / f"{at:02}.tif", values)
    whole = [picture.image for _, picture in Reading(FolderClip(tmp_path), InputContract())]
    shown = np.stack(whole)[..., 0].astype(float)
    usual = frames < 60_000
    assert np.ptp([np.polyfit(frames[at][usual[at]], shown[at][usual[at]], 1)[0] for at in range(12)]) < 1e-3
    late = [picture.image for _, picture in Reading(FolderClip(tmp_path), InputContract(), start=8)]
    assert all(np.array_equal(a, b) for a, b in zip(whole[8:], late, strict=True))
    assert all(np.array_equal(a, b) for a, b in zip(whole, read_frames(sorted(tmp_path.iterdir())), strict=True))
    tifffile.imwrite(tmp_path / "03.tif", frames[3], compression="zlib")
    packed = (tmp_path / "03.tif").read_bytes()
    for damaged in (packed[:-100] + bytes(100), b"II*"):  # in its pixels, which are read after it is opened, or wholly
        (tmp_path / "03.tif").write_bytes(damaged)
        broken = Reading(FolderClip(tmp_path), InputContract())
        assert len([*broken]) == 3 and "03.tif" in broken.fault
    tifffile.imwrite(tmp_path / "00.tif", np.full((16, 20), 7, np.uint8))  # others by themselves
    mixed = [picture.image for _, picture in Reading(FolderClip(tmp_path), InputContract())]
    assert [int(image.max()) for image in mixed] == [7, 255, 255]
