"""A prediction of nested entities under way: of each level one of flat maps, as `running` has them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from domains.entities.forest import EntityForest, Levels
from domains.tiling.nesting import nested
from domains.tiling.prediction import Prediction
from domains.tiling.running import PredictionInMemory, RunningPrediction


class RunningForest:
    """Takes the forests of a grid's tiles in order. begin: of a level's index, its prediction that is begun."""

    def __init__(self, levels: Levels, begin: Callable[[int], PredictionInMemory | RunningPrediction]) -> None:
        self.levels = levels
        self.runs = [begin(level) for level in range(len(levels.finest_first))]
        self.next_tile = min(run.next_tile for run in self.runs)
        """The first tile that is to be predicted."""
        for run in self.runs:
            if isinstance(run, RunningPrediction) and run.next_tile > self.next_tile:
                run.rewind(self.next_tile)  # stopped between the writing of one level and of another

    @property
    def resumed(self) -> int:
        """Tiles that were done before."""
        return min(run.resumed for run in self.runs)

    def add(self, index: int, forest: EntityForest) -> None:
        """Take the forest of the tile of that index; pixel scores are kept with the flat map alone."""
        for level, (run, granularity) in enumerate(zip(self.runs, self.levels.finest_first, strict=True)):
            entities = forest.cut(granularity)
            run.add(index, entities if level == self.levels.flat else replace(entities, pixel_scores=None))

    def commit(self) -> None:
        """What was added so far survives a kill."""
        for run in self.runs:
            run.commit()

    def prediction(self) -> Prediction:
        """The flat map with its forest, when every tile was added; asked for once."""
        maps = [run.prediction() for run in self.runs]
        return replace(maps[self.levels.flat], forest=nested(maps, self.levels))
