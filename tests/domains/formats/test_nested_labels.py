"""Cuts of a forest as truths: nested, from wholes to the finest parts, none twice."""

from __future__ import annotations

import numpy as np

from domains.entities.forest import NEVER, EntityForest, Nodes
from domains.formats.nested_labels import further_cuts


def halved(levels: int, g: np.ndarray) -> EntityForest:
    """A row that is halved again and again; g: (levels + 1,) granularity of each level."""
    count = 2 ** (levels + 1) - 1
    number = np.arange(1, count + 1)
    depth = np.log2(number).astype(int)
    columns = (
        g[depth].astype(np.float32),
        np.full(count, NEVER, np.float32),
        np.linspace(0.5, 1, count, dtype=np.float32),
    )
    return EntityForest(np.repeat(number[depth == levels], 3)[None].astype(np.int32), Nodes(number // 2, *columns))


def test_cuts_lie_evenly_in_granularity_and_in_each_other() -> None:
    forest = halved(5, np.array([0.15, 0.3, 0.45, 0.7, 0.9, 1.0]))
    cuts = further_cuts(forest, forest.cut(0.1))  # the flat map is the whole
    assert [cut.count for cut in cuts] == [2, 4, 8, 16, 32]
    assert all(cut.scores is not None and len(cut.scores) == cut.count for cut in cuts)
    for coarse, fine in zip(cuts, cuts[1:], strict=False):
        pairs = np.unique(np.stack([fine.ids.ravel(), coarse.ids.ravel()]), axis=1)
        assert len(pairs[0]) == fine.count


def test_no_map_is_taught_twice() -> None:
    forest = halved(2, np.array([0.2, 0.6, 1.0]))
    assert [cut.count for cut in further_cuts(forest, forest.cut(0.6))] == [4]
    assert [cut.count for cut in further_cuts(forest, forest.cut(1.0))] == [2]


def test_of_what_is_not_told_apart_there_is_no_further_cut() -> None:
    whole = EntityForest(np.ones((2, 3), np.int32), halved(0, np.ones(1)).nodes)
    assert further_cuts(whole, whole.cut(1.0)) == []
    empty = EntityForest(np.zeros((2, 3), np.int32), Nodes(np.zeros(0, np.int32), *[np.zeros(0, np.float32)] * 3))
    assert further_cuts(empty, empty.cut(0.5)) == []


def test_what_lies_beside_the_parts_of_a_whole_is_unlabelled_not_ground() -> None:
    leaves = np.array([[1, 1, 2, 3, 4, 4, 0]], np.int32)  # 2 and 3 are parts of 1, the ground beside them all
    columns = np.array([0.5, 1, 1, 1]), np.full(4, NEVER), np.ones(4)
    nodes = Nodes(np.array([0, 1, 1, 0], np.int32), *(column.astype(np.float32) for column in columns))
    forest = EntityForest(leaves, nodes)
    flat = forest.cut(0.5)
    (parts,) = further_cuts(forest, flat)
    assert flat.ids.tolist() == [[1, 1, 1, 1, 2, 2, 0]]
    assert parts.ids.tolist() == [[-1, -1, 1, 2, 3, 3, 0]] and parts.scores is not None
