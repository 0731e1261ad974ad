"""What benchmarks of whole fits on the sets have in common: their arguments, where a set lies, a budget in words."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from recipes.verbs.numbers import plain, write_json

HERE = Path(__file__).resolve().parents[1]
WARMUP_STEPS = 8
"""The recipes' 20 would be much of what these budgets have."""


def parser_of(description: str | None, name: str, seconds: float) -> argparse.ArgumentParser:
    """Arguments of a benchmark that writes benchmarks/NAME.md; `seconds`: of each fit, by default."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder of the sets and their index/")
    parser.add_argument("--seconds", type=float, default=seconds, help="CPU-seconds of each fit by gradient")
    parser.add_argument("--out", type=Path, default=HERE / "results" / name, help="folder of the results")
    parser.add_argument("--page", type=Path, default=HERE / f"{name}.md")
    return parser


def place_words(data: Path, name: str) -> dict[str, str]:
    """Options of a domain: where a set lies, and its groups."""
    groups = data / "index" / f"{name}.csv"
    return {"data": str(data / name), **({"groups": str(groups)} if groups.is_file() else {})}


def training_words(seconds: float, seed: int) -> list[str]:
    """Overrides of a recipe: a budget of the processor's seconds."""
    budget = [f"train.seconds={seconds}", "train.steps=1000000", f"train.warmup_steps={WARMUP_STEPS}"]
    return [*budget, f"train.seed={seed}", "train.device=cpu"]


def result_of(path: Path, work: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """The result in a file, which is made where there is none: so a benchmark that was stopped goes on."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        write_json(path, plain(work()))
        print(path, flush=True)
    return json.loads(path.read_text(encoding="utf-8"))
