"""The rows of a map follow its entities, and nobody goes around the one place that knows how."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from domains.entities import EntityMap

ROOT = Path(__file__).parents[3]


def test_a_child_whose_parent_is_cut_away_goes_to_its_grandparent_or_to_none() -> None:
    ids = np.array([[1, 2, 3, 4, 5]])
    truth = EntityMap(ids, parents=np.array([0, 1, 2, 3, 2], np.int32))  # 1 holds 2, which holds 3 and 5; 3 holds 4
    without_2_and_3 = truth.replaced(np.array([[1, 4, 5]]), None)
    assert without_2_and_3.parents is not None and without_2_and_3.parents.tolist() == [0, 1, 1]
    without_1 = truth.crop(0, 1, 1, 4)
    assert without_1.parents is not None and without_1.parents.tolist() == [0, 1, 2, 1]
    circle = EntityMap(ids[:, :3], parents=np.array([2, 1, 2], np.int32)).replaced(np.array([[3]]), None)
    assert circle.parents is not None and circle.parents.tolist() == [0]


def test_numbers_without_a_row_and_forgotten_scores_of_pixels_are_refused() -> None:
    truth = EntityMap(np.array([[1, 2]]), labels=np.array([0, 0]), pixel_scores=np.ones((1, 2), np.float16))
    with pytest.raises(ValueError, match="ids hold 3, which is none of the map's 2 entities"):
        truth.replaced(np.array([[1, 3]]), truth.pixel_scores)
    with pytest.raises(ValueError, match="wanted pixel_scores as the map has them"):
        truth.replaced(truth.ids, None)
    with pytest.raises(ValueError, match="only of a map that has any"):
        EntityMap(truth.ids).replaced(truth.ids, truth.pixel_scores)


def test_a_map_of_ids_alone_may_have_any_numbers() -> None:
    truth = EntityMap(np.array([[2**24 + 1, 0, 2**30]])).renumbered()
    assert truth.ids.tolist() == [[1, 0, 2]] and truth.labels is None


def test_a_covered_entity_keeps_its_row_until_numbers_are_closed() -> None:
    truth = EntityMap(np.array([[1, 2]]), labels=np.array([4, 5])).with_entity(np.array([[False, True]]))
    assert truth.labels is not None and truth.labels.tolist() == [4, 5, -1] and truth.ids.tolist() == [[1, 3]]
    closed = truth.renumbered()
    assert closed.labels is not None and closed.labels.tolist() == [4, -1] and closed.ids.tolist() == [[1, 2]]


def test_no_map_is_made_of_another_ones_ids_alone() -> None:
    """`EntityMap(other.ids)` forgets labels, parents and scores; `replaced` and `moved` don't."""
    files = [path for top in ("domains", "adapters", "recipes") for path in sorted((ROOT / top).rglob("*.py"))]
    offences = [f"{path.relative_to(ROOT)}:{line}" for path in files for line in bare_maps(path.read_text())]
    assert len(files) > 200 and offences == []


def bare_maps(source: str) -> Iterator[int]:
    """Lines of calls of `EntityMap` with one argument, in which `.ids` or a transform's mask is read."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "EntityMap" and len(node.args) == 1:
            reads = ast.unparse(node.args[0])
            if not node.keywords and (".ids" in reads or "['mask']" in reads):
                yield node.lineno


def test_a_bare_map_is_seen() -> None:
    assert list(bare_maps("a = EntityMap(truth.ids[2:])\nb = EntityMap(ids)\nc = EntityMap(result['mask'])")) == [1, 3]
