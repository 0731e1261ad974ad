"""`predict` of two builds, and our network beside MONAI's U-Net by the same tiler: CPU-seconds, turn by turn.

    python -m benchmarks.speed.prediction SLIDE --adapter A [--before CHECKOUT] [--fast STUDENT] [--turns 7] [WORD ...]

--before: another checkout of this repository, whose `cli.py predict` takes its turn with this one's; each is a process
of its own, with its start, and words behind are handed to both. The U-Net is as it is drawn, with random weights: what
it says is not decoded, so the decode of our fields is added to both. --fast: a copy of the adapter with a student,
which is ours then (an earlier checkout cannot read it); without --before this checkout predicts by both.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

import torch

from adapters.inference.fields import Seen, fields
from adapters.inference.segment import Tiles, decoded
from adapters.network import EntitySegmenter, Output
from adapters.runtime import Runtime
from benchmarks.accuracy.unet import UNetSegmenter
from benchmarks.speed.child import peak_kib
from benchmarks.speed.turns import parser_with_turns, turn_by_turn
from domains.scenes import open_scene
from recipes import set_up
from recipes.inputs import Sight
from recipes.load import Loaded, loaded
from recipes.looking import looking
from recipes.runtime import choose

HERE = Path(__file__).resolve().parents[2]
POLL_S = 0.02

Side = tuple[Path, str, list[str]]
"""A checkout, the adapter that it predicts by, and further words."""


def predict(checkout: Path, slide: Path, adapter: str, threads: int, words: list[str]) -> tuple[float, float, float]:
    """(CPU-seconds, seconds, peak MiB) of `cli.py predict` of a checkout, on so many threads."""
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads), "PYTHONPATH": str(checkout)}
    with tempfile.TemporaryDirectory() as out:
        command = [sys.executable, str(checkout / "cli.py"), "predict", "--adapter", adapter, str(slide), *words]
        before, began, peak = os.times(), time.perf_counter(), 0
        process = subprocess.Popen(
            [*command, "--out", out], env=environment, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL
        )
        while process.poll() is None:
            peak = max(peak, peak_kib(process.pid))
            time.sleep(POLL_S)
        if process.returncode:
            raise SystemExit(f"{' '.join(command)} ended with {process.returncode}")
        seconds, after = time.perf_counter() - began, os.times()
    cpu_s = after.children_user + after.children_system - before.children_user - before.children_system
    return cpu_s, seconds, peak / 1024


def builds(slide: Path, turns: int, threads: int, sides: tuple[Side, Side]) -> None:
    """Print the medians of both builds and their ratios."""
    costs = [[predict(build, slide, adapter, threads, words) for build, adapter, words in sides] for _ in range(turns)]
    for unit, name in enumerate(("CPU-s", "s", "MiB at most")):
        then, now = (median(turn[side][unit] for turn in costs) for side in (0, 1))
        ratios = sorted(turn[0][unit] / turn[1][unit] for turn in costs)
        print(f"predict, {name}: {then:.1f} -> {now:.1f}, ratio {then / now:.2f} [{ratios[0]:.2f}, {ratios[-1]:.2f}]")


def networks(adapter: Loaded, slide: Path, runtime: Runtime, turns: int) -> None:
    """Print what our network and the U-Net take for the scene's windows, and the decode of our fields."""
    scene = decoded(adapter.contract.viewed(open_scene(slide)))
    worth = looking(adapter.recipe.domain.name, Sight())
    tiles = Tiles(scene, adapter.contract, worth and worth(scene))
    megapixels = tiles.grid.shape[0] * tiles.grid.shape[1] / 1e6
    segmenter, unet = adapter.segmenter, UNetSegmenter().eval().place(runtime)
    outputs: list[Output] = []
    ours, theirs, decode = turn_by_turn(
        lambda: outputs.__setitem__(slice(None), tile_fields(segmenter, tiles)),
        lambda: tile_fields(unet, tiles),
        lambda: [segmenter.decoder.proposals.entities(*output) for output in outputs],
        turns=turns,
    )
    print(f"{megapixels:.1f} megapixels at the network's scale, {runtime.precision}; CPU-s: our network "
          f"{median(ours):.2f}, MONAI's U-Net {median(theirs):.2f}, decode {median(decode):.2f}")  # fmt: skip
    network, whole = median(ours) / median(theirs), median(map(sum, zip(ours, decode, strict=True)))
    both = whole / median(map(sum, zip(theirs, decode, strict=True)))
    print(f"ours / the U-Net's: network {network:.2f}, with the decode {both:.2f}")


def tile_fields(segmenter: EntitySegmenter, tiles: Tiles) -> list[Output]:
    """The fields of all tiles that are worth looking at, as `predict` gets them."""
    lattice, seen = tiles.lattice, Seen()
    if lattice is None:
        raise SystemExit("wanted a scene larger than a tile, and an adapter that sees it by windows (--window)")
    windows = [tiles.grid.window(i) for i in range(len(tiles.grid))]
    around = (tiles.read(window) for window in windows if tiles.is_worth(window))
    views = tiles.contract.window_views
    return [fields(segmenter, tile, lattice, views, seen, tiles.again(tile.tile)) for tile in around]


def main() -> None:
    """Both comparisons."""
    words = parser_with_turns(__doc__)
    words.add_argument("slide", type=Path)
    words.add_argument("--adapter", required=True)
    words.add_argument("--before", type=Path, help="another checkout")
    words.add_argument("--fast", metavar="STUDENT", help="a copy of the adapter with a student")
    words.add_argument("--threads", type=int, default=1)
    words.add_argument("--precision", default="auto", help="auto, fp32 or bf16, of the networks")
    given, more = words.parse_known_args()
    fast = ["--fast"] if given.fast else []
    torch.set_num_threads(given.threads)
    set_up()
    ours = given.fast or given.adapter
    if given.before or given.fast:
        then = (given.before or HERE).resolve(), given.adapter, more
        builds(given.slide.resolve(), given.turns, given.threads, (then, (HERE, ours, fast + more)))
    runtime = choose("cpu", given.precision)
    with loaded(ours, runtime=runtime, fast=bool(given.fast)) as adapter:
        networks(adapter, given.slide, runtime, given.turns)


if __name__ == "__main__":
    main()
