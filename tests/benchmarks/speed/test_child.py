from __future__ import annotations

import resource

import pytest

from benchmarks.speed.child import KIB, run

MIB = 2**20


def own_peak_mib() -> float:
    """Which a new process has for a moment, and so is told of too."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / KIB / 1024


def test_a_process_is_told_with_its_own_memory_and_processor_time(capsys):
    cost = run(["-n1", "-r1", f"x = b'x' * (300 * {MIB}); sum(range(3_000_000))"], module="timeit")
    assert 300 < cost.peak_mib < 1000 + own_peak_mib() and 0 < cost.cpu_s < 20 and not cost.killed
    assert capsys.readouterr().out.startswith("    1 loop, best of 1: ")


def test_a_process_is_killed_when_it_is_time(capsys):
    assert run(["-n1", "-r1", "import time; time.sleep(60)"], lambda seconds: True, module="timeit").killed


def test_a_process_that_fails_ends_the_measurement():
    with pytest.raises(SystemExit, match="timeit .*nowhere ended with 1"):
        run(["-n1", "nowhere"], module="timeit")
