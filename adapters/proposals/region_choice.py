"""Entities chosen among nested candidate regions by a learnt IoU, with their parts and the groups that they form.

The candidates (`regions.py`) of several foreground thresholds and saddle depths overlap; the flat map takes the best
that do not. Of the others those inside a chosen region are its parts, those that hold several whole ones their group.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple, Protocol

import numpy as np

from adapters.proposals.proposals import Proposals
from adapters.proposals.regions import FEATURES, Regions, RegionScorer, best_iou, candidates
from adapters.proposals.watershed import fields_of, half
from domains.entities.forest import NEVER, EntityForest, Levels, Nodes

MOST_COVERED = 0.3
"""The share of a candidate that better ones may hold already; what is left of it becomes the entity."""
INSIDE = 0.95
"""A part lies in its whole by at least this share, and a group holds each of its members by it."""
SMALLER = 0.8
"""A part is smaller than this share of its whole, and a whole than this share of its group: else they are the same."""
PARTS, ENTITIES, GROUPS = 1.0, 0.5, 0.25
"""The finest granularities of parts, of entities of the flat map that have parts, and of groups."""


class RegionOptions(Protocol):
    """What the choice of regions reads of a decoder's options; ranges and meanings stand there."""

    TUNED: ClassVar[Mapping[str, tuple[float, ...]]]
    OF_REGIONS: ClassVar[tuple[str, ...]]

    @property
    def smoothing_px(self) -> float:
        """Standard deviation of the Gaussian over the core field, in pixels."""
        ...

    @property
    def min_area_px(self) -> int:
        """The least area of an entity, in pixels."""
        ...

    @property
    def least_iou(self) -> float:
        """The least predicted IoU of a candidate that is admitted."""
        ...

    @property
    def sure_foreground(self) -> float:
        """The mean foreground, in [0, 1], above which a candidate is admitted whatever its IoU; 1 for none."""
        ...


class Candidates(NamedTuple):
    """Candidate regions of one image, before any is chosen.

    iou: (N,) in [0, 1], predicted; heat: (H, W) float16 in [0, 1], the mean of the foreground score and of the best
    predicted IoU of a candidate that holds the pixel: a speck that no candidate takes seriously stays lukewarm.
    """

    regions: Regions
    iou: np.ndarray
    heat: np.ndarray


@dataclass(frozen=True)
class RegionChoice(Proposals):
    """Candidates of the best predicted IoU that do not overlap; that IoU is an entity's score."""

    options: RegionOptions
    scorer: RegionScorer

    @property
    def granularity(self) -> float:
        """That of the chosen regions, between their parts and their groups."""
        return ENTITIES

    @property
    def levels(self) -> Levels:
        """Parts, entities and groups."""
        return Levels.of({PARTS, ENTITIES, GROUPS}, ENTITIES)

    def tuned(self) -> Mapping[str, tuple[float, ...]]:
        """Without `sure_foreground` where that is 1, which means that nothing is."""
        unsure = self.options.sure_foreground == 1
        names = [name for name in self.options.OF_REGIONS if not (unsure and name == "sure_foreground")]
        return {name: self.options.TUNED[name] for name in names}

    def prepared(self, outputs: Mapping[str, Any], index: int, size: tuple[int, int]) -> Candidates:
        """All candidates with their predicted IoU."""
        fields = fields_of(outputs, index, size)
        regions = candidates(fields, self.options.smoothing_px)
        iou = self.scorer.iou(regions.features)
        heat = (fields["foreground"] + best_iou(regions, iou)) / 2
        return Candidates(regions, iou, half(heat))

    def forest(self, prepared: Candidates, nested: bool = True) -> EntityForest:
        """The chosen entities, then with `nested` their parts and groups, among the candidates that are admitted."""
        regions, iou, least_px = prepared.regions, prepared.iou, self.options.min_area_px
        forest = _Growing(regions)
        admitted = self.admitted(regions, iou)
        ranked = [(i, float(iou[i])) for i in np.argsort(-iou, kind="stable").tolist() if admitted[i]]
        unplaced = [(i, score) for i, score in ranked if not forest.add_entity(i, score, least_px)]
        if nested:
            forest.close_entities()
            unplaced = [(i, score) for i, score in unplaced if not forest.add_part(i, score, least_px)]
            for i, score in unplaced:
                forest.add_group(i, score)
        return forest.grown(prepared.heat)

    def admitted(self, regions: Regions, iou: np.ndarray) -> np.ndarray:
        """(N,) bool: candidates of the least predicted IoU, and those whose mean foreground score is sure.

        A piece of a long crack has a low IoU with the whole, and is a crack all the same.
        """
        sure = regions.features[:, FEATURES.index("foreground")] > self.options.sure_foreground
        return (iou >= self.options.least_iou) | sure


class _Growing:
    """A forest while candidates are added to it; the leaves are kept flat, (H W,)."""

    def __init__(self, regions: Regions) -> None:
        self.regions = regions
        self.entities = np.zeros(regions.size[0] * regions.size[1], np.int32)
        self.leaves = self.entities
        self.sizes = np.zeros(1, np.int64)
        self.parents: list[int] = []
        self.g: list[float] = []
        self.scores: list[float] = []

    def _node(self, score: float, g: float, parent: int = 0) -> int:
        self.parents.append(parent)
        self.g.append(g)
        self.scores.append(score)
        return len(self.scores)

    def add_entity(self, candidate: int, score: float, min_area_px: int) -> bool:
        """Give a candidate the pixels that are free yet, if those are most of it."""
        inside = self.regions.pixels[candidate]
        free = inside[self.entities[inside] == 0]
        if len(free) < max(min_area_px, (1 - MOST_COVERED) * len(inside)):
            return False
        self.entities[free] = self._node(score, ENTITIES)
        return True

    def close_entities(self) -> None:
        """Say that no entity is added from here on: what follows are parts and groups."""
        self.leaves = self.entities.copy()
        self.sizes = np.bincount(self.entities, minlength=len(self.scores) + 1)

    def add_part(self, candidate: int, score: float, min_area_px: int) -> bool:
        """Make a candidate the part of the entity that it lies in, if it is neither as large nor taken by parts."""
        inside = self.regions.pixels[candidate]
        entity = int(np.bincount(self.entities[inside]).argmax())
        pixels = inside[self.entities[inside] == entity]
        free = pixels[self.leaves[pixels] == entity]
        lies_in = entity > 0 and len(pixels) >= INSIDE * len(inside) and len(pixels) < SMALLER * self.sizes[entity]
        if not lies_in or len(free) < max(min_area_px, (1 - MOST_COVERED) * len(inside)):
            return False
        self.leaves[free] = self._node(score, PARTS, entity)
        return True

    def add_group(self, candidate: int, score: float) -> bool:
        """Make a candidate the group of the entities that it holds whole, if those are several and of no group yet."""
        inside = self.regions.pixels[candidate]
        held = np.bincount(self.entities[inside])
        members = np.flatnonzero(held[1:]) + 1
        sizes = self.sizes[members]
        if len(members) < 2 or (held[members] < INSIDE * sizes).any() or (sizes >= SMALLER * len(inside)).any():
            return False
        if any(self.parents[member - 1] for member in members):
            return False
        group = self._node(score, GROUPS)
        for member in members:
            self.parents[member - 1] = group
        self.leaves[inside[self.leaves[inside] == 0]] = group
        return True

    def grown(self, heat: np.ndarray) -> EntityForest:
        """The forest as it stands; entities without parts are their own."""
        count = len(self.parents)
        parents, g = np.asarray(self.parents, np.int32), np.asarray(self.g, np.float32)
        undivided = np.bincount(parents, minlength=count + 1)[1:] == 0
        g[undivided & (g == ENTITIES)] = PARTS  # what has no parts is its own finest one
        columns = np.full(count, NEVER, np.float32), np.asarray(self.scores, np.float32)
        return EntityForest(self.leaves.reshape(self.regions.size), Nodes(parents, g, *columns), heat)
