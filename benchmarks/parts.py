"""The door of `benchmarks/ablations/`: python benchmarks/parts.py --help."""

from __future__ import annotations

import os
import sys
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import typer  # noqa: E402

from benchmarks.ablations.command import main  # noqa: E402

if __name__ == "__main__":
    typer.run(main)
