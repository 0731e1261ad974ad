from __future__ import annotations

import pytest

from benchmarks.speed import steps
from benchmarks.speed.steps import BASES, Base, Cost, cost, page
from tests.adapters.backbones.tiny_models import tiny_config


@pytest.mark.parametrize("model_type", ["dinov2", "sam"])
def test_a_step_of_any_base_is_timed_with_checkpointing_and_without(model_type: str) -> None:
    base = Base(tiny_config(model_type), 56)
    for checkpointing in (False, True):
        seconds, peak_mib = cost(base, checkpointing, 1)
        assert seconds > 0 and peak_mib > 100


def test_the_page_has_a_row_for_each_base(monkeypatch: pytest.MonkeyPatch, tmp_path) -> None:
    monkeypatch.setattr(steps, "PAGE", tmp_path / "steps.md")
    monkeypatch.setattr(steps, "cost_in_process", lambda name, again, turns: Cost(1.5 + again, 2000 - 500 * again))
    steps.main(["--turns", "1"])
    rows = (tmp_path / "steps.md").read_text().splitlines()
    assert rows[-1] == "| SAM ViT-B/16 | 512 px | 1.50 | 2.50 | 2,000 | 1,500 |"
    assert len(list(page({}, 1))) + len(BASES) == len(rows)
