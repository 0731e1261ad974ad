"""Where results go, and what they are called."""

from __future__ import annotations

import os
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path, PurePath
from typing import Literal

import numpy as np

from domains.atomic import atomic_path
from domains.entities.outlines import Polygon
from domains.errors import InputError
from domains.exports.limits import Limits
from domains.exports.simplify import simplified
from domains.scenes.address import Address, Source
from domains.scenes.names import composed
from domains.tiling.image_journal import ImageEntry, ImageJournal

Describe = Callable[[np.ndarray, np.ndarray, float | None], dict[int, dict[str, float]]]

SIMPLIFY_PX = 0.5
LONGEST_NAME = 200  # bytes; file systems end at 255, and suffixes follow


@dataclass(frozen=True)
class Destination:
    """A folder of results. overwrite: replace what is there. flavour: whose GeoJSON properties to write.

    describe: more measurements for GeoJSON, ids (H, W), image (H, W, 3) and pixel size to {id: {name: value}}.
    simplify_px: how far polygons may be from the pixel outline; None for `SIMPLIFY_PX` where a scene lies on the ground
    and 0, exact, elsewhere. square: buildings, with right angles. inputs: resolved paths that no result may replace.
    journal: of what was written, which may be replaced, and the rows of tables for all images. order:
    the images' names, as tables are to have them. limits: which entities are written at all. columns: of `Measure`,
    that tables have beyond those of all runs.
    """

    folder: Path
    overwrite: bool = False
    flavour: Literal["plain", "qupath"] = "plain"
    describe: Describe | None = None
    simplify_px: float | None = None
    square: bool = False
    inputs: frozenset[Path] = frozenset()
    journal: ImageJournal = field(default_factory=ImageJournal)
    order: tuple[str, ...] = ()
    limits: Limits = Limits()
    columns: tuple[str, ...] = ()

    def drawn(self, polygons: list[Polygon], step: int, placed: bool) -> list[Polygon]:
        """The outlines of an entity as asked for. placed: its scene lies on the ground."""
        tolerance = self.simplify_px if self.simplify_px is not None else SIMPLIFY_PX if placed else 0.0
        if not tolerance and not self.square:
            return polygons
        return simplified(polygons, tolerance, step, self.square)

    def path(self, filename: str) -> Path:
        """Where a result goes; InputError where one lies already that isn't the journal's, or an input."""
        path = Path(self.folder) / filename
        if path.parent != Path(self.folder) or filename in ("", ".", ".."):
            raise ValueError(f"a result wants a plain file name; got {filename!r}")
        if self.is_input(path):
            raise InputError(f"{str(path)!r} is an input, which its result would replace; name another --out")
        if not self.is_free(filename):
            raise InputError(f"{str(path)!r} exists; name another folder, or replace it with --overwrite")
        return path

    def is_free(self, filename: str) -> bool:
        """Whether a result may have that name: nothing lies there, or the journal's, or it may be replaced."""
        path = Path(self.folder) / filename
        return not path.exists() or ((self.overwrite or self.journal.owns(path)) and not self.is_input(path))

    def exists(self, filename: str) -> bool:
        """Whether a result of that name lies there."""
        return (Path(self.folder) / filename).exists()

    @contextmanager
    def writing(self, filename: str) -> Iterator[Path]:
        """A temporary path that becomes the result of that name when the block ends well, see `atomic_path`."""
        path = self.path(filename)
        with atomic_path(path, self.temporaries) as temporary:
            yield temporary
        self.journal.wrote(path)

    def clear(self, filename: str) -> None:
        """Removes a result of that name, which an earlier prediction had and this one has not. Raises InputError as
        `path` does.
        """
        self.path(filename).unlink(missing_ok=True)

    def done(self) -> list[ImageEntry]:
        """The images that are done, those of `order` first."""
        entries = {entry.name: entry for entry in self.journal.images if entry.done}
        return [entries[name] for name in {**dict.fromkeys(self.order), **entries} if name in entries]

    @property
    def temporaries(self) -> Path | None:
        """The folder for results that are not whole; None for beside them."""
        return self.journal.path and self.journal.path.parent / "new"

    def is_input(self, path: Path) -> bool:
        """Whether a path is one of the inputs."""
        return bool(self.inputs) and path.resolve() in self.inputs


def output_names(inputs: Iterable[Source]) -> dict[Source, str]:
    """A name for each input, distinct without regard to case and to how accents are composed: the stem; where two are
    the same, more of the path.

    `a/x.png` and `b/x.png` become `a_x` and `b_x`; `x.png` and `x.jpg` of one folder `x_png` and `x_jpg`. A name holds
    no separator and doesn't start with a dot, so that no result leaves its folder or is hidden. Raises InputError for
    two addresses that differ in what is secret alone.
    """
    inputs = list(dict.fromkeys(inputs))
    check_apart([source for source in inputs if isinstance(source, Address)])
    absolute: dict[Source, PurePath] = {
        source: source.place if isinstance(source, Address) else Path(os.path.abspath(source)) for source in inputs
    }
    same_stem = Counter(_without_suffix(full) for full in absolute.values())
    words = {
        path: [*full.parts[1:-1], full.stem if same_stem[_without_suffix(full)] == 1 else full.name.replace(".", "_")]
        for path, full in absolute.items()
    }
    depth = dict.fromkeys(inputs, 1)
    while True:
        names = {path: _clean("_".join(words[path][-depth[path] :])) for path in inputs}
        clashing = [path for path in _clashing(names, absolute) if depth[path] < len(words[path])]
        if not clashing:
            return _numbered(names)
        for path in clashing:
            depth[path] += 1


def check_apart(addresses: Iterable[Address]) -> None:
    """Raises InputError for two that are one without their queries and passwords, which are written nowhere."""
    (address, count), *_ = [*Counter(map(str, addresses)).most_common(1), ("", 0)]
    if count > 1:
        raise InputError(
            f"{address!r} is named {count} times with another query or password, which no result may be called by; "
            "predict them one by one, each into an --out of its own"
        )


def _without_suffix(path: PurePath) -> str:
    return _folded(f"{path.parent}/{path.stem}")


def _clean(name: str) -> str:
    """Valid text without separators, leading dots and signs that some file system refuses; of a long name the end."""
    name = re.sub(r'[\\/:*?"<>|\x00-\x1f]', "_", name)
    end = name.encode("utf-8", "surrogateescape")[-LONGEST_NAME:].decode("utf-8", "ignore")
    return end.lstrip(".") or "_"


def _clashing(names: dict[Source, str], absolute: dict[Source, PurePath]) -> list[Source]:
    """Those of one name that more of their paths can part."""
    folders = defaultdict(set)
    for path, name in names.items():
        folders[_folded(name)].add(_folded(str(absolute[path].parent)))
    return [path for path, name in names.items() if len(folders[_folded(name)]) > 1]


def _folded(name: str) -> str:
    """What file systems that know neither case nor composition take for the same."""
    return composed(composed(name).casefold())


def _numbered(names: dict[Source, str]) -> dict[Source, str]:
    """The last resort, for paths that differ in nothing that a name can show: x, x-2, x-3."""
    used: set[str] = set()
    result = {}
    for path, name in names.items():
        number, candidate = 1, name
        while _folded(candidate) in used:
            number += 1
            candidate = f"{name}-{number}"
        used.add(_folded(candidate))
        result[path] = candidate
    return result
