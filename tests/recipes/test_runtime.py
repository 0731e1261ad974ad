"""Every verb on a device that is no CPU, in a process of its own.

torch's autograd counts the devices of a process when it first goes backward, so a device that is made later is none.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_every_verb_is_on_the_device_that_was_chosen() -> None:
    words = ["-m", "pytest", "-p", "no:cacheprovider", "-p", "no:xdist", "tests/recipes/walk_on_spy.py"]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    done = subprocess.run([sys.executable, *words], cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-6000:]
    assert " passed" in done.stdout and "failed" not in done.stdout
