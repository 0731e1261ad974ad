"""How long it takes to go from one adapter to another in one process, and what each takes in memory.

    python -m benchmarks.speed.swap ADAPTER ADAPTER... [--images 20] [--px 128] [--rounds 5]

`loading`: another adapter onto a base that is loaded, with all checks, as `transfer` does it. `use`: the same of
adapters that `load_many` holds. `image`: a small image by one adapter alone, and by another one for each image; what
the latter takes more is what a swap costs in the end, caches included. Times are medians over rounds; of the processor,
which other jobs change less.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from itertools import cycle, islice
from statistics import median
from time import perf_counter, process_time

import numpy as np

from adapters.backbones import Backbone
from domains.procedural.dataset import ProceduralScenes
from recipes import set_up
from recipes.adapter_set import AdapterSet, load_many
from recipes.bases import base_of
from recipes.load import loaded

FAMILIES = ("nuclei_he",)
USES = 1000  # of one measurement: a look-up is shorter than the clock's tick


def milliseconds(work: Callable[[], object], rounds: int, clock: Callable[[], float] = process_time) -> float:
    """The median over rounds of what `work` takes."""
    times = []
    for _ in range(rounds):
        started = clock()
        work()
        times.append(1000 * (clock() - started))
    return median(times)


def loading_ms(adapters: Sequence[str], rounds: int) -> float:
    """Of an adapter onto a loaded base that has another one."""
    bases: dict[str, Backbone] = {}
    turns = cycle(adapters)

    def swap() -> None:
        path = next(turns)
        with loaded(path, backbone=base_of(path, bases)):
            pass

    swap()
    return milliseconds(swap, rounds)


def use_ms(adapters: AdapterSet, rounds: int) -> float:
    """Of `use`, by the wall clock."""

    def swaps() -> None:
        for name in islice(cycle(adapters), USES):
            adapters.use(name)

    return milliseconds(swaps, rounds, perf_counter) / USES


def image_ms(adapters: AdapterSet, images: int, image_px: int, rounds: int) -> tuple[float, float]:
    """Of an image: all by one adapter, then all by the next; and each by another than the one before."""
    scenes = ProceduralScenes(FAMILIES, images, 0, image_px)
    pictures = [scenes[i].image for i in range(images)]

    def predict(name: str, picture: np.ndarray) -> None:
        adapter = adapters.use(name)
        size_m = adapter.network.contract.pixel_size_m
        adapter.predict(picture, None if size_m is None else 1e6 * size_m)

    def alone() -> None:
        for name in adapters:
            for picture in pictures:
                predict(name, picture)

    def in_turns() -> None:
        for picture in pictures:
            for name in adapters:
                predict(name, picture)

    alone()
    count = images * len(adapters)
    return milliseconds(alone, rounds) / count, milliseconds(in_turns, rounds) / count


def bytes_of(adapters: AdapterSet) -> tuple[int, int]:
    """(of all networks as they are held, of each tensor once for each network that has it)."""
    tensors = [
        tensor
        for name in adapters
        for tensor in (*adapters[name].network.segmenter.parameters(), *adapters[name].network.segmenter.buffers())
    ]
    held = {tensor.data_ptr(): tensor.nbytes for tensor in tensors}
    return sum(held.values()), sum(tensor.nbytes for tensor in tensors)


def main() -> None:
    """Print the times and the memory for the adapters of the command line."""
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("adapters", nargs="+", help="two or more, of one base")
    words.add_argument("--images", type=int, default=20)
    words.add_argument("--px", type=int, default=128, help="side of an image")
    words.add_argument("--rounds", type=int, default=5)
    options = words.parse_args()
    set_up()
    print(f"loading  {loading_ms(options.adapters, options.rounds):.0f} ms of processor time")
    adapters = load_many(options.adapters)
    print(f"use      {use_ms(adapters, options.rounds):.5f} ms")
    alone, in_turns = image_ms(adapters, options.images, options.px, options.rounds)
    print(f"image    {alone:.1f} ms by one adapter, {in_turns:.1f} ms in turns: {in_turns - alone:+.2f} ms for a swap")
    held, unshared = bytes_of(adapters)
    print(f"memory   {held / 1e6:.1f} MB for {len(adapters)} adapters; {unshared / 1e6:.1f} MB without shared tensors")


if __name__ == "__main__":
    main()
