"""Memory that a piece of work holds at once, by the tracer of Python, which numpy reports to."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable

SIDE = 4096
"""Pixels along the side of the scenes that are measured."""


def peak(work: Callable[[], object], per: int = SIDE**2) -> float:
    """Bytes that were held at once, per pixel."""
    tracemalloc.start()
    try:
        work()
        return tracemalloc.get_traced_memory()[1] / per
    finally:
        tracemalloc.stop()
