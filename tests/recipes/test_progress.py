"""How far a long job is."""

from __future__ import annotations

import io
import time

import pytest

import recipes.progress as module
from recipes.progress import Progress, clock


class Clock:
    """A monotonic clock that the test sets."""

    def __init__(self) -> None:
        self.now = 100.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def hands(monkeypatch: pytest.MonkeyPatch) -> Clock:
    hands = Clock()
    monkeypatch.setattr(module, "time", hands)
    return hands


def test_without_a_terminal_a_line_is_written_now_and_then_and_at_the_end(hands: Clock) -> None:
    stream = io.StringIO()
    with Progress("fit", 100, stream=stream) as progress:
        for _ in range(100):
            hands.now += 0.4
            progress.advance({"loss": 0.5})
    assert stream.getvalue().splitlines() == [
        "fit: 38/100  loss 0.5  2.5 steps/s  ETA 0:25",
        "fit: 76/100  loss 0.5  2.5 steps/s  ETA 0:10",
        "fit: 100/100  loss 0.5  2.5 steps/s  ETA 0:00",
    ]


def test_a_time_budget_ends_the_job_where_it_is_nearer_than_the_steps(hands: Clock) -> None:
    with Progress("fit", 100, seconds=20.0, stream=io.StringIO()) as progress:
        hands.now += 5
        progress.advance(count=10)
        assert progress.share == pytest.approx(0.25)
        assert progress.seconds_left == pytest.approx(15)


def test_a_resumed_job_does_not_count_what_was_done_before(hands: Clock) -> None:
    with Progress("fit", 100, seconds=60.0, stream=io.StringIO()) as progress:
        progress.begin_at(80, seconds=30.0)
        hands.now += 10
        progress.advance(count=10)
        assert progress.share == pytest.approx(0.9)
        assert progress.rate == pytest.approx(1)
        assert progress.seconds_left == pytest.approx(10)


def test_before_anything_is_done_nothing_is_promised(hands: Clock) -> None:
    progress = Progress("predict", 3, unit="images", stream=io.StringIO())
    assert progress.text == "0/3  0 images/s  ETA ?"


def test_an_error_passes_and_leaves_a_last_line() -> None:
    stream = io.StringIO()
    with pytest.raises(KeyboardInterrupt), Progress("fit", 5, stream=stream) as progress:
        progress.advance({"loss": 2.0})
        raise KeyboardInterrupt
    assert stream.getvalue().startswith("fit: 1/5  loss 2 ")


def test_a_terminal_gets_a_bar_and_its_cursor_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")

    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    stream = Terminal()
    with Progress("fit", 2, stream=stream) as progress:
        progress.advance({"loss": 1.0})
        time.sleep(0.12)
        progress.advance()
    assert "2/2" in stream.getvalue() and stream.getvalue().rstrip().endswith("\x1b[?25h")


@pytest.mark.parametrize(("seconds", "text"), [(None, "?"), (0, "0:00"), (44.4, "0:44"), (3723, "1:02:03")])
def test_a_clock_shows_hours_only_where_there_are_any(seconds: float | None, text: str) -> None:
    assert clock(seconds) == text
