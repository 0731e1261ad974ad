"""What a cut of a large forest costs, without any network.

    python -m benchmarks.speed.forest_cut                  10,000 x 10,000 px, 50,000 nodes; a minute, 2 GiB
    python -m benchmarks.speed.forest_cut --side 2000

Cells of a lattice are leaves, four by four of them a whole, four such a group. Printed are seconds of the processor and
of the clock, and MiB at the most beside what was held before: of the cut (`prediction_of`, a lookup and a map), and of
the files, written, and read with the check of every area.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np

from domains.entities import Place
from domains.entities.forest import NEVER, EntityForest, Nodes
from domains.exports import Destination, open_exports
from domains.exports.forest_reading import read_forest
from domains.tiling.forest_cut import prediction_of
from domains.tiling.scene_forest import SceneForest
from domains.tiling.stitching import Entities

CELL_PX = 46
SIDE_PX = 10_000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--side", type=int, default=SIDE_PX)
    forest = lattice(parser.parse_args().side)
    height, width = forest.shape
    print(f"{width} x {height} px, {forest.nodes.count} nodes")
    for granularity in (0.1, 0.5, 1.0):
        show(f"cut at {granularity}", lambda at=granularity: prediction_of(forest, forest.nodes.lookup(at)))
    with tempfile.TemporaryDirectory() as folder:
        show("written", lambda: written(forest, Path(folder)))
        show("read and checked", lambda: read_forest(Path(folder) / "lattice.forest.tif"))


def lattice(side_px: int) -> SceneForest:
    """A forest of cells of `CELL_PX`, of wholes of 16 and of groups of 4 wholes."""
    cells = side_px // CELL_PX
    row, column = np.divmod(np.arange(cells**2), cells)
    wholes, in_whole = np.unique(row // 4 * cells + column // 4, return_inverse=True)
    groups, in_group = np.unique(wholes // cells // 2 * cells + wholes % cells // 2, return_inverse=True)
    counts = cells**2, len(wholes), len(groups)
    parents = np.concatenate([in_whole + 1 + counts[0], in_group + 1 + counts[0] + counts[1], np.zeros(counts[2])])
    g = np.repeat(np.array([1, 0.5, 0.25], np.float32), counts)
    nodes = Nodes(parents.astype(np.int32), g, np.full(len(g), NEVER, np.float32), np.ones(len(g), np.float32))
    line = np.minimum(np.arange(side_px) // CELL_PX, cells - 1)
    leaves = (line[:, None] * cells + line + 1).astype(np.int32)
    trees = EntityForest(leaves, nodes)
    y0, x0, y1, x1 = trees.boxes.T
    centroid = (y0 + y1 - 1) / 2, (x0 + x1 - 1) / 2
    table = Entities(trees.areas, *centroid, y0=y0, x0=x0, y1=y1, x1=x1, scores=nodes.scores, labels=None)
    return SceneForest.in_memory(leaves, nodes, table, 0.5)


def written(forest: SceneForest, folder: Path) -> None:
    """The files of a forest."""
    prediction = prediction_of(forest, forest.nodes.lookup(0.5))
    with open_exports(["forest"], Destination(folder), ["lattice"]) as exports:
        exports.stream(replace(prediction, name="lattice", place=Place("lattice")))


def show(name: str, work: Callable[[], object]) -> None:
    """Print what some work takes. The peak is that of the system's count, which is set back before."""
    Path("/proc/self/clear_refs").write_text("5")
    before, start, began = resident("VmRSS"), time.process_time(), time.perf_counter()
    work()
    seconds, wall, peak = time.process_time() - start, time.perf_counter() - began, resident("VmHWM") - before
    print(f"{name:18} {seconds:6.2f} CPU-s {wall:6.2f} s {peak:8.0f} MiB")


def resident(field: str) -> float:
    """MiB of this process: VmRSS now, VmHWM at the most."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith(field)).split()[1]) / 1024


if __name__ == "__main__":
    main()
