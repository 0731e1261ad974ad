"""One adapter on six sets at once, beside one of each and the base.

    python -m benchmarks.accuracy.mixture --data DIR --seconds 100
    python -m benchmarks.accuracy.mixture --data DIR --seconds 100 --specialists ROWS     results that are there already

DIR holds the sets of `benchmarks/accuracy.py`. Specialists are fitted by the shipped recipe of their domain for
`--seconds` of the processor, the mixtures (`mix.decoders`: of each domain its own, of each set, one shared) for their
sum, and all are measured on the same test images, each set by its own scale, views and calibrated thresholds; the base
as it comes likewise, by the thresholds that it comes with. A result is a file in --out; what exists is skipped.
`--specialists` takes results of `benchmarks/accuracy.py --method shipped --budget minutes` in place of fits, whose
budget the page states. Writes benchmarks/mixture.md.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import torch

from adapters.sharing.folder import save_adapter
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
from recipes.shared import own_yaml
from recipes.verbs.fit_mixture import info_of


class Kind(NamedTuple):
    """How a mixture is fitted: what the section `mix` says beside its members; None for what the recipe has."""

    decoders: str
    temperature: float | None = None

    @property
    def mark(self) -> str:
        """What its results are called by."""
        return self.decoders + ("" if self.temperature is None else f"-{self.temperature:g}")


KINDS = {"member": Kind("member"), "domain": Kind("domain"), "shared": Kind("shared", 2.0)}
"""By the word of `--kinds`; shares of the crops by temperature 2 are what the shared decoder was first measured by."""
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


def mixture(data: Path, seconds: float, seed: int, images: int | None, kind: Kind, run: Path) -> dict[str, Any]:
    """All sets at once; the adapter is left in RUN."""
    words = [f"mix.{option}={value}" for option, value in kind._asdict().items() if value is not None]
    words += training_words(seconds, seed)
    for name in CHOSEN:
        words += [
            f"mix.{SETS[name].recipe}:{name}.{option}={value}" for option, value in place_words(data, name).items()
        ]
    recipe = load_recipe("mix", words)
    domains = domains_of(recipe)
    splits = {name: fewer(each, images) for name, each in splits_of_all(domains).items()}
    budget = budget_of(recipe, LOOKS, time.process_time)
    crops = VAL_CROPS * 2 if kind.decoders == "shared" else VAL_CROPS  # of each decoder
    prepared = prepare_mixture(recipe, domains, splits, budget, crops, previews=0)
    fitted = fit_mixture(unmeasured(prepared.mixture))
    info = info_of(prepared, domains, fitted)
    save_adapter(run, prepared.mixture.network, prepared.method, info, own_yaml(prepared.recipe), overwrite=True)
    return {
        "seconds": seconds,
        "steps": fitted.training.steps,
        "decoders": recipe.mix and recipe.mix.decoders,
        "temperature": kind.temperature,
        "megabytes": round(sum(file.stat().st_size for file in run.iterdir()) / 1e6, 2),
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


def page(
    specialists: Sequence[Mapping[str, Any]], mixtures: Mapping[str, Mapping[str, Any]], line: str
) -> Iterator[str]:
    """The lines of `benchmarks/mixture.md`. mixtures: by the word of their kind."""
    yield "# One adapter for six sets"
    yield ""
    yield f"`{line}`: a specialist of each set by its shipped recipe,"
    budgets = ", ".join(f"{result['seconds']:g}" for result in specialists)
    seconds = ", ".join(dict.fromkeys(f"{fitted['seconds']:g}" for fitted in mixtures.values()))
    yield f"{budgets} CPU-seconds, and one adapter of all, {seconds} CPU-seconds,"
    yield f"by `mix.decoders` {', '.join(mixtures)}. One seed; the first metric of each domain on the same test images,"
    yield "with 95 % intervals over groups of images; in brackets the difference from the specialist."
    yield ""
    yield f"| set | metric | test images | base | specialist | {' | '.join(mixtures)} |"
    yield "|---|---|---|---|---|" + "---|" * len(mixtures)
    for result in specialists:
        key = result["headline"]
        cells = [text(result, "before", key), text(result, "after", key)]
        for fitted in mixtures.values():
            mixed = fitted["sets"][result["set"]]
            value, alone = value_of(mixed, "after", key), value_of(result, "after", key)
            change = "" if value is None or alone is None else f" ({value - alone:+.3f})"
            cells.append(text(mixed, "after", key) + change)
        yield f"| {result['set']} | {key} | {result['images']} | {' | '.join(cells)} |"
    yield ""
    for kind, fitted in mixtures.items():
        yield from counted(specialists, kind, fitted)
    yield f"Steps of the specialists: {', '.join(str(result['steps']) for result in specialists)}."


def counted(specialists: Sequence[Mapping[str, Any]], kind: str, fitted: Mapping[str, Any]) -> Iterator[str]:
    """What a mixture came to, in lines."""
    near, above = [], []
    for result in specialists:
        key = result["headline"]
        value = value_of(fitted["sets"][result["set"]], "after", key)
        alone, untouched = value_of(result, "after", key), value_of(result, "before", key)
        if value is not None and alone is not None:
            near.append(value >= alone - WITHIN)
        if value is not None and untouched is not None:
            above.append(value >= untouched)
    yield f"`{kind}`: within {WITHIN:g} of the specialist or above on {sum(near)} of {len(near)} sets, not below the"
    shares = ", ".join(f"{share:.2f}" for share in fitted["shares"].values())
    yield f"base on {sum(above)} of {len(above)}. Shares of the crops {shares};"
    size = f", {fitted['megabytes']:g} MB" if fitted.get("megabytes") else ""
    yield f"{next(iter(fitted['sets'].values()))['steps']} steps{size}."
    yield ""


def value_of(result: Mapping[str, Any], state: str, key: str) -> float | None:
    """A metric of a result; None where it was not measured."""
    return result["metrics"].get(state, {}).get(key)


def text(result: Mapping[str, Any], state: str, key: str) -> str:
    """A value with its interval; a dash where it was not measured."""
    value = value_of(result, state, key)
    if value is None:
        return "–"
    low, high = (result.get("intervals_95", {}).get(state) or {}).get(key) or (None, None)
    return f"{value:.3f}" + (f" [{low:.3f}, {high:.3f}]" if low is not None else "")


def main(words: Sequence[str] | None = None) -> None:
    """Fit what has no result yet, and write the page."""
    parser = parser_of(__doc__, "mixture", 100.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--kinds", nargs="+", choices=[*KINDS], default=[*KINDS], help="of the mixture; all by default")
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
    total, mixtures = sum(result["seconds"] for result in specialists), {}
    for word in chosen.kinds:
        kind, name = KINDS[word], f"mixture-{total:g}-{chosen.seed}-{KINDS[word].mark}"
        name += f"-{chosen.images}img" if chosen.images else ""
        adapter = chosen.out / f"{name}-adapter"
        fit_all = partial(mixture, chosen.data, total, chosen.seed, chosen.images, kind, adapter)
        mixtures[word] = result_of(chosen.out / f"{name}.json", fit_all)
    line = "python -m benchmarks.accuracy.mixture --data DIR " + f"--seconds {chosen.seconds:g}"
    line += " --specialists ROWS" if chosen.specialists else ""
    line += f" --images {chosen.images}" if chosen.images else ""
    line += "" if [*mixtures] == [*KINDS] else f" --kinds {' '.join(mixtures)}"
    chosen.page.write_text("\n".join(page(specialists, mixtures, line)) + "\n", encoding="utf-8")
    print(chosen.page)


if __name__ == "__main__":
    main()
