"""`fit` on two processes: the losses of one, a death of one of them in a line, and a resume on another number."""

from __future__ import annotations

import csv
import json
import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from adapters.training.ranks import Child
from adapters.training.trainer import History
from cli import main

DENSE = ["decoder.width=8", "decoder.embedding_dim=4", "losses.embedding.weight=0.1", "method.name=lora"]
QUERY = ["decoder.name=query", "decoder.queries=12", "decoder.dim=16", "train.calibrate=false"]
LONGER = ["train.steps=8", "train.batch_size=4", "train.validate_every=4", "train.precision=fp32"]


@pytest.fixture
def fit(data: Path, options: list[str], tmp_path: Path) -> Callable[..., int]:
    """`fit(name, *words)`: the exit code of a fit of eight steps in a folder of that name."""
    shared = [word for word in options if not word.startswith(("decoder.", "train."))]

    def run(name: str, *words: str) -> int:
        out = ["--data", str(data), "--out", str(tmp_path / name)]
        return main(["fit", "--recipe", "pathology", *out, *shared, *LONGER, *words])

    return run


@pytest.fixture
def kill_at(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], list[Child]]:
    """`kill_at(step)`: the other rank is killed, once, when that step is done; gives the ranks that were started."""
    add, enter = History.on_train_batch_end, Child.__enter__
    children: list[Child] = []

    def noted(child: Child) -> Child:
        children.append(enter(child))
        return child

    def arm(step: int) -> list[Child]:
        def kill(self, trainer, module, *rest):
            add(self, trainer, module, *rest)
            if trainer.global_step == step:
                monkeypatch.setattr(History, "on_train_batch_end", add)
                os.kill(children[-1].process.pid, signal.SIGKILL)

        monkeypatch.setattr(Child, "__enter__", noted)
        monkeypatch.setattr(History, "on_train_batch_end", kill)
        return children

    return arm


def losses_of(run: Path) -> list[tuple[str, float]]:
    """(column, loss) of every row of a history, all terms, training and validation."""
    with (run / "history.csv").open() as file:
        rows = list(csv.DictReader(file))
    return [(name, float(x)) for row in rows for name, x in row.items() if x and name not in ("step", "seconds", "lr")]


def assert_alike(run: Path, other: Path) -> None:
    pairs = list(zip(losses_of(run), losses_of(other), strict=True))
    assert len(pairs) > 20 and all(name == again for (name, _), (again, _) in pairs)
    assert max(abs(x - y) for (_, x), (_, y) in pairs) < 1e-5


def test_a_dead_rank_is_one_line_and_its_run_ends_alone_as_one_process_would(fit, kill_at, tmp_path, capsys) -> None:
    children = kill_at(6)
    assert fit("two", *DENSE, "train.devices=2") == 1
    (line,) = (line for line in capsys.readouterr().err.splitlines() if not line.startswith(("fit: ", "measure ")))
    assert line.startswith("error: rank 1 ended before the training did (killed by signal 9)")
    assert f"the last round is in {tmp_path / 'two' / 'checkpoints' / 'last.ckpt'}; go on by " in line
    assert [child.process.returncode for child in children] == [-signal.SIGKILL]
    assert fit("two", *DENSE, "train.devices=1", "--resume") == 0
    assert fit("one", *DENSE) == 0
    assert_alike(tmp_path / "one", tmp_path / "two")


def test_a_fit_of_one_process_goes_on_in_two_to_the_same_losses(fit, interrupt_at, tmp_path, capsys) -> None:
    options = [*QUERY, "train.cache=none"]  # several devices keep no crops
    assert fit("one", *options) == 0
    interrupt_at(6)
    assert fit("two", *options) == 130
    assert fit("two", *options, "train.devices=2", "--resume") == 0
    assert_alike(tmp_path / "one", tmp_path / "two")
    assert "train.devices" not in capsys.readouterr().err
    reports = [json.loads((tmp_path / name / "metrics.json").read_text()) for name in ("one", "two")]
    assert [report["steps"] for report in reports] == [8, 8]


def test_a_batch_that_two_devices_cannot_share_is_one_line_and_no_run(fit, tmp_path, capsys) -> None:
    assert fit("odd", "train.batch_size=3", "train.devices=2") == 2
    assert capsys.readouterr().err == "error: train.batch_size is 3; 2 devices want a multiple of 2\n"
    assert not (tmp_path / "odd").exists()
