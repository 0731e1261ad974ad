"""A sweep sees each image once, and has what a set of its own has of every cut."""

from __future__ import annotations

import numpy as np
import pytest

from domains.entities import EntityMap
from domains.metrics import MetricSet, build_metrics
from domains.metrics.sweep import OF_FORESTS, Sweep

GRANULARITIES = (0.25, 0.5, 1.0)


def test_every_cut_and_the_forest_are_measured_as_by_sets_of_their_own(draw, draw_forest) -> None:
    keys = ("pq", "ar100")
    sweep, flat, all_nodes = Sweep(lambda: build_metrics(keys), GRANULARITIES), MetricSet(keys), MetricSet(OF_FORESTS)
    cuts = {g: MetricSet([*keys, "covering", "ap_e"]) for g in GRANULARITIES}
    for seed in range(4):
        forest, truth = draw_forest(seed), EntityMap.from_ids(draw_forest(seed).cut(0.5).ids * (draw(seed)[1].ids < 6))
        about = [truth], f"slide {seed // 2}", "kind", 1e-6
        sweep.update(forest.cut(0.5), *about, forest)
        flat.update(forest.cut(0.5), *about)
        all_nodes.update(forest.cut(0.5), *about, forest)
        for g, metrics in cuts.items():
            metrics.update(forest.cut(g), *about)
    assert sweep.compute() == flat.compute() and sweep.interval() == flat.interval() and len(sweep) == 4
    assert {g: metrics.compute() for g, metrics in sweep.at.items()} == {g: cut.compute() for g, cut in cuts.items()}
    whole = sweep.of_forest.compute()
    assert {key: whole[key] for key in OF_FORESTS} == pytest.approx(all_nodes.compute(), nan_ok=True)
    curve = sweep.curve("covering")
    assert curve == [(g, cuts[g].compute()["covering"]) for g in GRANULARITIES]
    assert whole["covering_ods"] == pytest.approx(max(value for _, value in curve), abs=1e-12)
    assert sweep.best("covering") == sweep.ods.best_granularity() == max(curve, key=lambda point: point[1])[0]


def test_a_metric_that_is_undefined_everywhere_is_best_at_the_finest() -> None:
    assert Sweep(lambda: build_metrics(["pq"]), GRANULARITIES).best("pq") == 1


def test_a_prediction_without_its_forest_is_refused() -> None:
    empty = EntityMap(np.zeros((4, 4)))
    with pytest.raises(ValueError, match="wanted the forest"):
        Sweep(lambda: build_metrics(["pq"]), GRANULARITIES).update(empty, [empty], "a")
