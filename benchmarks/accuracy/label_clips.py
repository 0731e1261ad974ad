"""What image labels are worth for following: an adapter's own memory decoder beside the base's and trackers by rule.

    python cli.py adapters follow ADAPTER --data DIR --out RUN
    python -m benchmarks.accuracy.label_clips --adapter RUN/adapter --data DIR [--clips 2] [domain.groups=FILE]
    python -m benchmarks.accuracy.label_clips --adapter RUN/adapter --clip DAVIS

Pseudo-clips of the *test* images of DIR, `--clips` of each, which neither adapter nor memory decoder has seen: a camera
moves over a still, cut-outs of its labelled entities cross, hide, enter and leave
(`domains/procedural/pasted_clips.py`; 20 frames of 128 x 128 px). Every tracker gets the same entities of a frame:
those that the adapter finds, and the true ones, perturbed as in `tracking.py`. Intervals are by bootstrap over images,
whose clips are drawn together; differences are paired. Real clips: J&F of the track with the best overlap, of DAVIS's
one labelled object.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from adapters.decoders.slot_decoder import FittedMemory
from adapters.options.tracking import MemoryTracking, Motion, Nearest, Overlap
from adapters.tracking import Tracker, build_tracker
from benchmarks.accuracy.tracking import cell, perturbed
from domains.atomic import atomic_path
from domains.entities import EntitySample, Samples
from domains.formats.clips import read_clips
from domains.metrics.bootstrap import percentile_interval
from domains.metrics.clip_metric_set import ClipMetricSet, TrackMaps
from domains.procedural.pasted_clips import clip_of_labels
from domains.scenes.images import as_rgb, read_image
from recipes import set_up
from recipes.build import domain_of
from recipes.load import Loaded, loaded
from recipes.reading.compose import changed
from recipes.verbs.following import Followed, SeenFrame, entities_of
from recipes.verbs.label_clips import frame_pixel_size, still_of

METRICS = ("veq", "veq_1", "veq_8", "idf1", "hota", "ass_a", "id_switches", "jf")
SEED, FRAMES, SIDE_PX, LOOKED_AT_PX = 77_000, 20, 128, 384
FITTED = "memory, fitted"
PAIRS = ((FITTED, "iou"), (FITTED, "motion"), (FITTED, "memory"), ("motion", "iou"))
Build = Callable[[], Tracker]


class Chosen:
    """So many samples at most, spread evenly over all."""

    def __init__(self, samples: Samples, count: int) -> None:
        self.samples = samples
        indices = np.linspace(0, len(samples) - 1, min(count, len(samples)))
        self.indices = sorted({round(float(index)) for index in indices})

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, index: int) -> EntitySample:
        return self.samples[self.indices[index]]


def trackers_of(memory: FittedMemory | None) -> dict[str, Build]:
    """Trackers by name; what was fitted only where an adapter has it."""
    trackers: dict[str, Build] = {
        "iou": lambda: build_tracker(Overlap()),
        "nearest": lambda: build_tracker(Nearest()),
        "motion": lambda: build_tracker(Motion()),
        "memory": lambda: build_tracker(MemoryTracking()),
    }
    if memory is not None:
        trackers[FITTED] = lambda: build_tracker(MemoryTracking(), memory=memory)
    return trackers


def measured(
    metrics: dict[str, ClipMetricSet],
    trackers: dict[str, Build],
    frames: Sequence[SeenFrame],
    truth: Callable[[], TrackMaps],
    group: str,
) -> None:
    """Every tracker's tracks of a clip, measured."""
    for name, build in trackers.items():
        followed = Followed(build(), frames)
        metrics[name].update(TrackMaps(followed.maps, followed.parents), truth(), group)


def on_stills(network: Loaded, samples: Samples, clips: int) -> dict[str, dict[str, ClipMetricSet]]:
    """Metrics by tracker, of the adapter's entities and of perturbed true ones."""
    trackers = trackers_of(network.memory)
    results = {part: {name: ClipMetricSet(METRICS) for name in trackers} for part in ("adapter", "true")}
    for index in range(len(samples)):
        for number in range(clips):
            rng = np.random.default_rng((SEED, index, number))
            still = still_of([samples[index]], rng, LOOKED_AT_PX)
            clip = clip_of_labels(still, (SEED, index, number, 1), FRAMES, SIDE_PX, SIDE_PX)
            images, maps = zip(*(clip.frame(at) for at in range(FRAMES)), strict=True)
            size = frame_pixel_size(still.place.pixel_size_m, network.contract)
            wrong = [
                SeenFrame(perturbed(rng, ids.clip(0)), None, as_rgb(image))
                for image, ids in zip(images, maps, strict=True)
            ]
            seen = [*entities_of(network.segmenter, network.contract, images, size)]
            for part, frames in (("adapter", seen), ("true", wrong)):
                measured(results[part], trackers, frames, lambda maps=maps: TrackMaps(maps), still.place.scene)
        print(f"{index + 1} of {len(samples)} images", flush=True)
    return results


def table(metrics: dict[str, ClipMetricSet]) -> list[str]:
    """A row per tracker with intervals, and paired differences."""
    lines = [f"| | {' | '.join(METRICS)} |", f"|---|{'---|' * len(METRICS)}"]
    for tracker, values in metrics.items():
        means, spans = values.compute(), values.interval()
        lines.append(f"| {tracker} | {' | '.join(cell(means[key], spans[key]) for key in METRICS)} |")
    for ours, theirs in PAIRS:
        if not {ours, theirs} <= {*metrics}:
            continue
        drawn, others = metrics[ours].resample(), metrics[theirs].resample()
        now, before = metrics[ours].compute(), metrics[theirs].compute()
        spans = {key: percentile_interval(drawn[key] - others[key], 0.95) for key in METRICS}
        cells = (cell(now[key] - before[key], spans[key], "+") for key in METRICS)
        lines.append(f"| {ours} less {theirs} | {' | '.join(cells)} |")
    return lines


def on_real(network: Loaded, folder: Path) -> list[str]:
    """J&F of the track with the best overlap, by tracker, of annotated clips whose pictures are here."""
    trackers = trackers_of(network.memory)
    metrics = {name: ClipMetricSet(("jf", "j", "f")) for name in trackers}
    clips = read_clips(folder)
    for clip in clips:
        frames = list(entities_of(network.segmenter, network.contract, map(read_image, clip.pictures)))
        measured(metrics, trackers, frames, lambda clip=clip: TrackMaps(clip.maps()), clip.name)
    about = f"{', '.join(clip.name for clip in clips)}: the track with the best overlap, {metrics['iou'].frames} frames"
    values = {name: of.compute() for name, of in metrics.items()}
    rows = [f"| {name} | {of['jf']:.3f} | {of['j']:.3f} | {of['f']:.3f} |" for name, of in values.items()]
    return [about, "", "| | J&F | J | F |", "|---|---|---|---|", *rows]


def of_stills(results: dict[str, dict[str, ClipMetricSet]], images: int) -> list[str]:
    """The lines of both kinds of entities."""
    lines = []
    for part, title in (("adapter", "Entities that the adapter finds"), ("true", "True entities, perturbed")):
        metrics = results[part]
        clips = next(iter(metrics.values()))
        about = f"{title}: {len(clips)} clips of {images} test images, {clips.tracks} tracks"
        lines += [f"{about}; [95 % interval, images resampled].", "", *table(metrics), ""]
    return lines


def page(results: Path) -> str:
    """The page of all that was measured, each with its command."""
    lines = ["# Clips from image labels", "", str(__doc__).strip().split("\n\n", 2)[2], ""]
    for place in sorted(results.glob("label-clips-*.json")):
        content: dict[str, Any] = json.loads(place.read_text(encoding="utf-8"))
        lines += [f"## {content['title']}", "", f"`{content['command']}`", "", *content["lines"], ""]
    return "\n".join(lines).rstrip() + "\n"


def main(words: Iterable[str] | None = None) -> None:
    """Measure, and write the page of all that was measured so far."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--adapter", required=True, help="as `adapters follow` writes it")
    parser.add_argument("--data", type=Path, help="the labelled images that it was fitted to")
    parser.add_argument("--clip", type=Path, help="annotated clips, in their place")
    parser.add_argument("--clips", type=int, default=2, help="of each test image")
    parser.add_argument("--images", type=int, default=1000, help="of the test images at most, spread over all")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/label_clips.md"))
    parser.add_argument("overrides", nargs="*", metavar="KEY=VALUE", help="of the adapter's recipe")
    options = parser.parse_args(None if words is None else [*words])
    if (options.data is None) == (options.clip is None):
        parser.error("wanted --data DIR or --clip DIR")
    set_up()
    with loaded(options.adapter, overrides=options.overrides) as network:
        fitted_on = network.info.data if network.info is not None else "generated scenes"
        if options.clip is not None:
            name, lines = f"{options.clip.name}-{fitted_on}", on_real(network, options.clip)
            said = f"--clip {options.clip.name}"
        else:
            assert network.shared is not None
            moved = network.shared.on_data(str(options.data), options.overrides)
            samples = domain_of(changed(network.recipe, [*moved, *options.overrides])).dataset("test")
            chosen = Chosen(samples, options.images)
            name, lines = fitted_on, of_stills(on_stills(network, chosen, options.clips), len(chosen))
            said = f"--data {options.data.name} --clips {options.clips}"
            said += f" --images {options.images}" if len(chosen) < len(samples) else ""
    command = f"python -m benchmarks.accuracy.label_clips --adapter RUN/adapter {said}"
    content = {"title": f"{name}, adapter of {fitted_on}", "command": command, "lines": lines}
    results = options.out.parent / "results"
    results.mkdir(exist_ok=True)
    with atomic_path(results / f"label-clips-{name}.json") as temporary:
        temporary.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    with atomic_path(options.out) as temporary:
        temporary.write_text(page(results), encoding="utf-8")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
