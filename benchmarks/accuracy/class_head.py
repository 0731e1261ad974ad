"""Classes of predicted entities: the adapter with its labeller, beside a U-Net with a class head of the same budget.

    python -m benchmarks.accuracy.class_head --data DIR --seconds 200 [--set nwpu_vhr10] [--seed 0 --seed 1]

DIR as in `benchmarks/accuracy.py`. `adapter` is the set's shipped recipe, with the labeller that `fit` learns of its
data. `unet` is MONAI's U-Net from nothing with a channel more for each class: the same crops, losses of the fields,
decode and calibration, and of the class head a cross-entropy over the pixels of entities, by which every class weighs
alike and every entity of a class. An entity's class is that of most of its pixels. Both train for the
same CPU-seconds of one thread, labels and thresholds come after; one view of each tile. A result is a file in --out,
and one that exists is kept. Writes benchmarks/class_head.md.

mPQ, F_c and the share named right as `evaluate` has them (`domains/metrics/class_tally.py`), means over the classes
that the truth or the prediction has. `likeliest`: the labeller without its `unknown`, as the U-Net has none.
"""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from adapters.decoders.dense import Dense
from adapters.inference.labelled import EntityTiles
from adapters.inference.segment import InputContract, MetricSet, measure
from adapters.labelling.labeller import Labeller
from adapters.labelling.pooled import describe
from adapters.losses import EntityLoss
from adapters.network import EntitySegmenter
from adapters.training.fitting import Plan, choose_thresholds, learn_regions, train
from benchmarks.accuracy.arguments import parser_of, place_words, result_of, training_words
from benchmarks.accuracy.plan import SETS
from benchmarks.accuracy.unet import UNetSegmenter
from domains.entities import NO_CLASS, UNKNOWN, EntityBatch, EntityMap, EntitySample, Samples
from domains.metrics.class_tally import ClassTally, mean
from domains.tiling.prediction import Prediction
from recipes import set_up
from recipes.build import domain_of
from recipes.labels import FEWEST, labels_of
from recipes.plan import Prepared, Splits, budget_of, plan_of, splits_of
from recipes.reading.compose import load_recipe
from recipes.reading.schema import Recipe

CLASSIFIED = ("nwpu_vhr10", "magnetic_tile")
ARMS = {"adapter": (), "unet": ("backbone.random=true", "train.cache=none")}
"""Arm -> overrides of the set's recipe."""
LOOKS, VAL_CROPS = 5, 48
KEYS = ("pq", "f1")
MEASURES = ("pq", "f_class", "accuracy")

Names = Callable[[np.ndarray, np.ndarray, np.ndarray], Sequence[np.ndarray]]
"""A tile (h, w, 3) uint8, its ids (h, w) and numbers (n,) of entities in it -> of each way of naming, their classes
(n,) int32, the number of classes for an entity that is unknown."""


@dataclass(frozen=True)
class Namer:
    """Gives entities their classes, in one way or several."""

    vocabulary: tuple[str, ...]
    ways: tuple[str, ...]
    names: Names

    @property
    def nameless(self) -> int:
        """The label of an entity that is unknown."""
        return len(self.vocabulary)


@dataclass(frozen=True)
class ClassPixels:
    """Cross-entropy of `classes` (B, K, H, W) over the pixels of entities that have one of K classes.

    names: the classes; shares: (K,) of each, by which an entity is divided, so that all classes weigh alike.
    """

    names: tuple[str, ...]
    shares: np.ndarray
    weight: float = 1.0

    def __call__(self, outputs: Mapping[str, Tensor], batch: EntityBatch) -> Tensor:
        logits = outputs["classes"]
        number = {name: k for k, name in enumerate(self.names)}
        translation = torch.tensor([number.get(name, NO_CLASS) for name in batch.vocabulary] + [NO_CLASS])
        classes = F.pad(translation.to(logits.device)[batch.labels], (1, 0), value=NO_CLASS)  # (B, 1 + N), 0: no entity
        ids = batch.ids.clamp(min=0).flatten(1).long()  # (B, H W)
        targets = classes.gather(1, ids)
        areas = torch.zeros(classes.shape, device=logits.device).scatter_add_(1, ids, torch.ones(ids.shape))
        balance = torch.tensor(1 / self.shares, dtype=torch.float32)[targets.clamp(min=0)]
        weights = balance / areas.gather(1, ids) * (targets != NO_CLASS)
        losses = F.cross_entropy(logits.flatten(2), targets, ignore_index=NO_CLASS, reduction="none")
        return (losses * weights).sum() / weights.sum().clamp(min=1e-9)


def classes_of(samples: Samples) -> tuple[tuple[str, ...], np.ndarray]:
    """The classes of at least `FEWEST` entities, as a labeller learns them, and the share (K,) of each."""
    counts: Counter[str] = Counter()
    for i in range(len(samples)):
        truth = samples[i].truths[0]
        if truth.labels is not None:
            counts.update(truth.vocabulary[label] for label in truth.labels if label != NO_CLASS)
    names = tuple(sorted(name for name, count in counts.items() if count >= FEWEST and name != UNKNOWN))
    shares = np.array([counts[name] for name in names], float)
    return names, shares / shares.sum()


def by_labeller(segmenter: EntitySegmenter, labeller: Labeller) -> Namer:
    """As `predict` names entities, and by the likeliest class alone."""

    def names(image: np.ndarray, ids: np.ndarray, numbers: np.ndarray) -> Sequence[np.ndarray]:
        features = describe(segmenter, image, ids, numbers)
        return labeller.label(features)[0], labeller.likeliest(features)

    return Namer(labeller.vocabulary, ("named", "likeliest"), names)


def by_votes(segmenter: EntitySegmenter, vocabulary: tuple[str, ...]) -> Namer:
    """The class of most pixels of an entity, by the class head."""

    def names(image: np.ndarray, ids: np.ndarray, numbers: np.ndarray) -> Sequence[np.ndarray]:
        output = segmenter.outputs([image])[0]
        logits = output.outputs["classes"][output.index, :, : output.size[0], : output.size[1]]
        row = np.searchsorted(numbers, ids).clip(max=len(numbers) - 1)
        inside = numbers[row] == ids
        votes = np.zeros((len(numbers), len(logits)), np.int64)
        np.add.at(votes, (row[inside], logits.argmax(0).numpy()[inside]), 1)
        return (votes.argmax(1).astype(np.int32),)

    return Namer(vocabulary, ("named",), names)


def named_maps(
    entities: EntityMap, sample: EntitySample, contract: InputContract, namer: Namer
) -> dict[str, EntityMap]:
    """By way of naming: the entities with their classes; each is named in the tile that holds its centroid."""
    prediction = Prediction.of_map(replace(entities, labels=None, vocabulary=(), parents=None))
    tiles = EntityTiles.of(contract.photograph(sample), contract)
    labels = {way: np.full(prediction.count, namer.nameless, np.int32) for way in namer.ways}
    for tile, members in tiles.holding(prediction):
        ids = tiles.ids(prediction, tile)
        numbers = members[np.isin(members, ids)]
        if len(numbers):
            classes = namer.names(tiles.scene.read(*tiles.grid.window(tile)), ids, numbers)
            for row, of_way in zip(labels.values(), classes, strict=True):
                row[numbers - 1] = of_way
    vocabulary = (*namer.vocabulary, UNKNOWN)
    return {way: replace(prediction.whole_map, labels=row, vocabulary=vocabulary) for way, row in labels.items()}


def prepared_for(arm: str, recipe: Recipe, splits: Splits) -> Prepared:
    """The plan of an arm."""
    domain = domain_of(recipe)
    budget = budget_of(recipe, LOOKS, time.process_time)
    if arm == "adapter":
        return plan_of(recipe, domain, splits, budget, val_crops=VAL_CROPS)
    names, shares = classes_of(splits.train)

    def network(settled: Recipe) -> EntitySegmenter:
        return UNetSegmenter(Dense(**settled.decoder.options()), len(names))

    prepared = plan_of(recipe, domain, splits, budget, network, VAL_CROPS)
    assert prepared.plan.loss is not None
    loss = EntityLoss({**prepared.plan.loss.terms, "classes": ClassPixels(names, shares)})
    return replace(prepared, plan=replace(prepared.plan, loss=loss))


def run(arm: str, name: str, data: Path, seconds: float, seed: int) -> dict[str, Any]:
    """One fit and what its entities and their classes are worth on the test split."""
    places = [f"domain.{option}={value}" for option, value in place_words(data, name).items()]
    once = ("domain.symmetries=1", "domain.test_scales=[1]")
    words = [*places, *training_words(seconds, seed), *once, *ARMS[arm]]
    recipe = load_recipe(SETS[name].recipe, words)
    splits = splits_of(domain_of(recipe))
    prepared = prepared_for(arm, recipe, splits)
    plan = prepared.plan
    training, start = train(plan), time.process_time()
    learn_regions(plan)
    if plan.calibrate_for is not None:
        choose_thresholds(plan)
    if arm == "adapter":
        labels = labels_of(prepared)
        assert labels is not None
        namer = by_labeller(plan.network, labels.labeller)
    else:
        namer = by_votes(plan.network, classes_of(splits.train)[0])
    afterwards = time.process_time() - start
    return {
        "set": name,
        "arm": arm,
        "seed": seed,
        "seconds": seconds,
        "steps": training.steps,
        "fit_cpu_s": round(training.cpu_s, 1),
        "afterwards_cpu_s": round(afterwards, 1),
        "train_images": len(splits.train),
        "test_images": len(splits.test),
        **examined(plan, namer),
    }


def examined(plan: Plan, namer: Namer) -> dict[str, Any]:
    """Of the test split: metrics without classes, measures of each class by way of naming, on predicted entities and,
    under `outlines`, on the true ones.
    """
    tallies = {row: {way: ClassTally(namer.vocabulary) for way in namer.ways} for row in ("ways", "outlines")}

    def tally(row: str, sample: EntitySample, entities: EntityMap) -> None:
        truth = sample.truths[0]
        if truth.labels is None:
            truth = replace(truth, labels=np.full(truth.count, NO_CLASS, np.int32), vocabulary=("",))
        for way, named in named_maps(entities, sample, plan.contract, namer).items():
            tallies[row][way].update(named, truth)

    def of_prediction(index: int, entities: EntityMap) -> None:
        sample = plan.test[index]
        tally("ways", sample, entities)
        if sample.truths[0].count:
            tally("outlines", sample, sample.truths[0])

    available = plan.metrics()
    metrics = MetricSet({key: available[key] for key in KEYS})
    measure(plan.network, plan.test, metrics, plan.contract, on_prediction=of_prediction)
    return {
        "metrics": metrics.compute(),
        "intervals_95": metrics.interval(),
        "vocabulary": list(namer.vocabulary),
        **{row: {way: numbers(tally) for way, tally in ways.items()} for row, ways in tallies.items()},
    }


def numbers(tally: ClassTally) -> dict[str, Any]:
    """The measures of each class, their means, and the confusion matrix."""
    columns = dict(zip(MEASURES, (tally.panoptic_quality(), tally.f_class(), tally.accuracy()), strict=True))
    classes = {key: dict(zip(tally.names, column.tolist(), strict=True)) for key, column in columns.items()}
    means = {f"m{key}": mean(column) for key, column in columns.items()}
    return {"classes": classes, **means, "confusion": tally.rows()}


def figure(value: float | None) -> str:
    """A value in three digits; a dash where there is none."""
    return "–" if value is None else f"{value:.3f}"


def page(results: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """The lines of `benchmarks/class_head.md`."""
    yield "# Names for entities that were predicted"
    yield ""
    yield "`python -m benchmarks.accuracy.class_head`: the shipped recipe with the labeller that `fit` learns,"
    yield "beside MONAI's U-Net with a class head, from nothing: the same crops, losses, decode, and CPU-seconds of"
    yield "training of one thread. An entity of the U-Net has the class of most of its pixels. One view of each"
    yield "tile; whole groups tested. `likeliest`: the labeller without its `unknown`, which the U-Net cannot say."
    yield "On true outlines: the mean share of each class that is named right, given the truth. Measures of classes"
    yield "are means over those that the truth or the prediction has; after PQ its 95 % interval."
    for name, seconds in dict.fromkeys((result["set"], result["seconds"]) for result in results):
        yield from of_set([result for result in results if (result["set"], result["seconds"]) == (name, seconds)])


def of_set(rows: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """A table of the arms by seed, and for the least of the seeds one of the classes."""
    rows = sorted(rows, key=lambda row: ([*ARMS].index(row["arm"]), row["seed"]))
    name, seconds, seed = (rows[0][key] for key in ("set", "seconds", "seed"))
    seeds = " ".join(f"--seed {row['seed']}" for row in rows if row["arm"] == rows[0]["arm"])
    yield ""
    yield f"## {name}, {len(rows[0]['vocabulary'])} classes, {rows[0]['test_images']} test images"
    yield ""
    yield f"`--data DIR --set {name} --seconds {seconds:g} {seeds}`"
    yield ""
    yield "| | seed | PQ without classes | mPQ | F_c | named right where found | on true outlines | steps |"
    yield "|---|---|---|---|---|---|---|---|"
    for row in rows:
        low, high = row["intervals_95"]["pq"] or (None, None)
        quality = f"{figure(row['metrics']['pq'])} [{figure(low)}, {figure(high)}]"
        for way, values in row["ways"].items():
            cells = [quality, *(figure(values[f"m{key}"]) for key in MEASURES)]
            cells += [figure(row["outlines"][way]["maccuracy"]), f"{row['steps']}"]
            yield f"| {row['arm']}{'' if way == 'named' else f', {way}'} | {row['seed']} | {' | '.join(cells)} |"
    chosen = [row for row in rows if row["seed"] == seed]
    yield ""
    yield f"Each class, seed {seed}, {' / '.join(row['arm'] for row in chosen)}; entities of the test images."
    yield ""
    yield "| class | entities | PQ | F_c | named right where found |"
    yield "|---|---|---|---|---|"
    for k, word in enumerate(rows[0]["vocabulary"], start=1):
        classes = [row["ways"]["named"]["classes"] for row in chosen]
        cells = (" / ".join(figure(values[key][word]) for values in classes) for key in MEASURES)
        yield f"| {word} | {sum(chosen[0]['ways']['named']['confusion'][k][1:])} | {' | '.join(cells)} |"


def main(words: Sequence[str] | None = None) -> None:
    """Fit what has no result yet, and write the page of all results in --out."""
    parser = parser_of(__doc__, "class_head", 200.0)
    parser.add_argument("--set", action="append", choices=CLASSIFIED)
    parser.add_argument("--seed", action="append", type=int)
    chosen = parser.parse_args(words)
    set_up()
    torch.set_num_threads(1)
    for seed in chosen.seed or (0,):
        for name in chosen.set or CLASSIFIED:
            for arm in ARMS:
                work = partial(run, arm, name, chosen.data, chosen.seconds, seed)
                result_of(chosen.out / f"{name}-{arm}-{chosen.seconds:g}-{seed}.json", work)
    results = [json.loads(file.read_text(encoding="utf-8")) for file in sorted(chosen.out.glob("*.json"), reverse=True)]
    chosen.page.write_text("\n".join(page(results)) + "\n", encoding="utf-8")
    print(chosen.page)


if __name__ == "__main__":
    main()
