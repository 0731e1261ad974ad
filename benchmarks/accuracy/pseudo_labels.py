"""What an adapter is worth that was fitted to labels which nobody drew: average recall of all nested proposals.

    python -m benchmarks.accuracy.pseudo_labels --data DIR --set bsds500 --out FILE.json [--seconds 300] [--seeds 3]
    python -m benchmarks.accuracy.pseudo_labels --table FILE.json ...      # writes benchmarks/pseudo-labels.md

DIR as in `benchmarks/accuracy.py`. Training and validation images of the set's group split are labelled as the command
`pseudo-label` does it, without their labels: by what the base finds in many views, or by what its frozen features tell
apart, all that is nested. The set's recipe is fitted to those for some CPU-s, scorer of regions and thresholds from
pseudo-labels too; by features from a decoder of random weights as well, as of a backbone that has none, with and
without a mean teacher. Raw clusters of the test images, the base as it comes, with one view and with as many as its
labels are made of, and the adapters are measured on the true labels of test images, all but that with one view of each
tile. No true label of any image is seen before that. A run that was stopped goes on.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from adapters.inference.many_views import MANY, of_many_views
from adapters.inference.neighbours import QUANTILES, Neighbours, cells_of
from adapters.inference.segment import Cut, InputContract, measure
from adapters.network import EntitySegmenter
from adapters.proposals.explored import FLAT, Exploration, explored
from adapters.training.fitting import choose_thresholds, learn_regions, train
from benchmarks.accuracy.forgetting import domain_on
from benchmarks.accuracy.plan import SETS
from domains.atomic import atomic_path
from domains.datasets.domain import Domain
from domains.entities import EntitySample, Samples
from domains.entities.forest import EntityForest
from domains.formats.nested_labels import further_cuts
from domains.metrics import MetricSet
from domains.metrics.sweep import Sweep
from domains.metrics.table import build_metrics
from recipes import set_up
from recipes.load import Loaded, loaded
from recipes.plan import LOOKS, Splits, budget_of, plan_of, splits_of
from recipes.reading.compose import load_recipe
from recipes.verbs.pseudo_label import FITTED, MEASURED

ONCE = ("domain.symmetries=1", "domain.test_scales=[1]")
KEYS = ("ar100", "ar1000", "best_covering")
ROWS = {
    "clusters": "raw clusters of the test images",
    "base": "base as it comes",
    "views": "base as it comes, in as many views as its labels are made of",
    "entities": "adapter, fitted to what the base finds in many views (`pseudo-label`)",
    "merged": "adapter, fitted to clusters (`--explore features`)",
    "bare": "base with a decoder of random weights",
    "fresh": "the same, fitted to clusters",
    "fresh_taught": "the same with a mean teacher (train.teacher=true)",
}
FRESH = ("decoder.width=14",)
"""No pretrained decoder has this width, so the decoder begins with random weights."""
FITS = {
    "entities": ("entities", FITTED["entities"]),
    "merged": ("features", FITTED["features"]),
    "fresh": ("features", FRESH),
    "fresh_taught": ("features", (*FRESH, "train.teacher=true")),
}
"""Row -> what labels are made of, and overrides of the recipe."""
TABLE = Path(__file__).parents[1] / "pseudo-labels.md"


def spread(samples: Samples, count: int | None) -> list[EntitySample]:
    """So many of the samples, evenly over all; all of them without a count."""
    most = len(samples) if count is None else min(count, len(samples))
    return [samples[i] for i in sorted({round(i) for i in np.linspace(0, len(samples) - 1, most)})]


class Explorer:
    """Explores images as `pseudo-label --adapter base` does."""

    def __init__(self, network: Loaded, pool: Sequence[EntitySample]) -> None:
        tap = network.segmenter.backbone.taps[0]
        self.features = cells_of(network.segmenter, tap)
        neighbours = Neighbours.measured(tap, (self.features(sample.image) for sample in spread(pool, MEASURED)))
        self.options = Exploration(neighbours.thresholds(QUANTILES))

    def forest(self, image: np.ndarray) -> EntityForest:
        """What is told apart in an image."""
        return explored(image, self.features, self.options)

    def labelled(self, sample: EntitySample) -> EntitySample:
        """The sample under pseudo-labels, without its own."""
        return nested_sample(sample, self.forest(sample.image), FLAT)


class Viewer:
    """Labels images as `pseudo-label --adapter base` does by entities."""

    def __init__(self, network: Loaded) -> None:
        self.contract = network.contract
        self.forest = of_many_views(network.segmenter, network.contract)

    def labelled(self, sample: EntitySample) -> EntitySample:
        """The sample under pseudo-labels, without its own."""
        forest = self.forest(self.contract.photograph(sample))
        return nested_sample(sample, forest.entity_forest, forest.granularity)


def nested_sample(sample: EntitySample, forest: EntityForest, granularity: float) -> EntitySample:
    """A sample under the cuts of a forest, as `fit` reads them."""
    flat = forest.cut(granularity)
    return EntitySample(sample.image, (flat, *further_cuts(forest, flat)), sample.place)


def recall(metrics: MetricSet) -> dict[str, Any]:
    """The figures of a row, with 95 % intervals over groups."""
    values, spans = metrics.compute(), metrics.interval()
    return {key: [float(values[key]), *map(float, spans[key])] for key in KEYS}


def of_clusters(explorer: Explorer, tested: Sequence[EntitySample]) -> dict[str, Any]:
    """Of all nodes of the test images' forests."""
    metrics = MetricSet(build_metrics(KEYS))
    for sample in tested:
        forest = explorer.forest(sample.image)
        metrics.update(forest.cut(FLAT), sample.truths, sample.place.scene, forest=forest)
    return recall(metrics)


def of_network(segmenter: EntitySegmenter, contract: InputContract, tested: Sequence[EntitySample]) -> dict[str, Any]:
    """Of all nodes of a network's forests."""
    cut = Cut.of(segmenter, None, True)
    assert cut.levels is not None
    sweep = Sweep(lambda: {}, cut.levels.finest_first[:1])
    measure(segmenter, tested, sweep, contract, cut=cut)
    return recall(sweep.of_forest)


def of_fit(of: str, domain: Domain, splits: Splits, seconds: float, seed: int, *words: str) -> dict[str, Any]:
    """Of an adapter fitted to pseudo-labels for some CPU-seconds."""
    budget = [f"train.seconds={seconds}", "train.steps=1000000", f"train.seed={seed}"]
    recipe = load_recipe(SETS[of].recipe, [*budget, *ONCE, *words])
    plan = plan_of(recipe, domain, splits, budget_of(recipe, LOOKS, time.process_time)).plan
    training, tested = train(plan), [splits.test[i] for i in range(len(splits.test))]
    learn_regions(plan)
    if plan.calibrate_for is not None:
        choose_thresholds(plan)
    return {**of_network(plan.network, plan.contract, tested), "steps": training.steps}


def run(options: argparse.Namespace) -> None:
    """Fill in the file, row by row."""
    of, file = options.set, options.out
    limits = {"images": options.images, "tested": options.tested, "seconds": options.seconds}
    content: dict[str, Any] = {"set": of, **limits, "rows": {}}
    if file.exists():
        content = json.loads(file.read_text("utf-8"))
        if {key: content.get(key) for key in limits} != limits or content["set"] != of:
            raise SystemExit(f"{file} is of other options; name another --out")
    rows = content["rows"]
    domain = domain_on(options.data, of)
    splits = splits_of(domain)
    tested = spread(splits.test, options.tested)

    def row(name: str, work: Callable[[], dict[str, Any]]) -> None:
        if name not in rows:
            start = time.process_time()
            rows[name] = {**work(), "cpu_s": round(time.process_time() - start, 1)}
            with atomic_path(file) as path:
                path.write_text(json.dumps(content, indent=2) + "\n", "utf-8")
        print(name, rows[name], flush=True)

    learnt = spread(splits.train, options.images)
    watched = spread(splits.val, None if options.images is None else max(1, options.images // 4))
    content.update(test_images=len(tested), train_images=len(learnt))
    labelled: dict[str, Splits] = {}

    def fitted(name: str, seed: int) -> dict[str, Any]:
        kind, words = FITS[name]
        if kind not in labelled:
            start = time.process_time()
            by = viewer if kind == "entities" else explorer
            labelled[kind] = Splits([*map(by.labelled, learnt)], [*map(by.labelled, watched)], tested)
            content.setdefault("labels_cpu_s", {})[kind] = round(time.process_time() - start, 1)
        return of_fit(of, domain, labelled[kind], options.seconds, seed, *words)

    with loaded("base", SETS[of].recipe, ONCE) as network:
        explorer, viewer = Explorer(network, learnt), Viewer(network)
        row("clusters", lambda: of_clusters(explorer, tested))
        row("base", lambda: of_network(network.segmenter, network.contract, tested))
        with loaded("base", SETS[of].recipe, (*ONCE, *FRESH)) as bare:
            row("bare", lambda: of_network(bare.segmenter, bare.contract, tested))
        for seed in range(options.seeds):
            for name in FITS:
                row(f"{name} {seed}", partial(fitted, name, seed))
        often = replace(network.contract, symmetries=MANY.symmetries, test_scales=MANY.scales)
        row("views", lambda: of_network(network.segmenter, often, tested))


def table(files: Sequence[Path]) -> str:
    """The page."""
    lines = [
        "# Without any label",
        "",
        "Average recall of all nested proposals on test images, with 95 % intervals over them; of seeds the mean.",
        "`python -m benchmarks.accuracy.pseudo_labels` says how it is measured and makes this page.",
    ]
    for file in files:
        content = json.loads(file.read_text("utf-8"))
        rows = content["rows"]
        lines += [
            "",
            f"## {content['set']}",
            "",
            f"{content['train_images']} training images under pseudo-labels, fits of {content['seconds']:g} CPU-s, "
            f"{content['test_images']} test images. Labels took {in_seconds(content['labels_cpu_s'])}.",
            "",
            f"`--set {content['set']} --images {content['train_images']} --tested {content['test_images']} "
            f"--seconds {content['seconds']:g} --seeds {seeds_of(rows)}`",
            "",
            "| | AR100 | AR1000 | best covering | seeds |",
            "|---|---|---|---|---|",
        ]
        for name, words in ROWS.items():
            seeds = [row for key, row in rows.items() if key.split()[0] == name]
            if seeds:
                means = (np.mean([row[key] for row in seeds], 0).tolist() for key in KEYS)
                cells = " | ".join(f"{mean:.3f} [{low:.3f}, {high:.3f}]" for mean, low, high in means)
                lines.append(f"| {words} | {cells} | {len(seeds)} |")
    return "\n".join(lines) + "\n"


def seeds_of(rows: Mapping[str, Any]) -> int:
    """How many seeds there are of the fit that has most."""
    return 1 + max((int(name.split()[1]) for name in rows if " " in name), default=0)


def in_seconds(by_kind: Mapping[str, float]) -> str:
    """What labels of each kind took, in words."""
    return " and ".join(f"{seconds:.0f} CPU-s by {kind}" for kind, seconds in by_kind.items())


def main(words: Sequence[str] | None = None) -> None:
    """Measure a set, or write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--set", choices=("bsds500", "nwpu_vhr10"))
    parser.add_argument("--seconds", type=float, default=300)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--images", type=int, help="training images, spread over all; a fourth as many for validation")
    parser.add_argument("--tested", type=int, help="test images, spread over all")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--table", type=Path, nargs="+", metavar="FILE")
    options = parser.parse_args(words)
    if options.table:
        with atomic_path(TABLE) as path:
            path.write_text(table(options.table), "utf-8")
        return
    if not (options.data and options.set and options.out):
        parser.error("wanted --data, --set and --out, or --table")
    torch.set_num_threads(1)
    set_up()
    run(options)


if __name__ == "__main__":
    main()
