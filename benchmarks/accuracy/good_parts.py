"""Good parts only: what a memory of good images finds, and defects drawn on them, beside a few labelled defects.

    python -m benchmarks.accuracy.good_parts --data DIR     DIR/magnetic_tile, and DIR/index/magnetic_tile.csv

Every arm sees the good images of the training split (MT_Free), whole tiles held back; `supervised` sees five defective
ones as well, the first of each group before the second of any. All are measured on the same test images. A result is a
file in --out; what exists is skipped, so a run that was stopped goes on. Writes benchmarks/good_parts.md.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import torch

from adapters.training.fitting import Fitted, Reporter, fit
from adapters.training.memory_fit import Remembered
from benchmarks.accuracy.arguments import parser_of, place_words, result_of, training_words
from domains.datasets.dataset import EntityDataset
from domains.datasets.domain import first_images
from recipes import set_up
from recipes.build import domain_of
from recipes.plan import Splits, budget_of, plan_of, splits_of
from recipes.reading.compose import load_recipe

SET = "magnetic_tile"
DEFECTS = 5
KEYS = ("image_auroc", "aupro", "aupro_05", "pixel_ap", "false_alarms", "class_iou", "f1")
GOOD = "domain.good_only=true"
ARMS: dict[str, tuple[str, tuple[str, ...]]] = {
    "memory": ("good_parts", ("decoder.description=features",)),
    "texture": ("good_parts", ("decoder.description=texture",)),
    "drawn": ("industrial", (GOOD, "domain.drawn_defects=0.7")),
    "drawn, quiet": ("synthetic_defects", ()),
    "supervised": ("industrial", ()),
    "supervised, drawn": ("industrial", ("domain.drawn_defects=0.5",)),
}
"""Arm -> recipe and what is changed in it."""
LOOKS, VAL_CROPS = 4, 24


class Listener(Reporter):
    """Keeps what a memory was filled from."""

    told: Remembered | None = None

    def remembered(self, remembered: Remembered) -> None:
        self.told = remembered


def run(arm: str, data: Path, seconds: float, seed: int) -> dict[str, Any]:
    """One fit, measured on the test split."""
    name, words = ARMS[arm]
    places = [f"domain.{option}={value}" for option, value in place_words(data, SET).items()]
    recipe = load_recipe(name, [*places, *words, *training_words(seconds, seed)])
    domain = domain_of(recipe)
    splits = splits_of(domain)
    if arm.startswith("supervised"):
        splits = with_defects(splits)
    prepared = plan_of(recipe, domain, splits, budget_of(recipe, LOOKS, time.process_time), val_crops=VAL_CROPS)
    listener, start = Listener(), time.process_time()
    fitted = fit(replace(prepared.plan, measure_before=False), listener)
    assert fitted.after is not None
    return {
        "arm": arm,
        "seed": seed,
        "training_images": len(splits.train),
        "test_images": len(splits.test),
        "steps": fitted.training.steps,
        "fit_cpu_s": round(time.process_time() - start - fitted.measure_cpu_s, 1),
        "measure_cpu_s": round(fitted.measure_cpu_s, 1),
        "memory": None if listener.told is None else str(listener.told),
        "calibration": str(fitted.calibration),
        "scale": prepared.recipe.domain.scale,
        **numbers(fitted),
    }


def numbers(fitted: Fitted) -> dict[str, Any]:
    """Metrics and their intervals."""
    assert fitted.after is not None
    return {"metrics": fitted.after.compute(), "intervals_95": fitted.after.interval()}


def with_defects(splits: Splits) -> Splits:
    """The good training images and `DEFECTS` defective ones; what thresholds are chosen on stays as it is."""
    train: Any = splits.train
    defective = [train.records[i] for i in range(len(train)) if train[i].truth.count]
    names = {record.name for record in defective} - {record.name for record in first_images(defective, DEFECTS)}
    records = [record for record in train.records if record.name not in names]
    return splits._replace(train=EntityDataset(records, train.layout, train.cache))


def page(results: Sequence[Mapping[str, Any]], seconds: float) -> Iterator[str]:
    """The lines of `benchmarks/good_parts.md`."""
    yield "# Good parts only"
    yield ""
    command = f"`python -m benchmarks.accuracy.good_parts --data DIR --seconds {seconds:g}`"
    yield f"{command}: magnetic tile, whole tiles held back."
    yield "`memory` (features of the base), `texture` (`decoder.description=texture`) and `drawn` learn from the good"
    yield "training images alone, thresholds included, as the recipe `synthetic_defects` does, whose least score holds"
    yield "false alarms to a rate (`train.false_alarms`); `supervised` from those"
    yield f"and {DEFECTS} defective ones, its thresholds chosen on the whole validation split. Fits by gradient take"
    yield f"{seconds:g} CPU-seconds of one thread; mean and spread of the seeds, where there are several."
    yield ""
    yield f"| arm | seeds | {' | '.join(KEYS)} | CPU-s of the fit |"
    yield "|---" * (len(KEYS) + 3) + "|"
    for arm in ARMS:
        rows = [result for result in results if result["arm"] == arm]
        if rows:
            cells = [spread([row["metrics"][key] for row in rows]) for key in KEYS]
            seeds = ", ".join(str(row["seed"]) for row in rows)
            yield f"| {arm} | {seeds} | {' | '.join(cells)} | {mean(row['fit_cpu_s'] for row in rows):.0f} |"
    for result in results:
        thresholds = result.get("memory") or (result.get("calibration") if "quiet" in result["arm"] else None)
        if thresholds:
            yield ""
            yield f"{result['arm']}, seed {result['seed']}: {thresholds}."


def spread(values: Sequence[float | None]) -> str:
    """`0.83 ± 0.05`, or one value."""
    defined = [value for value in values if value is not None]
    if not defined:
        return "–"
    return f"{mean(defined):.3f}" + (f" ± {stdev(defined):.3f}" if len(defined) > 1 else "")


def main(words: Sequence[str] | None = None) -> None:
    """Fit what has no result yet, and write the page."""
    parser = parser_of(__doc__, "good_parts", 120.0)
    parser.add_argument("--arm", choices=ARMS, action="append", help="several times; all by default")
    parser.add_argument("--seed", type=int, action="append", help="several times; 0, 1 and 2 by default")
    chosen = parser.parse_args(words)
    set_up()
    torch.set_num_threads(1)
    for seed in chosen.seed or (0, 1, 2):
        for arm in chosen.arm or ARMS:
            path = chosen.out / f"{arm.replace(', ', '-')}-{chosen.seconds:g}-{seed}.json"
            result_of(path, partial(run, arm, chosen.data, chosen.seconds, seed))
    files = sorted(chosen.out.glob(f"*-{chosen.seconds:g}-*.json"))
    results = [json.loads(file.read_text(encoding="utf-8")) for file in files]
    chosen.page.write_text("\n".join(page(results, chosen.seconds)) + "\n", encoding="utf-8")
    print(chosen.page)


if __name__ == "__main__":
    main()
