"""Where low-rank updates begin, by what the first batches show; else their directions are drawn.

    eva      A spans the directions in which a layer's inputs vary most         Paischer et al., 2410.07170
    lora_ga  A spans those in which the loss asks a layer's weights to move     Wang et al., https://arxiv.org/abs/2407.05000

B stays zero, so that a fresh adapter is the base. LoRA-GA as published sets B too and takes the product off the frozen
weights, which a file of plain LoRA cannot say; with B at zero its first step is the same, the gradient seen through A.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import torch
import torch.nn.functional as F
from peft.tuners.lora import Linear
from torch import Tensor, nn

from adapters.methods.decoder_update import LowRankConv2d
from adapters.options.lora import Init
from adapters.training.module import EntityModule
from domains.entities import EntityBatch

BATCHES = 8
"""From which directions are taken: 64 crops, by default."""
MOST_ROWS = 2048
"""Inputs of a layer that a batch adds."""


def start_updates(module: EntityModule, batches: Iterable[EntityBatch], init: Init) -> None:
    """Turn the updates of a fresh network to the directions of `init`; of a layer with fewer of them than its rank the
    others stay as they were drawn. No other weight is changed.
    """
    layers = dict(low_rank_layers(module.segmenter))
    if init == "eva":
        for name, covariance in input_covariances(module, batches, layers).items():
            values, vectors = torch.linalg.eigh(covariance)  # of what is symmetric, a fraction of the cost of an SVD
            turn(layers[name], values.flip(0), vectors.T.flip(0))
        return
    for name, gradient in weight_gradients(module, batches, layers).items():
        turn(layers[name], *torch.linalg.svd(gradient.double(), full_matrices=False)[1:])


def low_rank_layers(network: nn.Module) -> Iterator[tuple[str, Any]]:
    """Layers with a low-rank update, of backbone and decoder."""
    for name, module in network.named_modules():
        if isinstance(module, Linear | LowRankConv2d):
            yield name, module


@torch.no_grad()
def input_covariances(
    module: EntityModule, batches: Iterable[EntityBatch], layers: dict[str, Any]
) -> dict[str, Tensor]:
    """Of each layer the covariance (in, in) of its inputs; of a convolution, of what its kernel covers."""
    moments = {name: Moments() for name in layers}

    def listener(name: str) -> Any:
        return lambda layer, inputs: moments[name].add(rows_of(layer, inputs[0]))

    handles = [layer.register_forward_pre_hook(listener(name)) for name, layer in layers.items()]
    try:
        for batch in batches:
            module(batch.to(module.segmenter.device).images)
    finally:
        for handle in handles:
            handle.remove()
    return {name: moment.covariance() for name, moment in moments.items() if moment.count}


def weight_gradients(module: EntityModule, batches: Iterable[EntityBatch], layers: dict[str, Any]) -> dict[str, Tensor]:
    """Of each layer the gradient (out, in) of the loss by its frozen weights, summed over the batches."""
    weights = {name: layer.base_layer.weight.requires_grad_(True) for name, layer in layers.items()}
    try:
        for batch in batches:
            batch = batch.to(module.segmenter.device)
            torch.stack(list(module.loss(module(batch.images), batch).values())).sum().backward()
        gradients = {name: weight.grad for name, weight in weights.items()}
    finally:
        for weight in weights.values():
            weight.requires_grad_(False).grad = None
        module.zero_grad()
    return {name: grad.flatten(1).float() for name, grad in gradients.items() if grad is not None and grad.any()}


@torch.no_grad()
def turn(layer: Any, values: Tensor, vectors: Tensor) -> None:
    """Write the leading vectors (n, in), of length 1, into a layer's A (r, in, ...). values: (n,) of each, falling."""
    down = layer.lora_A if isinstance(layer, LowRankConv2d) else layer.lora_A["default"].weight
    rank = min(len(down), int((values > values[0] * 1e-6).sum()))
    down[:rank] = vectors[:rank].reshape(rank, *down.shape[1:]).to(down)


def rows_of(layer: Any, x: Tensor) -> Tensor:
    """At most `MOST_ROWS` of a layer's inputs (n, in), evenly from (..., in), or (B, C, H, W) as kernels see it."""
    if isinstance(layer, LowRankConv2d):
        base = layer.base_layer
        size, settings = base.kernel_size, {"dilation": base.dilation, "padding": base.padding, "stride": base.stride}
        share = -(-MOST_ROWS // len(x))
        return torch.cat([thinned(F.unfold(image[None], size, **settings)[0].T, share) for image in x]).float()
    return thinned(x.flatten(0, -2), MOST_ROWS).float()


def thinned(rows: Tensor, limit: int) -> Tensor:
    """Every n-th row, so that at most `limit` are left."""
    return rows[:: max(1, -(-len(rows) // limit))]


class Moments:
    """Sums over vectors from which their covariance follows."""

    def __init__(self) -> None:
        self.count = 0
        self.total: Tensor | float = 0.0
        self.products: Tensor | float = 0.0

    def add(self, rows: Tensor) -> None:
        """Take in vectors (n, d)."""
        rows = rows.double()
        self.count += len(rows)
        self.total = self.total + rows.sum(0)
        self.products = self.products + rows.T @ rows

    def covariance(self) -> Tensor:
        """(d, d) float64."""
        mean = torch.as_tensor(self.total) / self.count
        return torch.as_tensor(self.products) / self.count - torch.outer(mean, mean)
