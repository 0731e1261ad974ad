"""A prediction of nested entities under way: of each level one of flat maps, as `running` has them."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from domains.entities import EntityMap
from domains.entities.forest import EntityForest, Levels, Nodes
from domains.tiling.nesting import nested, of_one_tile
from domains.tiling.prediction import Prediction
from domains.tiling.running import PredictionInMemory, RunningPrediction
from domains.tiling.stitching import Repeats

Run = PredictionInMemory | RunningPrediction


def running_forest(levels: Levels, begin: Callable[[int], Run]) -> RunningForest | ForestOfOneTile:
    """What takes the forests of a grid's tiles in order. begin: of a level's index, its prediction that is begun."""
    flat = begin(levels.flat)
    if isinstance(flat, PredictionInMemory) and flat.is_one_tile:
        return ForestOfOneTile(levels, flat)
    return RunningForest(levels, lambda level: flat if level == levels.flat else begin(level))


class RunningForest:
    """Takes the forests of a grid's tiles in order. begin: of a level's index, its prediction that is begun."""

    def __init__(self, levels: Levels, begin: Callable[[int], Run]) -> None:
        self.levels = levels
        self.runs = [begin(level) for level in range(len(levels.finest_first))]
        self.next_tile = min(run.next_tile for run in self.runs)
        """The first tile that is to be predicted."""
        for run in self.runs:
            if isinstance(run, RunningPrediction) and run.next_tile > self.next_tile:
                run.rewind(self.next_tile)  # stopped between the writing of one level and of another
        self.repeats = Repeats()
        for run in self.runs:
            run.stitcher.repeats = self.repeats
        self._repeated = [level > 0 and isinstance(run, PredictionInMemory) for level, run in enumerate(self.runs)]
        """Of each level, whether every tile so far had there what it had at the next finer one; never of one on the
        disk, whose first tiles an earlier run may have seen."""

    @property
    def resumed(self) -> int:
        """Tiles that were done before."""
        return min(run.resumed for run in self.runs)

    def add(self, index: int, forest: EntityForest) -> None:
        """Take the forest of the tile of that index; pixel scores are kept with the flat map alone."""
        self.repeats.begin()
        tables = [forest.nodes.lookup(granularity) for granularity in self.levels.finest_first]
        cuts: list[EntityMap] = []
        for level, granularity in enumerate(self.levels.finest_first):
            same = level > 0 and np.array_equal(tables[level], tables[level - 1])
            self._repeated[level] &= same
            cuts.append(cuts[-1] if same else forest.cut(granularity))
        for level, (run, entities) in enumerate(zip(self.runs, cuts, strict=True)):
            run.add(index, entities if level == self.levels.flat else replace(entities, pixel_scores=None))

    def commit(self) -> None:
        """What was added so far survives a kill."""
        for run in self.runs:
            run.commit()

    def prediction(self) -> Prediction:
        """The flat map with its forest, when every tile was added; asked for once."""
        changes = [level for level, repeated in enumerate(self._repeated) if not repeated]
        place = bisect_right(changes, self.levels.flat) - 1
        maps = [self.runs[self.levels.flat if i == place else level].prediction() for i, level in enumerate(changes)]
        levels = Levels(tuple(self.levels.finest_first[level] for level in changes), place)
        forest = replace(nested(maps, levels), granularity=self.levels.finest_first[self.levels.flat])
        return replace(maps[place], forest=forest)


class ForestOfOneTile:
    """Takes the forest of the tile that is the whole scene, in memory: the scene's own, with nothing to stitch."""

    next_tile = resumed = 0

    def __init__(self, levels: Levels, run: PredictionInMemory) -> None:
        self.levels, self.run = levels, run
        self.leaves: np.ndarray | None = None
        self.nodes = EMPTY

    def add(self, index: int, forest: EntityForest) -> None:
        """Take the forest of the tile."""
        self.run.add(index, forest.cut(self.levels.finest_first[self.levels.flat]))
        self.leaves, self.nodes = self.run.stitcher.in_core(index, forest.leaves), forest.nodes

    def commit(self) -> None:
        """Nothing is kept of a prediction in memory that is stopped."""

    def prediction(self) -> Prediction:
        """The flat map with its forest; asked for once."""
        flat = self.run.prediction()
        leaves = flat.whole_map.ids if self.leaves is None else self.leaves  # of a tile that nobody looked at
        return replace(flat, forest=of_one_tile(flat, leaves, self.nodes, self.levels))


EMPTY = Nodes(np.zeros(0, np.int32), *(np.zeros(0, np.float32) for _ in range(3)))
"""The table of a forest without a node."""
