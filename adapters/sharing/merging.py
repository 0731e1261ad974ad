"""Several adapters of one base as one: their updates combined, then made low-rank again.

For a layer with updates D_1 .. D_n (what each adapter adds to the frozen weights) and weights w_i:

    linear   sum of w_i D_i
    ties     of each D_i the largest numbers; where signs disagree, those of the heavier side; the mean of what is left
             (Yadav et al., https://arxiv.org/abs/2306.01708)
    dare     of each D_i a random share, the others scaled up for it; then linear (Yu et al., https://arxiv.org/abs/2311.03099)

The sum has at most the sum of the ranks: `rank` of that keeps it whole (as concatenating the updates would), a lower
one is the best approximation, by its singular values. Decoders, which most adapters hold whole, are combined alike, by
their updates of the pretrained one that all of them began with.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

DENSITY = 0.2
"""Share of an update's numbers that `ties` and `dare` keep, as the paper of the former has it."""


class Interference(NamedTuple):
    """How far two updates get in each other's way, over all layers that both have."""

    cosine: float
    """Of the angle between them: 0 for updates that have nothing to do with each other, -1 for opposite ones."""
    conflict: float
    """Share of the numbers, weighted by the smaller of the two, whose signs disagree."""


Combine = Callable[[Sequence[Tensor], Sequence[float]], Tensor]


def linear(updates: Sequence[Tensor], weights: Sequence[float]) -> Tensor:
    """The weighted sum of updates of one shape."""
    return torch.stack([weight * update for update, weight in zip(updates, weights, strict=True)]).sum(0)


def ties(updates: Sequence[Tensor], weights: Sequence[float], density: float = DENSITY) -> Tensor:
    """Trimmed, of one sign for each number, and averaged over those that have it."""
    trimmed = torch.stack(
        [weight * largest(update, density) for update, weight in zip(updates, weights, strict=True)]
    )  # (n, ...)
    sign = trimmed.sum(0).sign()
    agreeing = torch.where(trimmed.sign() == sign, trimmed, 0)
    total = sum(weights)
    heard = torch.stack([weight * (x != 0) for weight, x in zip(weights, agreeing, strict=True)]).sum(0)
    return agreeing.sum(0) * (total / heard.clamp_min(1e-12)) * (heard > 0)


def dare(updates: Sequence[Tensor], weights: Sequence[float], density: float = DENSITY, seed: int = 0) -> Tensor:
    """The weighted sum of a random share of each update's numbers, scaled up by what was left out."""
    generator = torch.Generator().manual_seed(seed)
    kept = [
        update * (torch.rand(update.shape, generator=generator) < density).to(update) / density for update in updates
    ]
    return linear(kept, weights)


METHODS: dict[str, Combine] = {"linear": linear, "ties": ties, "dare": dare}


def largest(update: Tensor, density: float) -> Tensor:
    """An update with all but its largest numbers set to zero; density: the share that stays."""
    count = max(1, round(density * update.numel()))
    least = update.abs().flatten().kthvalue(update.numel() - count + 1).values
    return torch.where(update.abs() >= least, update, 0)


def low_rank(update: Tensor, rank: int) -> tuple[Tensor, Tensor]:
    """A (r, in, ...) and B (out, r) whose product is nearest to an update (out, in, ...), r at most `rank`."""
    u, s, v = torch.linalg.svd(update.flatten(1).double(), full_matrices=False)
    r = min(rank, len(s))
    root = s[:r].sqrt()
    return (root[:, None] * v[:r]).view(r, *update.shape[1:]).to(update), (u[:, :r] * root).to(update)


def interference(updates: dict[str, Tensor], against: dict[str, Tensor]) -> Interference:
    """Of two adapters' updates by layer; those that only one of them has count as nothing in the way."""
    shared = [name for name in updates if name in against]
    pairs = [(updates[name].flatten().double(), against[name].flatten().double()) for name in shared]
    norms = [sum(float(update.square().sum()) for update in side.values()) ** 0.5 for side in (updates, against)]
    dot = sum(float(a @ b) for a, b in pairs)
    lesser = [torch.minimum(a.abs(), b.abs()) for a, b in pairs]
    conflict = sum(float(x[(a * b) < 0].sum()) for x, (a, b) in zip(lesser, pairs, strict=True))
    moved = sum(float(x.sum()) for x in lesser)
    return Interference(dot / max(norms[0] * norms[1], 1e-12), conflict / max(moved, 1e-12))
