"""Entities and their classes: how good each class is cut out and named, and which is taken for which.

* Panoptic quality of a class is that of its entities alone: a match (IoU > 0.5) of another class is a miss of the one
  and a false alarm of the other. Counts are pooled over the images, as CoNIC does (mPQ+, Graham et al.,
  https://arxiv.org/abs/2303.06274), or each image is measured by itself, as PanNuke does (Gamper et al.,
  https://arxiv.org/abs/2003.10778, by its released code), which hears no false alarm where the truth lacks the class.
* F_c as HoVer-Net's released code has it (Graham et al., Medical Image Analysis 58, 2019): 2 TP / (2 (TP + FP + FN) +
  misses and false alarms of the class), TP, FP, FN among matched entities; matched by IoU > 0.5, not by centroids.
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from domains.atomic import atomic_path
from domains.entities import UNKNOWN, EntityMap
from domains.metrics.matching import compare
from domains.metrics.metric import divide

NO_ENTITY = "no entity"


class ClassTally:
    """Takes images one by one. names: the K classes of the truth, in the order of tables."""

    def __init__(self, names: Sequence[str]) -> None:
        self.names = tuple(names)
        count = len(self.names)
        self.confusion = np.zeros((count + 1, count + 2), np.int64)
        """Rows: true classes, then no entity; columns: predicted classes, `UNKNOWN` or another, then no entity."""
        self._images: list[np.ndarray] = []
        """Of each image (3, K): sums of the matches' IoU, entities of the truth, and of the prediction."""
        self._strata: list[str] = []

    def update(self, prediction: EntityMap, truth: EntityMap, stratum: str = "") -> None:
        """Take one image; entities of the truth without a class of `names` are left out, with what matches them.
        stratum: the kind of the image, such as its tissue.
        """
        comparison = compare(prediction, truth)
        true, predicted = self._numbers(comparison.true_labels), self._numbers(comparison.predicted_labels)
        pairs = comparison.matches[comparison.matched_iou > 0.5]
        of_true, of_predicted = comparison.pair_true[pairs], comparison.pair_predicted[pairs]
        count, ignored = len(self.names), len(self.names)
        left_out = np.zeros(len(predicted), bool)
        left_out[of_predicted[true[of_true] == ignored]] = True
        asked = true != ignored
        named = np.full(len(true), count + 1)
        named[of_true] = predicted[of_predicted]
        np.add.at(self.confusion, (true[asked], named[asked]), 1)
        alarms = np.ones(len(predicted), bool)
        alarms[of_predicted] = False
        np.add.at(self.confusion, (np.full(alarms.sum(), count), predicted[alarms]), 1)
        right = (true[of_true] == predicted[of_predicted]) & (true[of_true] < count)
        iou = np.bincount(true[of_true][right], comparison.iou[pairs][right], minlength=count)
        areas = [np.bincount(numbers, minlength=count + 1)[:count] for numbers in (true, predicted[~left_out])]
        self._images.append(np.stack([iou, *areas]))
        self._strata.append(stratum)

    def _numbers(self, labels: Sequence[str] | None) -> np.ndarray:
        """Indices into `names`, their count for any other."""
        number = {name: i for i, name in enumerate(self.names)}
        return np.array([number.get(label, len(number)) for label in labels or ()], np.int64)

    def panoptic_quality(self) -> np.ndarray:
        """(K,) of each class; nan of one that neither truth nor prediction has."""
        return quality(np.sum([np.zeros((3, len(self.names))), *self._images], 0))

    def quality_by_image(self) -> tuple[np.ndarray, float]:
        """PanNuke's PQ of each class (K,), the mean over the images whose truth has it; and its mPQ: of each image the
        mean over the classes of its truth, the mean of those in a stratum, and of the strata. nan of what is nowhere.
        """
        values = np.stack([np.full(len(self.names), np.nan), *map(quality, self._images)])
        values[1:][[image[1] == 0 for image in self._images]] = np.nan
        by_stratum: dict[str, list[float]] = {}
        for stratum, row in zip(self._strata, values[1:], strict=True):
            by_stratum.setdefault(stratum, []).append(mean(row))
        strata = [mean(np.array(of_images)) for of_images in by_stratum.values()]
        return np.array([mean(column) for column in values.T]), mean(np.array(strata))

    def f_class(self) -> np.ndarray:
        """(K,) HoVer-Net's F_c of each class, nan of one that nothing is said of."""
        count = len(self.names)
        matched = self.confusion[:count, : count + 1]
        right = np.diag(matched)
        wrong = matched[:, :count].sum(0) + matched.sum(1) - 2 * right
        unpaired = self.confusion[:count, count + 1] + self.confusion[count, :count]
        return divide(2.0 * right, 2.0 * (right + wrong) + unpaired)

    def accuracy(self) -> np.ndarray:
        """(K,) of the entities of a class that are found, the share that is named as it; nan of one never found."""
        count = len(self.names)
        matched = self.confusion[:count, : count + 1]
        return divide(np.diag(matched).astype(float), matched.sum(1))

    def rows(self) -> list[list[str | int]]:
        """The confusion matrix with its headings."""
        header: list[str | int] = ["truth \\ prediction", *self.names, UNKNOWN, NO_ENTITY]
        headings = (*self.names, NO_ENTITY)
        return [
            header,
            *([name, *row] for name, row in zip(headings, self.confusion.tolist(), strict=True)),
        ]

    def write_csv(self, path: Path) -> None:
        """Write the confusion matrix."""
        with atomic_path(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
            csv.writer(file, lineterminator="\n").writerows(self.rows())


def quality(counts: np.ndarray) -> np.ndarray:
    """(K,) panoptic quality of each class by counts (3, K): sum of IoU, entities of the truth and of the prediction."""
    return divide(counts[0], counts[1:].sum(0) / 2)


def mean(values: np.ndarray) -> float:
    """The mean of the classes of which anything is said; nan of none."""
    return float(np.nanmean(values)) if np.isfinite(values).any() else float("nan")
