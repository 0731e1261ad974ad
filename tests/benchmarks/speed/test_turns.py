"""Functions take turns, the first of which does not count, and are held against each other within a turn."""

from __future__ import annotations

import time

import pytest

from benchmarks.speed.turns import paired_ratio, parser_with_turns, turn_by_turn


def test_functions_take_turns_and_the_first_is_not_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, calls = [0.0], []
    monkeypatch.setattr(time, "process_time", lambda: clock[0])

    def run(name: str, seconds: float) -> None:
        calls.append(name)
        clock[0] += seconds + 100 * (len(calls) <= 2)  # what a first call loads

    slow, fast = turn_by_turn(lambda: run("slow", 3), lambda: run("fast", 1), turns=2)
    assert calls == ["slow", "fast"] * 3 and slow == [3, 3] and fast == [1, 1]


def test_a_turn_in_which_the_machine_was_slow_for_both_is_no_difference() -> None:
    assert paired_ratio([2.0, 20.0, 4.0], [1.0, 10.0, 1.0]) == 2.0


def test_turns_are_read_and_have_a_default_of_their_own() -> None:
    assert parser_with_turns("what is measured", 5).parse_args([]).turns == 5
    assert parser_with_turns("what is measured").parse_args(["--turns", "2"]).turns == 2
