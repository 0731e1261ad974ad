"""The two closing lines of a run."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from domains.entities import EntityMap
from domains.metrics import MetricSet
from recipes.verbs.verdict import (
    BETTER,
    UNDECIDED,
    UNKNOWN,
    WORSE,
    Change,
    against,
    changes,
    paired_intervals,
    validation_curve,
    what_would_help,
)


def measured(found_in: list[bool], groups: int = 6) -> MetricSet:
    """One entity per image, found or not."""
    ids = np.zeros((8, 8), np.int32)
    ids[2:6, 2:6] = 1
    found = MetricSet(["pq"])
    for i, hit in enumerate(found_in):
        found.update(EntityMap(ids if hit else np.zeros_like(ids)), [EntityMap(ids)], f"group-{i % groups}")
    return found


def test_an_adapter_that_wins_everywhere_beats_the_base() -> None:
    line = against("the base", measured([False] * 6), measured([True] * 6), "pq")
    assert "better by more than chance, pq +1.000 [+1.000, +1.000] on 6 test images in 6 groups" in line


def test_one_that_loses_everywhere_is_worse() -> None:
    assert "worse by more than chance" in against("the base", measured([True] * 6), measured([False] * 6), "pq")


def test_one_that_wins_here_and_loses_there_is_not_told_apart() -> None:
    before, after = measured([True, False] * 3), measured([False, True] * 3)
    assert "not told apart" in against("the base", before, after, "pq")


def test_a_single_group_tells_nothing() -> None:
    before, after = measured([False] * 3, groups=1), measured([True] * 3, groups=1)
    assert np.isnan(paired_intervals(before, after)["pq"]).all()
    assert "cannot be compared" in against("the base", before, after, "pq")


def test_a_change_is_judged_by_its_interval_and_faults_the_other_way_round() -> None:
    nan = float("nan")
    spans = {BETTER: (0.1, 0.3), WORSE: (-0.3, -0.1), UNDECIDED: (-0.1, 0.1), UNKNOWN: (nan, nan)}
    assert {verdict: Change(0.0, *span).verdict for verdict, span in spans.items()} == {word: word for word in spans}
    assert Change(0.2, 0.1, 0.3, counts_faults=True).verdict == WORSE
    assert str(Change(0.2, 0.1, 0.3)) == "+0.200 [+0.100, +0.300]" and str(Change(0.2, nan, nan)) == "+0.200"


def test_changes_of_metrics_that_count_faults_know_it() -> None:
    empty, entity = EntityMap(np.zeros((8, 8))), np.zeros((8, 8), np.int32)
    entity[2:6, 2:6] = 1
    quiet, noisy = MetricSet(["false_alarms"]), MetricSet(["false_alarms"])
    for i in range(4):
        quiet.update(empty, [empty], f"group-{i}")
        noisy.update(EntityMap(entity), [empty], f"group-{i}")
    assert changes(quiet, noisy)["false_alarms"] == Change(1.0, 1.0, 1.0, counts_faults=True)
    assert changes(quiet, noisy)["false_alarms"].verdict == WORSE


@pytest.mark.parametrize(
    ("losses", "word"),
    [
        ([1.0, 0.9, 0.8, 0.7, 0.6, 0.5], "more steps"),
        ([1.0, 0.5, 0.4, 0.39, 0.45, 0.5], "has risen by 28% since step 40"),
        ([1.0, 0.6, 0.5, 0.5, 0.499, 0.5], "is level"),
        ([1.0, 0.5], "too few looks"),
    ],
)
def test_the_validation_curve_says_what_would_help(losses: list[float], word: str) -> None:
    curve = [(10 * (i + 1), loss) for i, loss in enumerate(losses)]
    assert word in what_would_help(curve, steps=60, seconds=30, images=20)


def test_more_steps_come_with_the_options_to_type() -> None:
    line = what_would_help([(10, 1.0), (20, 0.9), (30, 0.8)], steps=400, seconds=200, images=20)
    assert line.endswith("train.steps=800 train.seconds=400")
    assert "seconds" not in what_would_help([(10, 1.0), (20, 0.9), (30, 0.8)], 400, None, 20)


def test_the_curve_is_read_from_a_history(tmp_path: Path) -> None:
    path = tmp_path / "history.csv"
    path.write_text("step,seconds,lr,loss,val/loss\n1,0.1,0.001,2.0,\n2,0.2,0.001,,1.5\n3,0.3,0.001,1.0,\n")
    assert validation_curve(path) == [(2, 1.5)]
    path.write_text("step,loss\n1,2.0\n")
    assert validation_curve(path) == []
