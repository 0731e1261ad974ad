"""What following entities costs beside finding them, and whether memory grows with a clip.

    python -m benchmarks.speed.clips                     processor time a frame: network, tracker, journal; as ratios
    python -m benchmarks.speed.clips --maps --frames 1000    memory over a long clip, of drawn maps without a network
    python -m benchmarks.speed.clips --whole --frames 300 [--realtime] [--json FILE]
                                                         the whole time of each frame: read, found, followed, kept
    python -m benchmarks.speed.clips --occlusion 10      ids kept through an occlusion of so many frames, by tracker

Clips are drawn: discs that move over noise, enter, leave and pass behind a wall; those of --whole are generated ones
(`domains.procedural.clips`, crossing, 60 frames to and fro), as PNG, and their network and recipe are those of
photographs as they ship. Threads are those of OMP_NUM_THREADS.
"""

from __future__ import annotations

import argparse
import json
import resource
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter, process_time

import numpy as np
import torch
from PIL import Image

from adapters.inference.segment import Cut
from adapters.inference.tapped import pooled, segmented
from adapters.options.tracking import Motion, Nearest, Overlap, TrackingOptions
from adapters.tracking import FrameEntities, build_tracker
from adapters.tracking.propagation import Detected, Propagation
from domains.exports.limits import Limits
from domains.procedural.clips import draw_clip
from domains.scenes import Photograph
from domains.scenes.frames import FolderClip
from domains.tiling.clip_journal import ClipJournal, TrackedFrame
from recipes import set_up
from recipes.load import loaded
from recipes.verbs.clip_frames import EntityFinder, Reading, follow_frames

CLIP_SEED, CLIP_FRAMES = 9100, 60
WARM = 4
"""Frames before those that are measured."""
OPTIONS = ("domain.scale=1", "domain.test_scales=[1]")


def maps(frames: int, side: int, seed: int = 0, count: int = 24) -> Iterator[np.ndarray]:
    """(side, side) int32 a frame: discs from 1 on in straight lines, which come back on the other side."""
    draw = np.random.default_rng(seed)
    places, speeds = draw.uniform(0, side, (count, 2)), draw.normal(0, 2, (count, 2))
    radii = draw.uniform(4, 12, count)
    y, x = np.mgrid[:side, :side]
    for at in range(frames):
        ids = np.zeros((side, side), np.int32)
        for number in range(count):
            cy, cx = (places[number] + speeds[number] * at + 20) % (side + 40) - 20
            ids[(y - cy) ** 2 + (x - cx) ** 2 <= radii[number] ** 2] = number + 1
        yield ids


def picture(ids: np.ndarray, seed: int) -> np.ndarray:
    """(H, W, 3) uint8: each disc in a colour of its own, on noise."""
    draw = np.random.default_rng(seed)
    colours = np.random.default_rng(1).integers(60, 255, (ids.max() + 1, 3))
    colours[0] = 30
    return np.clip(colours[ids] + draw.normal(0, 8, (*ids.shape, 3)), 0, 255).astype(np.uint8)


def dense(ids: np.ndarray) -> np.ndarray:
    """The map with numbers 1..N."""
    present = np.unique(ids[ids > 0])
    return np.where(ids > 0, np.searchsorted(present, ids) + 1, 0).astype(np.int32)


def costs(frames: int, side: int) -> None:
    """Print processor seconds a frame."""
    spent = {"network": 0.0, "features": 0.0, "tracker": 0.0, "journal": 0.0}
    with loaded("base", "natural", OPTIONS) as network, tempfile.TemporaryDirectory() as folder:
        tracker, journal = build_tracker(Motion()), ClipJournal(Path(folder) / "clip.sqlite", {})
        tracks = 0
        for at, ids in enumerate(maps(frames + 1, side)):
            scene = Photograph(picture(ids, at))
            drawn = process_time()
            prediction, tiles, taps = segmented(network.segmenter, scene, network.contract)
            predicted = process_time()
            entities = prediction.whole_map
            features = pooled(taps, tiles.grid, entities.ids)
            described = process_time()
            step = tracker.step(FrameEntities(entities.ids, float(at), features))
            followed = process_time()
            lookup = np.concatenate([[0], step.ids]).astype(np.int32)
            scores = np.zeros(len(step.ids), np.float32)
            journal.add(TrackedFrame(at, float(at), lookup[entities.ids.clip(0)], step.ids, scores), step.ended)
            if at % 50 == 0:
                journal.commit(tracker.state())
            times = drawn, predicted, described, followed, process_time()
            tracks = len(step.ids)
            if at:  # the first frame also loads libraries
                for name, begin, end in zip(spent, times, times[1:], strict=False):
                    spent[name] += end - begin
        journal.close()
    total = sum(spent.values())
    print(f"{frames} frames of {side} x {side} px, {tracks} entities in the last")
    for name, seconds in spent.items():
        print(f"{name:9} {1000 * seconds / frames:7.1f} ms of processor time a frame")
    print(f"all       {1000 * total / frames:7.1f} ms, {total / spent['network']:.3f} of the network alone")


def whole(frames: int, side: int, is_sparse: bool, threads: int) -> dict[str, float]:
    """Milliseconds of the clock and of the processor a frame, from asking for it to its tracks in the journal, as
    `predict` goes: `p50`, `p95` and `mean`, what the network alone takes of it, frames a second, and the share of
    frames that it saw.
    """
    with tempfile.TemporaryDirectory() as folder:
        clip = draw_clip("crossing", CLIP_SEED, CLIP_FRAMES, side, side)
        drawn = list(clip.images())
        shots = Path(folder) / "shots"
        shots.mkdir()
        for at in range(frames + WARM):
            to_and_fro = at % (2 * CLIP_FRAMES - 2)
            image = drawn[min(to_and_fro, 2 * CLIP_FRAMES - 2 - to_and_fro)]
            Image.fromarray(image).save(shots / f"{at:04}.png", compress_level=1)
        with loaded("base", "natural") as network:
            finder = TimedFinder(
                network.segmenter, network.contract, Cut.of(network.segmenter, None, False), Limits(),
                Propagation(Motion(realtime=True)) if is_sparse else None,
            )  # fmt: skip
            tracker, journal = build_tracker(Motion(divisions=False)), ClipJournal(Path(folder) / "clip.sqlite", {})
            reading = Reading(FolderClip(shots), network.contract)
            clock, spent, latest = [], [], (perf_counter(), process_time())
            for _ in follow_frames(reading, finder, tracker, journal):
                now = perf_counter(), process_time()
                clock.append(1000 * (now[0] - latest[0]))
                spent.append(1000 * (now[1] - latest[1]))
                latest = now
                if len(clock) == WARM:  # libraries are loaded by then
                    finder.network_ms.clear()
            journal.close()
    clock, spent = clock[WARM:], spent[WARM:]
    alone = [times[0] for times in finder.network_ms]
    return {
        "frames": frames, "side_px": side, "threads": threads, "realtime": is_sparse,
        **{f"{name}_ms": float(np.percentile(clock, share)) for name, share in (("p50", 50), ("p95", 95))},
        "mean_ms": float(np.mean(clock)), "frames_per_second": 1000 / float(np.mean(clock)),
        "processor_p50_ms": float(np.percentile(spent, 50)), "processor_p95_ms": float(np.percentile(spent, 95)),
        "processor_mean_ms": float(np.mean(spent)), "seen_by_network": len(alone) / frames,
        "network_ms": float(np.mean(alone)),
        "processor_network_ms": float(np.mean([times[1] for times in finder.network_ms])),
        "processor_of_network_on_every_frame": float(
            np.mean(spent) / np.mean([times[1] for times in finder.network_ms])
        ),
    }  # fmt: skip


@dataclass(frozen=True)
class TimedFinder(EntityFinder):
    """An `EntityFinder` that says how long the network took, with its features over entities. network_ms: of each frame
    that it saw, by the clock and of the processor.
    """

    network_ms: list[tuple[float, float]] = field(default_factory=list)

    def seen(self, picture: Photograph) -> Detected:
        """As of `EntityFinder`."""
        begin = perf_counter(), process_time()
        found = super().seen(picture)
        self.network_ms.append((1000 * (perf_counter() - begin[0]), 1000 * (process_time() - begin[1])))
        return found


def told(numbers: dict[str, float]) -> str:
    """The numbers of `whole` in words."""
    return (
        f"{numbers['frames']} frames of {numbers['side_px']} x {numbers['side_px']} px, {numbers['threads']} threads, "
        f"{'keyframes' if numbers['realtime'] else 'every frame'} ({numbers['seen_by_network']:.0%} seen by the "
        f"network)\n"
        f"by the clock   p50 {numbers['p50_ms']:.1f} ms, p95 {numbers['p95_ms']:.1f} ms, mean {numbers['mean_ms']:.1f} "
        f"ms: {numbers['frames_per_second']:.1f} frames a second\n"
        f"processor time p50 {numbers['processor_p50_ms']:.1f} ms, p95 {numbers['processor_p95_ms']:.1f} ms, mean "
        f"{numbers['processor_mean_ms']:.1f} ms; the network alone {numbers['processor_network_ms']:.1f} ms a frame "
        f"that it sees: {numbers['processor_of_network_on_every_frame']:.3f} of the network on every frame"
    )


def memory(frames: int, side: int) -> None:
    """Print the most memory so far, and the tracker's state, at steps of a clip."""
    with tempfile.TemporaryDirectory() as folder:
        tracker, journal = build_tracker(Motion()), ClipJournal(Path(folder) / "clip.sqlite", {})
        for at, ids in enumerate(maps(frames, side)):
            step = tracker.step(FrameEntities(dense(ids), float(at)))
            lookup = np.concatenate([[0], step.ids]).astype(np.int32)
            scores = np.zeros(len(step.ids), np.float32)
            journal.add(TrackedFrame(at, float(at), lookup[dense(ids)], step.ids, scores), step.ended)
            if at % 20 == 0:
                journal.commit(tracker.state())
            if at + 1 in (100, 250, 500, frames):
                most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
                state = sum(values.nbytes for values in tracker.state().values()) / 1024
                print(
                    f"frame {at + 1}: at most {most:.1f} MiB so far, state {state:.1f} kB, {int(step.ids.max())} tracks"
                )
        journal.close()


def occlusion(gap: int, seed: int, clips: int = 40) -> None:
    """Print the share of discs that have the id after a wall that they had before, by tracker."""
    kinds: list[TrackingOptions] = [Motion(divisions=False), Overlap(), Nearest()]
    for options in kinds:
        kept = 0
        for clip in range(clips):
            draw = np.random.default_rng(seed + clip)
            speed, radius, drift = draw.uniform(1.5, 4), draw.uniform(4, 8), draw.normal(0, 0.4)
            turn = draw.normal(0, 0.15)
            wall = int(gap * speed + 2 * radius)
            tracker, before, after = build_tracker(options), 0, 0
            y, x = np.mgrid[:128, : wall + 120]
            for at in range(int((wall + 90) / speed)):
                cy, cx = 64 + drift * at + 6 * np.sin(turn * at) * 0.3, 12 + speed * at
                ids = ((y - cy) ** 2 + (x - cx) ** 2 <= radius**2).astype(np.int32)
                ids[8:120, 50 : 50 + wall] = 2
                step = tracker.step(FrameEntities(dense(ids), float(at)))
                if (ids == 1).any() and len(step.ids) == 2:
                    number = int(step.ids[dense(ids)[ids == 1][0] - 1])
                    before, after = (number, after) if cx < 50 else (before, number if cx > 50 + wall else after)
            kept += before == after != 0
        print(f"{options.name:8} {kept} of {clips} discs keep their id through {gap} hidden frames")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--frames", type=int, default=30)
    parser.add_argument("--side", type=int, default=256)
    parser.add_argument("--maps", action="store_true")
    parser.add_argument("--occlusion", type=int, default=0)
    parser.add_argument("--seed", type=int, default=1000)
    parser.add_argument("--whole", action="store_true", help="the whole time of each frame")
    parser.add_argument("--realtime", action="store_true", help="with --whole: keyframes and optical flow")
    parser.add_argument("--json", type=Path, default=None, help="with --whole: write the numbers there")
    arguments = parser.parse_args()
    if arguments.whole:
        set_up()
        numbers = whole(arguments.frames, arguments.side, arguments.realtime, torch.get_num_threads())
        print(told(numbers))
        if arguments.json is not None:
            arguments.json.write_text(json.dumps(numbers, indent=1) + "\n", encoding="utf-8")
    elif arguments.occlusion:
        occlusion(arguments.occlusion, arguments.seed)
    elif arguments.maps:
        memory(arguments.frames, arguments.side)
    else:
        costs(arguments.frames, arguments.side)
