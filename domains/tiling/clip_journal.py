"""What was found of a clip so far, frame by frame, with what the tracker needs to go on: one SQLite file.

Frames and the tracker's state are committed together, so that a run that is killed goes on with the same ids. Memory
does not grow with the clip: a frame is written and forgotten, and read again when results are written.
"""

from __future__ import annotations

import io
import json
import sqlite3
import zlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import astuple, dataclass
from pathlib import Path
from time import monotonic
from typing import Any

import numpy as np

from domains.entities.tracks import Track, Tracks
from domains.errors import InputError

SECONDS, SHARE = 2.0, 20  # between two commits: what a kill costs; or so many times what a commit takes (large states)
TABLES = """
CREATE TABLE IF NOT EXISTS frames
    (number INTEGER PRIMARY KEY, tick REAL, height INTEGER, width INTEGER, ids BLOB, tracks BLOB, scores BLOB);
CREATE TABLE IF NOT EXISTS ended (id INTEGER PRIMARY KEY, first, last, parent, exit, into_id);
CREATE TABLE IF NOT EXISTS classes (number INTEGER PRIMARY KEY, tracks BLOB, shares BLOB);
CREATE TABLE IF NOT EXISTS facts (name TEXT PRIMARY KEY, value BLOB);
"""


@dataclass(frozen=True)
class TrackedFrame:
    """A frame of a clip. ids: (H, W) int32 of tracks; tracks, scores: (N,) the ids that are there, and how sure each
    entity is, nan where nobody said.
    """

    number: int
    tick: float
    ids: np.ndarray
    tracks: np.ndarray
    scores: np.ndarray


class ClipJournal:
    """A clip's frames on disk. plan: what decides them; another plan begins anew."""

    def __init__(self, path: Path, plan: Mapping[str, Any]) -> None:
        """Raises InputError where the file cannot be written."""
        self.path = path
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self.database = sqlite3.connect(path, isolation_level=None)
            self._begin(json.dumps(plan, sort_keys=True))
        except (OSError, sqlite3.Error) as error:
            raise InputError(f"cannot write {str(path)!r}: {error}; free some space, or name another --out") from error
        self._written, self._took = monotonic(), 0.0

    def _begin(self, plan: str) -> None:
        self._run("PRAGMA journal_mode=WAL")
        self.database.executescript(TABLES)
        if self._fact("plan") != plan.encode():
            self.database.executescript(
                "DELETE FROM frames; DELETE FROM ended; DELETE FROM classes; DELETE FROM facts;"
            )
            self._keep("plan", plan.encode())
        self._run("BEGIN")

    @property
    def done(self) -> int:
        """Frames that are there, the first so many of the clip."""
        return int(self._run("SELECT COUNT(*) FROM frames").fetchone()[0])

    @property
    def is_whole(self) -> bool:
        """Whether the clip's last frame is there, and all tracks ended."""
        return self._fact("whole") is not None

    def state(self) -> dict[str, np.ndarray] | None:
        """The tracker's state behind the frames that are there; None before the first."""
        content = self._fact("state")
        if content is None:
            return None
        with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
            return {name: arrays[name] for name in arrays.files}

    def add(self, frame: TrackedFrame, ended: Iterable[Track]) -> None:
        """Keep a frame, and the tracks that ended with it, for the next commit."""
        present = np.concatenate([[0], frame.tracks])
        order = np.argsort(present, kind="stable")
        local = order[np.searchsorted(present[order], np.maximum(frame.ids, 0))].astype(index_type(frame.tracks))
        packed = zlib.compress(local.tobytes(), 1)
        blobs = packed, frame.tracks.astype("<i8").tobytes(), frame.scores.astype("<f4").tobytes()
        self._run("INSERT OR REPLACE INTO frames VALUES (?, ?, ?, ?, ?, ?, ?)",
                  (frame.number, frame.tick, *frame.ids.shape, *blobs))  # fmt: skip
        self._end(ended)

    def add_classes(self, number: int, tracks: np.ndarray, shares: np.ndarray) -> None:
        """Keep what a frame says of the classes of tracks (N,), for the next commit. shares: (N, K + 1) probabilities
        and whether it is none of them, nan where nobody said.
        """
        blobs = tracks.astype("<i8").tobytes(), shares.astype("<f2").tobytes()
        self._run("INSERT OR REPLACE INTO classes VALUES (?, ?, ?)", (number, *blobs))

    def classes(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """(tracks, shares) of all frames that `add_classes` was given."""
        for tracks, shares in self._run("SELECT tracks, shares FROM classes ORDER BY number"):
            numbers = np.frombuffer(tracks, "<i8")
            if len(numbers):
                yield numbers, np.frombuffer(shares, "<f2").reshape(len(numbers), -1).astype(np.float32)

    @property
    def newest(self) -> int:
        """The highest number of a track so far; 0 before the first."""
        rows = self._run("SELECT tracks FROM frames")
        return max((int(np.frombuffer(tracks, "<i8").max(initial=0)) for (tracks,) in rows), default=0)

    def _end(self, tracks: Iterable[Track]) -> None:
        for track in tracks:
            self._run("INSERT OR REPLACE INTO ended VALUES (?, ?, ?, ?, ?, ?)", astuple(track))

    def is_due(self) -> bool:
        """Whether the last commit is some seconds ago."""
        return monotonic() - self._written > max(SECONDS, SHARE * self._took)

    def commit(self, state: Mapping[str, np.ndarray]) -> None:
        """What was added so far survives a kill. state: of the tracker behind it."""
        begin, content = monotonic(), io.BytesIO()
        np.savez(content, allow_pickle=False, **{name: np.asarray(values) for name, values in state.items()})
        self._keep("state", content.getvalue())
        self._run("COMMIT")
        self._run("BEGIN")
        self._written = monotonic()
        self._took = self._written - begin

    def end(self, tracks: Iterable[Track], notes: Iterable[str], fault: str = "") -> None:
        """The clip is over. tracks: those that did not end before; notes: what reading it showed; fault: why it ended
        before it should, "" where it did not.
        """
        self._end(tracks)
        self._keep("notes", json.dumps(list(notes)).encode())
        self._keep("fault", fault.encode())
        self._keep("whole", b"")
        self._run("DELETE FROM facts WHERE name = 'state'")
        self._run("COMMIT")
        self._run("BEGIN")

    def notes(self) -> list[str]:
        """What reading the clip showed."""
        return json.loads(self._fact("notes") or b"[]")

    @property
    def fault(self) -> str:
        """Why a clip that is over ended before it should; "" where it did not."""
        return (self._fact("fault") or b"").decode()

    def keep_ids(self, registry: str, ids: Mapping[int, int]) -> None:
        """Keep the ids that a registry gave to tracks, so that a run that goes on doesn't ask it again."""
        content = {"registry": registry, "ids": {str(track): int(number) for track, number in ids.items()}}
        self._keep("ids", json.dumps(content).encode())
        self._run("COMMIT")
        self._run("BEGIN")

    def ids(self, registry: str) -> dict[int, int] | None:
        """The ids that this registry gave; None where it was not asked."""
        content = json.loads(self._fact("ids") or b"{}")
        if content.get("registry") != registry:
            return None
        return {int(track): number for track, number in content["ids"].items()}

    def frames(self) -> Iterator[TrackedFrame]:
        """All frames in order, one in memory."""
        for number, tick, height, width, packed, tracks, scores in self._run("SELECT * FROM frames ORDER BY number"):
            present = np.frombuffer(tracks, "<i8")
            local = np.frombuffer(zlib.decompress(packed), index_type(present)).reshape(height, width)
            ids = np.concatenate([[0], present]).astype(np.int32)[local]
            yield TrackedFrame(number, tick, ids, present, np.frombuffer(scores, "<f4"))

    def tracks(self) -> Tracks:
        """The tracks of a clip that is whole."""
        return Tracks(self.done, tuple(Track(*row) for row in self._run("SELECT * FROM ended")))

    def close(self) -> None:
        """What was not committed is forgotten."""
        self.database.close()

    def _fact(self, name: str) -> bytes | None:
        row = self._run("SELECT value FROM facts WHERE name = ?", (name,)).fetchone()
        return None if row is None else bytes(row[0])

    def _keep(self, name: str, value: bytes) -> None:
        self._run("INSERT OR REPLACE INTO facts VALUES (?, ?)", (name, value))

    def _run(self, text: str, values: tuple[Any, ...] = ()) -> sqlite3.Cursor:
        try:
            return self.database.execute(text, values)
        except sqlite3.Error as error:
            raise InputError(
                f"cannot write to {str(self.path)!r}: {error}; free some space and start again, it goes on from here"
            ) from error


def index_type(tracks: np.ndarray) -> type[np.unsignedinteger]:
    """What numbers of so many tracks of a frame are stored as."""
    return np.uint16 if len(tracks) < 2**16 else np.uint32
