"""The command line: help at once, exit codes, one line for whatever goes wrong."""

from __future__ import annotations

import errno
import json
import os
import resource
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import typer
import yaml
from PIL import Image

import cli
import recipes.verbs.listing
from domains.errors import InputError, RunError
from domains.exports import FORMATS
from domains.exports.clip_formats import OF_CLIPS_ALONE
from domains.formats.layout import SPLITS
from recipes.reading.compose import list_recipes, load_recipe
from recipes.verbs import arguments

ROOT = Path(cli.__file__).parent
VERBS = (
    *(["fit"], ["evaluate"], ["predict"], ["transfer"], ["pretrain"]),
    *(["adapters", verb] for verb in ("show", "verify", "pack", "unpack")),
    *(["recipes", verb] for verb in ("list", "show", "check")),
    *(["domains", verb] for verb in ("list", "check")),
)
SECONDS_FOR_HELP = 1.5  # of processor time, which other work on the machine hardly changes; measured 0.2


def raising(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
    """`recipes list` meets this error."""

    def fail() -> str:
        raise error

    monkeypatch.setattr(recipes.verbs.listing, "recipes_text", fail)


@pytest.fixture
def labelled_folder(tmp_path: Path) -> Path:
    """Two images with their label maps."""
    for folder in ("images", "labels"):
        (tmp_path / folder).mkdir()
    ids = np.zeros((32, 32), np.uint8)
    ids[4:12, 4:12], ids[16:28, 8:20] = 1, 2
    for name in ("a", "b"):
        Image.fromarray(np.full((32, 32, 3), 90, np.uint8)).save(tmp_path / "images" / f"{name}.png")
        Image.fromarray(ids).save(tmp_path / "labels" / f"{name}.png")
    return tmp_path


@pytest.mark.parametrize("words", [["--help"], ["fit", "--help"]])
def test_help_comes_at_once_and_without_torch(words: list[str]) -> None:
    program = f"import sys, cli; cli.main({words}); sys.exit('torch' in sys.modules)"
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert done.returncode == 0 and "Usage: cli.py" in done.stdout, done.stderr
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < SECONDS_FOR_HELP


def test_an_image_that_is_not_there_is_told_without_torch() -> None:
    words = ["predict", "--adapter", "base", "nowhere.png", "--out", "out"]
    program = f"import sys, cli; print(cli.main({words})); sys.exit('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0 and "'nowhere.png' does not exist" in done.stderr, done.stderr


@pytest.mark.parametrize("verb", VERBS, ids=" ".join)
def test_every_verb_explains_itself(verb: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main([*verb, "--help"]) == 0
    explanation = capsys.readouterr().out.splitlines()[2].strip()
    assert explanation.endswith("."), "the first line of the docstring is too long for a line of the terminal"


def test_choices_are_those_of_the_tables() -> None:
    assert {choice.value for choice in arguments.Split} == {*SPLITS, "all"}
    assert [choice.value for choice in arguments.Format] == [*FORMATS, *OF_CLIPS_ALONE]


def test_recipes_list_names_every_shipped_recipe(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["recipes", "list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines[:-1]] == list(list_recipes())
    assert lines[-1] == "next: python cli.py recipes show pathology"


def test_recipes_show_prints_yaml_that_is_a_recipe(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert cli.main(["recipes", "show", "pathology", "train.steps=3"]) == 0
    shown = tmp_path / "shown.yaml"
    shown.write_text(capsys.readouterr().out, encoding="utf-8")
    assert load_recipe(shown) == load_recipe("pathology", ["train.steps=3"])


@pytest.mark.parametrize(("recipe", "verb"), [("pathology", "fit"), ("pretrain", "pretrain")])
def test_recipes_check_gives_the_next_command(recipe: str, verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["recipes", "check", recipe]) == 0
    assert capsys.readouterr().out == f"{recipe} is right\nnext: python cli.py {verb} --recipe {recipe}\n"


def test_recipes_check_refuses_a_file_of_the_user(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text("extends: natural\nmethod: {rank: 0}\n", encoding="utf-8")
    assert cli.main(["recipes", "check", str(tmp_path / "mine.yaml")]) == 2
    assert capsys.readouterr().err == "error: method.rank is 0; wanted an integer from 1 to 256\n"


def test_domains_list_names_ours(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["domains", "list"]) == 0
    assert capsys.readouterr().out.splitlines()[0] == "pathology        built in"


def test_domains_check_reports_a_folder(capsys: pytest.CaptureFixture[str], labelled_folder: Path) -> None:
    assert cli.main(["domains", "check", str(labelled_folder)]) == 0
    out = capsys.readouterr().out
    assert "label_maps" in out and "next: python cli.py fit" in out.splitlines()[-1]


def test_domains_check_strict_refuses_a_folder_with_a_fault(
    capsys: pytest.CaptureFixture[str], labelled_folder: Path
) -> None:
    (labelled_folder / "images" / "broken.png").write_bytes(b"")
    assert cli.main(["domains", "check", str(labelled_folder)]) == 0
    assert "broken.png" in capsys.readouterr().out
    assert cli.main(["domains", "check", "--strict", str(labelled_folder)]) == 2
    error = capsys.readouterr().err
    assert "broken.png" in error and error.count("\n") == 1


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["fit", "-r", "natural", "method.rank=0"], "method.rank is 0; wanted an integer from 1 to 256"),
        (["fit", "-r", "patology"], "(did you mean 'pathology'?)"),
        (["fit"], "Missing option '--recipe' / '-r'. (cli.py fit --help shows what is possible)"),
        (["fit", "--rcipe", "x"], "No such option: --rcipe"),
        (["frobnicate"], "No such command 'frobnicate'"),
        (["evaluate", "-a", "base", "--split", "tst"], "'tst' is not one of 'train', 'val', 'test', 'all'"),
        (["pretrain", "train.stepz=1"], "(did you mean 'steps'?)"),
        (["domains", "check", "no/such/folder"], "no/such/folder"),
        (["transfer", "-a", "x", "--data", "here", "--out", "y"], "--data is 'here'; wanted DOMAIN=DIR, NAME:DIR"),
        (["recipes", "check", "pathology", "train"], "override 'train'; wanted key=value"),
    ],
)
def test_wrong_input_is_one_line_and_exit_code_2(
    words: list[str], line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(words) == 2
    captured = capsys.readouterr()
    assert captured.out == "" and captured.err.count("\n") == 1
    assert captured.err.startswith("error: ") and line in captured.err


@pytest.mark.parametrize("words", [[], ["recipes"]])
def test_without_a_verb_the_help_is_shown(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(words) == 2
    assert "Commands:" in capsys.readouterr().err


def test_an_error_of_ours_is_one_line_and_exit_code_1(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    raising(monkeypatch, RuntimeError("first\n  second"))
    assert cli.main(["recipes", "list"]) == 1
    assert capsys.readouterr().err == "error: RuntimeError: first second (--debug shows where)\n"


def test_what_ended_a_run_is_one_line_without_the_name_of_its_class(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    raising(monkeypatch, RunError("rank 1 ended\n  before the training did"))
    assert cli.main(["recipes", "list"]) == 1
    assert capsys.readouterr().err == "error: rank 1 ended before the training did\n"


@pytest.mark.parametrize("words", [["--debug", "recipes", "list"], ["recipes", "list", "--debug"]])
@pytest.mark.parametrize("error", [RuntimeError("why"), InputError("why")])
def test_debug_lets_the_trace_through(words: list[str], error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    raising(monkeypatch, error)
    with pytest.raises(type(error), match="why"):
        cli.main(words)


def test_a_broken_file_met_by_a_worker_process_is_still_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    message = "Caught InputError in DataLoader worker process 0.\nOriginal Traceback (most recent call last):\n"
    raising(monkeypatch, InputError(f"{message}  File ...\ndomains.errors.InputError: 'a.png': truncated\n"))
    assert cli.main(["recipes", "list"]) == 2
    assert capsys.readouterr().err == "error: 'a.png': truncated\n"


@pytest.mark.parametrize("interruption", [KeyboardInterrupt(), typer.Abort()])
def test_ctrl_c_is_one_line_and_exit_code_130(
    interruption: BaseException, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    raising(monkeypatch, interruption)
    assert cli.main(["recipes", "list"]) == 130
    assert capsys.readouterr().err.strip() == "stopped by Ctrl-C"


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (
            OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "a.ckpt"),
            "no space is left to write 'a.ckpt'; free some, or choose another --out",
        ),
        (
            RuntimeError("I/O error: No space left on device (os error 28)"),
            "no space is left; free some, or choose another --out",
        ),
        (PermissionError(errno.EACCES, "Permission denied", "/run"), "'/run': Permission denied"),
    ],
)
def test_a_system_that_refuses_is_one_line_and_exit_code_1(
    error: Exception, line: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    raising(monkeypatch, error)
    assert cli.main(["recipes", "list"]) == 1
    assert capsys.readouterr().err == f"error: {line}\n"


def test_a_reader_that_leaves_gets_no_trace() -> None:
    shell = f"{sys.executable} cli.py recipes show pathology | true"
    done = subprocess.run(["bash", "-c", shell], cwd=ROOT, capture_output=True, text=True)
    assert done.stderr == ""


def test_options_for_data_and_strictness_become_overrides() -> None:
    assert arguments.changes(["train.steps=1"], "123: a #b", strict=True) == [
        "train.steps=1",
        f"domain.data={json.dumps('123: a #b')}",
        "domain.strict=true",
    ]
    domain = load_recipe("natural", arguments.changes(None, "123: a #b", strict=True)).domain
    assert (domain.data, domain.strict) == ("123: a #b", True)


def test_the_shipped_recipes_are_plain_yaml() -> None:
    for name in list_recipes():
        assert isinstance(
            yaml.safe_load((ROOT / "recipes" / "shelf" / f"{name}.yaml").read_text(encoding="utf-8")), dict
        )


def test_every_verb_runs_from_any_folder_and_leaves_its_run_there(tmp_path: Path) -> None:
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    program = [sys.executable, str(ROOT / "cli.py")]
    few = ["train.steps=1", "train.batch_size=1", "domain.sample_count=6", "domain.crop_px=48", "domain.tile_px=64"]
    few += ["domain.overlap_px=16", "domain.window_px=null", "train.rehearsal=0", "decoder.width=8"]
    few += ["train.calibrate=false", "decoder.regions=false"]
    done = subprocess.run(
        [*program, "fit", "--recipe", "pathology", *few],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert [path.name for path in tmp_path.iterdir()] == ["runs"]
    adapter = "runs/fit-pathology-1/adapter"
    assert (tmp_path / adapter / "entity.json").is_file()
    line = done.stdout.splitlines()[-1]
    assert line.startswith(f"next: python {ROOT / 'cli.py'} predict --adapter {adapter} IMAGE")
