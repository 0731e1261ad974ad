"""A prediction under way: in memory, or in a folder of its own beside the results.

The folder holds

    plan.json       what is predicted: input, adapter, tiling; another plan never continues this one
    parts           numbers of fragments per pixel (`Canvas`)
    journal         tiles that are done (`Journal`)

Every few seconds the canvas and then the journal are written: what the journal lists is on the canvas. After a kill the
tiles beyond the journal are predicted again, and overwrite what they left.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic
from typing import Any, Protocol, TypeVar

import numpy as np

from domains.atomic import atomic_path
from domains.entities import EntityMap
from domains.errors import InputError
from domains.tiling.canvas import Canvas, MemoryCanvas
from domains.tiling.grid import Grid, Window
from domains.tiling.journal import Journal, Record, pack
from domains.tiling.prediction import Prediction
from domains.tiling.stitching import FRAGMENT, MATCH, Stitcher, joined

SECONDS = 2.0  # between two writes: what a kill costs
HasData = Callable[[Window], np.ndarray]
OfTile = TypeVar("OfTile")
TakesTile = TypeVar("TakesTile", contravariant=True)


class Running(Protocol[TakesTile]):
    """What takes the maps, or the forests, of a grid's tiles in their order."""

    next_tile: int
    """The first tile that is to be predicted."""

    @property
    def resumed(self) -> int:
        """Tiles that were done before."""
        ...

    def add(self, index: int, entities: TakesTile, /) -> None:
        """Take the map of the tile of that index."""
        ...

    def commit(self) -> None:
        """Keep what was added so far, also where the prediction is stopped."""
        ...

    def prediction(self) -> Prediction:
        """The whole, when every tile was added."""
        ...


class PredictionInMemory:
    """A prediction of a scene that fits into memory; `add` takes the maps of a grid's tiles in order.

    shape, threshold, has_data: as in `Stitcher`. Pixels of tiles that are left out are unlabelled. Pixel scores are
    kept where every tile has them, 0 where there was no tile. Parents, ids of one tile, are dropped.
    """

    next_tile = resumed = 0

    def __init__(
        self,
        grid: Grid,
        shape: tuple[int, int] | None = None,
        threshold: float = MATCH,
        has_data: HasData | None = None,
    ) -> None:
        self.stitcher = Stitcher(grid, shape, threshold, has_data)
        self.canvas = MemoryCanvas(self.stitcher.shape)
        self.vocabulary: tuple[str, ...] = ()
        self._pixel_scores: np.ndarray | None = np.zeros(self.stitcher.shape, np.float16)
        self._fragments = [np.zeros(0, FRAGMENT)]
        self._links = [np.zeros((0, 2), np.int64)]

    def add(self, index: int, entities: EntityMap) -> None:
        """Take the map of the tile of that index."""
        placed = self.stitcher.add(index, entities)
        self.canvas.write(placed.core, placed.ids)
        if placed.pixel_scores is None:
            self._pixel_scores = None
        elif self._pixel_scores is not None:
            self._pixel_scores[placed.core.slices] = placed.pixel_scores
        self._fragments.append(placed.fragments)
        self._links.append(placed.links)
        self.vocabulary = entities.vocabulary if entities.count else self.vocabulary

    @property
    def is_one_tile(self) -> bool:
        """Whether one tile is the scene, all of which has data: what is nested in it is so as it is."""
        return len(self.stitcher.grid) == 1 and self.stitcher.has_data is None

    def commit(self) -> None:
        """Nothing is kept of a prediction in memory that is stopped."""

    def prediction(self) -> Prediction:
        """The whole, when every tile was added; asked for once, as the canvas becomes its map."""
        lookup, table = joined(np.concatenate(self._fragments), np.concatenate(self._links))
        ids = self.canvas.renumber(lookup)
        pixel_scores = self._pixel_scores if len(self._fragments) > 1 else None
        entities = EntityMap(ids, table.scores, table.labels, self.vocabulary, pixel_scores=pixel_scores)
        return Prediction.in_memory(entities, table)


@dataclass
class RunningPrediction:
    """Takes the maps of a grid's tiles in order.

    shape: (height, width) of the result, and has_data: see `Stitcher`. batch: tiles that go through the network
    together; a resumed run begins with a whole batch, so that its numbers are the same.
    """

    folder: Path
    plan: Mapping[str, Any]
    grid: Grid
    shape: tuple[int, int]
    batch: int = 1
    has_data: HasData | None = None
    resumed: int = 0
    """Tiles that were done before."""
    next_tile: int = 0
    """The first tile that is to be predicted."""
    _added: int = 0
    _written: float = field(default_factory=monotonic)

    def __post_init__(self) -> None:
        """Raises InputError where the folder holds another plan, or cannot be made."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InputError(f"cannot make the folder {str(self.folder)!r}: {error.strerror}") from error
        text = (
            json.dumps({**self.plan, "shape": self.shape, "part": FRAGMENT.itemsize}, indent=2, sort_keys=True) + "\n"
        )
        place = self.folder / "plan.json"
        if place.exists() and place.read_text(encoding="utf-8") != text:
            raise InputError(
                f"{str(self.folder)!r} is a stopped prediction of another input, adapter or tiling; go on with that "
                "one, name another --out, or begin anew with --overwrite"
            )
        if not place.exists():
            shutil.rmtree(self.folder / "parts", ignore_errors=True)
            (self.folder / "journal").unlink(missing_ok=True)
            with atomic_path(place) as temporary:
                temporary.write_text(text, encoding="utf-8")
        self.canvas = Canvas(self.folder / "parts", self.shape)
        self.journal = Journal(self.folder / "journal")
        self.vocabulary: tuple[str, ...] = ()
        self.rewind(len(self.grid))

    def rewind(self, tile: int) -> None:
        """Go on from what is on the disk of the tiles before `tile`, as if none after them had been predicted."""
        self.stitcher = Stitcher(self.grid, self.shape, has_data=self.has_data)
        ends = [(record.tile, end) for record, end in self.journal.records() if record.tile < tile]
        complete = bool(ends) and ends[-1][0] + 1 == len(self.grid)
        kept = len(ends) if complete else len(ends) // self.batch * self.batch
        self.journal.truncate(ends[kept - 1][1] if kept else 0)
        self.resumed, self.next_tile = kept, ends[kept - 1][0] + 1 if kept else 0
        for record, _ in self.journal.records():
            if self.stitcher.needs(record.tile, self.next_tile):
                self.stitcher.remember(record.tile, record.ids)
            else:
                self.stitcher.fragments += len(record.fragments)
        words = self.folder / "vocabulary.json"
        if words.exists():
            self.vocabulary = tuple(json.loads(words.read_text(encoding="utf-8")))

    def add(self, index: int, entities: EntityMap) -> None:
        """Take the map of the tile of that index; it is on the disk after the next `commit`."""
        if entities.vocabulary and not self.vocabulary:
            self.vocabulary = entities.vocabulary
            with atomic_path(self.folder / "vocabulary.json") as path:
                path.write_text(json.dumps(self.vocabulary), encoding="utf-8")
        placed = self.stitcher.add(index, entities)
        self.canvas.write(placed.core, placed.ids)
        self.journal.append(Record(index, placed.fragments, placed.links, pack(entities.ids), entities.shape))
        self._added += 1
        if self._added % self.batch == 0 and monotonic() - self._written > SECONDS:  # half a batch is of no use
            self.commit()

    def commit(self) -> None:
        """What was added so far survives a kill. Raises InputError where the disk is full."""
        try:
            self.canvas.flush()
            self.journal.commit()
        except OSError as error:
            raise InputError(
                f"cannot write to {str(self.folder)!r}: {error.strerror or error}; free some space and start again, it "
                "goes on from here"
            ) from error
        self._written = monotonic()

    def prediction(self) -> Prediction:
        """The whole, when every tile was added."""
        self.commit()
        tables, links = [np.zeros(0, FRAGMENT)], [np.zeros((0, 2), np.int64)]
        for record, _ in self.journal.records():  # a view would keep the record, with its whole map
            tables.append(record.fragments.copy())
            links.append(record.links.copy())
        lookup, entities = joined(np.concatenate(tables), np.concatenate(links))
        del tables, links

        def read(window: Window) -> np.ndarray:
            return lookup[self.canvas.read(window)]

        return Prediction(self.shape, read, entities, self.vocabulary)

    def remove(self) -> None:
        """The results are written."""
        discard(self.folder)


def discard(folder: Path) -> None:
    """Remove such a folder; its plan first, so that nothing goes on with the rest where this is stopped."""
    (folder / "plan.json").unlink(missing_ok=True)
    shutil.rmtree(folder, ignore_errors=True)


def gathered(
    running: Running[OfTile], maps: Iterable[tuple[int, OfTile]], on_tile: Callable[[int], None] = lambda tile: None
) -> Prediction:
    """The whole, from (index, map) of the tiles from `running.next_tile` on; what came is kept where they stop.

    on_tile: called with the tile that comes next, after each.
    """
    try:
        for index, entities in maps:
            running.add(index, entities)
            on_tile(index + 1)
    finally:
        running.commit()
    return running.prediction()


def stitch(
    grid: Grid,
    tiles: Iterable[tuple[int, EntityMap]],
    shape: tuple[int, int] | None = None,
    threshold: float = MATCH,
    has_data: HasData | None = None,
) -> EntityMap:
    """The map of a scene that fits into memory, from (index, map) of its tiles, as `PredictionInMemory` makes it."""
    return gathered(PredictionInMemory(grid, shape, threshold, has_data), tiles).whole_map
