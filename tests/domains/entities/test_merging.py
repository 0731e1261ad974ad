"""Merging of cells: as a plain search does, exact on nested scenes, nested over thresholds, fast on a large ground."""

from __future__ import annotations

import time

import numpy as np
import pytest
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from domains.entities.merging import Snapshots, grid_pairs, merged, unit
from domains.procedural.nested import nested

FINE, COARSE = 0.8, 0.25


def by_search(features: np.ndarray, pairs: np.ndarray) -> list[float]:
    """The cosine of each merge, by looking at every pair each time."""
    sums = dict(enumerate(unit(features).astype(np.float64)))
    beside: dict[int, set[int]] = {cell: set() for cell in sums}
    for first, second in pairs.tolist():
        beside[first].add(second)
        beside[second].add(first)
    cosines = []
    while candidates := [(cosine(sums, a, b), a, b) for a in beside for b in beside[a] if a < b]:
        value, first, second = max(candidates)
        cosines.append(value)
        number = len(features) + len(cosines) - 1
        sums[number] = sums.pop(first) + sums.pop(second)
        beside[number] = (beside.pop(first) | beside.pop(second)) - {first, second}
        for neighbour in beside[number]:
            beside[neighbour] = (beside[neighbour] - {first, second}) | {number}
    return cosines


def cosine(sums: dict[int, np.ndarray], first: int, second: int) -> float:
    a, b = sums[first], sums[second]
    return float(a @ b / (np.linalg.norm(a) * np.linalg.norm(b)))


@pytest.mark.parametrize("seed", range(4))
def test_the_closest_pair_merges_each_time(seed: int) -> None:
    rng = np.random.default_rng(seed)
    inside = rng.random((5, 6)) < 0.9
    features, pairs = rng.normal(size=(int(inside.sum()), 4)) + 0.5, grid_pairs(inside)
    expected = np.minimum.accumulate(by_search(features, pairs))
    assert np.allclose(merged(features, pairs).similarities, expected, atol=1e-5)


def test_merging_ends_at_the_least_similarity() -> None:
    features = np.array([[1.0, 0], [1, 0.1], [0, 1], [0.1, 1]])
    merges = merged(features, grid_pairs(np.ones((1, 4), bool)), least=0.5)
    assert merges.pairs.tolist() == [[0, 1], [3, 2]] or sorted(map(sorted, merges.pairs.tolist())) == [[0, 1], [2, 3]]
    assert len(set(merges.regions(0.5).tolist())) == 2 and len(set(merges.regions(0.9999).tolist())) == 4


def pieces(labels: np.ndarray) -> np.ndarray:
    """(H, W) the 4-connected pieces of equal labels, as merging can know them."""
    pairs = grid_pairs(np.ones(labels.shape, bool))
    same = labels.ravel()[pairs[:, 0]] == labels.ravel()[pairs[:, 1]]
    first, second = pairs[same].T
    graph = coo_array((np.ones(len(first)), (first, second)), (labels.size, labels.size))
    return connected_components(graph, directed=False)[1].reshape(labels.shape)


def is_same_partition(first: np.ndarray, second: np.ndarray) -> bool:
    codes = np.unique(np.stack([first.ravel(), second.ravel()]), axis=1).shape[1]
    return codes == len(np.unique(first)) == len(np.unique(second))


@pytest.mark.parametrize("seed", range(3))
def test_noisy_features_of_a_nested_scene_give_back_its_exact_partitions(seed: int) -> None:
    rng = np.random.default_rng(seed)
    _, truth = nested(rng, 40, 48)
    assert truth.parents is not None
    vectors = np.zeros((truth.count + 1, 256))
    wholes = np.zeros(truth.count + 1, int)
    vectors[0] = direction(rng)
    for number in sorted(range(1, truth.count + 1), key=lambda n: depth(truth.parents, n)):
        parent = int(truth.parents[number - 1])
        fresh = direction(rng)
        wholes[number] = wholes[parent] if parent else number
        vectors[number] = unit((0.9 * vectors[parent] + fresh)[None])[0] if parent else fresh
    noise = rng.normal(size=(*truth.shape, 256)) * 0.3 / np.sqrt(256)
    cells = (vectors[truth.ids] + noise).reshape(-1, 256)
    snapshots = merged(cells, grid_pairs(np.ones(truth.shape, bool)))
    assert is_same_partition(snapshots.regions(FINE).reshape(truth.shape), pieces(truth.ids))
    assert is_same_partition(snapshots.regions(COARSE).reshape(truth.shape), pieces(wholes[truth.ids]))


def direction(rng: np.random.Generator) -> np.ndarray:
    return unit(rng.normal(size=(1, 256)))[0]


def depth(parents: np.ndarray, number: int) -> int:
    count = 0
    while number := int(parents[number - 1]):
        count += 1
    return count


def test_snapshots_are_nested_and_small_regions_belong_to_what_holds_them() -> None:
    rng = np.random.default_rng(0)
    merges = merged(rng.normal(size=(120, 3)) + 1, grid_pairs(np.ones((10, 12), bool)))
    thresholds = (0.99, 0.95, 0.9, 0.7)
    maps = [merges.regions(threshold) for threshold in thresholds]
    for finer, coarser in zip(maps[:-1], maps[1:], strict=True):
        assert len({*zip(finer.tolist(), coarser.tolist(), strict=True)}) == len(set(finer.tolist()))
    snapshots = Snapshots.of(merges, thresholds, least_cells=4)
    assert (snapshots.begins <= snapshots.ends).all()
    children = np.flatnonzero(snapshots.parents >= 0)
    assert (snapshots.ends[children] < snapshots.begins[snapshots.parents[children]]).all()
    roots = snapshots.region.copy()
    while (snapshots.parents[roots] >= 0).any():
        roots = np.where(snapshots.parents[roots] >= 0, snapshots.parents[roots], roots)
    assert (np.bincount(roots[snapshots.region >= 0]) != 0).any()
    coarse_sizes = np.unique(maps[-1], return_counts=True)[1]
    assert (snapshots.region < 0).sum() == coarse_sizes[coarse_sizes < 4].sum()


def test_a_ground_that_swallows_specks_one_by_one_takes_no_square_of_them() -> None:
    rng = np.random.default_rng(0)

    def seconds(side: int) -> float:
        cells = 1 + 0.6 * rng.normal(size=(side * side, 8))  # so noisy that one region grows cell by cell
        start = time.process_time()
        merged(cells, grid_pairs(np.ones((side, side), bool)))
        return time.process_time() - start

    seconds(8)
    assert seconds(32) < 40 * max(seconds(16), 1e-3)  # 4 times the cells; a square of them were 16 times
