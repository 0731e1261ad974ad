#!/usr/bin/env bash
# MONAI 1.6.1: PanopticQualityMetric(reduction="mean") is not mPQ, the mean of the classes' qualities. It averages the counts
# (matches, misses, false alarms, sums of IoU) over images and classes and makes a single quality of them: a class of twenty
# cells outweighs a class of one, twenty to one. reduction="mean_batch" gives a quality for each class, in which a class that
# neither truth nor prediction has is 0, so its mean over the classes is not mPQ either: classes that are nowhere lower it,
# where PanNuke's definition leaves them out. A guess from memory: as in monai's DiceMetric, each class is measured, then the
# mean is taken, and what is undefined is left out.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q torch==2.13.0 monai==1.6.1 numpy==2.4.6 scipy==1.17.1
"$work/venv/bin/python" -W ignore - <<'PY'
import torch
from monai.metrics import DiceMetric, PanopticQualityMetric

COMMON, RARE, NOWHERE = 1, 2, 3
truth = torch.zeros(1, 2, 64, 64, dtype=torch.int64)  # ids, then classes
for cell in range(21):
    rows, columns = (slice(8 * at + 1, 8 * at + 7) for at in divmod(cell, 8))
    truth[0, 0, rows, columns] = cell + 1
    truth[0, 1, rows, columns] = RARE if cell == 20 else COMMON
prediction = truth.clone()
prediction[prediction[:, :1].expand_as(prediction) == 21] = 0  # the only cell of the rare class is missed


def quality(classes, reduction):
    metric = PanopticQualityMetric(num_classes=classes, metric_name="pq", reduction=reduction)
    metric(prediction, truth)
    return [round(float(value), 3) for value in torch.atleast_1d(metric.aggregate())]


def dice(classes):
    metric = DiceMetric(include_background=False, reduction="mean", num_classes=classes + 1)
    metric(prediction[:, 1:], truth[:, 1:])
    return round(float(metric.aggregate()), 3)


print("each class:", quality(3, "mean_batch"), "mean:", quality(2, "mean"), "of three:", quality(3, "mean"))
print("mean Dice, of three:", dice(3))
assert quality(2, "mean_batch") == [1.0, 0.0]  # so mPQ is .5, as PanNuke's has it
assert quality(2, "mean") == quality(3, "mean") == [0.976]  # 20 matches and a miss: 20 / 20.5
assert quality(3, "mean_batch") == [1.0, 0.0, 0.0]  # of which the mean is .333
assert dice(3) == dice(2) == 0.5  # classes are measured, then averaged; that which is nowhere is left out
PY
