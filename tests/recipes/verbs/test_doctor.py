"""`doctor` says what is there, what is missing and how fast it is, and fails where a fit would."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import replace
from email.message import Message
from pathlib import Path
from types import SimpleNamespace

import pytest

from cli import main
from recipes.verbs import doctor as module
from recipes.verbs.doctor import Package, doctor, examine_machine, packages
from recipes.verbs.self_test import Speed, fault_of, step_seconds


def speed(pq: float = 0.9, rate: float = 2.0, seconds: float | None = 240.0, steps: int = 2000) -> Speed:
    return Speed("pathology", "32-true", rate, 0.5, 17, pq, seconds, steps)


@pytest.mark.parametrize(
    "installed, fault",
    [("2.4.1", ""), ("3.0.0rc1", ""), ("1.9", "numpy is 1.9, wanted >=2.0"), (None, "numpy is missing")],
)
def test_a_package_is_missing_too_old_or_right(installed: str | None, fault: str) -> None:
    assert Package("numpy", ">=2.0", installed).fault == fault


def test_packages_are_those_of_the_project() -> None:
    listed = list(packages())
    extras = {"", "log", "geo", "openslide", "parquet", "remote", "cluster", "onnx", "browser", "video"}
    assert {package.extra for package in listed} == extras
    assert not any(package.fault for package in listed if not package.extra), "this environment runs the tests"
    assert "entity-adapters" not in {package.name for package in listed}


def test_the_machine_is_measured() -> None:
    machine = examine_machine()
    assert machine.cores > 0 and machine.disk_free > 0 and machine.processor
    if Path("/proc/meminfo").exists():
        assert machine.memory is not None and machine.memory_free is not None
        assert 0 < machine.memory_free <= machine.memory


def test_a_recipe_is_fitted_and_predicts(capsys: pytest.CaptureFixture[str]) -> None:
    diagnosis = doctor(0.4, ["pathology"])
    assert diagnosis.faults == [] and diagnosis.torch is not None and diagnosis.torch.threads >= 1
    (result,) = diagnosis.speeds
    assert result["steps_per_second"] > 0 and result["megapixels_per_second"] > 0
    assert result["pq"] > 0.5 and result["entities"] > 3
    lines = diagnosis.text().splitlines()
    assert len(lines) < 40 - 3 and max(map(len, lines)) < 140
    assert any(line.startswith("pathology ") and "a fit of its 120 s: about" in line for line in lines)
    assert lines[-1].startswith("verdict ") and json.loads(diagnosis.json_text())["speeds"] == [result]
    assert capsys.readouterr().out == ""


def test_a_missing_package_ends_with_1_and_without_a_test(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    missing = [Package("nothing", ">=1", None), Package("rare", "", None, "geo")]
    monkeypatch.setattr(module, "packages", lambda: missing)
    assert main(["doctor"]) == 1
    printed = capsys.readouterr().out
    assert "broken           nothing is missing" in printed and "steps/s" not in printed
    assert 'extra geo        rare is missing: pip install "entity-adapters[geo]"' in printed
    assert main(["doctor", "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["faults"] == ["nothing is missing"]


def test_what_breaks_in_the_self_test_is_a_fault() -> None:
    assert "recipe is 'nothing'" in doctor(0.1, ["nothing"]).faults[0]


@pytest.mark.parametrize(
    "qualities, sane", [([0.97, 0.0], True), ([0.0, 0.0], False), ([math.nan], False), ([0.1, 0.1], False)]
)
def test_outputs_are_sane_where_the_base_finds_entities(qualities: Sequence[float], sane: bool) -> None:
    assert (fault_of([speed(pq) for pq in qualities]) == "") is sane


def test_what_a_fit_comes_to_in_words() -> None:
    assert speed(rate=3.04).estimate() == "a fit of its 240 s: about 730 of 2000 steps"
    assert speed(rate=20.0).estimate() == "a fit of its 2000 steps: about 1.7 minutes"
    assert speed(rate=2.0, seconds=None, steps=600).estimate() == "a fit of its 600 steps: about 5 minutes"


@pytest.mark.parametrize(
    "ends, turns, seconds",
    [
        ([2.0], 1, 2.0),
        ([2.0, 3.0, 5.0], 1, 1.5),  # the first warms up
        ([2.0, 2.1, 2.2, 2.3, 3.3, 3.4], 4, 0.325),  # a whole round after it: three that show kept crops, one new ones
        ([2.0, 2.1, 2.2], 4, 0.575),  # (2 + 3 * .1) / 4
        ([2.0], 4, 2.0),
    ],
)
def test_a_step_takes_the_mean_of_those_that_draw_crops_and_those_that_kept_them(ends, turns, seconds) -> None:
    assert step_seconds(ends, turns) == pytest.approx(seconds)


def test_a_container_s_limit_and_the_machine_s_gpus_are_those_that_count(monkeypatch: pytest.MonkeyPatch) -> None:
    texts = {"/proc/meminfo": "MemTotal: 4096 kB\nMemAvailable: 3072 kB\n",
             "/sys/fs/cgroup/memory.max": "2097152\n", "/sys/fs/cgroup/memory.current": "1048576\n"}  # fmt: skip
    monkeypatch.setattr(module, "text_of", lambda path: texts.get(path, ""))
    assert module.memory_bytes() == (2**21, 2**20)
    texts["/sys/fs/cgroup/memory.max"] = "max\n"
    assert module.memory_bytes() == (4096 * 1024, 3072 * 1024)
    about = SimpleNamespace(name="H200", total_memory=2**37)
    monkeypatch.setattr("torch.cuda.device_count", lambda: 1)
    monkeypatch.setattr("torch.cuda.get_device_properties", lambda i: about)
    monkeypatch.setattr("torch.backends.mps.is_available", lambda: True)
    assert module.examine_torch().devices == {"cuda:0 H200": 2**37, "mps": None}


def test_packages_of_a_wheel_are_those_of_its_metadata(monkeypatch: pytest.MonkeyPatch) -> None:
    about = Message()
    for line in ("numpy>=2.0", 'onnx>=1.20; extra == "onnx"', 'pytest; extra == "test"', "entity-adapters[geo]"):
        about["Requires-Dist"] = line
    for extra in ("onnx", "test"):
        about["Provides-Extra"] = extra
    monkeypatch.setattr(module, "PROJECT", Path("nowhere") / "pyproject.toml")
    monkeypatch.setattr(module, "metadata", lambda name: about)
    monkeypatch.setattr(module, "version", lambda name: "2.4")
    listed = [(package.name, package.specifier, package.extra) for package in packages()]
    assert listed == [("numpy", ">=2.0", ""), ("onnx", ">=1.20", "onnx")]
    assert module.versions()["entity-adapters"] == "2.4"


def test_a_disk_without_space_is_a_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    machine = replace(examine_machine(), disk_free=1000)
    monkeypatch.setattr(module, "examine_machine", lambda: machine)
    monkeypatch.setattr(module, "packages", lambda: iter(()))
    assert any("of disk are free, a run takes .2 GB" in fault for fault in doctor(0.4, ["pathology"]).faults)
