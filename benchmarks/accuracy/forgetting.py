"""What an adapter is worth on its own set and on foreign ones, all of its update kept or a part of it.

    python -m benchmarks.accuracy.forgetting RUN/adapter ... --data DIR --set dsb2018_he [--strength 1 --strength .8]

DIR holds the sets of `benchmarks/accuracy.py`. For each strength the decoder's weights lie that far from those that the
fit began with to those that it ended with, thresholds are chosen anew on the validation split of the adapter's set, and
it is measured on that set's test split and on ten test images of each other set, seen as the adapter's recipe has it.
Strength 0 is the start. The backbone stays as the adapter has it: this is for adapters of the decoder.
"""

from __future__ import annotations

import argparse
import random
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from statistics import fmean

import torch
from torch import Tensor

from adapters.inference.calibration import calibrate
from adapters.inference.segment import measure
from adapters.sharing.door import read_info, read_recipe
from benchmarks.accuracy.plan import SETS
from domains.datasets.domain import Domain
from domains.entities import EntitySample, Samples
from domains.metrics import MetricSet
from recipes import set_up
from recipes.build import domain_of
from recipes.load import Loaded, loaded
from recipes.reading.compose import load_recipe
from recipes.verbs.merge_adapters import kind_of, pretrained_like

CHOSEN = ("dsb2018_he", "dsb2018_fluo", "magnetic_tile", "crackforest", "nwpu_vhr10", "bsds500")
FOREIGN_IMAGES = 10


def domain_on(data: Path, name: str) -> Domain:
    """A set as its recipe has it, split by its groups."""
    groups = data / "index" / f"{name}.csv"
    words = [f"domain.data={data / name}", *([f"domain.groups={groups}"] if groups.is_file() else [])]
    return domain_of(load_recipe(SETS[name].recipe, words))


def few(samples: Samples) -> list[EntitySample]:
    """Ten of the samples, drawn with seed 0."""
    indices = [*range(len(samples))]
    random.Random(0).shuffle(indices)
    return [samples[i] for i in indices[:FOREIGN_IMAGES]]


@torch.no_grad()
def move(decoder: torch.nn.Module, start: Mapping[str, Tensor], end: Mapping[str, Tensor], strength: float) -> None:
    """Put the decoder's tensors so far from the start to the end."""
    for name, tensor in decoder.state_dict().items():
        if name in start and tensor.is_floating_point() and not name.startswith("scorer"):
            tensor.copy_(torch.lerp(start[name], end[name], strength))


def rows(
    network: Loaded,
    start: Mapping[str, Tensor],
    own: Domain,
    foreign: Mapping[str, tuple[Domain, list[EntitySample]]],
    strengths: Sequence[float],
) -> Iterator[str]:
    """A line of Markdown for each strength."""
    segmenter, contract = network.segmenter, network.contract
    end = {name: tensor.clone() for name, tensor in segmenter.decoder.state_dict().items()}
    options = segmenter.decoder.options
    val, test = own.dataset("val"), own.dataset("test")
    for strength in strengths:
        move(segmenter.decoder, start, end, strength)
        segmenter.decoder.options = options
        calibrate(segmenter, val, own.metrics, own.headline, contract)
        here = measure(segmenter, test, MetricSet(own.metrics()), contract).compute()
        away = {
            name: measure(segmenter, images, MetricSet(domain.metrics()), contract).compute()["pq"]
            for name, (domain, images) in foreign.items()
        }
        cells = [f"{here[key]:.3f}" for key in ("f1", "aji", "pq") if key in here]
        cells += [f"{fmean(away.values()):.3f}", ", ".join(f"{name} {value:.3f}" for name, value in away.items())]
        yield f"| {strength:g} | {' | '.join(cells)} |"


def main(words: Sequence[str] | None = None) -> None:
    """Measure, and print a table for each adapter."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("adapters", nargs="+", type=Path)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--set", required=True, choices=CHOSEN, help="that the adapters were fitted on")
    parser.add_argument("--strength", type=float, action="append")
    options = parser.parse_args(words)
    torch.set_num_threads(1)
    set_up()
    own = domain_on(options.data, options.set)
    domains = {name: domain_on(options.data, name) for name in CHOSEN if name != options.set}
    foreign = {name: (domain, few(domain.dataset("test"))) for name, domain in domains.items()}
    keys = [key for key in ("f1", "aji", "pq") if key in own.metrics()]
    for adapter in options.adapters:
        print(f"\n{adapter}\n\n| strength | {' | '.join(keys)} | foreign pq | of each set |")
        print("|---" * (len(keys) + 3) + "|")
        with loaded(str(adapter)) as network:
            start = pretrained_like(network.segmenter, kind_of(read_info(adapter), read_recipe(adapter)))
            start = {name: tensor.clone() for name, tensor in start.items()}
            for line in rows(network, start, own, foreign, options.strength or [1.0]):
                print(line, flush=True)


if __name__ == "__main__":
    main()
