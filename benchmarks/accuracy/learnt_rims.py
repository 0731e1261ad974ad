"""Rims as strong as a small network says from the regions on both sides, in place of their mean boundary: a trial.

Agglomeration by a learnt score, after GALA (Nunez-Iglesias et al., PLoS ONE 8(8), 2013), of one round: scores are of
the first regions, and a rim of merged ones is the mean of its parts. A perceptron of some 30 numbers of each rim learns
from generated scenes whether what it parts is one, of one part, and of one whole; its strength is the mean of the
answers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from adapters.proposals.basins import basins, join_roots, saddles
from adapters.proposals.rims import NOISE, Rims, faintest_first, roots_at
from adapters.proposals.watershed import LEVELS, core_field, nested_roots
from domains.entities.forest import NEVER, EntityForest, Nodes

SMOOTHING_PX, STEPS, RIMS_AT_ONCE, HIDDEN = 0.5, 1200, 512, 48
STRENGTHS = (0.02, *np.linspace(0.05, 1, 24).round(3).tolist())
Fields = dict[str, np.ndarray]
"""Of the dense decoder, each (H, W) in [0, 1]."""


@dataclass(frozen=True)
class Regions:
    """The whole image in basins. ids: (H, W); basin_of: (N,) what each has joined at first, 0 is none; peaks: (N,);
    rims: E of what is left; features: (E, K) of each rim; foreground: (H, W).
    """

    ids: np.ndarray
    peaks: np.ndarray
    basin_of: np.ndarray
    rims: Rims
    features: np.ndarray
    foreground: np.ndarray

    @classmethod
    def of(cls, fields: Fields, image: np.ndarray) -> Regions:
        """Those of a decoder's fields on an image (H, W, 3) uint8."""
        level = np.round(core_field(fields, SMOOTHING_PX) * LEVELS).astype(np.int32)
        ids, peaks = basins(level, np.ones(level.shape, bool))
        basin_of = join_roots(peaks, saddles(ids, level), round(NOISE * LEVELS))
        regions, count = basin_of[ids], len(peaks)
        rims = Rims.of(regions, fields["boundary"], count)
        features = described(fields, image, regions, rims, count)
        return cls(ids, peaks, basin_of, rims, features, fields["foreground"])

    def levels(self, truth: EntityForest) -> np.ndarray:
        """(E, 3) bool: whether a rim parts what is not one, not of one part, and not of one whole, by the node that
        most of each region is.
        """
        count = truth.count + 1
        codes = self.basin_of[self.ids].ravel().astype(np.int64) * count + np.maximum(truth.leaves, 0).ravel()
        node = np.bincount(codes, minlength=len(self.peaks) * count).reshape(-1, count).argmax(1)
        at_depth = [np.arange(count), *(self.climbed(truth, depth) for depth in (1, 0))]
        return np.stack([table[node[self.rims.lower]] != table[node[self.rims.upper]] for table in at_depth], 1)

    @staticmethod
    def climbed(truth: EntityForest, depth: int) -> np.ndarray:
        """(N + 1,) of each node what holds it at that depth, itself where it is no deeper."""
        depths, up = np.append(0, truth.nodes.depths), np.append(0, truth.nodes.parents)
        table = np.arange(len(up))
        while (depths[table] > depth).any():
            table = np.where(depths[table] > depth, up[table], table)
        return table

    def forest(self, strength: np.ndarray) -> EntityForest:
        """Merged by rims of that strength (E,), the faintest first; scores are the mean foreground."""
        rims = Rims(self.rims.lower, self.rims.upper, self.rims.sides, strength * self.rims.sides)
        roots = roots_at(STRENGTHS, faintest_first(rims, STRENGTHS[-1]), self.basin_of, self.peaks)
        leaf_of, nodes = nested_roots(self.peaks, STRENGTHS, roots)
        leaves = leaf_of[self.ids]
        count = len(nodes.parents) + 1
        areas, sums = (nodes.totals(np.bincount(leaves.ravel(), row, count)) for row in (None, self.foreground.ravel()))
        g = 1 - np.searchsorted(np.asarray(STRENGTHS, np.float32), nodes.born) / len(STRENGTHS)
        scores = np.clip(sums / np.maximum(areas, 1), 0, 1)
        columns = g.astype(np.float32), np.full(count - 1, NEVER, np.float32), scores.astype(np.float32)
        return EntityForest(leaves, Nodes(nodes.parents, *columns))


def described(fields: Fields, image: np.ndarray, regions: np.ndarray, rims: Rims, count: int) -> np.ndarray:
    """(E, K) numbers of rims: of itself, of the smaller and the larger of its regions, and of how these differ."""
    flat = regions.ravel()
    area = np.bincount(flat, minlength=count).astype(float)

    def mean(values: np.ndarray) -> np.ndarray:
        return np.bincount(flat, values.ravel().astype(float), count) / np.maximum(area, 1)

    def around(of_lower: np.ndarray, of_upper: np.ndarray) -> np.ndarray:
        return np.bincount(rims.lower, of_lower, count) + np.bincount(rims.upper, of_upper, count)

    lab = cv2.cvtColor(image, cv2.COLOR_RGB2LAB).astype(float) / 255
    colour = np.stack([mean(lab[..., channel]) for channel in range(3)], 1)
    spread = np.sqrt(np.maximum(np.stack([mean(lab[..., i] ** 2) for i in range(3)], 1) - colour**2, 0))
    foreground, inner = mean(fields["foreground"]), mean(fields["boundary"])
    frame = np.bincount(np.concatenate([regions[0], regions[-1], regions[:, 0], regions[:, -1]]), minlength=count)
    perimeter, beside = around(rims.sides, rims.sides), around(np.ones(len(rims.lower)), np.ones(len(rims.lower)))
    outer = around(rims.sides * foreground[rims.upper], rims.sides * foreground[rims.lower]) / np.maximum(perimeter, 1)
    parted = around(rims.strength, rims.strength) / np.maximum(perimeter, 1)
    smaller = np.where(area[rims.lower] < area[rims.upper], rims.lower, rims.upper)
    larger = rims.lower + rims.upper - smaller
    columns = [rims.strength / rims.sides, np.log(rims.sides)]
    columns += [Rims.of(regions, fields["boundary_distance"], count).strength / rims.sides]
    columns += [Rims.of(regions, fields["boundary"] > 0.5, count).strength / rims.sides]
    for side in (smaller, larger):
        columns += [rims.sides / np.maximum(perimeter[side], 1), rims.sides / np.sqrt(area[side]), np.log(area[side])]
        columns += [foreground[side], inner[side], outer[side], parted[side], np.log(beside[side])]
        columns += [frame[side] / (perimeter[side] + frame[side] + 1), spread[side].mean(1)]
    apart = np.abs(colour[smaller] - colour[larger])
    columns += [*apart.T, np.linalg.norm(apart, axis=1) / (spread[smaller].mean(1) + spread[larger].mean(1) + 0.02)]
    columns += [np.abs(foreground[smaller] - foreground[larger]), np.minimum(foreground[smaller], foreground[larger])]
    return np.stack(columns, 1).astype(np.float32)


class LearntRims:
    """Says how strong rims are."""

    def __init__(self, learnt: Sequence[tuple[Regions, EntityForest]], seed: int = 0) -> None:
        """Learns from regions of images and the forests that are true there."""
        features = np.concatenate([regions.features for regions, _ in learnt])
        truth = torch.from_numpy(np.concatenate([regions.levels(forest) for regions, forest in learnt])).float()
        weights = torch.from_numpy(np.concatenate([regions.rims.sides for regions, _ in learnt])).float().sqrt()
        self.mean, self.scale = features.mean(0), features.std(0) + 1e-6
        torch.manual_seed(seed)
        layers = nn.Linear(features.shape[1], HIDDEN), nn.GELU(), nn.Linear(HIDDEN, HIDDEN), nn.GELU()
        self.network = nn.Sequential(*layers, nn.Linear(HIDDEN, truth.shape[1]))
        inputs = torch.from_numpy((features - self.mean) / self.scale)
        optimiser = torch.optim.AdamW(self.network.parameters(), 3e-3, weight_decay=0.03)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, STEPS)
        for _ in range(STEPS):
            rows = torch.randint(len(inputs), (RIMS_AT_ONCE,))
            errors = F.binary_cross_entropy_with_logits(self.network(inputs[rows]), truth[rows], reduction="none")
            loss = (errors.mean(1) * weights[rows]).sum() / weights[rows].sum()
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()

    @torch.no_grad()
    def forest(self, regions: Regions) -> EntityForest:
        """By rims as strong as the network says."""
        inputs = torch.from_numpy((regions.features - self.mean) / self.scale)
        return regions.forest(self.network(inputs).sigmoid().mean(1).double().numpy())
