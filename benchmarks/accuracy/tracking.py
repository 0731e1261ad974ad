"""How well tracks are kept: a tracker beside per-frame IoU linking and the nearest centroid.

    python -m benchmarks.accuracy.tracking --part true|hidden|base [--clips 5]
    python -m benchmarks.accuracy.tracking --part car-shadow --data DIR
    python -m benchmarks.accuracy.tracking --part realtime [--clips 5] --data DIR

Generated clips that nothing was trained or chosen on (crossing, a full occlusion of 10 frames, births, exits,
divisions; their seeds begin at 9000) and DAVIS `car-shadow`, below DIR, the folder of real data sets. Every
tracker gets the same entities of a frame: once the true ones, perturbed (6 % dropped, 4 % of the pairs that touch
merged, rims displaced by about 1.5 px), so that linking alone is measured, of all scenarios and of more occlusions
(`hidden`); once those that the embedded base finds, by
`base.yaml` as it ships (in car-shadow by `natural.yaml`, at one scale), of every frame or of keyframes alone. Intervals
are by bootstrap over clips; differences are paired.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from adapters.options.tracking import Keyframes, MemoryTracking, Motion, Nearest, Overlap, TrackingOptions
from adapters.tracking import build_tracker
from adapters.tracking.propagation import Propagation
from domains.atomic import atomic_path
from domains.formats.clips import read_clips
from domains.metrics.bootstrap import percentile_interval
from domains.metrics.clip_metric_set import ClipMetricSet, TrackMaps
from domains.procedural.clips import SCENARIOS, draw_clip
from domains.scenes.images import read_image
from recipes import set_up
from recipes.load import Loaded, loaded
from recipes.verbs.following import Followed, SeenFrame, carried, entities_of

TRACKERS: dict[str, TrackingOptions] = {
    "iou": Overlap(),
    "nearest": Nearest(),
    "motion": Motion(),
    "memory": MemoryTracking(),
}
SPARSE: dict[str, TrackingOptions] = {
    "every frame": Motion(),
    "realtime": Motion(realtime=True),
    **{
        f"keyframe_frames={frames}": Motion(realtime=True, keyframe_frames=frames, keyframe_change=1.0)
        for frames in (2, 8)
    },
}
"""The tracker by motion on what the network says of every frame, or of keyframes: by default, and without regard to
change."""
PAIRS = (("motion", "iou"), ("memory", "iou"), ("memory", "motion"), *((sparse, "every frame") for sparse in SPARSE))
METRICS = ("veq", "veq_1", "veq_8", "stq", "idf1", "hota", "ass_a", "id_switches", "ids_kept_10", "jf", "ctc_tra")
FIRST_SEED, FRAMES, SIDE_PX, HIDDEN = 9000, 30, 128, 10
DROPPED, MERGED, RAGGED_PX = 0.06, 0.04, 1.5
PARTS = {
    "true": "True entities, perturbed",
    "hidden": "True entities, perturbed, of more occlusions",
    "base": "Entities of the embedded base",
    "car-shadow": "DAVIS car-shadow, entities of the embedded base",
    "realtime": "Keyframes and optical flow, entities of the embedded base",
}
OF_PHOTOGRAPHS = "natural", ("domain.test_scales=[1]",)
"""Of car-shadow: by the recipe `base`, of any image, a frame's best entity has an IoU of .04 to .10 with the car."""
Entities = list[SeenFrame]


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
        options = {**TRACKERS, **SPARSE}[tracker]
        followed = Followed(build_tracker(options), sparse(entities, options))
        values.update(TrackMaps(followed.maps, followed.parents), truth(), name, stratum)


def sparse(entities: Entities, options: TrackingOptions) -> Iterable[SeenFrame]:
    """The frames, or where the tracker asks for it the entities of their keyframes, carried on."""
    if isinstance(options, Keyframes) and options.realtime:
        return carried(entities, Propagation(options))
    return entities


def generated(clips: int, scenarios: Iterable[str] = SCENARIOS) -> Iterator[tuple[str, str, Any]]:
    """(name, scenario, clip) of as many clips of each scenario."""
    for scenario in scenarios:
        for i in range(clips):
            hidden = HIDDEN if scenario == "occlusion" else None
            seed = FIRST_SEED + i
            yield f"{scenario} {seed}", scenario, draw_clip(scenario, seed, FRAMES, SIDE_PX, SIDE_PX, hidden)


def on_true_entities(clips: int, scenarios: Iterable[str] = SCENARIOS) -> dict[str, ClipMetricSet]:
    """Metrics by tracker on perturbed true entities."""
    metrics = {tracker: ClipMetricSet(METRICS) for tracker in TRACKERS}
    for name, scenario, clip in generated(clips, scenarios):
        frames = [clip.frame(index) for index in range(len(clip))]
        maps = [ids for _, ids in frames]
        rng = np.random.default_rng((FIRST_SEED, *name.encode()))
        entities = [SeenFrame(perturbed(rng, ids), None, image) for image, ids in frames]
        measured(metrics, entities, lambda maps=maps, clip=clip: TrackMaps(maps, clip.parents), name, scenario)
    return metrics


def on_base(network: Loaded, clips: int, trackers: Iterable[str] = TRACKERS) -> dict[str, ClipMetricSet]:
    """Metrics by tracker on what the embedded base finds in generated clips."""
    metrics = {tracker: ClipMetricSet(METRICS) for tracker in trackers}
    for name, scenario, clip in generated(clips):
        started, maps = time.process_time(), list(clip.maps())
        entities = list(entities_of(network.segmenter, network.contract, clip.images()))
        measured(metrics, entities, lambda maps=maps, clip=clip: TrackMaps(maps, clip.parents), name, scenario)
        print(f"{name}: {time.process_time() - started:.1f} CPU-s", flush=True)
    return metrics


def on_car_shadow(network: Loaded, data: Path, trackers: Iterable[str] = TRACKERS) -> dict[str, dict[str, float]]:
    """J&F of the track with the best overlap, by tracker; the clip has one labelled object, so no other metric."""
    (clip,) = read_clips(data / "video" / "DAVIS")
    entities = list(entities_of(network.segmenter, network.contract, map(read_image, clip.pictures)))
    metrics = {tracker: ClipMetricSet(("jf", "j", "f")) for tracker in trackers}
    measured(metrics, entities, lambda: TrackMaps(clip.maps()), clip.name, "")
    return {tracker: values.compute() for tracker, values in metrics.items()}


def table(metrics: dict[str, ClipMetricSet]) -> str:
    """A row per tracker with intervals, and paired differences of the trackers with memories and others."""
    lines = [f"| | {' | '.join(METRICS)} |", f"|---|{'---|' * len(METRICS)}"]
    for tracker, values in metrics.items():
        means, spans = values.compute(), values.interval()
        cells = [cell(means[key], spans[key]) for key in METRICS]
        lines.append(f"| {tracker} | {' | '.join(cells)} |")
    for ours, theirs in PAIRS:
        if ours == theirs or not {ours, theirs} <= {*metrics}:
            continue
        drawn, others = metrics[ours].resample(), metrics[theirs].resample()
        now, before = metrics[ours].compute(), metrics[theirs].compute()
        spans = {key: percentile_interval(drawn[key] - others[key], 0.95) for key in METRICS}
        cells = [cell(now[key] - before[key], spans[key], "+") for key in METRICS]
        lines.append(f"| {ours} less {theirs} | {' | '.join(cells)} |")
    return "\n".join(lines)


def cell(value: float, span: tuple[float, float], sign: str = "") -> str:
    """`0.81 [0.77, 0.85]`."""
    return f"{value:{sign}.3f} [{span[0]:{sign}.3f}, {span[1]:{sign}.3f}]"


def strata(metrics: dict[str, ClipMetricSet]) -> str:
    """VEQ, IDF1, HOTA and returns kept of every scenario and tracker."""
    keys = ("veq", "idf1", "hota", "ids_kept_10", "ctc_tra")
    lines = [f"| scenario | tracker | {' | '.join(keys)} |", f"|---|---|{'---|' * len(keys)}"]
    present = next(iter(metrics.values())).by_stratum()
    for scenario in (name for name in SCENARIOS if name in present):
        for tracker, values in metrics.items():
            of_scenario = values.by_stratum()[scenario]
            lines.append(f"| {scenario} | {tracker} | {' | '.join(f'{of_scenario[key]:.3f}' for key in keys)} |")
    return "\n".join(lines).replace("nan", "")


def section(metrics: dict[str, ClipMetricSet]) -> list[str]:
    """The lines of a part that has several clips."""
    clips = next(iter(metrics.values()))
    return [
        f"{len(clips)} clips of {FRAMES} frames, {SIDE_PX} x {SIDE_PX} px, {clips.tracks} tracks; [95 % interval, "
        "clips resampled]; `id_switches` per true track, fewer are better.",
        "", table(metrics), "", strata(metrics),
    ]  # fmt: skip


def of_shadow(shadow: dict[str, dict[str, float]]) -> list[str]:
    """The lines of the one real clip."""
    rows = [f"| {tracker} | {of['jf']:.3f} | {of['j']:.3f} | {of['f']:.3f} |" for tracker, of in shadow.items()]
    about = "The track with the best overlap with the car, 40 frames; one clip, so no interval."
    return [about, "", "| | J&F | J | F |", "|---|---|---|---|", *rows]


def page(results: Path) -> str:
    """The page of all parts that were measured, each with its command."""
    lines = ["# Tracks", "", str(__doc__).strip().split("\n\n", 2)[2], ""]
    for part, title in PARTS.items():
        place = results / f"tracking-{part}.json"
        if place.is_file():
            content = json.loads(place.read_text(encoding="utf-8"))
            lines += [f"## {title}", "", f"`{content['command']}`", "", *content["lines"], ""]
    return "\n".join(lines)


def main(words: Sequence[str] | None = None) -> None:
    """Measure a part and write the page of all that was measured so far."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--part", choices=PARTS, required=True)
    parser.add_argument("--data", type=Path, default=None, help="the folder of real data sets, for car-shadow")
    parser.add_argument("--clips", type=int, default=5, help="of each scenario")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/tracking.md"))
    asked = parser.parse_args(words)
    set_up()
    command = f"python -m benchmarks.accuracy.tracking --part {asked.part}"
    if asked.part == "car-shadow":
        if asked.data is None:
            parser.error("--part car-shadow wants --data DIR")
        with loaded("base", *OF_PHOTOGRAPHS) as network:
            shadow = on_car_shadow(network, asked.data)
        content: dict[str, Any] = {"command": f"{command} --data DIR", "lines": of_shadow(shadow), "numbers": shadow}
    else:
        shadow = {}
        if asked.part in {"true", "hidden"}:
            metrics = on_true_entities(asked.clips, ("occlusion",) if asked.part == "hidden" else SCENARIOS)
        else:
            trackers = SPARSE if asked.part == "realtime" else TRACKERS
            with loaded("base", "base") as network:
                metrics = on_base(network, asked.clips, trackers)
            if asked.part == "realtime" and asked.data is not None:
                with loaded("base", *OF_PHOTOGRAPHS) as network:
                    shadow = on_car_shadow(network, asked.data, trackers)
        numbers = {
            tracker: {
                "clips": values.groups,
                **{key: np.round(column, 6).tolist() for key, column in values.per_image().items()},
            }
            for tracker, values in metrics.items()
        }
        command += f" --clips {asked.clips}" + (" --data DIR" if shadow else "")
        lines = [
            *section(metrics),
            *(["", f"`car-shadow`: {of_shadow(shadow)[0]}", *of_shadow(shadow)[1:]] if shadow else []),
        ]
        content = {"command": command, "lines": lines, "numbers": numbers}
    results = asked.out.parent / "results"
    results.mkdir(exist_ok=True)
    with atomic_path(results / f"tracking-{asked.part}.json") as temporary:
        temporary.write_text(json.dumps(content).replace("NaN", "null") + "\n", encoding="utf-8")
    with atomic_path(asked.out) as temporary:
        temporary.write_text(page(results), encoding="utf-8")


if __name__ == "__main__":
    main()
