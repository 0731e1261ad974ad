"""What overlaps what: one prediction held against one truth, counted once for every metric.

Two integer maps overlap in few pairs of entities, so their contingency table is kept sparse: it has one row for
each pair that shares a pixel, and a map of thousands of entities costs little more than one of ten.

Matching needs no assignment solver. Entities of one map are disjoint, so two pairs that share an entity cannot both
have an IoU above 1/2: the pairs with IoU > 1/2 already are a one-to-one matching (Kirillov et al., Panoptic
Segmentation, CVPR 2019, https://arxiv.org/abs/1801.00868, section 4.1). At exactly 1/2 there is one exception, an
entity whose two equal halves are the two others; there the higher score is served first, as COCO does.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from domains.entities import EntityMap
from domains.entities.forest import EntityForest
from domains.errors import InputError
from domains.metrics.proposed import Proposed, generations


@dataclass(frozen=True, eq=False)
class Comparison:
    """One prediction held against one annotator's truth; P predicted and T true entities, K pairs that overlap.

    Both maps are numbered by where their entities begin in reading order, so that no tie depends on the numbering
    that came in.

    predicted, true: (H, W) int32, 0 where there is no entity or no label.
    labelled: (H, W) bool.
    scores: (P,) float32, 1 where the prediction has none.
    pair_predicted, pair_true: (K,) indices of entities, from 0.
    shared: (K,) pixels that the two have in common.
    true_labels: (T,) the class of each true entity by name; None where the truth has no classes.
    predicted_labels: (P,) likewise.
    pixel_scores: (H, W) float16 in [0, 1]; where the prediction has none, each pixel has the score of its entity.
    pixel_size_m: None where unknown.
    forest: whose cut the prediction is, in the numbers that it came with; None where nothing else was proposed.
    true_parents: (M,) ids of what holds each true entity, 0 for none, of the T above and after them of those that have
        no pixel but their parts'; None where the truth is not nested.
    """

    predicted: np.ndarray
    true: np.ndarray
    labelled: np.ndarray
    scores: np.ndarray
    pair_predicted: np.ndarray
    pair_true: np.ndarray
    shared: np.ndarray
    true_labels: tuple[str, ...] | None
    pixel_scores: np.ndarray
    pixel_size_m: float | None = None
    forest: EntityForest | None = None
    true_parents: np.ndarray | None = None
    predicted_labels: tuple[str, ...] | None = None

    @cached_property
    def proposed(self) -> Proposed:
        """Every node of the forest against the truth; the predicted entities where there is no forest."""
        if self.forest is not None:
            return Proposed.of_forest(self.forest, self.true, self.labelled)
        pairs = self.pair_predicted, self.pair_true, self.shared
        return Proposed.of_map(self.scores, self.predicted_areas, pairs, self.true_areas)

    @cached_property
    def predicted_areas(self) -> np.ndarray:
        """(P,) pixels inside the labelled area."""
        return np.bincount(self.predicted.ravel(), minlength=1)[1:]

    @cached_property
    def true_areas(self) -> np.ndarray:
        """(T,) labelled pixels of each true entity."""
        return np.bincount(self.true.ravel(), minlength=1)[1:]

    @cached_property
    def union(self) -> np.ndarray:
        """(K,) pixels that one of the two or both have."""
        return self.predicted_areas[self.pair_predicted] + self.true_areas[self.pair_true] - self.shared

    @cached_property
    def iou(self) -> np.ndarray:
        """(K,) intersection over union of each pair, in (0, 1]."""
        return self.shared / self.union

    @cached_property
    def matches(self) -> np.ndarray:
        """(M,) indices of pairs: the one-to-one matching at IoU >= 1/2. Stricter ones are its subsets."""
        pairs = np.flatnonzero(self.iou >= 0.5)
        pairs = pairs[np.argsort(-self.scores[self.pair_predicted[pairs]], kind="stable")]
        for side in (self.pair_true, self.pair_predicted):
            pairs = pairs[np.sort(np.unique(side[pairs], return_index=True)[1])]
        return pairs

    @cached_property
    def matched_iou(self) -> np.ndarray:
        """(M,) IoU of the matched pairs, in [1/2, 1]."""
        return self.iou[self.matches]


def compare(
    prediction: EntityMap, truth: EntityMap, pixel_size_m: float | None = None, forest: EntityForest | None = None
) -> Comparison:
    """Hold a prediction, and the forest that it is a cut of, against a truth, where the truth is labelled.

    Predicted entities are cut at unlabelled pixels; one with more than half of its area there is dropped, since
    nobody said whether it is right.
    """
    for shape in (prediction.shape, *([] if forest is None else [forest.shape])):
        if shape != truth.shape:
            raise InputError(
                f"a prediction of shape {shape!r} cannot be held against a truth of shape {truth.shape!r}; "
                "predict at the size of the image"
            )
    labelled = truth.labelled
    predicted, scores, visible = _visible(prediction, labelled)
    true, kept = _in_reading_order(np.where(labelled, truth.ids, 0))

    overlap = (predicted > 0) & (true > 0)
    width = int(true.max(initial=0)) + 1
    codes, shared = np.unique(predicted[overlap].astype(np.int64) * width + true[overlap], return_counts=True)
    pairs = codes // width - 1, codes % width - 1
    return Comparison(
        predicted,
        true,
        labelled,
        scores,
        *pairs,
        shared=shared,
        true_labels=_names(truth, kept),
        pixel_scores=_pixel_scores(prediction, scores, predicted),
        pixel_size_m=pixel_size_m,
        forest=forest,
        true_parents=_parents(truth, kept),
        predicted_labels=_names(prediction, visible),
    )


def compare_all(
    prediction: EntityMap,
    truths: Sequence[EntityMap],
    pixel_size_m: float | None = None,
    forest: EntityForest | None = None,
) -> list[Comparison]:
    """One comparison per annotator."""
    if not truths:
        raise InputError("a metric wants at least one truth per image; got none: check the annotations of this image")
    return [compare(prediction, truth, pixel_size_m, forest) for truth in truths]


def _visible(prediction: EntityMap, labelled: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(ids, scores, former ids) of what lies at least half in the labelled area, cut there."""
    ids = np.where(labelled, np.maximum(prediction.ids, 0), 0)
    visible = np.bincount(ids.ravel(), minlength=prediction.count + 1)
    dropped = np.flatnonzero(2 * visible[1:] < prediction.areas) + 1
    if len(dropped):
        ids = np.where(np.isin(ids, dropped), 0, ids)
    ids, kept = _in_reading_order(ids)
    scores = np.ones(len(kept), np.float32) if prediction.scores is None else prediction.scores[kept - 1]
    return ids, scores, kept


def _names(truth: EntityMap, kept: np.ndarray) -> tuple[str, ...] | None:
    if truth.labels is None:
        return None
    vocabulary = dict(enumerate(truth.vocabulary))
    return tuple(vocabulary.get(label, str(label)) for label in truth.labels[kept - 1].tolist())


def _parents(truth: EntityMap, kept: np.ndarray) -> np.ndarray | None:
    """(M,) parents of the entities `kept` (T,), in these numbers, then of those whose pixels are all their parts'."""
    if truth.parents is None:
        return None
    lines = [above + 1 for _, above in generations(truth.parents, kept - 1)]
    order = np.append(kept, np.setdiff1d(np.concatenate([kept, *lines]), kept))
    number = np.zeros(len(truth.parents) + 1, np.int32)
    number[order] = np.arange(1, len(order) + 1)
    return number[truth.parents[order - 1]]


def _pixel_scores(prediction: EntityMap, scores: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    if prediction.pixel_scores is not None:
        return prediction.pixel_scores.astype(np.float16, copy=False)
    return np.concatenate([[0], scores]).astype(np.float16)[predicted]


def _in_reading_order(ids: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(renumbered, kept): entities numbered 1..N by their first pixel, row by row; kept (N,) are the old ids."""
    flat = ids.ravel()
    starts = np.flatnonzero(np.diff(flat, prepend=0))  # every first pixel begins a run
    present, begins = np.unique(flat[starts], return_index=True)
    kept = present[np.argsort(begins)]
    kept = kept[kept > 0]
    renumbered = np.zeros(int(flat.max(initial=0)) + 1, np.int32)
    renumbered[kept] = np.arange(1, len(kept) + 1)
    return renumbered[ids], kept
