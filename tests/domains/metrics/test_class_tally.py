"""Entities by class, against hand-worked numbers and against each class measured by itself."""

from __future__ import annotations

import csv

import numpy as np
import pytest

from domains.entities import UNKNOWN, EntityMap
from domains.metrics.class_tally import ClassTally, mean
from domains.metrics.panoptic_quality import PanopticQuality

NAMES = ("a", "b", "c")


def row_of(labels: list[int], ids: np.ndarray | None = None, names: tuple[str, ...] = NAMES) -> EntityMap:
    """Entities of 4 px, one a row of the map."""
    ids = np.arange(1, len(labels) + 1)[:, None].repeat(4, 1) if ids is None else ids
    return EntityMap(ids.astype(np.int32), labels=np.array(labels, np.int32), vocabulary=names)


def test_a_match_of_another_class_is_a_miss_and_a_false_alarm() -> None:
    tally = ClassTally(NAMES)
    tally.update(row_of([0, 1, 1]), row_of([0, 0, 1]))  # a right, a named b, b right
    assert tally.confusion[:2, :2].tolist() == [[1, 1], [0, 1]] and tally.confusion.sum() == 3
    assert tally.panoptic_quality()[:2] == pytest.approx([1 / 1.5, 1 / 1.5]) and np.isnan(tally.panoptic_quality()[2])
    assert tally.accuracy()[:2] == pytest.approx([0.5, 1])
    assert mean(tally.accuracy()) == 0.75 and np.isnan(mean(np.full(2, np.nan)))


def test_f_of_a_class_is_as_worked_by_hand() -> None:
    tally = ClassTally(NAMES)
    ids = np.array([[1] * 4, [2] * 4, [0] * 4, [3] * 4, [0] * 4])
    truth = np.array([[1] * 4, [2] * 4, [3] * 4, [0] * 4, [0] * 4])
    tally.update(row_of([0, 1, 2], ids), row_of([0, 0, 1], truth))
    # a: one right, one named b, none unpaired; b: none right, one b that was an a, one missed; c: one false alarm
    assert tally.f_class() == pytest.approx([2 / (2 * (1 + 1)), 0 / (2 * (0 + 1) + 1), 0 / 1])
    assert tally.confusion[1, 4] == 1 and tally.confusion[3, 2] == 1  # no entity: the last column, the last row


def test_what_is_unknown_is_found_and_not_named_and_truth_without_a_class_is_not_asked() -> None:
    tally = ClassTally(NAMES)
    prediction = row_of([3, 0, 1], names=(*NAMES, UNKNOWN))
    tally.update(prediction, row_of([0, -1, 1]))
    assert tally.confusion[0, 3] == 1 and tally.confusion[1, 1] == 1 and tally.confusion.sum() == 2
    assert tally.panoptic_quality()[:2] == pytest.approx([0, 1])


def test_the_quality_of_a_class_is_that_of_its_entities_by_themselves(draw) -> None:
    tally, apart = ClassTally(NAMES), {name: PanopticQuality() for name in NAMES}
    for seed in range(12):
        maps, rng = [], np.random.default_rng(seed)
        for entities in draw(seed):
            labels = rng.integers(0, 3, entities.count).astype(np.int32)
            maps.append(EntityMap(entities.ids, entities.scores, labels, NAMES))
        tally.update(*maps)
        for k, name in enumerate(NAMES):
            alone = [EntityMap.from_ids(np.where(np.append(-1, m.labels)[m.ids] == k, m.ids, 0)) for m in maps]
            apart[name].update(alone[0], [alone[1]])
    assert tally.panoptic_quality() == pytest.approx([metric.compute() for metric in apart.values()], nan_ok=True)
    assert tally.confusion[:3, :3].sum() > 5


def test_the_quality_by_image_is_as_pannuke_has_it(draw) -> None:
    tally, tissues = ClassTally(NAMES), ("skin", "liver", "liver")
    by_class: dict[str, list[float]] = {name: [] for name in NAMES}
    by_tissue: dict[str, list[float]] = {}
    for seed in range(9):
        maps, rng, of_image = [], np.random.default_rng(seed), []
        for entities in draw(seed):
            labels = rng.integers(0, 2 + seed % 2, entities.count).astype(np.int32)
            maps.append(EntityMap(entities.ids, entities.scores, labels, NAMES))
        tally.update(maps[0], maps[1], tissues[seed % 3])
        for k, name in enumerate(NAMES):
            alone = [EntityMap.from_ids(np.where(np.append(-1, m.labels)[m.ids] == k, m.ids, 0)) for m in maps]
            if alone[1].count:  # what the truth of an image lacks is not asked
                metric = PanopticQuality()
                metric.update(alone[0], [alone[1]])
                of_image.append(metric.compute())
                by_class[name].append(of_image[-1])
        if of_image:
            by_tissue.setdefault(tissues[seed % 3], []).append(float(np.mean(of_image)))
    of_classes, m_pq = tally.quality_by_image()
    assert of_classes == pytest.approx([np.mean(values) for values in by_class.values()])
    assert m_pq == pytest.approx(np.mean([np.mean(values) for values in by_tissue.values()])) and 0 < m_pq < 1
    assert np.isnan(ClassTally(NAMES).quality_by_image()[1])


def test_the_matrix_is_written_with_its_headings(tmp_path) -> None:
    tally = ClassTally(("a", "b"))
    tally.update(row_of([0, 1, 1]), row_of([0, 0, 1]))
    tally.write_csv(tmp_path / "confusion.csv")
    rows = list(csv.reader((tmp_path / "confusion.csv").read_text(encoding="utf-8").splitlines()))
    assert rows[0] == ["truth \\ prediction", "a", "b", "unknown", "no entity"] and rows[1] == ["a", "1", "1", "0", "0"]
    assert rows[-1] == ["no entity", "0", "0", "0", "0"]
