"""A clip's journal: what was committed survives, with the tracker's state; what was not is as if it had not been."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from domains.entities.tracks import Track
from domains.tiling.clip_journal import ClipJournal, TrackedFrame


def frame(number: int) -> TrackedFrame:
    ids = np.zeros((5, 7), np.int32)
    ids[1:3, 1:4], ids[3, 5] = 70_000, 3
    return TrackedFrame(number, number * 1.5, ids, np.array([70_000, 3]), np.array([0.5, np.nan], np.float32))


def test_frames_come_back_as_they_were(tmp_path: Path) -> None:
    journal = ClipJournal(tmp_path / "run" / "clip.sqlite", {"scene": "a"})
    journal.add(frame(0), [])
    journal.add(frame(1), [Track(9, 0, 0, exit="lost")])
    back = list(journal.frames())
    for expected, returned in zip((frame(0), frame(1)), back, strict=True):
        assert (returned.number, returned.tick) == (expected.number, expected.tick)
        assert np.array_equal(returned.ids, expected.ids) and returned.ids.dtype == np.int32
        assert np.array_equal(returned.tracks, expected.tracks)
        assert np.array_equal(returned.scores, expected.scores, equal_nan=True)
    journal.end([Track(3, 0, 1), Track(70_000, 0, 1)], ["a note"])
    assert journal.is_whole and journal.notes() == ["a note"]
    assert [track.id for track in journal.tracks().tracks] == [3, 9, 70_000]


def test_a_kill_leaves_what_was_committed_with_its_state(tmp_path: Path) -> None:
    journal = ClipJournal(tmp_path / "clip.sqlite", {"scene": "a"})
    journal.add(frame(0), [])
    journal.commit({"counts": np.array([1, 5]), "looks": np.eye(2, dtype=np.float32)})
    journal.add(frame(1), [Track(1, 0, 0, exit="lost")])
    again = ClipJournal(tmp_path / "clip.sqlite", {"scene": "a"})  # the first was never closed
    state = again.state()
    assert again.done == 1 and not again.is_whole and state is not None
    assert state["counts"].tolist() == [1, 5] and np.array_equal(state["looks"], np.eye(2))
    journal.close()
    again.close()


def test_ids_of_a_registry_are_kept_for_that_registry_alone(tmp_path: Path) -> None:
    journal = ClipJournal(tmp_path / "clip.sqlite", {})
    assert journal.ids("line.sqlite") is None
    journal.keep_ids("line.sqlite", {1: 70, 2: 5})
    journal.close()
    again = ClipJournal(tmp_path / "clip.sqlite", {})
    assert again.ids("line.sqlite") == {1: 70, 2: 5} and again.ids("other.sqlite") is None


def test_another_plan_begins_anew(tmp_path: Path) -> None:
    journal = ClipJournal(tmp_path / "clip.sqlite", {"scene": "a"})
    journal.add(frame(0), [])
    journal.commit({})
    journal.close()
    again = ClipJournal(tmp_path / "clip.sqlite", {"scene": "b"})
    assert again.done == 0 and again.state() is None
    again.close()
