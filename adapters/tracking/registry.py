"""Entities that are known beyond one clip, in a file of SQLite: looks, where they were seen together, their last mask.

A *visit* is one clip or image that was seen; a *moment* of it is how its entities lay to each other then. What is seen
later is held against moments whose entities look like it (`visit.py`). The file is one of WAL, and every new id is on
the disk before it is given out, so a run that is killed and repeated recognises what it had named. An id is never given
twice, not even after its entity is forgotten.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np

from adapters.tracking.looks import LENGTH, unit
from adapters.tracking.recognising import View
from domains.errors import InputError

MARK = 0x656E7469
"""`PRAGMA application_id`: "enti"."""
VERSION = 1
WAIT_S = 10.0
"""Another process may hold the file for so long."""
NEAREST = 3
"""So many entities that look most like one vote for the moments in which they were seen."""
MOST_ENTITIES = 2_000_000
AT_ONCE = 500
"""Numbers in one question, of which SQLite has a limit."""
TABLES = (
    "CREATE TABLE entity (id INTEGER PRIMARY KEY AUTOINCREMENT, look BLOB NOT NULL, times INTEGER NOT NULL, "
    "area REAL NOT NULL, first_seen TEXT NOT NULL, last_seen TEXT NOT NULL, mask BLOB) STRICT",
    "CREATE TABLE alias (former INTEGER PRIMARY KEY, id INTEGER NOT NULL) STRICT",
    "CREATE TABLE visit (id INTEGER PRIMARY KEY, source TEXT NOT NULL, began TEXT NOT NULL) STRICT",
    "CREATE TABLE moment (id INTEGER PRIMARY KEY, visit INTEGER NOT NULL, tick REAL NOT NULL) STRICT",
    "CREATE TABLE sighting (moment INTEGER NOT NULL, entity INTEGER NOT NULL, y REAL NOT NULL, x REAL NOT NULL, "
    "area REAL NOT NULL, PRIMARY KEY (moment, entity)) WITHOUT ROWID, STRICT",
    "CREATE INDEX sighting_of ON sighting (entity)",
)


class Registry:
    """A registry's file, made where there is none (`make`). Raises InputError in one line for a file that is no
    registry, of a later version, damaged, or locked by another process, here and in every method.
    """

    def __init__(self, path: Path, make: bool = True) -> None:
        self.path = path
        self.ids = np.zeros(0, np.int64)
        """(M,) ascending, of all that is known."""
        self.looks = np.zeros((0, LENGTH), np.float32)
        """(M, LENGTH) their mean looks, of length 1 or 0."""
        self._seen_version = -1
        if not make and not path.exists():
            raise InputError(f"{str(path)!r} is not there; wanted a registry, as `predict --ids` writes one")
        with self._told():
            self._database = sqlite3.connect(path, timeout=WAIT_S, isolation_level=None)
        try:
            with self._told():
                self._database.execute("PRAGMA trusted_schema = OFF")
                self._check()
                self._database.execute("PRAGMA synchronous = NORMAL")  # in WAL the file is whole after a crash
            self.refresh()
        except BaseException:
            self._database.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._database.close()

    def _check(self) -> None:
        """Make the tables of a new file; of any other hold the mark, the version and the tables against ours."""
        if not self._tables() and not self._pragma("application_id"):
            self._database.execute("PRAGMA journal_mode = WAL")
            with self.writing():
                if not self._tables():  # nobody was faster
                    for table in TABLES:
                        self._database.execute(table)
                    self._database.execute(f"PRAGMA application_id = {MARK}")
                    self._database.execute(f"PRAGMA user_version = {VERSION}")
        if self._pragma("application_id") != MARK:
            raise InputError(f"{str(self.path)!r} is a database of something else; name another file for the registry")
        if (version := self._pragma("user_version")) != VERSION:
            raise InputError(
                f"{str(self.path)!r} is a registry of version {version}, and this build reads {VERSION}: update "
                "entity-adapters, or name another file"
            )
        if self._tables() != sorted(TABLES):
            raise InputError(f"{str(self.path)!r} is damaged: it has other tables than a registry")

    def _pragma(self, name: str) -> int:
        return self._database.execute(f"PRAGMA {name}").fetchone()[0]

    def _tables(self) -> list[str]:
        rows = self._database.execute("SELECT sql FROM sqlite_master WHERE name NOT LIKE 'sqlite_%'")
        return sorted(str(sql) for (sql,) in rows)

    @contextmanager
    def _told(self) -> Iterator[None]:
        """Errors of SQLite as one line."""
        try:
            yield
        except sqlite3.OperationalError as error:
            if "locked" in str(error):
                wish = "wait for it, or name another registry"
                raise InputError(f"{str(self.path)!r} was locked for {WAIT_S:g} s by another process: {wish}") from None
            raise InputError(f"cannot use {str(self.path)!r} as a registry: {error}") from None
        except sqlite3.DatabaseError as error:
            raise InputError(f"{str(self.path)!r} is no registry, or is damaged: {error}") from None

    @contextmanager
    def writing(self) -> Iterator[None]:
        """All that the block writes comes into the file, or nothing."""
        with self._told():
            self._database.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._database.execute("COMMIT")
            except BaseException:
                self._database.execute("ROLLBACK")
                raise

    def ask(self, question: str, values: Sequence[object] = ()) -> list[tuple]:
        """The rows that answer a question in SQL."""
        with self._told():
            return self._database.execute(question, values).fetchall()

    def ask_of(self, question: str, numbers: Sequence[int]) -> Iterator[tuple]:
        """The rows that answer a question about numbers, `{}` in it, some at a time."""
        for start in range(0, len(numbers), AT_ONCE):
            chunk = numbers[start : start + AT_ONCE]
            yield from self.ask(question.format(",".join("?" * len(chunk))), chunk)

    def refresh(self) -> None:
        """`reread` where another process has written since."""
        version = self.ask("PRAGMA data_version")[0][0]
        if version != self._seen_version:
            self.reread()
            self._seen_version = version

    def reread(self) -> None:
        """Read the ids and looks of all entities anew."""
        count = self.ask("SELECT count(*) FROM entity")[0][0]
        if count > MOST_ENTITIES:
            remedy = "forget some, or name another file"
            raise InputError(f"{str(self.path)!r} holds {count} entities, more than {MOST_ENTITIES}: {remedy}")
        rows = self.ask("SELECT id, look FROM entity ORDER BY id")
        if any(not isinstance(look, bytes) or len(look) != 2 * LENGTH for _, look in rows):
            raise InputError(f"{str(self.path)!r} is damaged: a look that is not {LENGTH} numbers")
        self.ids = np.array([number for number, _ in rows], np.int64)
        self.looks = np.frombuffer(b"".join(look for _, look in rows), "<f2").reshape(-1, LENGTH).astype(np.float32)
        if not (np.abs(self.looks) <= 1.01).all():  # NaN is none either
            raise InputError(f"{str(self.path)!r} is damaged: a look beyond -1 to 1")

    def place(self, ids: np.ndarray) -> np.ndarray:
        """Where ids stand in `ids`; -1 for those that are not known."""
        place = np.searchsorted(self.ids, ids).clip(max=max(0, len(self.ids) - 1))
        return np.where(self.ids[place] == ids, place, -1) if len(self.ids) else np.full(len(ids), -1)

    def moments_like(self, looks: np.ndarray, count: int) -> list[int]:
        """So many moments with the entities that look most like these, (N, LENGTH); the most alike first."""
        if not len(self.ids) or not len(looks):
            return []
        votes: dict[int, float] = {}
        nearest = min(NEAREST, len(self.ids))
        for row in looks:  # one row of cosines at a time: there may be millions of entities
            cosines = self.looks @ row
            for index in np.argpartition(-cosines, nearest - 1)[:nearest].tolist():
                number = int(self.ids[index])
                votes[number] = votes.get(number, 0.0) + max(float(cosines[index]), 0.0)
        tally: dict[int, float] = {}
        for moment, number in self.ask_of("SELECT moment, entity FROM sighting WHERE entity IN ({})", list(votes)):
            tally[moment] = tally.get(moment, 0.0) + votes[number]
        return sorted(tally, key=lambda moment: (-tally[moment], moment))[:count]

    def moment(self, number: int) -> tuple[np.ndarray, View]:
        """(n,) ids of the entities of a moment, and how they lay."""
        rows = self.ask("SELECT entity, y, x, area FROM sighting WHERE moment = ? ORDER BY entity", (number,))
        table = np.array(rows, float).reshape(-1, 4)
        place = self.place(table[:, 0].astype(np.int64))
        table, place = table[place >= 0], place[place >= 0]
        if not np.isfinite(table).all():
            raise InputError(f"{str(self.path)!r} is damaged: a place that is no number")
        return table[:, 0].astype(np.int64), View(self.looks[place], table[:, 1:3], np.maximum(table[:, 3], 1))

    def begin(self, source: str, now: str) -> int:
        """The number of a new visit."""
        with self.writing():
            return self._insert("INSERT INTO visit (source, began) VALUES (?, ?)", (source, now))

    def add(self, looks: np.ndarray, areas: np.ndarray, now: str) -> np.ndarray:
        """(n,) new ids of entities with these looks. To be called within `writing`."""
        line = "INSERT INTO entity (look, times, area, first_seen, last_seen) VALUES (?, 0, ?, ?, ?)"
        rows = zip(looks.astype("<f2"), areas.tolist(), strict=True)
        ids = np.array([self._insert(line, (look.tobytes(), area, now, now)) for look, area in rows], np.int64)
        self.ids, self.looks = np.concatenate([self.ids, ids]), np.concatenate([self.looks, looks])
        return ids

    def keep(self, visit: int, tick: float, ids: np.ndarray, view: View, masks: Sequence[bytes], now: str) -> None:
        """Keep a moment: looks and areas become means over all moments. To be called within `writing`."""
        moment = self._insert("INSERT INTO moment (visit, tick) VALUES (?, ?)", (visit, float(tick)))
        place = self.place(ids)
        times = dict(self.ask_of("SELECT id, times FROM entity WHERE id IN ({})", ids.tolist()))
        before = np.array([times.get(number, 0) for number in ids.tolist()], np.float32)
        self.looks[place] = unit(self.looks[place] * before[:, None] + view.looks)
        line = "UPDATE entity SET look = ?, times = times + 1, area = (area * times + ?) / (times + 1), last_seen = ?, "
        looks = [look.tobytes() for look in self.looks[place].astype("<f2")]
        rows = zip(looks, view.areas.tolist(), masks, ids.tolist(), strict=True)
        self._database.executemany(f"{line} mask = ? WHERE id = ?", [(a, b, now, c, d) for a, b, c, d in rows])
        lay = zip(
            ids.tolist(), view.centres[:, 0].tolist(), view.centres[:, 1].tolist(), view.areas.tolist(), strict=True
        )
        self._database.executemany("INSERT INTO sighting VALUES (?, ?, ?, ?, ?)", [(moment, *row) for row in lay])

    def _insert(self, line: str, values: Sequence[object]) -> int:
        number = self._database.execute(line, values).lastrowid
        assert number is not None
        return number
