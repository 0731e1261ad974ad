"""What the README shows, run."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

README = Path(__file__).parents[1] / "README.md"


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", README.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)


def test_the_python_example_fits_and_predicts_from_any_folder(tmp_path: Path) -> None:
    example = next(block for block in blocks("python") if "L.Trainer" in block)
    shorter = {"steps=100": "steps=1", "max_epochs=2, limit_train_batches=50": "max_epochs=1, limit_train_batches=1"}
    for long, short in {**shorter, '"sample")': '"sample", sample_count=6)'}.items():
        assert long in example
        example = example.replace(long, short)
    script = tmp_path / "mine.py"
    script.write_text(f"{example}\n{OUTCOME}", encoding="utf-8")
    environment = {**os.environ, "PYTHONPATH": str(README.parent), "HF_HUB_OFFLINE": "1"}
    done = subprocess.run(
        [sys.executable, str(script)], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=600
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert "PYTHONPATH=CHECKOUT" in README.read_text(encoding="utf-8")


OUTCOME = """
(entities,) = entities
assert entities.shape == domain.dataset("test")[0].image.shape[:2]
assert module.global_step == 1
"""


def test_the_domain_example_is_a_domain() -> None:
    found: dict = {}
    exec(next(block for block in blocks("python") if "DOMAIN = " in block), found)
    domain = found["DOMAIN"]("sample", sample_count=3)
    assert domain.name == "leaves" and {"ap", "ap50", "pq", "boundary_f"} <= set(domain.metrics())
    sample = domain.dataset("train")[0]
    assert domain.augmentation()(image=sample.image, mask=sample.truth.ids)["image"].shape == sample.image.shape


@pytest.mark.parametrize(
    "target", sorted(set(re.findall(r"\]\((?!http)([^)#]+)\)", README.read_text(encoding="utf-8"))))
)
def test_links_lead_somewhere(target: str) -> None:
    assert (README.parent / target).exists()
