"""Functions timed turn by turn in one process: what the machine does meanwhile is then in the way of all of them."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence
from statistics import median

TURNS = 7


def turn_by_turn(*runs: Callable[[], object], turns: int = TURNS) -> tuple[list[float], ...]:
    """CPU-seconds of functions, called one after the other; the first call of each is not counted."""
    took = tuple([] for _ in runs)
    for turn in range(turns + 1):
        for run, times in zip(runs, took, strict=True):
            start = time.process_time()
            run()
            if turn:
                times.append(time.process_time() - start)
    return took


def paired_ratio(times: Sequence[float], reference: Sequence[float]) -> float:
    """The median over the turns of how many times as long the one took as the reference did in that turn."""
    return median(a / b for a, b in zip(times, reference, strict=True))


def parser_with_turns(
    description: str | None, turns: int = TURNS, help: str = "turns that are counted"
) -> argparse.ArgumentParser:
    """What reads the words of such a measurement: so far `--turns`, by default as said."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--turns", type=int, default=turns, help=help)
    return parser
