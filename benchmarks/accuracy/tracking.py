"""How well tracks are kept: a tracker beside per-frame IoU linking and the nearest centroid.

    python -m benchmarks.accuracy.tracking --data DIR [--clips 8] [--base-clips 2] [--out benchmarks/tracking.md]

Generated clips that nothing was trained or chosen on (crossing, a full occlusion of 10 frames, births, exits,
divisions; their seeds begin at 9000) and DAVIS `car-shadow`, below DIR, the folder of real data sets; without it, it is
left out. Every tracker gets the same entities of a frame: once the true ones, perturbed (6 % dropped, 4 % of the pairs
that touch merged, rims displaced by about 1.5 px), so that linking alone is measured; once those that the embedded base
finds, by `base.yaml` as it ships. Intervals are by bootstrap over clips; differences are paired.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from adapters.options.tracking import Motion, Nearest, Overlap
from adapters.tracking import build_tracker
from domains.atomic import atomic_path
from domains.formats.clips import read_clips
from domains.metrics.bootstrap import percentile_interval
from domains.metrics.clip_metric_set import ClipMetricSet, TrackMaps
from domains.procedural.clips import SCENARIOS, draw_clip
from domains.scenes.images import read_image
from recipes import set_up
from recipes.following import Followed, entities_of
from recipes.load import Loaded, loaded

TRACKERS = {"iou": Overlap, "nearest": Nearest, "motion": Motion}
METRICS = ("veq", "veq_1", "veq_8", "stq", "idf1", "hota", "ass_a", "id_switches", "ids_kept_10", "jf", "ctc_tra")
FIRST_SEED, FRAMES, SIDE_PX, HIDDEN = 9000, 30, 128, 10
DROPPED, MERGED, RAGGED_PX = 0.06, 0.04, 1.5
Entities = list[tuple[np.ndarray, np.ndarray | None]]
"""Of each frame ids (H, W) and features (N, D) or None, as a tracker gets them."""


def perturbed(rng: np.random.Generator, ids: np.ndarray) -> np.ndarray:
    """(H, W) int32 the entities of a frame as a network might give them: numbered anew, some dropped, pairs that touch
    merged, rims displaced by a smooth field of about `RAGGED_PX`.
    """
    height, width = ids.shape
    field = rng.normal(0, 1, (2, height, width)).astype(np.float32)
    field = np.stack([cv2.GaussianBlur(axis, (0, 0), 2.0) for axis in field])
    field *= RAGGED_PX / max(float(field.std()), 1e-6)
    y, x = np.mgrid[:height, :width].astype(np.float32)
    moved = cv2.remap(ids.astype(np.float32), x + field[0], y + field[1], cv2.INTER_NEAREST).astype(np.int32)
    numbers = np.unique(moved[moved > 0])
    target = {int(number): int(number) for number in numbers}
    touching = np.concatenate(
        [
            np.stack([moved[:, :-1].ravel(), moved[:, 1:].ravel()], 1),
            np.stack([moved[:-1].ravel(), moved[1:].ravel()], 1),
        ]
    )
    touching = np.unique(np.sort(touching[(touching[:, 0] != touching[:, 1]) & (touching.min(1) > 0)], 1), axis=0)
    for smaller, larger in touching.tolist():
        if rng.random() < MERGED:
            target[larger] = target[smaller]
    for number in target:
        if rng.random() < DROPPED:
            target[number] = 0
    order = rng.permutation(len(numbers)) + 1
    renamed = {int(number): int(order[i]) for i, number in enumerate(numbers)}
    table = np.zeros(int(moved.max(initial=0)) + 1, np.int32)
    for number, kept in target.items():
        table[number] = renamed.get(kept, 0)
    return table[moved]


def measured(
    metrics: dict[str, ClipMetricSet], entities: Entities, truth: Callable[[], TrackMaps], name: str, stratum: str
) -> None:
    """Every tracker's tracks of one clip, measured. truth: of the clip, anew for each."""
    for tracker, values in metrics.items():
        followed = Followed(build_tracker(TRACKERS[tracker]()), entities)
        values.update(TrackMaps(followed.maps, followed.parents), truth(), name, stratum)


def generated(clips: int) -> Iterator[tuple[str, str, Any]]:
    """(name, scenario, clip) of as many clips of each scenario."""
    for scenario in SCENARIOS:
        for i in range(clips):
            hidden = HIDDEN if scenario == "occlusion" else None
            seed = FIRST_SEED + i
            yield f"{scenario} {seed}", scenario, draw_clip(scenario, seed, FRAMES, SIDE_PX, SIDE_PX, hidden)


def on_true_entities(clips: int) -> dict[str, ClipMetricSet]:
    """Metrics by tracker on perturbed true entities."""
    metrics = {tracker: ClipMetricSet(METRICS) for tracker in TRACKERS}
    for name, scenario, clip in generated(clips):
        maps = list(clip.maps())
        rng = np.random.default_rng((FIRST_SEED, *name.encode()))
        entities: Entities = [(perturbed(rng, ids), None) for ids in maps]
        measured(metrics, entities, lambda maps=maps, clip=clip: TrackMaps(maps, clip.parents), name, scenario)
    return metrics


def on_base(network: Loaded, clips: int) -> dict[str, ClipMetricSet]:
    """Metrics by tracker on what the embedded base finds in generated clips."""
    metrics = {tracker: ClipMetricSet(METRICS) for tracker in TRACKERS}
    for name, scenario, clip in generated(clips):
        started, maps = time.process_time(), list(clip.maps())
        entities = list(entities_of(network.segmenter, network.contract, clip.images()))
        measured(metrics, entities, lambda maps=maps, clip=clip: TrackMaps(maps, clip.parents), name, scenario)
        print(f"{name}: {time.process_time() - started:.1f} CPU-s", flush=True)
    return metrics


def on_car_shadow(network: Loaded, data: Path) -> dict[str, dict[str, float]]:
    """J&F of the track with the best overlap, by tracker; the clip has one labelled object, so no other metric."""
    (clip,) = read_clips(data / "video" / "DAVIS")
    entities = list(entities_of(network.segmenter, network.contract, map(read_image, clip.pictures)))
    metrics = {tracker: ClipMetricSet(("jf", "j", "f")) for tracker in TRACKERS}
    measured(metrics, entities, lambda: TrackMaps(clip.maps()), clip.name, "")
    return {tracker: values.compute() for tracker, values in metrics.items()}


def table(metrics: dict[str, ClipMetricSet]) -> str:
    """A row per tracker with intervals, and one of the paired difference of the tracker and IoU linking."""
    lines = [f"| | {' | '.join(METRICS)} |", f"|---|{'---|' * len(METRICS)}"]
    for tracker, values in metrics.items():
        means, spans = values.compute(), values.interval()
        cells = [cell(means[key], spans[key]) for key in METRICS]
        lines.append(f"| {tracker} | {' | '.join(cells)} |")
    ours, theirs = metrics["motion"], metrics["iou"]
    drawn = {key: ours.resample()[key] - theirs.resample()[key] for key in METRICS}
    now, before = ours.compute(), theirs.compute()
    cells = [cell(now[key] - before[key], percentile_interval(drawn[key], 0.95), "+") for key in METRICS]
    return "\n".join([*lines, f"| motion less iou | {' | '.join(cells)} |"])


def cell(value: float, span: tuple[float, float], sign: str = "") -> str:
    """`0.81 [0.77, 0.85]`."""
    return f"{value:{sign}.3f} [{span[0]:{sign}.3f}, {span[1]:{sign}.3f}]"


def strata(metrics: dict[str, ClipMetricSet]) -> str:
    """VEQ, IDF1, HOTA and returns kept of every scenario and tracker."""
    keys = ("veq", "idf1", "hota", "ids_kept_10", "ctc_tra")
    lines = [f"| scenario | tracker | {' | '.join(keys)} |", f"|---|---|{'---|' * len(keys)}"]
    for scenario in SCENARIOS:
        for tracker, values in metrics.items():
            of_scenario = values.by_stratum()[scenario]
            lines.append(f"| {scenario} | {tracker} | {' | '.join(f'{of_scenario[key]:.3f}' for key in keys)} |")
    return "\n".join(lines).replace("nan", "")


def page(parts: dict[str, dict[str, ClipMetricSet]], shadow: dict[str, dict[str, float]], said: Sequence[str]) -> str:
    """The page of all that was measured."""
    lines = [
        "# Tracks",
        "",
        f"`{' '.join(['python -m benchmarks.accuracy.tracking', *said])}`",
        "",
        str(__doc__).split("\n\n", 2)[2],
    ]
    for title, metrics in parts.items():
        clips = next(iter(metrics.values()))
        lines += [f"## {title}", "", f"{len(clips)} clips of {FRAMES} frames, {SIDE_PX} x {SIDE_PX} px, {clips.tracks} "
                  "tracks; [95 % interval, clips resampled]; `id_switches` per true track, fewer are better.", "",
                  table(metrics), "", strata(metrics), ""]  # fmt: skip
    if shadow:
        rows = [f"| {tracker} | {values['jf']:.3f} | {values['j']:.3f} | {values['f']:.3f} |"
                for tracker, values in shadow.items()]  # fmt: skip
        lines += ["## DAVIS car-shadow, entities of the embedded base", ""]
        lines += ["The track with the best overlap with the car, 40 frames; one clip, so no interval.", ""]
        lines += ["| | J&F | J | F |", "|---|---|---|---|", *rows, ""]
    return "\n".join(lines)


def main(words: Sequence[str] | None = None) -> None:
    """Measure and write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=None, help="the folder of real data sets")
    parser.add_argument("--clips", type=int, default=8, help="of each scenario, on true entities")
    parser.add_argument("--base-clips", type=int, default=2, help="of each scenario, on the embedded base; 0 for none")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/tracking.md"))
    asked = parser.parse_args(words)
    set_up()
    parts = {"True entities, perturbed": on_true_entities(asked.clips)}
    said = [f"--clips {asked.clips}", f"--base-clips {asked.base_clips}"]
    write(asked.out, page(parts, {}, said), parts, {})
    if not asked.base_clips:
        return
    shadow: dict[str, dict[str, float]] = {}
    with loaded("base", "base") as network:
        parts["Entities of the embedded base"] = on_base(network, asked.base_clips)
        write(asked.out, page(parts, shadow, said), parts, shadow)
        if asked.data is not None:
            shadow = on_car_shadow(network, asked.data)
            said.append("--data DIR")
    write(asked.out, page(parts, shadow, said), parts, shadow)


def write(
    out: Path, text: str, parts: dict[str, dict[str, ClipMetricSet]], shadow: dict[str, dict[str, float]]
) -> None:
    """The page, and every clip's numbers beside it as JSON."""
    numbers: dict[str, Any] = {"car-shadow": shadow}
    for title, metrics in parts.items():
        numbers[title] = {
            tracker: {
                "clips": values.groups,
                **{key: np.round(column, 6).tolist() for key, column in values.per_image().items()},
            }
            for tracker, values in metrics.items()
        }
    with atomic_path(out) as temporary:
        temporary.write_text(text, encoding="utf-8")
    with atomic_path(out.parent / "results" / "tracking.json") as temporary:
        temporary.write_text(json.dumps(numbers).replace("NaN", "null") + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
