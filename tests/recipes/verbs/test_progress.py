"""How far a long job is."""

from __future__ import annotations

import io
import time
from pathlib import Path

import pytest

import recipes.verbs.progress as module
from domains.datasets.check import check_folder
from recipes.verbs.progress import Progress, clock


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
        "fit: 0/100 steps",
        "fit: 75/100  loss 0.5  2.5 steps/s  ETA 0:10",
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
    assert stream.getvalue().splitlines()[-1].startswith("fit: 1/5  loss 2 ")


def test_a_log_has_no_carriage_return_and_a_line_each_half_minute_inside_a_long_round(hands: Clock) -> None:
    stream = io.StringIO()
    with Progress("predict", 2, unit="images", stream=stream) as progress:
        for _ in range(100):
            hands.now += 1
            progress.tick()
        progress.saw(5e7)
        progress.advance()
    lines = stream.getvalue().split("\n")
    assert lines[0] == "predict: 0/2 images" and lines[1:4] == ["predict: 0/2  0 images/s  ETA ?"] * 3
    assert lines[4] == "predict: 1/2  0.01 images/s  0.5 megapixels/s  ETA 1:40" and "\r" not in stream.getvalue()


def test_a_job_that_counts_for_itself_begins_anew_with_what_it_counts(hands: Clock) -> None:
    stream = io.StringIO()
    with Progress("calibrate", 0, stream=stream) as progress:
        assert stream.getvalue() == ""
        for unit, rounds in (("tiles", 4), ("thresholds", 40)):
            for done in range(1, rounds + 1):
                progress.reach(unit, done, rounds)
                hands.now += 1
    assert stream.getvalue().splitlines() == [
        "calibrate: 1/4 tiles",
        "calibrate: 4/4  0.75 tiles/s  ETA 0:00",
        "calibrate: 1/40 thresholds",
        "calibrate: 31/40  1 thresholds/s  ETA 0:09",
        "calibrate: 40/40  0.975 thresholds/s  ETA 0:00",
    ]


@pytest.mark.parametrize(("seconds", "lines"), [(0.1, 0), (2.0, 2)])
def test_a_stage_that_is_over_at_once_has_no_line(hands: Clock, seconds: float, lines: int) -> None:
    stream = io.StringIO()
    with Progress("read", 0, unit="images", stream=stream, patience=3) as progress:
        for done in range(5):
            progress.reach("images", done, 5)
            hands.now += seconds
    assert len(stream.getvalue().splitlines()) == lines


def test_images_of_a_folder_are_counted_while_they_are_read(data: Path, capsys, monkeypatch) -> None:
    monkeypatch.setattr(module, "PATIENCE", 0.0)
    with module.reading_shown():
        assert len(check_folder(data).records["train"]) > 0
    assert capsys.readouterr().err.splitlines()[0] == "read: 0/6 images"
    check_folder(data)
    assert capsys.readouterr().err == ""


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
