"""What a whole decoder is worth when less is kept of what it learnt: few bits a weight, or its best low-rank update.

    python -m benchmarks.accuracy.rounding RUN/adapter --data DIR --set crackforest --keep all --keep 3bits

RUN/adapter is of `method.name=decoder_only` with all its bits, DIR as in `benchmarks/accuracy.py`. Each way of keeping
is put into the decoder, thresholds are chosen anew on the set's validation split, for what the set's recipe makes most
of, and the test split is measured. Norms, biases, the last layer and the scorer of regions stay as they learnt.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from adapters.inference.calibration import calibrate
from adapters.inference.segment import measure
from adapters.methods.decoder_update import HEAD, SCORER
from adapters.methods.quantised_update import QuantisedConv2d
from adapters.sharing.door import read_info, read_recipe
from benchmarks.accuracy.forgetting import CHOSEN, domain_on
from benchmarks.accuracy.plan import SETS
from domains.metrics import MetricSet
from recipes import set_up
from recipes.load import Loaded, loaded
from recipes.plan import calibrated_for
from recipes.reading.compose import load_recipe
from recipes.verbs.merge_adapters import kind_of, pretrained_like

SHOWN_METRICS = ("f1", "aji", "pq", "f1_2px", "iou", "ap50", "ar100")


def in_bits(bits: int, layer: nn.Conv2d, update: Tensor) -> Tensor:
    """The update (out, in, k, k) of a convolution, in so many bits a weight."""
    rounded = QuantisedConv2d(layer, bits)
    rounded.update.data.copy_(update)
    rounded.quantise()
    return rounded.update.detach()


def of_rank(rank: int, layer: nn.Conv2d, update: Tensor) -> Tensor:
    """The best approximation of an update of that rank; of a smaller kernel all of it."""
    matrix = update.flatten(1)
    if rank * sum(matrix.shape) >= matrix.numel():
        return update
    left, values, right = torch.linalg.svd(matrix, full_matrices=False)
    return ((left[:, :rank] * values[:rank]) @ right[:rank]).view_as(update)


def keeper(word: str) -> Callable[[nn.Conv2d, Tensor], Tensor]:
    """What `--keep` says: all, Nbits or rankN."""
    if word == "all":
        return lambda layer, update: update
    if word.endswith("bits"):
        return lambda layer, update: in_bits(int(word.removesuffix("bits")), layer, update)
    return lambda layer, update: of_rank(int(word.removeprefix("rank")), layer, update)


@torch.no_grad()
def keep(decoder: nn.Module, start: Mapping[str, Tensor], end: Mapping[str, Tensor], word: str) -> float:
    """Put what is kept of each kernel into the decoder; returns the share of the update's energy that is lost."""
    lost = energy = 0.0
    for name, layer in decoder.named_modules():
        if isinstance(layer, nn.Conv2d) and name.split(".")[0] not in (HEAD, SCORER):
            begun, update = start[f"{name}.weight"], end[f"{name}.weight"] - start[f"{name}.weight"]
            rounded = keeper(word)(layer, update)
            layer.weight.copy_(begun + rounded)
            lost += float((rounded - update).square().sum())
            energy += float(update.square().sum())
    return lost / max(energy, 1e-12)


def row(network: Loaded, start: Mapping[str, Tensor], end: Mapping[str, Tensor], word: str, data: Path, of: str) -> str:
    """A line of Markdown."""
    domain, decoder = domain_on(data, of), network.segmenter.decoder
    options = decoder.options
    lost = keep(decoder, start, end, word)
    goal = calibrated_for(load_recipe(SETS[of].recipe), domain)
    calibrate(network.segmenter, domain.dataset("val"), domain.metrics, goal, network.contract)
    metrics = measure(
        network.segmenter, domain.dataset("test"), MetricSet(domain.metrics()), network.contract
    ).compute()
    decoder.options = options
    shown = ", ".join(f"{key} {metrics[key]:.3f}" for key in SHOWN_METRICS if key in metrics)
    return f"| {word} | {lost:.3f} | {shown} |"


def main(words: Sequence[str] | None = None) -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("adapter", type=Path)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--set", required=True, choices=CHOSEN, help="that the adapter was fitted on")
    parser.add_argument("--keep", action="append", help="all, Nbits or rankN, several times")
    options = parser.parse_args(words)
    torch.set_num_threads(1)
    set_up()
    print("| kept | lost | test split |\n|---|---|---|")
    with loaded(str(options.adapter)) as network:
        kind = kind_of(read_info(options.adapter), read_recipe(options.adapter))
        start = {name: tensor.clone() for name, tensor in pretrained_like(network.segmenter, kind).items()}
        end = {name: tensor.clone() for name, tensor in network.segmenter.decoder.state_dict().items()}
        for word in options.keep or ["all", "3bits", "rank16"]:
            print(row(network, start, end, word, options.data, options.set), flush=True)


if __name__ == "__main__":
    main()
