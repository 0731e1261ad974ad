"""What the README shows, run."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

README = Path(__file__).parents[1] / "README.md"


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", README.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)


def test_the_python_example_fits_and_predicts() -> None:
    example = next(block for block in blocks("python") if "L.Trainer" in block)
    shorter = {"steps=100": "steps=1", "max_epochs=2, limit_train_batches=50": "max_epochs=1, limit_train_batches=1"}
    for long, short in {**shorter, '"sample")': '"sample", sample_count=6)'}.items():
        assert long in example
        example = example.replace(long, short)
    found: dict = {}
    exec(example, found)
    (entities,) = found["entities"]
    assert entities.shape == found["domain"].dataset("test")[0].image.shape[:2]
    assert found["module"].global_step == 1


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
