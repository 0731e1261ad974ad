"""What `predict`, `fit` and `domains check` cost as their input grows: the table of benchmarks/scale.md.

    python -m benchmarks.speed.scale FOLDER [--images 1000,4000,16000] [--sides 6000,60000,200000] [--only predict]
    python -m benchmarks.speed.scale FOLDER --kill 20000 [--slide S.svs] [--adapter A]

Every row is the command line tool in a process of its own; what it took is kept in FOLDER/costs.json, so that a table
which was stopped goes on. Images are generated, `IMAGE_PX` a side. Scenes are slides with smaller copies, white glass
and `--tiles` tiles of tissue wherever they are (`benchmarks.speed.sparse_scene`), the same at every size, so that what
grows is glass. `--kill` predicts a scene of that side twice, kills the second run half-way by SIGKILL, repeats its
command, and compares the two results pixel by pixel.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.speed.child import Cost, run
from benchmarks.speed.small_images import IMAGE_PX
from domains.atomic import atomic_path

PAGE = Path(__file__).resolve().parents[1] / "scale.md"
STEPS = 8
SLIDES = 3  # of a fit: one for each split
KEPT = "costs.json"
FIT = ["fit", "--recipe", "pathology", f"train.steps={STEPS}", "domain.symmetries=1"]

TEXT = """# Memory and work, as the input grows

Written by `python -m benchmarks.speed.scale FOLDER`. Every row is the command line tool in a process of its own, one
thread; processor time and the peak of its memory are the kernel's (`getrusage`).

**Images** are generated nuclei of {px} x {px} px with label pictures. The bare base predicts them, in every default
format, one look each. `fit` takes {steps} steps, so that what grows is reading, splitting, the search for leaks, the
scale, and measuring a fifth of the images twice; it keeps decoded images up to 512 MiB, by which its memory grows.

{images}

**Scenes** are tiled TIFFs with smaller copies: {tiles} tiles of 256 px hold tissue, the rest is glass that is not
stored. `fit` reads three of them, with outlines in QuPath's GeoJSON.

{scenes}
"""


@dataclass(frozen=True)
class Inputs:
    """What is measured on, made in FOLDER when it is first asked for. images: the most of them; tiles: with tissue."""

    folder: Path
    images: int
    tiles: int
    slide: Path | None
    adapter: Sequence[str]

    def labelled(self, count: int) -> Path:
        """A folder of so many labelled images, the first of all."""
        pool, folder = self.folder / "images", self.folder / f"images{count}"
        if not (folder / "done").exists():
            run([str(pool), str(self.images)], module="benchmarks.speed.small_images")
            for name in ("images", "labels"):
                (folder / name).mkdir(parents=True, exist_ok=True)
                for path in sorted((pool / name).iterdir())[:count]:
                    if not (link := folder / name / path.name).exists():
                        os.link(path, link)
            (folder / "done").touch()
        return folder

    def scene(self, side: int) -> Path:
        """A slide of that side."""
        path = self.folder / f"scene{side}" / "scene.tif"
        if not path.exists():
            self._write(path, side)
        return path

    def slides(self, side: int) -> Path:
        """A folder of annotated slides of that side."""
        folder = self.folder / f"slides{side}"
        for seed in range(SLIDES):
            if not (folder / f"slide{seed}.geojson").exists():
                self._write(folder / f"slide{seed}.tif", side, seed, ["--annotations"])
        return folder

    def _write(self, path: Path, side: int, seed: int = 0, extra: Sequence[str] = ()) -> None:
        slide = ["--slide", str(self.slide)] if self.slide else []
        words = [str(path), str(side), "--tiles", str(self.tiles), "--seed", str(seed), *slide, *extra]
        run(words, module="benchmarks.speed.sparse_scene")  # what makes them may be large; this process stays small


Job = Callable[[Inputs, int, Path], list[str]]


def check_images(inputs: Inputs, size: int, out: Path) -> list[str]:
    """`domains check` of so many images."""
    return ["domains", "check", str(inputs.labelled(size))]


def predict_images(inputs: Inputs, size: int, out: Path) -> list[str]:
    """`predict` of so many images."""
    return ["predict", *inputs.adapter, "--symmetries", "1", str(inputs.labelled(size) / "images"), "--out", str(out)]


def fit_images(inputs: Inputs, size: int, out: Path) -> list[str]:
    """`fit` on so many images."""
    return [*FIT, "--data", str(inputs.labelled(size)), "--out", str(out)]


def predict_scene(inputs: Inputs, size: int, out: Path) -> list[str]:
    """`predict` of a slide of that side."""
    return ["predict", *inputs.adapter, "--symmetries", "1", str(inputs.scene(size)), "--out", str(out)]


def fit_scene(inputs: Inputs, size: int, out: Path) -> list[str]:
    """`fit` on three slides of that side."""
    return [*FIT, "--data", str(inputs.slides(size)), "--out", str(out)]


IMAGE_JOBS: dict[str, Job] = {"check": check_images, "predict": predict_images, "fit": fit_images}
SCENE_JOBS: dict[str, Job] = {"predict": predict_scene, "fit": fit_scene}


def measure(inputs: Inputs, costs: dict[str, Cost], key: str, job: Job) -> None:
    """Add what a row takes to the costs, on the disk too, unless it is there. key: the kind of row and its size."""
    if key in costs:
        return
    words = job(inputs, int(key.split()[-1]), fresh(inputs.folder / "out"))
    costs[key] = run(words, environment={"OMP_NUM_THREADS": "1"})
    print(f"{key}: {costs[key]}", flush=True)
    with atomic_path(inputs.folder / KEPT) as path:
        path.write_text(json.dumps(costs, indent=2), encoding="utf-8")


def kept_costs(folder: Path) -> dict[str, Cost]:
    """What was measured before."""
    kept = folder / KEPT
    costs = json.loads(kept.read_text(encoding="utf-8")) if kept.exists() else {}
    return {key: Cost(*values) for key, values in costs.items()}


def table(costs: dict[str, Cost], kind: str, names: Sequence[str], unit: str) -> list[str]:
    """Rows of the page: what each verb took at each size, and how many times that of the size before."""
    lines = [f"| | {unit} | CPU-s | times the row above | peak resident |", "|---|---|---|---|---|"]
    for name in names:
        numbers = sorted(int(key.split()[-1]) for key in costs if key.startswith(f"{name} {kind} "))
        before = None
        for size in numbers:
            cost = costs[f"{name} {kind} {size}"]
            grown = "" if before is None else f"{cost.cpu_s / before[1]:.2f} ({unit} {size / before[0]:.2f})"
            lines.append(f"| {name} | {size:,} | {cost.cpu_s:,.0f} | {grown} | {cost.peak_mib:,.0f} MiB |")
            before = size, cost.cpu_s
    return lines


def page(costs: dict[str, Cost], tiles: int) -> str:
    """The text of benchmarks/scale.md."""
    return TEXT.format(
        px=IMAGE_PX,
        steps=STEPS,
        tiles=tiles,
        images="\n".join(table(costs, "images", [*IMAGE_JOBS], "images")),
        scenes="\n".join(table(costs, "scene", [*SCENE_JOBS], "px a side")),
    )


def kill(inputs: Inputs, side: int) -> None:
    """Predict a scene twice, the second time killed half-way and begun again, and compare."""
    from adapters.inference.segment import TILES_AT_ONCE
    from domains.tiling.journal import Journal

    words = ["predict", *inputs.adapter, str(inputs.scene(side)), "--out"]
    unstopped, resumed = fresh(inputs.folder / "unstopped"), fresh(inputs.folder / "resumed")
    cost = run([*words, str(unstopped)])
    print(f"predict: {cost}")
    journal = Journal(resumed / ".scene.running" / "journal")

    def half_way(seconds: float) -> bool:
        return seconds > cost.seconds / 2 and sum(1 for _ in journal.records()) >= TILES_AT_ONCE

    print(f"again, to be killed: {run([*words, str(resumed)], half_way)}")
    print(f"on disk then: {sum(1 for _ in journal.records())} tiles")
    print(f"the same command again: {run([*words, str(resumed)])}")
    print(f"compared: {compared(unstopped, resumed)}")


def compared(unstopped: Path, resumed: Path) -> str:
    """Label images pixel by pixel, the other files byte by byte."""
    import numpy as np
    import zarr

    arrays = [zarr.open_array(str(path / "scene.labels.zarr" / "0"), mode="r") for path in (unstopped, resumed)]
    pixels = 0
    for y in range(0, arrays[0].shape[0], 1024):
        rows = [np.asarray(array[y : y + 1024]) for array in arrays]
        pixels += int(np.count_nonzero(rows[0] != rows[1]))
    files = sorted(path.name for path in unstopped.iterdir() if path.is_file())
    differ = [name for name in files if (unstopped / name).read_bytes() != (resumed / name).read_bytes()]
    return f"{pixels} pixels differ; of {', '.join(files)} differ: {', '.join(differ) or 'none'}"


def fresh(folder: Path) -> Path:
    """The folder, emptied."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder


def sizes(text: str) -> list[int]:
    """`1000,4000` as numbers, the smallest first."""
    return sorted(map(int, filter(None, text.split(","))))


def main() -> None:
    """Measure what is missing of the table, and write the page."""
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("folder", type=Path, help="for images, scenes, results and costs.json")
    words.add_argument("--images", type=sizes, default="1000,4000,16000")
    words.add_argument("--sides", type=sizes, default="6000,60000,200000", help="of scenes, in px")
    words.add_argument("--tiles", type=int, default=40, help="of 256 px that hold tissue, per scene")
    words.add_argument("--only", choices=sorted({*IMAGE_JOBS, *SCENE_JOBS}), help="rows of this kind alone")
    words.add_argument("--page", type=Path, default=PAGE)
    words.add_argument("--kill", type=int, metavar="SIDE", help="in place of the table")
    words.add_argument("--slide", type=Path, help="where the tissue comes from")
    words.add_argument("--adapter", help="the bare base by default")
    options = words.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    adapter = ["--adapter", options.adapter] if options.adapter else ["--adapter", "base", "--recipe", "pathology"]
    inputs = Inputs(options.folder.resolve(), max(options.images, default=0), options.tiles, options.slide, adapter)
    if options.kill:
        kill(inputs, options.kill)
        return
    costs = kept_costs(inputs.folder)
    for jobs, numbers, kind in ((IMAGE_JOBS, options.images, "images"), (SCENE_JOBS, options.sides, "scene")):
        for name, job in jobs.items():
            for size in numbers if options.only in (None, name) else ():
                measure(inputs, costs, f"{name} {kind} {size}", job)
    with atomic_path(options.page) as path:
        path.write_text(page(costs, options.tiles), encoding="utf-8")


if __name__ == "__main__":
    main()
