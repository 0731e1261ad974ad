"""Truth made as wrong as a decoder's proposals: entities that merge, fall apart, are missed, and have other edges."""

from __future__ import annotations

import torch
from torch import Tensor

DROPPED, MERGED, SPLIT, SHIFTED = 0.06, 0.05, 0.04, 0.5
"""How likely: of each entity that it is missed, merges into a neighbour, or falls in two; of a frame that all edges are
a pixel off."""


def perturbed(ids: Tensor, generator: torch.Generator) -> Tensor:
    """(H, W) int64 proposals of a truth (H, W), with numbers of their own, 0 where there is none."""
    ids = ids.clamp_min(0).clone()
    top = int(ids.max())
    for number in ids.unique().tolist():
        if not number:
            continue
        fate = float(torch.rand((), generator=generator))
        if fate < DROPPED:
            ids[ids == number] = 0
        elif fate < DROPPED + MERGED:
            merge(ids, number, generator)
        elif fate < DROPPED + MERGED + SPLIT:
            top += 1
            split(ids, number, top, generator)
    if float(torch.rand((), generator=generator)) < SHIFTED:
        shift = torch.randint(-1, 2, (2,), generator=generator).tolist()
        ids = torch.roll(ids, shift, (0, 1))
    order = torch.cat([torch.zeros(1, dtype=torch.int64), torch.randperm(top, generator=generator) + 1])
    return order[ids]


def merge(ids: Tensor, number: int, generator: torch.Generator) -> None:
    """Gives an entity to one of its neighbours, where it has any."""
    mask = ids == number
    rim = torch.nn.functional.max_pool2d(mask[None].float(), 5, 1, 2)[0] > 0
    near = ids[rim & ~mask].unique()
    near = near[near > 0]
    if len(near):
        ids[mask] = near[torch.randint(len(near), (), generator=generator)]


def split(ids: Tensor, number: int, fresh: int, generator: torch.Generator) -> None:
    """Cuts an entity in two by a line through its middle."""
    y, x = (ids == number).nonzero().unbind(1)
    angle = 6.3 * float(torch.rand((), generator=generator))
    way = torch.tensor([angle, angle + 1.5708]).cos()
    side = (y - y.float().mean()) * way[0] + (x - x.float().mean()) * way[1] > 0
    ids[y[side], x[side]] = fresh
