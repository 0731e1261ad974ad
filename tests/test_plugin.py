"""The package of docs/write-a-domain.md, built, installed beside the tool, and used by it."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

from domains.procedural.scene import draw_scene

ROOT = Path(__file__).parents[1]
GUIDE = ROOT / "docs" / "write-a-domain.md"
QUICK = ["train.steps=2", "train.batch_size=2", "train.validate_every=2", "train.calibrate=false", "domain.crop_px=64"]


def files_of(guide: str) -> dict[str, str]:
    """Name and text of every block that opens with its file name."""
    return dict(re.findall(r"```(?:python|toml)\n# (\S+)\n(.*?)```", guide, flags=re.DOTALL))


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for PYTHONPATH with what pip installs of the package's wheel; nothing is fetched."""
    source, wheels, target = (tmp_path_factory.mktemp(name) for name in ("source", "wheels", "target"))
    for name, text in files_of(GUIDE.read_text(encoding="utf-8")).items():
        (source / name).write_text(text, encoding="utf-8")
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "-q"]
    offline = ["--no-index", "--no-deps"]
    subprocess.run([*pip, "wheel", *offline, "--no-build-isolation", "-w", wheels, source], check=True)
    (wheel,) = wheels.glob("leafscans-0.1.0-*.whl")
    subprocess.run([*pip, "install", *offline, "--target", target, wheel], check=True)
    return target


@pytest.fixture(scope="module")
def scans(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six photographs of three plants, in the package's own layout."""
    root = tmp_path_factory.mktemp("data") / "garden"
    for i in range(6):
        sample = draw_scene("leaves", (7, i), 96, 80)
        folder = root / "scans" / f"plant{i % 3}"
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(sample.image).save(folder / f"{i}.jpg", quality=95)
        Image.fromarray(sample.truth.ids.astype(np.uint8)).save(folder / f"{i}.leaves.png")
    return root


def run(installed: Path, *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, ROOT / "cli.py", *words]
    return subprocess.run(command, env=environment(installed), cwd=ROOT, capture_output=True, text=True)


def environment(installed: Path) -> dict[str, str]:
    """The variables by which a program finds the package."""
    return {**os.environ, "PYTHONPATH": str(installed), "HF_HUB_OFFLINE": "1"}


def test_an_installed_domain_is_fitted_and_measured(installed: Path, scans: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    words = ["fit", "--recipe", "base", "domain.name=leafscans", "--data", str(scans), "--out", str(out), *QUICK]
    done = run(installed, *words, "domain.shaken=0.5")
    assert done.returncode == 0, done.stderr
    assert f"leafscans: {scans}: 2 images to train on, 2 val, 2 test" in done.stdout  # a plant each
    assert set(json.loads((out / "metrics.json").read_text())["metrics"]["after"]) == {"ap", "ap50", "pq", "boundary_f"}
    assert json.loads((out / "adapter" / "entity.json").read_text())["domain"] == "leafscans"
    assert yaml.safe_load((out / "adapter" / "recipe.yaml").read_text())["domain"]["shaken"] == 0.5


def test_an_option_of_an_installed_domain_is_checked_and_described(installed: Path) -> None:
    done = run(installed, "recipes", "check", "base", "domain.name=leafscans", "domain.shaken=3")
    assert (done.returncode, done.stderr) == (2, "error: domain.shaken is 3; wanted a number from 0 to 1\n")
    done = run(installed, "recipes", "check", "base", "domain.name=natural", "domain.shaken=0.3")
    assert done.returncode == 2 and done.stderr.startswith("error: domain.shaken is no option; known: attribute,")
    words = [sys.executable, "-m", "recipes.reading.option_docs", "leafscans"]
    shown = subprocess.run(words, env=environment(installed), cwd=ROOT, capture_output=True, text=True, check=True)
    assert "| `shaken` | a number from 0 to 1 | `0.0` | Share of the training crops that are shown" in shown.stdout


def test_an_installed_domain_is_listed_and_its_layout_checked(installed: Path, scans: Path) -> None:
    assert re.search(r"^leafscans +leafscans:DOMAIN$", run(installed, "domains", "list").stdout, flags=re.MULTILINE)
    done = run(installed, "domains", "check", str(scans), "--domain", "leafscans")
    assert done.returncode == 0 and "6 images in 3 groups" in done.stdout, done.stderr


def test_without_the_package_the_tool_says_what_it_knows(scans: Path, tmp_path: Path) -> None:
    done = run(tmp_path, "fit", "--recipe", "base", "domain.name=leafscans", "--data", str(scans))
    assert done.returncode == 2 and done.stderr.count("\n") == 1
    assert "domain.name is 'leafscans'" in done.stderr and "pathology" in done.stderr
