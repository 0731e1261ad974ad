"""The images of a prediction into one folder: which are done, and their rows of the tables for all images.

A file that is only ever appended to, of records with a kind:

    plan    what decides the results; another plan never goes on with this one
    begun   an image whose results are being written: from here on files of these names are ours to replace
    rows    of one table, some rows as lines of JSON, compressed; they count when their image is done
    done    all results of an image are on the disk
    end     the run came to its end

A record is whole or, where the machine stopped in the middle of it, the end of the journal. What a killed run began
and did not end is begun anew.
"""

from __future__ import annotations

import errno
import json
import os
import struct
import tempfile
import zlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import IO, Any

from domains.errors import InputError

_HEAD = struct.Struct("<5s8sII")  # kind, table, bytes, checksum of all the rest
ROWS = 4096  # of a record
TABLES = ""
"""The name under which the tables for all images are begun and done."""


@dataclass
class ImageEntry:
    """scene: what tables call the image. about: size and time of change of its file, when it was begun.

    files: of one that is done, size and time of change of every result; of one that is begun, the names that they may
    have. rows: table to the positions of its records. values: what else is to be remembered of it.
    """

    name: str
    scene: str
    about: list[Any]
    files: dict[str, list[int]] = field(default_factory=dict)
    done: bool = False
    rows: dict[str, list[int]] = field(default_factory=dict)
    values: dict[str, Any] = field(default_factory=dict)


class ImageJournal:
    """path: None for one of this process alone, which goes when that ends. `entries` are by name, in order of begin."""

    def __init__(self, path: Path | None = None) -> None:
        self._handle: IO[bytes] | None = None
        self.path = path
        self.entries: dict[str, ImageEntry] = {}
        self.plan: dict[str, Any] | None = None
        self.ended = False
        self._of_file: dict[str, ImageEntry] = {}
        self._current: ImageEntry | None = None
        self._written: list[Path] = []
        self._left: set[str] = set()
        if path is not None:
            self._resume()

    @property
    def _file(self) -> IO[bytes]:
        """Opened when it is needed; every write goes to its end."""
        if self._handle is None:
            self._handle = self._opened()
        return self._handle

    def _opened(self) -> IO[bytes]:
        if self.path is None:
            return tempfile.TemporaryFile(buffering=0)
        try:
            return open(self.path, "a+b", buffering=0)
        except OSError as error:
            raise InputError(f"cannot open {str(self.path)!r}: {error.strerror}; name another --out") from error

    def close(self) -> None:
        """Close the file; it is opened again when it is needed."""
        if self._handle is not None:
            self._handle.close()
            self._handle = None

    def __del__(self) -> None:
        self.close()

    def start(self, plan: dict[str, Any]) -> None:
        """Forget what there is, and begin with a plan."""
        self._file.truncate(0)
        self.entries.clear()
        self._of_file.clear()
        self.plan, self.ended, self._current = plan, False, None
        self._append(b"plan", plan)

    @property
    def overwrites(self) -> bool:
        """Whether the run was begun anew over what there was."""
        return bool(self.plan and self.plan["overwrite"])

    @property
    def images(self) -> list[ImageEntry]:
        """The entries of images, without that of the tables."""
        return [entry for name, entry in self.entries.items() if name != TABLES]

    def begin(
        self,
        name: str,
        scene: str = "",
        about: Iterable[Any] = (),
        files: Iterable[str] = (),
        values: Mapping[str, Any] | None = None,
    ) -> None:
        """files: names, in the folder of the results, that the image's may have; all are free or ours."""
        entry = ImageEntry(name, scene, list(about), dict.fromkeys(files, []), values=dict(values or {}))
        self._left = {file for file in entry.files if file in self._of_file}
        content = {"name": name, "scene": scene, "about": entry.about, "files": list(entry.files)}
        self._append(b"begun", {**content, "values": entry.values})
        self._keep(entry)
        self._current, self._written = entry, []

    def is_current(self, name: str) -> bool:
        """Whether an image of that name was begun, and no other since."""
        return self._current is not None and self._current.name == name

    def write(self, table: str, rows: Iterable[Any]) -> None:
        """Rows of the current image: whatever JSON has."""
        assert self._current is not None
        remaining = iter(rows)
        while batch := list(islice(remaining, ROWS)):
            packed = zlib.compress("\n".join(map(json.dumps, batch)).encode(), 1)
            self._current.rows.setdefault(table, []).append(self._append(b"rows", packed, table))

    def wrote(self, path: Path) -> None:
        """A result of the current image is in its place."""
        self._written.append(path)

    def outdated(self) -> list[Path]:
        """Results that an earlier run wrote or began for the current image, and that this one did not replace."""
        if self.path is None:
            return []
        folder = self.path.parent.parent
        outdated = self._left - {path.name for path in self._written}
        return [path for name in sorted(outdated) if (path := folder / name).exists()]

    def done(self, **values: Any) -> None:
        """The current image is. All its results survive a failure of power when this returns."""
        assert self._current is not None
        entry, self._current = self._current, None
        entry.files, entry.done = {path.name: state_of(path) for path in self._written}, True
        entry.values |= values
        self._keep(entry)
        if self.path is not None:
            self._guarded(lambda: on_disk(self._written))
        content = {"name": entry.name, "files": entry.files, "values": entry.values, "rows": entry.rows}
        self._append(b"done", content)

    def end(self) -> None:
        """Note that the run came to its end."""
        if not self.ended:
            self.ended = True
            self._append(b"end", {})

    def owns(self, path: Path) -> bool:
        """Whether a result that is there is ours: its image was begun and not done, or it is as we left it."""
        entry = self._of_file.get(path.name)
        if entry is None or path.name not in entry.files:
            return False
        return not entry.done or entry.files[path.name] == state_of(path)

    def rows(self, name: str, table: str) -> Iterator[Any]:
        """Those of an image that is done, in order. Raises InputError where the journal was damaged since."""
        for position in self.entries[name].rows.get(table, ()):
            self._file.seek(position)
            kind, _, length, checksum = _HEAD.unpack(self._file.read(_HEAD.size))
            body = self._file.read(length)
            if kind.rstrip(b"\0") != b"rows" or zlib.crc32(body) != checksum:
                raise InputError(f"{str(self.path)!r} is damaged: the rows of {name!r}; predict again with --overwrite")
            for line in zlib.decompress(body).split(b"\n"):
                yield json.loads(line)

    def _append(self, kind: bytes, content: Any, table: str = "") -> int:
        """The position of the new record; all but rows are on the disk when this returns."""
        file = self._file
        position = file.seek(0, os.SEEK_END)

        def write() -> None:
            body = content if isinstance(content, bytes) else json.dumps(content).encode()
            record = _HEAD.pack(kind, table.encode(), len(body), zlib.crc32(body)) + body
            if file.write(record) != len(record):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            if self.path is not None and kind != b"rows":
                os.fsync(file.fileno())

        try:
            self._guarded(write)
        except InputError:
            file.truncate(position)
            raise
        return position

    def _guarded(self, write: Any) -> None:
        try:
            write()
        except OSError as error:
            raise InputError(
                f"cannot write to {str(self.path or 'a temporary file')!r}: {error.strerror or error}; free some space "
                "and start again, it goes on from here"
            ) from error

    def _resume(self) -> None:
        """Read all but the rows, and cut off what is not whole."""
        file, end = self._file, 0
        size = file.seek(0, os.SEEK_END)
        file.seek(0)
        while len(head := file.read(_HEAD.size)) == _HEAD.size:
            kind, _, length, checksum = _HEAD.unpack(head)
            kind = kind.rstrip(b"\0")
            if end + _HEAD.size + length > size:
                break
            if kind == b"rows":
                file.seek(length, os.SEEK_CUR)
            else:
                body = file.read(length)
                if zlib.crc32(body) != checksum or kind not in (b"plan", b"begun", b"done", b"end"):
                    break
                self._recall(kind, json.loads(body))
            end = file.tell()
        file.truncate(end)

    def _recall(self, kind: bytes, content: dict[str, Any]) -> None:
        if kind == b"plan":
            self.plan = content
        elif kind == b"end":
            self.ended = True
        elif kind == b"begun":
            files = dict.fromkeys(content["files"], [])
            about, values = content["about"], content["values"]
            self._keep(ImageEntry(content["name"], content["scene"], about, files, values=values))
        else:
            entry = self.entries[content["name"]]
            entry.files, entry.values, entry.rows = content["files"], content["values"], content["rows"]
            entry.done = True
            self._keep(entry)

    def _keep(self, entry: ImageEntry) -> None:
        self.entries[entry.name] = entry
        self._of_file.update(dict.fromkeys(entry.files, entry))


def state_of(path: Path) -> list[int]:
    """Size and time of change, by which a file that was changed since is told; nothing for one that is not there."""
    try:
        about = path.stat()
    except OSError:
        return []
    return [about.st_size, about.st_mtime_ns]


def on_disk(paths: Iterable[Path]) -> None:
    """What was written to these files, and to all in these folders, survives a failure of power."""
    for path in paths:
        for file in path.rglob("*") if path.is_dir() else (path,):
            if file.is_file():
                with open(file, "r+b") as opened:
                    os.fsync(opened.fileno())
