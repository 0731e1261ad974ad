"""What the README and the pages of docs/ show, run."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"
PAGES = [README, *sorted((ROOT / "docs").rglob("*.md"))]


def blocks(page: str, language: str = "python") -> list[str]:
    text = (ROOT / page).read_text(encoding="utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.DOTALL | re.MULTILINE)


def test_the_python_example_fits_and_predicts_from_any_folder(tmp_path: Path) -> None:
    example = next(block for block in blocks("docs/python.md") if "L.Trainer" in block)
    shorter = {"steps=100": "steps=1", "max_epochs=2, limit_train_batches=50": "max_epochs=1, limit_train_batches=1"}
    for long, short in {**shorter, '"sample")': '"sample", sample_count=6)'}.items():
        assert long in example
        example = example.replace(long, short)
    script = tmp_path / "mine.py"
    script.write_text(f"{example}\n{OUTCOME}", encoding="utf-8")
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "HF_HUB_OFFLINE": "1"}
    done = subprocess.run(
        [sys.executable, str(script)], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=600
    )
    assert done.returncode == 0, done.stderr[-2000:]


OUTCOME = """
(entities,) = entities
assert entities.shape == domain.dataset("test")[0].image.shape[:2]
assert module.global_step == 1
"""


def test_the_domain_example_is_a_domain() -> None:
    found: dict = {}
    exec(next(block for block in blocks("docs/write-a-domain.md") if 'name="leaves"' in block), found)
    domain = found["DOMAIN"]("sample", sample_count=3)
    assert domain.name == "leaves" and {"ap", "ap50", "pq", "boundary_f"} <= set(domain.metrics())
    sample = domain.dataset("train")[0]
    assert domain.augmentation()(image=sample.image, mask=sample.truth.ids)["image"].shape == sample.image.shape


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links_lead_somewhere(page: Path) -> None:
    targets = re.findall(r"\]\((?!http)([^)#]+)\)", page.read_text(encoding="utf-8"))
    assert [target for target in targets if not (page.parent / target).exists()] == []


def test_the_readme_is_short() -> None:
    text = README.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 130
    assert len(re.findall(r"(?<![\w.])\d*\.\d+", text)) <= 25, "figures live in benchmarks/"
