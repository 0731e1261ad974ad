"""A sample of the kills of `tests.kills.run`; and failures are seen."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.kills.run import Whole, state, wrong
from tests.kills.scenarios import Scenario, contents

ROOT = Path(__file__).parents[2]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="trials are forked")
def test_a_command_that_was_killed_goes_on_with_nothing_lost_altered_or_left():
    """In a process of its own: a forked one may not have the threads that other tests started."""
    command = [sys.executable, "-m", "tests.kills.run", "--count", "8", "--seed", "1000003", "--jobs", "2"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        (lambda folder: (folder / "out" / "a.csv").write_text("half"), "other results"),
        (lambda folder: (folder / "in" / "a.png").write_text("changed"), "inputs were altered"),
        (lambda folder: (folder / "out" / "mine.txt").unlink(), "files of others"),
        (lambda folder: (folder / "out" / ".a.running").mkdir(), "left behind"),
        (lambda folder: None, ""),
    ],
)
def test_what_is_lost_altered_or_left_is_seen(tmp_path, change, fault):
    for name, content in (
        ("in/a.png", "a"),
        ("out/a.csv", "1"),
        ("out/mine.txt", "mine"),
        ("out/.mine.png", "mine too"),
    ):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(content)
    scenario = Scenario("a", lambda _: None, lambda _: 0, lambda folder: {"a": contents(folder / "out").get("a.csv")})
    whole, before = Whole(scenario, {"a": b"1"}, 1, 1.0), state(tmp_path / "in")
    change(tmp_path)
    found = wrong(tmp_path, whole, before)
    assert found.startswith(fault) and bool(found) == bool(fault)
