"""The door of `benchmarks/accuracy/`: python benchmarks/accuracy.py --help."""

from __future__ import annotations

import os
import sys
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch: one thread per process, whatever else runs
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import typer  # noqa: E402

from benchmarks.accuracy.command import main  # noqa: E402

if __name__ == "__main__":
    typer.run(main)
