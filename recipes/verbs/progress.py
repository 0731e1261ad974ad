"""How far a long job is: a bar with the loss, the rate and the time left; in a log a line at the start, each half
minute, and at the end."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import TracebackType
from typing import Self, TextIO

from rich.console import Console
from rich.progress import BarColumn, TextColumn
from rich.progress import Progress as RichProgress

SECONDS_BETWEEN_LINES = 30.0
SECONDS_BETWEEN_REDRAWS = 0.1
PATIENCE = 3.0  # of stages that are mostly over at once


class Progress:
    """A context manager around a loop of `steps` rounds of `unit`s.

    steps: 0 where their number is not known yet; `reach` says it.
    seconds: a time budget that may end the loop earlier; the bar follows whichever is further.
    stream: where to write, standard error by default, so that standard output stays clean for results. patience: of a
    job that takes no more seconds than this, a log has no line.

        with Progress("fit", steps=400) as progress:
            for step in range(400):
                progress.advance({"loss": loss})
    """

    def __init__(
        self,
        title: str,
        steps: int,
        seconds: float | None = None,
        unit: str = "steps",
        stream: TextIO | None = None,
        patience: float = 0.0,
    ) -> None:
        self.title, self.steps, self.seconds, self.unit = title, steps, seconds, unit
        self.stream = stream or sys.stderr
        self.patience = patience
        self.done = self.done_before = 0
        self.seconds_before = 0.0
        self.values: dict[str, float] = {}
        self.pixels = 0.0
        self._bar: RichProgress | None = None
        self._told, self._spoke = -1, False
        self._started = self._shown = time.monotonic()

    def __enter__(self) -> Self:
        self._started = time.monotonic()
        if self.stream.isatty():
            columns = (TextColumn("{task.description}"), BarColumn(24), TextColumn("{task.fields[text]}"))
            brief = self.patience > 0  # nothing of it stays
            bar = self._bar = RichProgress(*columns, console=Console(file=self.stream), transient=brief)
            bar.add_task(self.title, total=1.0, text="")
            bar.start()
        elif self.steps:
            self._begin()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end()
        if self._bar is not None:
            self._bar.stop()

    def begin_at(self, done: int, seconds: float = 0.0) -> None:
        """A resumed job: so many rounds were done before, in so many seconds; they do not count for the rate."""
        self.done = self.done_before = done
        self.seconds_before = seconds

    def advance(self, values: Mapping[str, float] | None = None, count: int = 1) -> None:
        """`count` more rounds are done; values, such as the loss, are shown until the next ones."""
        self.done += count
        self.values.update(values or {})
        self.tick()

    def reach(self, unit: str, done: int, steps: int) -> None:
        """`done` of `steps` rounds are done, of a job that counts for itself; with another unit, or fewer rounds than
        before, another job begins."""
        begins = not self.steps or unit != self.unit or done < self.done
        if begins and self.done and self._bar is None:
            self._end()
        self.steps, self.unit = steps, unit
        if begins:
            self.begin_at(done)  # what was done before the first word is not timed
            self._started, self._told, self.pixels = time.monotonic(), -1, 0.0
            if self._bar is None:
                self._begin()
        self.advance(count=done - self.done)

    def saw(self, pixels: float) -> None:
        """So many pixels more went through the network, whose rate is shown too."""
        self.pixels += pixels

    def tick(self) -> None:
        """Something was done inside a round: time for a line or a redraw, where the last is long ago."""
        pause = SECONDS_BETWEEN_LINES if self._bar is None else SECONDS_BETWEEN_REDRAWS
        if time.monotonic() - self._shown >= pause:
            self._show()

    @property
    def elapsed(self) -> float:
        """Seconds since the start."""
        return time.monotonic() - self._started

    @property
    def rate(self) -> float:
        """Rounds per second."""
        return (self.done - self.done_before) / max(self.elapsed, 1e-9)

    @property
    def share(self) -> float:
        """Of the whole job, in [0, 1]: of the rounds or of the seconds, whichever is further."""
        share = self.done / max(1, self.steps)
        if self.seconds:
            share = max(share, (self.seconds_before + self.elapsed) / self.seconds)
        return min(share, 1.0)

    @property
    def seconds_left(self) -> float | None:
        """None before anything is done."""
        estimates = []
        if self.rate:
            estimates.append((self.steps - self.done) / self.rate)
        if self.seconds:
            estimates.append(self.seconds - self.seconds_before - self.elapsed)
        return max(0.0, min(estimates)) if estimates else None

    @property
    def text(self) -> str:
        """`120/400  loss 0.812  6.3 steps/s  ETA 0:44`"""
        values = [f"{name} {value:.4g}" for name, value in self.values.items()]
        rates = [f"{self.rate:.3g} {self.unit}/s"]
        if self.pixels:
            rates.append(f"{self.pixels / 1e6 / max(self.elapsed, 1e-9):.3g} megapixels/s")
        return "  ".join([f"{self.done}/{self.steps}", *values, *rates, f"ETA {clock(self.seconds_left)}"])

    def _begin(self) -> None:
        """A line before anything is done, so that a log is not silent for half a minute."""
        self._shown = time.monotonic()
        if self.patience:
            self._shown -= SECONDS_BETWEEN_LINES - self.patience
            return
        self._spoke = True
        print(f"{self.title}: {self.done}/{self.steps} {self.unit}", file=self.stream, flush=True)

    def _end(self) -> None:
        """The last line; none where all that it says was said."""
        if self._bar is not None or (self.steps and self.done != self._told and (self._spoke or not self.patience)):
            self._show()

    def _show(self) -> None:
        self._shown = time.monotonic()
        if self._bar is not None:
            self._bar.update(self._bar.task_ids[0], completed=self.share, text=self.text)
        else:
            self._told, self._spoke = self.done, True
            print(f"{self.title}: {self.text}", file=self.stream, flush=True)


@contextmanager
def reading_shown() -> Iterator[None]:
    """Show how many images of a folder are read, which happens deep inside a domain when a split is first asked for."""
    from domains.datasets.dataset import WATCHER

    with Progress("read", 0, unit="images", patience=PATIENCE) as progress:
        token = WATCHER.set(lambda done, images: progress.reach("images", done, images))
        try:
            yield
        finally:
            WATCHER.reset(token)


def clock(seconds: float | None) -> str:
    """`0:44`, `1:02:03`, or `?`."""
    if seconds is None:
        return "?"
    hours, remainder = divmod(round(seconds), 3600)
    minutes, remainder = divmod(remainder, 60)
    return f"{hours}:{minutes:02}:{remainder:02}" if hours else f"{minutes}:{remainder:02}"
