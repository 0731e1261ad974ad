from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import distance_transform_edt

from domains.entities import EntityMap
from domains.metrics.boundary_f import BoundaryF, edges, near


def split(column: int, side: int = 40) -> EntityMap:
    return EntityMap(np.where(np.arange(side) < column, 1, 2)[None].repeat(side, axis=0))


def f_of(prediction: EntityMap, truths: list[EntityMap], tolerance: float = 0.0075) -> float:
    metric = BoundaryF(tolerance)
    metric.update(prediction, truths)
    return metric.compute()


def test_a_boundary_is_right_within_the_tolerance_and_wrong_beyond() -> None:
    tolerance = 3 / np.hypot(40, 40) + 1e-9
    assert f_of(split(20), [split(23)], tolerance) == 1
    assert f_of(split(20), [split(24)], tolerance) == 0


def test_a_boundary_of_one_annotator_of_two_has_full_precision_and_half_recall() -> None:
    assert f_of(split(10), [split(10), split(30)]) == pytest.approx(2 * 1 * 0.5 / 1.5)


def test_near_is_a_euclidean_disk() -> None:
    rng = np.random.default_rng(0)
    for radius_px in (0.0, 1.0, 1.5, 4.3, 9.0, 60.0):
        mask = rng.random((23, 31)) < 0.02
        np.testing.assert_array_equal(near(mask, radius_px), distance_transform_edt(~mask) <= radius_px)


def test_it_equals_distances_measured_by_a_distance_transform(draw) -> None:
    metric, sums = BoundaryF(tolerance=0.03), np.zeros(4)
    for seed in range(10):
        prediction, truth = draw(seed)
        metric.update(prediction, [truth])
        labelled = np.ones(truth.shape, bool)
        p, t = edges(prediction.ids, labelled), edges(truth.ids, labelled)
        radius = 0.03 * np.hypot(*truth.shape)
        to_p, to_t = distance_transform_edt(~p), distance_transform_edt(~t)
        sums += [(to_t[p] <= radius).sum(), p.sum(), (to_p[t] <= radius).sum(), t.sum()]
    precision, recall = sums[0] / sums[1], sums[2] / sums[3]
    assert metric.compute() == pytest.approx(2 * precision * recall / (precision + recall), abs=1e-12)


def test_the_border_of_the_unlabelled_area_is_no_boundary() -> None:
    truth = split(20).ids.copy()
    truth[:, 30:] = -1
    assert f_of(split(20), [EntityMap(truth)]) == 1
    assert f_of(split(10), [EntityMap(truth)]) == 0
    assert f_of(EntityMap(split(10).ids.T), [EntityMap(truth.T)]) == 0


def test_no_boundary_on_one_side_is_zero_and_on_neither_is_undefined() -> None:
    plain = EntityMap(np.ones((40, 40)))
    assert f_of(plain, [split(20)]) == 0
    assert f_of(split(20), [plain]) == 0
    assert np.isnan(f_of(plain, [plain]))
