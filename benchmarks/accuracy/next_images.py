"""Labelling the images that `next-images` names against as many drawn by chance.

    python -m benchmarks.accuracy.next_images --data DIR --set dsb2018_he --seconds 100 --out FILE.json

DIR as in `benchmarks/accuracy.py`. For every seed: five training images drawn by chance are fitted for some CPU-
seconds; by that adapter the next ten are chosen among the other training images, or drawn by chance; each fifteen are
fitted from the base for as long, by the set's recipe as shipped, thresholds chosen on the whole validation split; the
test split is measured. So what differs is which images were labelled. Last come the differences, with a 95 % interval
over test groups, which are resampled alike for both ways and all seeds, and from the least seed to the most. A run
that was stopped goes on after its last whole seed.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from adapters.inference.segment import segment
from adapters.training.fitting import fit
from benchmarks.ablations.paired import drawn_of, drawn_text
from benchmarks.accuracy.forgetting import CHOSEN, domain_on
from benchmarks.accuracy.plan import SETS
from domains.atomic import atomic_path
from domains.datasets.dataset import EntityDataset
from domains.metrics.bootstrap import percentile_interval
from domains.scenes.appearance import appearance_of_image
from recipes import set_up
from recipes.plan import LOOKS, Prepared, Splits, budget_of, plan_of, splits_of
from recipes.reading.compose import load_recipe
from recipes.verbs.next_images import Candidate, choose, doubt_of

START, NEXT = 5, 10
NO_PICTURE = np.zeros((1, 1, 3), np.uint8)


def fitted(of: str, splits: Splits, data: Path, seconds: float, seed: int) -> tuple[Prepared, dict[str, Any]]:
    """The recipe of a set fitted to these splits for some CPU-seconds, and its metrics on the test split; under
    `drawn` those of the table over resampled groups.
    """
    words = [f"train.seconds={seconds}", "train.steps=1000000", f"train.seed={seed}"]
    recipe, domain = load_recipe(SETS[of].recipe, words), domain_on(data, of)
    prepared = plan_of(recipe, domain, splits, budget_of(recipe, LOOKS, time.process_time))
    measured = fit(replace(prepared.plan, measure_before=False)).after
    assert measured is not None
    columns = [key for key in SETS[of].columns if key in measured.metrics]
    return prepared, {**measured.compute(), "drawn": drawn_text(measured, columns)}


def subset(samples: EntityDataset, indices: Sequence[int]) -> EntityDataset:
    """Some images of a data set."""
    return EntityDataset([samples.records[i] for i in sorted(indices)], samples.layout, samples.cache)


def chosen(prepared: Prepared, samples: EntityDataset, start: Sequence[int], count: int) -> list[int]:
    """The images that an adapter would have labelled next."""
    plan, pool = prepared.plan, [i for i in range(len(samples)) if i not in set(start)]
    candidates = []
    for i in pool:
        entities = segment(plan.network, plan.contract.photograph(samples[i]), plan.contract)
        looks = appearance_of_image(samples[i].image)
        candidates.append(
            Candidate(Path(str(i)), doubt_of(entities), looks, entities.count, np.zeros((1, 1, 3), np.uint8))
        )
    familiar = np.array([appearance_of_image(samples[i].image) for i in start], np.float64)
    return [int(entry.candidate.path.name) for entry in choose(candidates, familiar, count)]


def of_seed(of: str, data: Path, seconds: float, seed: int) -> dict[str, Any]:
    """The metrics of the start, and of what follows by either way."""
    splits = splits_of(domain_on(data, of))
    samples: Any = splits.train
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(samples)).tolist()
    start = order[:START]
    prepared, before = fitted(of, splits._replace(train=subset(samples, start)), data, seconds, seed)
    ways = {"next-images": chosen(prepared, samples, start, NEXT), "by chance": order[START : START + NEXT]}
    rows: dict[str, Any] = {f"{START} images": before}
    for way, indices in ways.items():
        _, rows[way] = fitted(of, splits._replace(train=subset(samples, [*start, *indices])), data, seconds, seed)
    return rows


def columns_of(of: str, seeds: Sequence[dict[str, Any]], way: str) -> Iterator[str]:
    """Each metric of a set's table: its mean, and its value of every seed."""
    for key in SETS[of].columns:
        values = [row[way][key] for row in seeds if key in row[way]]
        if values:
            yield f"{key} {statistics.fmean(values):.3f} ({' '.join(f'{value:.3f}' for value in values)})"


def differences(of: str, seeds: Sequence[dict[str, Any]]) -> Iterator[str]:
    """Of each metric: `next-images` less `by chance`, the mean of the seeds with its interval, and their range.

    The seeds share their test images, so a resample of the groups is one for all of them.
    """
    for key in SETS[of].columns:
        if not all(key in row["by chance"]["drawn"] for row in seeds):
            continue
        pairs = [(row["next-images"], row["by chance"]) for row in seeds]
        gains = [ours[key] - chance[key] for ours, chance in pairs]
        drawn = np.mean([drawn_of(ours, key) - drawn_of(chance, key) for ours, chance in pairs], 0)
        low, high = percentile_interval(drawn, 0.95)
        yield (
            f"{key} {statistics.fmean(gains):+.3f} [{low:+.3f}, {high:+.3f}], "
            f"by seed {min(gains):+.3f} to {max(gains):+.3f}"
        )


def measured_before(file: Path, of: str, seconds: float) -> list[dict[str, Any]]:
    """The seeds that a run which was stopped has left."""
    if not file.exists():
        return []
    content = json.loads(file.read_text(encoding="utf-8"))
    if (content["set"], content["seconds"]) != (of, seconds):
        raise SystemExit(f"{file} is of other options; name another --out")
    return content["seeds"]


def main(words: Sequence[str] | None = None) -> None:
    """Measure, print, and write the file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--set", required=True, choices=CHOSEN)
    parser.add_argument("--seconds", type=float, default=100)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args(words)
    torch.set_num_threads(1)
    set_up()
    seeds = measured_before(options.out, options.set, options.seconds)
    for seed in range(len(seeds), options.seeds):
        seeds.append(of_seed(options.set, options.data, options.seconds, seed))
        content = {"set": options.set, "seconds": options.seconds, "seeds": seeds}
        with atomic_path(options.out) as path:
            path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
        for way in seeds[0]:
            print(f"{len(seeds)} seeds, {way}: {', '.join(columns_of(options.set, seeds, way))}", flush=True)
        print(f"{len(seeds)} seeds, differences: {'; '.join(differences(options.set, seeds))}", flush=True)


if __name__ == "__main__":
    main()
