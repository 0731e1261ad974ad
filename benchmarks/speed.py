"""The door of `benchmarks/speed/shortcuts.py`: python benchmarks/speed.py."""

from __future__ import annotations

import os
import sys
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.speed.shortcuts import main  # noqa: E402

if __name__ == "__main__":
    main()
