"""Our PQ of real images before a referee of another hand, panoptica (Apache-2.0), each in its own environment.

panoptica 2.1 wants numpy below 2.3 and rich below 14, which our pins are beyond; so maps go from one to the other in a
file. From the folder of this repository:

    python -m benchmarks.accuracy.referee write RUNS/dsb2018_he-decoder_only-minutes-0/adapter --data DIR/dsb2018_he \\
        --groups DIR/index/dsb2018_he.csv maps.npz
    python -m venv referee && referee/bin/pip install panoptica==2.1.7
    referee/bin/python -m benchmarks.accuracy.referee judge maps.npz

`judge` prints a line for each image on which the two disagree and ends with 1 where there is any. It imports nothing of
ours. Both match a prediction with a truth of IoU above 1/2; panoptica matches at its threshold too, so that is the next
number above 1/2. Counts and IoUs are pooled over the images, since panoptica has no set of images, and says 0 of one
without truth or prediction.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

JUST_ABOVE = float(np.nextafter(0.5, 1))
AGREE = 1e-6
"""panoptica computes an IoU in single precision."""


def write(adapter: Path, out: Path, overrides: Sequence[str]) -> None:
    """Predict the test images of an adapter, one view each, and write maps and our sums of each image as .npz."""
    from adapters.inference.segment import segment
    from domains.metrics.matching import compare
    from domains.metrics.panoptic_quality import PanopticQuality
    from recipes import set_up
    from recipes.build import domain_of
    from recipes.load import loaded

    set_up()
    arrays: dict[str, np.ndarray] = {}
    with loaded(str(adapter), None, overrides) as adapted:
        contract = adapted.contract.changed(symmetries=1, window_px=0, test_scales=(1.0,))
        samples = domain_of(adapted.recipe).dataset("test")
        for i in range(len(samples)):
            sample = samples[i]
            prediction = segment(adapted.segmenter, contract.photograph(sample), contract)
            comparison = compare(prediction, sample.truth)  # cut to what is labelled
            arrays[f"prediction_{i}"] = comparison.predicted.astype(np.uint16)
            arrays[f"truth_{i}"] = comparison.true.astype(np.uint16)
            arrays[f"sums_{i}"] = np.array(PanopticQuality().measure(comparison))
    np.savez_compressed(out, **arrays)  # type: ignore[arg-type]  # of the stub: a name may be `allow_pickle`
    print(f"{out}: {len(samples)} images; our PQ {quality(sums_of(arrays)):.6f}")


def judge(maps: Path) -> int:
    """Hold panoptica's sums of each image against ours. Returns the number of images on which they differ."""
    with np.load(maps) as file:
        arrays = dict(file)
    ours = sums_of(arrays)
    theirs = [referee_sums(*pair) for pair in pairs_of(arrays)]
    apart = [i for i, sums in enumerate(theirs) if np.abs(ours[i] - sums).max() > AGREE]
    for i in apart:
        print(f"image {i}: IoUs of matches sum to {ours[i][0]:.6f}, TP + FP/2 + FN/2 is {ours[i][1]:g}; panoptica: ")
        print(f"         {theirs[i][0]:.6f}, {theirs[i][1]:g}")
    print(
        f"{len(ours)} images, {len(apart)} apart; PQ {quality(ours):.6f}, panoptica's {quality(np.stack(theirs)):.6f}"
    )
    return len(apart)


def referee_sums(prediction: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """[sum of the IoUs of matches, TP + FP/2 + FN/2] as panoptica has them, of two maps of ids (H, W)."""
    import panoptica  # type: ignore[import-not-found]  # of another environment

    counts = [len(np.unique(ids[ids > 0])) for ids in (prediction, truth)]
    if not all(counts):
        return np.array([0.0, sum(counts) / 2])
    evaluator = panoptica.Panoptica_Evaluator(
        expected_input=panoptica.InputType.UNMATCHED_INSTANCE,
        instance_matcher=panoptica.NaiveThresholdMatching(matching_threshold=JUST_ABOVE),
    )
    judged = evaluator.evaluate(prediction, truth, verbose=False)["ungrouped"]
    matched = judged.sq * judged.tp if judged.tp else 0.0
    return np.array([matched, judged.tp + (judged.fp + judged.fn) / 2])


def pairs_of(arrays: dict[str, np.ndarray]) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """(prediction, truth) of each image, ids (H, W) uint16."""
    for i in range(len(arrays) // 3):
        yield arrays[f"prediction_{i}"], arrays[f"truth_{i}"]


def sums_of(arrays: dict[str, np.ndarray]) -> np.ndarray:
    """(images, 2) our sum of the IoUs of matches, and our TP + FP/2 + FN/2."""
    return np.stack([arrays[f"sums_{i}"] for i in range(len(arrays) // 3)])


def quality(sums: np.ndarray) -> float:
    """PQ over the images, from (images, 2)."""
    matched, entities = sums.sum(0)
    return float(matched / entities)


def main() -> int:
    """Read the command line; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    verbs = parser.add_subparsers(dest="verb", required=True)
    writing = verbs.add_parser("write", help="maps of an adapter's test images, and our sums")
    writing.add_argument("adapter", type=Path)
    writing.add_argument("--data", type=Path, required=True)
    writing.add_argument("--groups", type=Path)
    writing.add_argument("maps", type=Path, help=".npz to write")
    verbs.add_parser("judge", help="by panoptica").add_argument("maps", type=Path)
    options = parser.parse_args()
    if options.verb == "judge":
        return min(judge(options.maps), 1)
    groups = [f"domain.groups={options.groups}"] if options.groups else []
    write(options.adapter, options.maps, [f"domain.data={options.data}", *groups])
    return 0


if __name__ == "__main__":
    sys.exit(main())
