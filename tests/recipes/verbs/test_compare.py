"""Methods compared: what is asked for, one real fit of each, the first in a process of its own, and what is written."""

from __future__ import annotations

import csv
import json
import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from cli import main
from domains.errors import InputError
from recipes.reading.compose import load_recipe
from recipes.verbs import apart
from recipes.verbs.apart import Candidate
from recipes.verbs.compare import compare, parse_methods
from recipes.verbs.timed_fit import run_job


def test_methods_and_their_options_are_read_and_short_names_spelt_out():
    asked = parse_methods("lora, dora,ssf:scope=both,lora:rank=4:layers=last:2")
    assert asked == [
        Candidate("lora", ("method.name=lora",)),
        Candidate("dora", ("method.name=lora", "method.dora=true")),
        Candidate("ssf:scope=both", ("method.name=ssf", "method.scope=both")),
        Candidate("lora:rank=4:layers=last:2", ("method.name=lora", "method.rank=4", "method.layers=last:2")),
    ]
    assert len({candidate.folder for candidate in asked}) == 4


@pytest.mark.parametrize(
    "text, message", [("lora,,ssf", "wanted methods with commas between"), ("ssf,ssf", "a method is there twice")]
)
def test_what_is_no_list_of_methods_is_refused(text, message):
    with pytest.raises(InputError, match=message):
        parse_methods(text)


def test_an_unknown_method_is_refused_before_anything_is_fitted():
    with pytest.raises(InputError, match=r"--methods has 'lorra'; known: .*did you mean 'lora'"):
        parse_methods("lorra:rank=2")


FEW = ["train.calibrate=false", "decoder.regions=false", "domain.sample_count=8", "domain.crop_px=64"]
FEW += ["domain.scale=1", "train.batch_size=2"]
METHODS = "decoder_only,lora:scope=both:rank=2"
HOUSE = Path(__file__).parents[3]
SECONDS_TO_A_BAD_RECIPE = 2.0  # of processor time


def child_of(pid: int) -> int | None:
    """The process that a process started, once it has."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="utf-8").split()
    return int(children[0]) if children else None


def waited(answer, seconds: float = 300):
    """What `answer` gives as soon as it gives anything."""
    until = time.monotonic() + seconds
    while not (value := answer()):
        assert time.monotonic() < until
        time.sleep(0.02)
    return value


def cpu_s(pid: int) -> float:
    """Seconds of the processor that a process has had."""
    words = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")


def killed_at(out: Path, number: int, seconds: float) -> tuple[int, bool]:
    """The exit code of a `compare` that gets a signal when its fit has had so many seconds of the processor, and
    whether the fit has ended too.
    """
    words = ["compare", "--recipe", "pathology", "--methods", METHODS, "--out", str(out), "--seconds", "1"]
    command = [sys.executable, str(HOUSE / "cli.py"), *words, "--seeds", "1", *FEW]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdout=pipe, stderr=pipe, start_new_session=True) as parent:
        child = waited(lambda: child_of(parent.pid))
        waited(lambda: cpu_s(child) > seconds)
        parent.send_signal(number)
        code = parent.wait(60)
    return code, waited(lambda: not os.path.exists(f"/proc/{child}"))


@pytest.fixture(scope="module")
def killed(tmp_path_factory) -> tuple[Path, tuple[int, bool]]:
    """The folder of a comparison that was killed in the midst of a fit, and how that ended."""
    if not sys.platform.startswith("linux"):
        pytest.skip("processes are looked at in /proc")
    out = tmp_path_factory.mktemp("compare") / "out"
    return out, killed_at(out, signal.SIGTERM, 1.0)


def test_a_fit_ends_with_the_comparison_that_is_killed_and_leaves_nothing_by_halves(killed):
    out, end = killed
    assert end == (-signal.SIGTERM, True)
    assert [path.relative_to(out).as_posix() for path in out.rglob("*") if path.is_file()] == [
        f"{candidate.folder}-0/recipe.yaml" for candidate in parse_methods(METHODS)
    ]


@pytest.fixture(scope="module")
def compared(killed):
    """Two methods, fitted for a second each on the embedded sample, where that was begun and killed before."""
    out, _ = killed
    candidates, run_apart = parse_methods(METHODS), apart.run_apart

    def run(folder: Path) -> None:
        if folder.name == f"{candidates[0].folder}-0":
            run_apart(folder)
        else:  # here: another process spends seconds on its imports
            run_job(load_recipe(folder / "recipe.yaml"), folder)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(apart, "run_apart", run)
        return out, candidates, compare("pathology", candidates, out, 1, seeds=1, overrides=FEW)


def test_every_fit_has_its_numbers_and_an_adapter_that_loads(compared):
    from adapters.sharing.folder import load_adapter

    out, candidates, rows = compared
    assert [row["method"] for row in rows] == [candidate.label for candidate in candidates]
    whole, low_rank = rows
    assert low_rank["bytes"] < 0.2 * whole["bytes"] and low_rank["learning"] < 0.2 * whole["learning"]
    assert all(row["steps"] >= 1 and row["peak_mib"] > 100 and 0 < row["metrics"]["aji"]["mean"] <= 1 for row in rows)
    _, info = load_adapter(out / f"{candidates[1].folder}-0" / "adapter")
    assert info.method.rank == 2


def test_the_table_is_written_in_every_form(compared):
    out, _, rows = compared
    table = list(csv.reader((out / "compare.csv").read_text(encoding="utf-8").splitlines()))
    assert table[0][:2] == ["method", "aji"] and len(table) == 3
    assert (out / "compare.md").read_text(encoding="utf-8").count("\n|") == 4
    assert json.loads((out / "compare.json").read_text(encoding="utf-8"))["rows"][0]["method"] == rows[0]["method"]
    assert (out / "compare.png").read_bytes().startswith(b"\x89PNG")
    page = (out / "report.html").read_text(encoding="utf-8")
    assert all(row["method"] in page for row in rows) and "2 methods on pathology sample" in page
    assert page.count(">entity.json<") == 2 and "kB of weights" in page


def test_a_finished_comparison_fits_nothing_again_and_another_one_is_refused(compared, monkeypatch):
    out, candidates, rows = compared
    monkeypatch.setattr(apart, "run_apart", lambda _: pytest.fail("it was fitted already"))
    assert compare("pathology", candidates, out, 1, seeds=1, overrides=FEW) == rows
    with pytest.raises(InputError, match="is of another comparison; name another folder by --out"):
        compare("pathology", candidates, out, 2, seeds=1, overrides=FEW)


def test_a_fit_that_ends_without_numbers_says_why_in_a_line_before_anything_heavy_is_imported(tmp_path):
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    with pytest.raises(InputError, match=r"ended with 1: .*bottleneck.* no such file|ended with 1: .*recipe"):
        apart.run_apart(tmp_path)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert after.ru_utime - before.ru_utime < SECONDS_TO_A_BAD_RECIPE


def test_the_table_of_groups_is_of_every_fit(tmp_path, data, monkeypatch):
    def give_up(folder):
        raise InputError(f"not fitted: {folder.name}")

    monkeypatch.setattr(apart, "run_apart", give_up)
    words = ["compare", "--recipe", "pathology", "--data", str(data), "--methods", "lora,ssf", "--seeds", "1"]
    assert main([*words, "--groups", "mine.csv", "--out", str(tmp_path)]) == 2
    recipes = [load_recipe(tmp_path / name / "recipe.yaml") for name in ("lora-0", "ssf-0")]
    assert [recipe.domain.groups for recipe in recipes] == ["mine.csv"] * 2
