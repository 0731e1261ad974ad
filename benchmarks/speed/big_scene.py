"""What `predict` and `fit` cost on a scene of 60,000 x 60,000 px: seconds, peak memory, and what a kill does.

    python -m benchmarks.speed.big_scene predict FOLDER [--slide S.svs] [--adapter A] [--kill]
    python -m benchmarks.speed.big_scene fit FOLDER [--steps 20]

The scenes are written sparsely into FOLDER (`benchmarks.speed.sparse_scene`): white glass and a few patches of tissue,
cut from `--slide` where one is given, else generated. The command line tool runs in a process of its own, whose peak is
what the kernel says (VmHWM), so this works on Linux only. `--kill` predicts a second time, kills that half-way by
SIGKILL, runs the same command again, and compares the two results pixel by pixel.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from time import perf_counter, sleep
from typing import NamedTuple

import numpy as np

from adapters.inference.segment import TILES_AT_ONCE
from benchmarks.speed.sparse_scene import STORED_PX, patches, write_annotations, write_scene
from domains.tiling.journal import Journal

CLI = Path(__file__).resolve().parents[2] / "cli.py"
POLL_S = 0.1
SLIDES = 3  # of `fit`: one for each split


class Cost(NamedTuple):
    """Of a process. cpu_s: of all its threads; peak_mib: resident; killed: by us."""

    seconds: float
    cpu_s: float
    peak_mib: float
    killed: bool

    def __str__(self) -> str:
        how = ", killed" if self.killed else ""
        return f"{self.seconds:.0f} s, {self.cpu_s:.0f} s of processor time, peak {self.peak_mib:.0f} MiB{how}"


def run(words: Sequence[str], until: Callable[[float], bool] = lambda seconds: False) -> Cost:
    """`python cli.py WORDS`; killed when `until` says so of the seconds so far. Raises where it fails by itself."""
    started, before = perf_counter(), os.times()
    process = subprocess.Popen([sys.executable, str(CLI), *words], stdout=subprocess.PIPE, text=True)
    peak, killed = 0, False
    while process.poll() is None:
        peak = max(peak, peak_kib(process.pid))
        if until(perf_counter() - started):
            process.kill()
            killed = True
            break
        sleep(POLL_S)
    said = process.communicate()[0]
    after = os.times()
    if process.returncode and not killed:
        raise SystemExit(f"cli.py {' '.join(words)} ended with {process.returncode}")
    print("".join(f"    {line}\n" for line in said.splitlines()), end="")
    cpu = after.children_user + after.children_system - before.children_user - before.children_system
    return Cost(perf_counter() - started, cpu, peak / 1024, killed)


def peak_kib(pid: int) -> int:
    """The most that was ever resident; 0 when the process has ended."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM")), 0)


def predict(folder: Path, side_px: int, tiles: int, slide: Path | None, adapter: Sequence[str], kill: bool) -> None:
    scene = folder / "scene.tif"
    write_scene(scene, side_px, patches(side_px, patch_count(tiles), 0, slide))
    print(f"{scene}: {side_px} x {side_px} px, {tiles} tiles of {STORED_PX} px stored")
    words = ["predict", *adapter, str(scene)]
    whole = fresh(folder / "whole")
    cost = run([*words, "--out", str(whole)])
    print(f"predict: {cost}")
    if not kill:
        return
    resumed = fresh(folder / "resumed")
    journal = Journal(resumed / ".scene.running" / "journal")

    def half_way(seconds: float) -> bool:
        return seconds > cost.seconds / 2 and sum(1 for _ in journal.records()) >= TILES_AT_ONCE

    print(f"again, to be killed: {run([*words, '--out', str(resumed)], half_way)}")
    print(f"on disk then: {sum(1 for _ in journal.records())} tiles")
    print(f"the same command again: {run([*words, '--out', str(resumed)])}")
    print("compared: " + compared(whole, resumed))


def compared(one: Path, other: Path) -> str:
    """Label images pixel by pixel, the other files byte by byte."""
    import zarr

    arrays = [zarr.open_array(str(path / "scene.labels.zarr" / "0"), mode="r") for path in (one, other)]
    pixels = 0
    for y in range(0, arrays[0].shape[0], 1024):
        rows = [np.asarray(array[y : y + 1024]) for array in arrays]
        pixels += int(np.count_nonzero(rows[0] != rows[1]))
    files = sorted(path.name for path in one.iterdir() if path.is_file())
    differ = [name for name in files if (one / name).read_bytes() != (other / name).read_bytes()]
    return f"{pixels} pixels differ; of {', '.join(files)} differ: {', '.join(differ) or 'none'}"


def fit(folder: Path, side_px: int, tiles: int, steps: int, overrides: Sequence[str]) -> None:
    data = fresh(folder / "data")
    entities = 0
    for seed in range(SLIDES):
        tissue = patches(side_px, patch_count(tiles), seed)
        write_scene(data / f"slide{seed}.tif", side_px, tissue)
        entities += write_annotations(data / f"slide{seed}.geojson", tissue)
    print(f"{data}: {SLIDES} slides of {side_px} x {side_px} px, {entities} entities annotated")
    words = ["fit", "--recipe", "pathology", "--data", str(data), "--out", str(fresh(folder / "run"))]
    print(f"fit: {run([*words, f'train.steps={steps}', *overrides])}")


def patch_count(tiles: int) -> int:
    return max(1, tiles // 4)


def fresh(folder: Path) -> Path:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder


def main() -> None:
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("verb", choices=("predict", "fit"))
    words.add_argument("folder", type=Path, help="for scenes and results; its former ones are replaced")
    words.add_argument("--side", type=int, default=60_000, help="of the scene, in px")
    words.add_argument("--tiles", type=int, default=40, help=f"of {STORED_PX} px that hold tissue, per scene")
    words.add_argument("--slide", type=Path, help="predict: where the tissue comes from")
    words.add_argument("--adapter", default="base")
    words.add_argument("--kill", action="store_true", help="predict: a second time, killed and resumed")
    words.add_argument("--steps", type=int, default=20, help="fit: of training")
    words.add_argument("overrides", nargs="*", help="fit: options of the recipe")
    given = words.parse_args()
    given.folder.mkdir(parents=True, exist_ok=True)
    if given.verb == "fit":
        fit(given.folder, given.side, given.tiles, given.steps, given.overrides)
        return
    adapter = ["--adapter", given.adapter, *(["--recipe", "pathology"] if given.adapter == "base" else [])]
    predict(given.folder, given.side, given.tiles, given.slide, adapter, given.kill)


if __name__ == "__main__":
    main()
