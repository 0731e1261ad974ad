"""How well entities are named by the frozen base, on their true outlines: every kind of labeller, and what is unknown.

    python -m benchmarks.accuracy.labels --data DIR --set nwpu_vhr10 --set magnetic_tile --out benchmarks/results

DIR as in `benchmarks/accuracy.py`. The images of a set are split anew for every seed, whole groups together, a quarter
of the groups of each class for testing and a sixth for calibration. The mean share of each class that is named right:
with all labels, and with five entities a class. Of what is unknown: every class in its turn is left out of teaching;
AUROC of the distance between its test entities and those of the taught classes, and the share of it called unknown.
"""

from __future__ import annotations

import argparse
import json
import statistics
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy.stats import rankdata

from adapters.inference.labelled import examples_of
from adapters.labelling.labeller import Labeller
from adapters.labelling.learning import Examples, calibrated, mean_class_accuracy, taught
from adapters.labelling.pooled import Blocks
from benchmarks.accuracy.forgetting import domain_on
from benchmarks.accuracy.plan import SETS
from domains.atomic import atomic_path
from recipes import set_up
from recipes.load import loaded

KINDS = ("linear", "prototypes", "knn")
FEW = 5
"""Entities of a class."""
TESTED, CALIBRATED = 1 / 4, 1 / 6
"""Shares of the groups of each class."""


def split(examples: Examples, seed: int) -> tuple[Examples, Examples, Examples]:
    """Those to learn from, to calibrate on, and to test: whole groups, of every class some in each where it has three.

    A group counts to the class that is rarest of those that it holds.
    """
    rng = np.random.default_rng(seed)
    names, group = np.unique(examples.groups.astype(str), return_inverse=True)
    frequency = np.bincount(examples.classes)
    rarest = np.array([min(set(examples.classes[group == g]), key=lambda k: frequency[k]) for g in range(len(names))])
    side = np.zeros(len(names), int)
    for k in np.unique(rarest):
        members = rng.permutation(np.flatnonzero(rarest == k))
        tested = max(1, round(TESTED * len(members))) if len(members) > 1 else 0
        held = max(1, round(CALIBRATED * len(members))) if len(members) > 2 else 0
        side[members[:tested]], side[members[tested : tested + held]] = 2, 1
    of_entity = side[group]
    train, val, test = (examples.at(of_entity == part) for part in range(3))
    return train, val, test


def few_of_each(examples: Examples, count: int, seed: int) -> Examples:
    """At most so many entities of each class, by chance."""
    order = np.random.default_rng(seed).permutation(len(examples))
    chosen = [order[examples.classes[order] == k][:count] for k in range(len(examples.vocabulary))]
    return examples.at(np.sort(np.concatenate(chosen)))


def present(examples: Examples) -> Examples:
    """The examples in a vocabulary of the classes that they have."""
    return examples.named([examples.vocabulary[k] for k in np.unique(examples.classes)])


def accuracy(labeller: Labeller, test: Examples) -> float:
    """The mean share of each class that is labelled right."""
    named = test.named(labeller.vocabulary)
    return mean_class_accuracy(labeller.likeliest(named.features), named.classes)


def auroc(strange: np.ndarray, familiar: np.ndarray) -> float:
    """The chance that a value of `strange` (n,) is above one of `familiar` (m,), ties by half."""
    ranks = rankdata(np.r_[strange, familiar])[: len(strange)]
    return float((ranks.sum() - len(strange) * (len(strange) + 1) / 2) / (len(strange) * len(familiar)))


def unknown(train: Examples, val: Examples, test: Examples, blocks: Blocks) -> Iterator[dict[str, float]]:
    """Of every class that has test entities, left out of teaching in its turn: AUROC, and the shares called unknown."""
    for k in np.unique(test.classes):
        known = present(train.at(train.classes != k))
        labeller = calibrated(taught("linear", known, blocks), val.at(val.classes != k))
        named = test.at(test.classes == k), test.named(labeller.vocabulary)
        strange, familiar = (labeller.distance(labeller.space.at(part.features)) for part in named)
        if len(familiar):
            yield {
                "auroc": auroc(strange, familiar),
                "unknown_called_unknown": float((strange > labeller.farthest).mean()),
                "known_called_unknown": float((familiar > labeller.farthest).mean()),
            }


def of_seed(examples: Examples, blocks: Blocks, seed: int) -> dict[str, float]:
    """All numbers of one split."""
    train, val, test = split(examples, seed)
    train = present(train)
    numbers: dict[str, float] = {"train": len(train), "test": len(test)}
    for kind in KINDS:
        numbers[kind] = accuracy(taught(kind, train, blocks, seed), test)
        numbers[f"{kind}, {FEW} a class"] = accuracy(taught(kind, few_of_each(train, FEW, seed), blocks, seed), test)
    rows = list(unknown(train, val, test.named(train.vocabulary), blocks))
    return numbers | {key: statistics.fmean(row[key] for row in rows) for key in rows[0]}


def measured(data: Path, name: str, seeds: int) -> dict[str, Any]:
    """The numbers of a set, a list of a value per seed each."""
    with loaded("base", SETS[name].recipe) as network:
        domain, blocks = domain_on(data, name), Blocks.of(network.segmenter)
        splits = [domain.dataset(word) for word in ("train", "val", "test")]
        parts = [examples_of(network.segmenter, samples, network.contract) for samples in splits]
    names = sorted({word for part in parts for word in part.vocabulary})
    parts = [part.named(names) for part in parts]
    features, classes, groups = (
        np.concatenate([getattr(part, key) for part in parts]) for key in ("features", "classes", "groups")
    )
    examples = Examples(features, classes, groups, tuple(names))
    rows = [of_seed(examples, blocks, seed) for seed in range(seeds)]
    counts = dict(zip(names, np.bincount(examples.classes).tolist(), strict=True))
    groups = len(set(examples.groups))
    return {"set": name, "classes": counts, "groups": groups, **{key: [row[key] for row in rows] for key in rows[0]}}


def line(numbers: Mapping[str, Any]) -> str:
    """The numbers of a set, for people."""
    values = {key: value for key, value in numbers.items() if isinstance(value, list)}
    shown = (
        f"{key} {statistics.fmean(value):.3f} ± {statistics.stdev(value):.3f}" if len(value) > 1 else f"{key} {value}"
        for key, value in values.items()
    )
    return f"{numbers['set']}, {numbers['groups']} groups: {'; '.join(shown)}"


def main(words: Sequence[str] | None = None) -> None:
    """Measure, print, and write OUT/labels-SET.json."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--set", action="append", choices=sorted(SETS), required=True)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args(words)
    torch.set_num_threads(1)
    set_up()
    for name in options.set:
        numbers = measured(options.data, name, options.seeds)
        print(line(numbers), flush=True)
        if options.out is not None:
            with atomic_path(options.out / f"labels-{name}.json") as path:
                path.write_text(json.dumps(numbers, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
