"""What TrackEval (MIT) and py-ctcmetrics say of drawn clips, written down beside this file as `clip_referees.json`.

They bring packages that nobody needs besides, so they stay out of the test extra: their numbers are kept instead.

    python -m venv REFEREES && REFEREES/bin/pip install trackeval==1.3.0 py-ctcmetrics==1.3.3 pycocotools scikit-image
    PYTHONPATH=. REFEREES/bin/python -m tests.domains.metrics.clip_referees

Where they want other words for the same thing: the challenge's files have no track with a gap, so one goes on under a
new label whose parent it is; TrackEval's loaders want the formats of their sets, so its metrics are given their input.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tests.domains.metrics.drawn_clips import DrawnClip, drawn_clip

NUMBERS = Path(__file__).with_suffix(".json")
SEEDS = range(1, 17)
"""In clip 0 an entity is cut into two halves of IoU 1/2 exactly, so that whether MOTA counts a switch is a toss."""


def of_trackeval(clips: Sequence[DrawnClip]) -> dict[str, float]:
    """HOTA with its factors, IDF1, CLEAR MOT and J&F of clips together."""
    from trackeval.metrics import CLEAR, HOTA, Identity, JAndF

    quiet = {"PRINT_CONFIG": False}
    metrics = (HOTA(), Identity(quiet), CLEAR(quiet), JAndF())
    inputs = [input_of(clip) for clip in clips]
    hota, identity, clear, region = (
        metric.combine_sequences({str(i): metric.eval_sequence(data) for i, data in enumerate(inputs)})
        for metric in metrics
    )
    return {
        **{key: float(np.mean(hota[name])) for key, name in (("hota", "HOTA"), ("det_a", "DetA"), ("ass_a", "AssA"))},
        "idf1": float(identity["IDF1"]),
        "mota": float(clear["MOTA"]),
        "id_switches": float(clear["IDSW"] / sum(data["num_gt_ids"] for data in inputs)),
        "jf": float(region["J-Mean"] + region["F-Mean"]) / 2,
        "j": float(region["J-Mean"]),
        "f": float(region["F-Mean"]),
    }


def input_of(clip: DrawnClip) -> dict[str, Any]:
    """A clip as TrackEval's loaders give it to its metrics."""
    from pycocotools import mask as rle

    data: dict[str, Any] = {"num_timesteps": len(clip.true)}
    for side, maps in (("gt", clip.true), ("tracker", clip.predicted)):
        names = np.unique(maps[maps > 0])
        ids = [np.unique(ids[ids > 0]) for ids in maps]
        data[f"{side}_ids"] = [np.searchsorted(names, present) for present in ids]
        data[f"num_{side}_ids"] = len(names)
        data[f"num_{side}_dets"] = sum(map(len, ids))
        masks = [
            [np.asfortranarray(frame == number) for number in present] for frame, present in zip(maps, ids, strict=True)
        ]
        data[f"{side}_dets"] = [[rle.encode(mask) for mask in of_frame] for of_frame in masks]
    data["similarity_scores"] = [
        np.array(rle.iou(predicted, true, [0] * len(true))).reshape(len(predicted), len(true)).T
        for predicted, true in zip(data["tracker_dets"], data["gt_dets"], strict=True)
    ]
    return data


def of_py_ctcmetrics(clip: DrawnClip) -> dict[str, float]:
    """DET, SEG and TRA of a clip, written as the challenge's files are."""
    import tifffile
    from ctc_metrics.scripts.evaluate import calculate_metrics, match_computed_to_reference_masks

    tables, paths = [], []
    with tempfile.TemporaryDirectory() as folder:
        for side, maps, parents in (
            ("true", clip.true, clip.true_parents), ("predicted", clip.predicted, clip.predicted_parents),
        ):  # fmt: skip
            maps, table = without_gaps(maps, parents)
            tables.append(table)
            paths.append([f"{folder}/{side}{frame:03d}.tif" for frame in range(len(maps))])
            for path, ids in zip(paths[-1], maps, strict=True):
                tifffile.imwrite(path, ids.astype(np.uint16))
        matches = match_computed_to_reference_masks(*paths, threads=1)
    names = {"ctc_det": "DET", "ctc_seg": "SEG", "ctc_tra": "TRA"}
    results = calculate_metrics(tables[1], tables[0], matches, matches, [*names.values()], True)
    return {key: float(results[name]) for key, name in names.items()}


def without_gaps(maps: np.ndarray, parents: dict[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """The clip with a new label after every gap, and its table (N, 4) of label, first and last frame, parent."""
    maps, rows, runs_of = maps.copy(), [], {}
    following = int(maps.max()) + 1
    for number in np.unique(maps[maps > 0]).tolist():
        present = np.flatnonzero((maps == number).any(axis=(1, 2)))
        label, before = number, 0
        for run in np.split(present, np.flatnonzero(np.diff(present) > 1) + 1):
            if label != number:
                of_run = maps[run]
                of_run[of_run == number] = label
                maps[run] = of_run
            rows.append([label, run[0], run[-1], before])
            runs_of.setdefault(number, []).append((label, run[-1]))
            before, label, following = label, following, following + 1
    for row in rows:
        ended = [label for label, last in runs_of.get(parents.get(row[0], 0), ()) if last < row[1]]
        row[3] = ended[-1] if ended else row[3]
    return maps, np.array(rows)


if __name__ == "__main__":
    numbers = {str(seed): {**of_trackeval([drawn_clip(seed)]), **of_py_ctcmetrics(drawn_clip(seed))} for seed in SEEDS}
    numbers["together"] = of_trackeval([drawn_clip(seed) for seed in SEEDS])
    NUMBERS.write_text(json.dumps(numbers, indent=1) + "\n", encoding="utf-8")
