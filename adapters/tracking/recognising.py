"""Which entities of an earlier view are in this one: by how they look, and by how they lie to each other.

Nuclei of a slide look alike, so looks alone name few of them; together they lie as nothing else does. Pairs that look
alike propose how one view lies over the other (a similarity of scale, turn and shift, by RANSAC, Fischler and Bolles
1981); where enough pairs agree, entities are assigned by place and looks. Where they do not, only what looks like one
entity alone, and far more so than like the second, is recognised.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.optimize import linear_sum_assignment

FEW = 3
"""Pairs that agree by chance: two make a similarity, and a third often lies right."""
SHARE = 0.15
"""So much of the smaller view must lie where the similarity says, so that a large crowd is not enough by itself."""
CANDIDATES = 4
"""Entities of the other view that look most alike propose a pair with each."""
TRIALS = 2000
SCALES = (0.5, 2.0)
"""By how much a second look may be nearer or farther."""
APART = 0.5
"""An entity may be off its place by so much of its side (the root of its area), at least `APART_PX`."""
APART_PX = 3.0
AREAS = 2.0
"""The same entity may have so many times the area, after the scale."""
PROPOSED_LOOK = 0.5
"""The least cosine of two looks that propose a pair,"""
PLACED_LOOK = 0.3
"""and of two at one place. Those of different nuclei have .6 at most, in the median."""
ALONE_AREA = 200
"""Pixels of the smallest entity that may be recognised by itself: smaller ones have too few to be unlike any other."""
GROUND_LOOK, ALONE_LOOK, ALONE_LEAD = 0.95, 0.9, 0.2
"""The least cosine with and without the ground, and by how much it is above the second's, of two entities of which
nothing else is known."""


@dataclass(frozen=True)
class View:
    """Entities as they lie in one picture. looks: (N, D) float32 of length 1 (`looks.py`), 0 where nothing is seen;
    centres: (N, 2) y and x in pixels; areas: (N,) pixels.
    """

    looks: np.ndarray
    centres: np.ndarray
    areas: np.ndarray

    def __len__(self) -> int:
        return len(self.areas)

    @property
    def points(self) -> np.ndarray:
        """(N,) complex: x + iy, in which a similarity is one product and one sum."""
        return self.centres[:, 1] + 1j * self.centres[:, 0]

    @property
    def reach(self) -> np.ndarray:
        """(N,) how far off its place each may be, in pixels."""
        return np.maximum(APART * np.sqrt(self.areas), APART_PX)


@dataclass(frozen=True)
class Similarity:
    """z -> turn * z + shift of x + iy: how a view lies over another. agreed: pairs that lie so."""

    turn: complex
    shift: complex
    agreed: int

    def __call__(self, points: np.ndarray) -> np.ndarray:
        return self.turn * points + self.shift


def recognised(now: View, before: View, seed: int = 0) -> np.ndarray | None:
    """(N,) int64: the row of `before` that each entity of `now` is, -1 for none; no row comes twice. None where the two
    are no views of one place, as far as anything tells.
    """
    if not len(now) or not len(before):
        return None
    looks = now.looks @ before.looks.T  # (N, M)
    similarity = laid_over(now, before, looks, seed)
    return None if similarity is None else placed(now, before, looks, similarity)


def laid_over(now: View, before: View, looks: np.ndarray, seed: int = 0) -> Similarity | None:
    """How `now` lies over `before`; None where too few pairs agree on it."""
    count = min(CANDIDATES, len(before))
    columns = np.argpartition(-looks, count - 1, axis=1)[:, :count].ravel()
    rows = np.repeat(np.arange(len(now)), count)
    alike = looks[rows, columns] >= PROPOSED_LOOK
    rows, columns = rows[alike], columns[alike]
    if not len(rows):
        return None
    here, there, reach = now.points[rows], before.points[columns], before.reach[columns]
    generator = np.random.default_rng(seed)
    begin, end = generator.integers(0, len(rows), (2, TRIALS))
    span = here[end] - here[begin]
    usable = np.abs(span) > reach[begin] + reach[end]  # two neighbours say nothing of turn and scale
    begin, end, span = begin[usable], end[usable], span[usable]
    turns = (there[end] - there[begin]) / span
    plausible = (np.abs(turns) >= SCALES[0]) & (np.abs(turns) <= SCALES[1])
    turns, shifts = turns[plausible], (there[begin] - turns * here[begin])[plausible]
    best = None
    for turn, shift in zip(turns, shifts, strict=True):
        off = np.abs(turn * here + shift - there)
        agreed = len(np.unique(rows[off <= reach]))
        if best is None or agreed > best.agreed:
            best = Similarity(turn, shift, agreed)
    if best is None or best.agreed <= max(FEW, SHARE * min(len(now), len(before))):
        return None
    return refined(best, here, there, reach)


def refined(similarity: Similarity, here: np.ndarray, there: np.ndarray, reach: np.ndarray) -> Similarity:
    """The similarity of least squares of the pairs that agree."""
    agree = np.abs(similarity(here) - there) <= reach
    x, y = here[agree], there[agree]
    centre, target = x.mean(), y.mean()
    spread = (np.abs(x - centre) ** 2).sum()
    if spread == 0:
        return similarity
    turn = (np.conj(x - centre) * (y - target)).sum() / spread
    return Similarity(turn, target - turn * centre, similarity.agreed)


def placed(now: View, before: View, looks: np.ndarray, similarity: Similarity) -> np.ndarray:
    """(N,) rows of `before`, by place first and looks second, of entities that lie where the similarity says."""
    off = np.abs(similarity(now.points)[:, None] - before.points[None]) / before.reach[None]
    sizes = np.abs(np.log(now.areas[:, None] * abs(similarity.turn) ** 2 / before.areas[None]))
    possible = (off <= 1) & (sizes <= np.log(AREAS)) & (looks >= PLACED_LOOK)
    return assigned(off + (1 - looks) + sizes, possible)


def alone(surrounded: np.ndarray, looks: np.ndarray, areas: np.ndarray, areas_before: np.ndarray) -> np.ndarray:
    """(N,) rows, of entities that look like one alone, both ways.

    surrounded, looks: (N, M) cosines with their ground, which is another where an entity has moved, and without it,
    where small ones show too little.
    """
    same_size = np.abs(np.log(areas[:, None] / areas_before[None])) <= np.log(AREAS)
    large = np.minimum(areas[:, None], areas_before[None]) >= ALONE_AREA
    possible = same_size & (stands_out(surrounded, GROUND_LOOK) | large & stands_out(looks, ALONE_LOOK))
    return assigned(2 - surrounded - looks, possible)


def stands_out(looks: np.ndarray, least: float) -> np.ndarray:
    """(N, M) bool: pairs whose cosine is at least that, and above any other of both."""
    leads = np.minimum(looks - second_best(looks), looks - second_best(looks.T).T)
    return (looks >= least) & (leads >= ALONE_LEAD)


def second_best(looks: np.ndarray) -> np.ndarray:
    """(N, M): of each pair the highest cosine that its row has with any other column; -1 where there is none."""
    if looks.shape[1] < 2:
        return np.full_like(looks, -1)
    top = np.partition(looks, -2, axis=1)[:, -2:]  # (N, 2) ascending
    return np.where(looks == top[:, 1:], top[:, :1], top[:, 1:])


def assigned(costs: np.ndarray, possible: np.ndarray) -> np.ndarray:
    """(N,) columns of the cheapest assignment of possible pairs, -1 for none."""
    columns = np.full(len(costs), -1, np.int64)
    forbidden = float(costs[possible].sum() + 1) if possible.any() else 1.0
    chosen = linear_sum_assignment(np.where(possible, costs, forbidden))
    rows, matched = (axis[possible[chosen]] for axis in chosen)
    columns[rows] = matched
    return columns
