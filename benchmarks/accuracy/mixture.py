"""One adapter on six sets at once, beside one of each and the base.

    python -m benchmarks.accuracy.mixture --data DIR --seconds 100
    python -m benchmarks.accuracy.mixture --data DIR --seconds 100 --specialists ROWS     results that are there already

DIR holds the sets of `benchmarks/accuracy.py`. Specialists are fitted by the shipped recipe of their domain for
`--seconds` of the processor, the mixture for their sum, and all are measured on the same test images, each set by its
own scale, views and calibrated thresholds; the base as it comes likewise, by the thresholds that it comes with. A
result is a file in --out; what exists is skipped. `--specialists` takes results of `benchmarks/accuracy.py --method
shipped --budget minutes` in place of fits, whose budget the page states. Writes benchmarks/mixture.md.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch

from adapters.training.fitting import Budget, Fitted, Training, fit, measured
from adapters.training.mixture import Mixture, fit_mixture
from benchmarks.accuracy.arguments import parser_of, place_words, result_of, training_words
from benchmarks.accuracy.plan import SETS
from benchmarks.accuracy.routing import CHOSEN
from recipes import set_up
from recipes.build import domain_of
from recipes.mixture import domains_of, prepare_mixture, splits_of_all
from recipes.plan import Splits, budget_of, plan_of, splits_of
from recipes.reading.compose import load_recipe
from recipes.reading.schema import Recipe

WITHIN = 0.03
LOOKS, VAL_CROPS = 5, 24


def fewer(splits: Splits, images: int | None) -> Splits:
    """The splits with so many test images, spread evenly."""
    if images is None or len(splits.test) <= images:
        return splits
    test: Any = splits.test
    chosen = [test.records[round(i * (len(test) - 1) / (images - 1))] for i in range(images)]
    return splits._replace(test=type(test)(chosen, test.layout, test.cache))


def specialist(data: Path, name: str, seconds: float, seed: int, images: int | None) -> dict[str, Any]:
    """One set alone, by the shipped recipe of its domain."""
    recipe = recipe_on(data, name, training_words(seconds, seed))
    domain = domain_of(recipe)
    splits = fewer(splits_of(domain), images)
    budget = budget_of(recipe, LOOKS, time.process_time)
    plan = plan_of(recipe, domain, splits, budget, val_crops=VAL_CROPS).plan
    fitted = fit(replace(plan, measure_before=False))
    return {"set": name, "headline": domain.headline, "seconds": seconds, **numbers(fitted, len(splits.test))}


def base(data: Path, name: str, images: int | None) -> dict[str, Any]:
    """The base as it comes on one set, seen by the shipped recipe of its domain, as `fit` measures it before."""
    recipe = recipe_on(data, name, ["train.device=cpu"])
    domain = domain_of(recipe)
    splits = fewer(splits_of(domain), images)
    plan = plan_of(recipe, domain, splits, Budget(steps=0)).plan
    untouched = Fitted(Training(), before=measured(plan, splits.test))
    return {"set": name, "headline": domain.headline, **numbers(untouched, len(splits.test))}


def recipe_on(data: Path, name: str, words: Sequence[str]) -> Recipe:
    """The shipped recipe of a set's domain on that set."""
    places = [f"domain.{option}={value}" for option, value in place_words(data, name).items()]
    return load_recipe(SETS[name].recipe, [*places, *words])


def mixture(data: Path, seconds: float, seed: int, images: int | None, temperature: float) -> dict[str, Any]:
    """All sets at once."""
    words = [f"mix.temperature={temperature}", *training_words(seconds, seed)]
    for name in CHOSEN:
        words += [
            f"mix.{SETS[name].recipe}:{name}.{option}={value}" for option, value in place_words(data, name).items()
        ]
    recipe = load_recipe("mix", words)
    domains = domains_of(recipe)
    splits = {name: fewer(each, images) for name, each in splits_of_all(domains).items()}
    budget = budget_of(recipe, LOOKS, time.process_time)
    prepared = prepare_mixture(recipe, domains, splits, budget, VAL_CROPS * 2, previews=0)
    fitted = fit_mixture(unmeasured(prepared.mixture))
    return {
        "seconds": seconds,
        "temperature": temperature,
        "shares": prepared.mixture.shares,
        "sets": {name: numbers(fit, len(splits[name].test)) for name, fit in fitted.members.items()},
    }


def unmeasured(whole: Mixture) -> Mixture:
    """Without the measurement before the training: `base` has that."""
    return replace(whole, members={name: replace(plan, measure_before=False) for name, plan in whole.members.items()})


def numbers(fitted: Fitted, images: int) -> dict[str, Any]:
    """What a fit is worth."""
    return {
        "images": images,
        "steps": fitted.training.steps,
        "fit_cpu_s": round(fitted.training.cpu_s, 1),
        "metrics": {state: metrics.compute() for state, metrics in fitted.measured.items()},
        "intervals_95": {state: metrics.interval() for state, metrics in fitted.measured.items()},
    }


def of_rows(rows: Path, name: str) -> dict[str, Any]:
    """A specialist from the results of `benchmarks/accuracy.py`, by the recipe's views."""
    files = sorted(rows.glob(f"{name}-shipped-minutes-*.json"))
    if not files:
        raise SystemExit(f"{rows} has no {name}-shipped-minutes-*.json; name another folder as --specialists")
    result = json.loads(files[-1].read_text(encoding="utf-8"))
    seen = result.get("views", result)
    by_state = {key: {"after": seen[key]} for key in ("metrics", "intervals_95")}
    headline = domain_of(load_recipe(SETS[name].recipe)).headline
    return {**result, "headline": headline, "seconds": result["seconds_limit"], **by_state}


def beside(result: Mapping[str, Any], base: Mapping[str, Any]) -> dict[str, Any]:
    """A specialist's result with the base's measurement as what was before; both of the same test images."""
    if result["images"] != base["images"]:
        raise SystemExit(
            f"{result['set']}: the specialist was measured on {result['images']} test images, the base on "
            f"{base['images']}; leave out --images with --specialists, or name another --out"
        )
    return {**result, **{key: {**base[key], **result[key]} for key in ("metrics", "intervals_95")}}


def page(specialists: Sequence[Mapping[str, Any]], whole: Mapping[str, Any], line: str) -> Iterator[str]:
    """The lines of `benchmarks/mixture.md`."""
    yield "# One adapter for six sets"
    yield ""
    yield f"`{line}`: a specialist of each set by its shipped recipe,"
    budgets = ", ".join(f"{result['seconds']:g}" for result in specialists)
    yield f"{budgets} CPU-seconds, and one adapter of all, {whole['seconds']:g} CPU-seconds,"
    yield f"temperature {whole['temperature']:g}. One seed; the first metric of each domain on the same test images,"
    yield "with 95 % intervals over groups of images."
    yield ""
    yield "| set | metric | test images | base | specialist | mixture | against the specialist | share of the crops |"
    yield "|---|---|---|---|---|---|---|---|"
    near, above = [], []
    for result in specialists:
        name, key = result["set"], result["headline"]
        mixed = whole["sets"][name]
        untouched, alone, mixed_value = (row["metrics"].get(state, {}).get(key) for row, state in (
            (result, "before"), (result, "after"), (mixed, "after")))  # fmt: skip
        if mixed_value is not None and alone is not None:
            near.append(mixed_value >= alone - WITHIN)
        if mixed_value is not None and untouched is not None:
            above.append(mixed_value >= untouched)
        spans = [text(result, "before", key), text(result, "after", key), text(mixed, "after", key)]
        change = "–" if mixed_value is None or alone is None else f"{mixed_value - alone:+.3f}"
        share = f"{whole['shares'][name]:.2f}"
        yield f"| {name} | {key} | {mixed['images']} | {' | '.join(spans)} | {change} | {share} |"
    yield ""
    yield f"Within {WITHIN:g} of the specialist or above on {sum(near)} of {len(near)} sets, not below the base on"
    yield f"{sum(above)} of {len(above)}."
    yield f"Steps: {whole['sets'][specialists[0]['set']]['steps']} of the mixture,"
    yield f"{', '.join(str(result['steps']) for result in specialists)} of the specialists."


def text(result: Mapping[str, Any], state: str, key: str) -> str:
    """A value with its interval; a dash where it was not measured."""
    value = result["metrics"].get(state, {}).get(key)
    if value is None:
        return "–"
    low, high = (result.get("intervals_95", {}).get(state) or {}).get(key) or (None, None)
    return f"{value:.3f}" + (f" [{low:.3f}, {high:.3f}]" if low is not None else "")


def main(words: Sequence[str] | None = None) -> None:
    """Fit what has no result yet, and write the page."""
    parser = parser_of(__doc__, "mixture", 100.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--temperature", type=float, default=2.0)
    parser.add_argument("--images", type=int, help="measure on so many test images of each set; all by default")
    parser.add_argument("--specialists", type=Path, help="a folder of results of benchmarks/accuracy.py")
    chosen = parser.parse_args(words)
    set_up()
    torch.set_num_threads(1)
    mark = f"{chosen.seconds:g}-{chosen.seed}" + (f"-{chosen.images}img" if chosen.images else "")
    specialists = []
    for name in CHOSEN:
        if chosen.specialists is not None:
            result = of_rows(chosen.specialists, name)
        else:
            fit_alone = partial(specialist, chosen.data, name, chosen.seconds, chosen.seed, chosen.images)
            result = result_of(chosen.out / f"{name}-{mark}.json", fit_alone)
        of_base = f"{name}-base" + (f"-{chosen.images}img" if chosen.images else "")
        untouched = result_of(chosen.out / f"{of_base}.json", partial(base, chosen.data, name, chosen.images))
        specialists.append(beside(result, untouched))
    total = chosen.seconds * len(CHOSEN)
    fit_all = partial(mixture, chosen.data, total, chosen.seed, chosen.images, chosen.temperature)
    whole = result_of(chosen.out / f"mixture-{mark}-{chosen.temperature:g}.json", fit_all)
    line = "python -m benchmarks.accuracy.mixture --data DIR " + f"--seconds {chosen.seconds:g}"
    line += " --specialists ROWS" if chosen.specialists else ""
    line += f" --images {chosen.images}" if chosen.images else ""
    chosen.page.write_text("\n".join(page(specialists, whole, line)) + "\n", encoding="utf-8")
    print(chosen.page)


if __name__ == "__main__":
    main()
