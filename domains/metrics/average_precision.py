"""COCO's average precision without classes: https://cocodataset.org/#detection-eval

Precision and recall are accumulated by pycocotools (`COCOeval.accumulate`). The matching that comes before it is taken
from the shared overlaps: pycocotools would compare every prediction with every truth in Python, 0.35 s for an image of
300 entities, and on maps without overlap the result is the same (see matching.py; tested equal to plain COCOeval).

Departures from COCO's defaults:
- `ap` and `ap50` take up to 1000 predictions per image, not 100: tiles of nuclei hold more than 100 entities, and the
  cap alone would hold their recall down. Up to 100 predictions per image the numbers equal plain pycocotools.
- `ap_e` is EntitySeg's AP^e (Qi et al., https://arxiv.org/abs/2107.14228): no classes, and no pixel in two
  predictions, which a flat map is by construction; so it is `ap` with COCO's cap of 100 predictions, and nothing else.
- Unlabelled pixels cut predictions (see matching.py) where COCO has crowd regions.
- A ranking cannot be averaged over annotators: each (image, annotator) pair counts as an image.
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from domains.entities import EntityMap
from domains.metrics.matching import Comparison, compare_all
from domains.metrics.proposed import IOU_THRESHOLDS
from domains.metrics.state import Stateful

RECALLS = np.linspace(0.0, 1.0, 101)  # COCOeval's `recThrs`


class Ranked(NamedTuple):
    """What one (image, annotator) pair says about the predictions: best score first."""

    scores: np.ndarray  # (P,)
    iou: np.ndarray  # (P,) IoU with the matched true entity, 0 where there is none of at least 1/2
    truths: int


class AveragePrecision(Stateful):
    """`ap` (mean over IoU .5:.95), `ap50` and `ap_e`: area under the precision envelope at 101 recalls.

    Equal scores are ranked by position in the image. nan when no image has a true entity.
    """

    HELD = ("_images",)

    def __init__(self, thresholds: Sequence[float] = IOU_THRESHOLDS, max_entities: int = 1000) -> None:
        self.thresholds = np.asarray(thresholds)
        self.max_entities = max_entities
        self._images: list[list[Ranked]] = []  # per image, per annotator

    def update(self, prediction: EntityMap, truths: Sequence[EntityMap]) -> None:
        """Takes one image with its annotators' truths. Raises InputError for other shapes, or without a truth."""
        self.observe(compare_all(prediction, truths))

    def observe(self, comparisons: Sequence[Comparison]) -> None:
        """Keeps of each comparison the scores and the matched IoUs of the `max_entities` best predictions."""
        self._images.append([_ranked(comparison, self.max_entities) for comparison in comparisons])

    def restore(self, state: Mapping[str, Any]) -> None:
        """Takes what `state` gave. Raises KeyError, TypeError or ValueError for other."""
        super().restore(state)
        self._images = [[Ranked(*pair) for pair in image] for image in self._images]

    def compute(self) -> float:
        """The value by pycocotools over all (image, annotator) pairs; nan without a true entity."""
        pairs = [pair for image in self._images for pair in image]
        return mean_defined(_accumulate(pairs, self.thresholds)["precision"])

    def resample(self, weights: np.ndarray) -> np.ndarray:
        """(R,) by numpy alone: sorted once for all resamples, tested equal to `compute`."""
        pairs = [(i, pair) for i, image in enumerate(self._images) for pair in image]
        scores = np.concatenate([pair.scores for _, pair in pairs] or [np.zeros(0)])
        order = np.argsort(-scores, kind="stable")
        iou = np.concatenate([pair.iou for _, pair in pairs] or [np.zeros(0)])[order]
        owner = np.concatenate([np.full(len(pair.scores), i) for i, pair in pairs] or [np.zeros(0)]).astype(int)[order]
        truths = np.array([sum(pair.truths for pair in image) for image in self._images], float)
        # The envelope and every recall step change at right predictions only; the wrong ones count as seen.
        steps = np.flatnonzero(iou >= self.thresholds[0])
        right = iou[steps] >= self.thresholds[:, None]  # (T, steps)

        values = np.full(len(weights), np.nan)
        for r, weight in enumerate(weights):
            if (total := weight @ truths) > 0:
                seen = np.cumsum(weight[owner])[steps]
                hits = np.cumsum(right * weight[owner[steps]], axis=1)  # (T, steps)
                values[r] = mean_precision(hits / total, hits / (seen + np.spacing(1)))
        return values


def _ranked(comparison: Comparison, max_entities: int) -> Ranked:
    iou = np.zeros(len(comparison.scores))
    iou[comparison.pair_predicted[comparison.matches]] = comparison.matched_iou
    order = np.argsort(-comparison.scores, kind="stable")[:max_entities]
    return Ranked(comparison.scores[order], iou[order], len(comparison.true_areas))


def _accumulate(pairs: Sequence[Ranked], thresholds: np.ndarray) -> dict[str, np.ndarray]:
    evaluated = [
        {
            "dtScores": pair.scores,
            "dtMatches": pair.iou >= thresholds[:, None],
            "dtIgnore": np.zeros((len(thresholds), len(pair.scores)), bool),
            "gtIgnore": np.zeros(pair.truths, int),
        }
        for pair in pairs
    ]
    return run_accumulate(evaluated, thresholds)


def run_accumulate(evaluated: Sequence[dict[str, np.ndarray]], thresholds: np.ndarray) -> dict[str, np.ndarray]:
    """pycocotools' precision (T, R, 1, 1, 1) and recall (T, 1, 1, 1) from our matches; -1 where there is no truth.

    evaluated: per (image, annotator) what `COCOeval.evaluateImg` gives.
    """
    from pycocotools.cocoeval import COCOeval

    evaluator: Any = COCOeval(iouType="segm")  # its stubs know neither attribute set below
    params = evaluator.params
    params.iouThrs, params.recThrs = thresholds, RECALLS
    params.catIds, params.imgIds = [1], list(range(len(evaluated)))
    params.areaRng, params.areaRngLbl = [[0, 1e10]], ["all"]
    params.maxDets = [max([len(pair["dtScores"]) for pair in evaluated], default=0)]
    evaluator._paramsEval = params
    evaluator.evalImgs = list(evaluated)
    with contextlib.redirect_stdout(io.StringIO()):  # it reports its time
        evaluator.accumulate()
    return evaluator.eval


def mean_precision(recall: np.ndarray, precision: np.ndarray) -> float:
    """Of curves (T, P) at 101 recalls, under their envelope."""
    envelope = np.zeros((len(precision), precision.shape[1] + 1))  # a recall never reached has precision 0
    envelope[:, :-1] = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
    at = np.array([np.searchsorted(line, RECALLS) for line in recall])
    return float(envelope[np.arange(len(at))[:, None], at].mean())


def mean_defined(values: np.ndarray) -> float:
    """COCOeval's summary: the mean of what is above -1; nan where nothing is."""
    defined = values[values > -1]
    return float(defined.mean()) if len(defined) else float("nan")
