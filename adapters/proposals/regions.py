"""Nested candidate regions of the dense decoder's fields, and which of them are entities.

One threshold cannot suit every entity: two nuclei whose seam is faint want a shallow saddle, one with a bright spot
a deep one. So the fields are cut at several foreground thresholds and saddle depths, which gives nested candidates,
each is described by its shape and by the fields inside and along its rim, a small network predicts its IoU with the
nearest entity, and the best are taken that do not overlap. Candidates by nesting and a learnt choice after Arteta et
al., Learning to Detect Cells Using Non-overlapping Extremal Regions, MICCAI 2012; a predicted IoU as the score after
Mask Scoring R-CNN (Huang et al., CVPR 2019).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from adapters.proposals.basins import basins, join_shallow, merge_shallow, saddles
from adapters.proposals.watershed import HEIGHTS, LEVELS, core_field

THRESHOLDS = (0.2, 0.5, 0.8)
SMALLEST_PX = 12
FEATURES = (
    "log_area",
    "foreground",
    "foreground_deviation",
    "boundary_distance",
    "boundary",
    "rim_boundary",
    "rim_core",
    "outer_foreground",
    "peak",
    "rim_squared_by_area",
    "ellipse_by_area",
    "axis_ratio",
    "touching",
    "threshold",
    "height",
)
WIDTH = 48


@dataclass(frozen=True)
class Regions:
    """Candidates of one image: features (N, len(FEATURES)) float32, and the pixels of each, flat indices into it."""

    features: np.ndarray
    pixels: list[np.ndarray]
    size: tuple[int, int]


class Edges(NamedTuple):
    """Sides of pixels between a leaf and another or the ground (0), by ordered pair: (E,) each."""

    inner: np.ndarray
    outer: np.ndarray
    sides: np.ndarray
    boundary: np.ndarray
    core: np.ndarray
    foreground: np.ndarray
    """Sums over the sides: the boundary and the core at the inner pixel, the foreground at the outer one."""


class RegionScorer(nn.Module):
    """forward: features (N, len(FEATURES)) -> (N,) logits of the predicted IoU. Until it is fitted it says nothing."""

    fitted: Tensor
    mean: Tensor
    deviation: Tensor

    def __init__(self) -> None:
        super().__init__()
        count = len(FEATURES)
        self.register_buffer("fitted", torch.zeros(1))
        self.register_buffer("mean", torch.zeros(count))
        self.register_buffer("deviation", torch.ones(count))
        sizes = (count, WIDTH, WIDTH, 1)
        self.layers = nn.ModuleList(nn.Linear(a, b) for a, b in zip(sizes, sizes[1:], strict=False))
        self.requires_grad_(False)  # it learns after the decoder, from what that has learnt
        for weight in self.parameters():
            weight.zero_()  # not by chance: a network's digest says whether it is the one of a stopped prediction

    def forward(self, features: Tensor) -> Tensor:
        """(N,) logits of the IoU of regions by their features (N, F)."""
        x = (features - self.mean) / self.deviation
        for layer in self.layers[:-1]:
            x = nn.functional.gelu(layer(x))
        return self.layers[-1](x)[:, 0]

    @torch.inference_mode()
    def iou(self, features: np.ndarray) -> np.ndarray:
        """(N,) float32 in [0, 1]; 0 where weights are broken and say NaN."""
        return self(torch.from_numpy(features).to(self.mean.device)).sigmoid().nan_to_num(0).cpu().numpy()


def candidates(fields: Mapping[str, np.ndarray], smoothing_px: float) -> Regions:
    """Of fields (H, W) in [0, 1]: at each threshold of `THRESHOLDS` the entities of each height of `HEIGHTS`, once."""
    core = core_field(fields, smoothing_px)
    level = np.round(core * LEVELS).astype(np.int32)
    features, pixels = [np.zeros((0, len(FEATURES)), np.float32)], []
    for threshold in THRESHOLDS:
        foreground = fields["foreground"] > threshold
        if foreground.any():
            for row, inside in _at_threshold(fields, core, level, foreground, threshold):
                features.append(row[None])
                pixels.append(inside)
    return Regions(np.concatenate(features), pixels, core.shape)


def _at_threshold(
    fields: Mapping[str, np.ndarray], core: np.ndarray, level: np.ndarray, mask: np.ndarray, threshold: float
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Features and pixels of the candidates; those of greater height are unions of the least's, the leaves."""
    leaves, peaks = merge_shallow(*basins(level, mask), level, round(HEIGHTS[0] * LEVELS))
    passes = saddles(leaves, level)
    sums, edges = leaf_sums(leaves, fields), leaf_edges(leaves, fields, core)
    order = np.argsort(leaves, axis=None, kind="stable")
    starts = np.searchsorted(leaves.ravel()[order], np.arange(len(peaks) + 1))
    seen: set[tuple[int, int]] = set()
    for height in HEIGHTS:
        node, tops = join_shallow(peaks, *passes, round(height * LEVELS))
        features = describe(node, tops, sums, edges, threshold, height)
        members = np.argsort(node, kind="stable")
        bounds = np.searchsorted(node[members], np.arange(len(tops) + 1))
        for number in range(1, len(tops)):
            inside = members[bounds[number] : bounds[number + 1]]
            key = (int(inside[0]), len(inside))  # of nested sets with one least leaf no two are of one size
            if key in seen:
                continue
            seen.add(key)
            pixels = np.concatenate([order[starts[leaf] : starts[leaf + 1]] for leaf in inside])
            if len(pixels) >= SMALLEST_PX:
                yield features[number], pixels


def leaf_sums(leaves: np.ndarray, fields: Mapping[str, np.ndarray]) -> np.ndarray:
    """(10, N + 1): area; sums of foreground, its square, boundary distance, boundary; first and second moments."""
    count, flat = int(leaves.max(initial=0)) + 1, leaves.ravel()
    y, x = np.divmod(np.arange(flat.size, dtype=np.float64), leaves.shape[1])
    foreground = fields["foreground"].ravel().astype(np.float64)
    dense = [foreground, foreground**2, fields["boundary_distance"].ravel(), fields["boundary"].ravel()]
    weights = [*dense, y, x, y * y, x * x, y * x]
    return np.stack([np.bincount(flat, minlength=count), *(np.bincount(flat, values, count) for values in weights)])


def leaf_edges(leaves: np.ndarray, fields: Mapping[str, np.ndarray], core: np.ndarray) -> Edges:
    """The frame of the image is no edge: what was cut by it goes on there."""
    at = np.arange(leaves.size).reshape(leaves.shape)
    inner, outer = [], []
    for pixel, neighbour in ((np.s_[1:], np.s_[:-1]), (np.s_[:, 1:], np.s_[:, :-1])):
        apart = leaves[pixel] != leaves[neighbour]
        a, b = at[pixel][apart], at[neighbour][apart]
        inner += [a, b]
        outer += [b, a]
    inside, outside = np.concatenate(inner), np.concatenate(outer)
    of_leaf = leaves.ravel()[inside] > 0
    inside, outside = inside[of_leaf], outside[of_leaf]
    count = int(leaves.max(initial=0)) + 1
    pairs, pair = np.unique(
        leaves.ravel()[inside].astype(np.int64) * count + leaves.ravel()[outside], return_inverse=True
    )
    sums = [
        np.bincount(pair, weights, len(pairs))
        for weights in (
            None,
            fields["boundary"].ravel()[inside],
            core.ravel()[inside],
            fields["foreground"].ravel()[outside],
        )
    ]
    return Edges(pairs // count, pairs % count, *sums)


def describe(
    node: np.ndarray, tops: np.ndarray, sums: np.ndarray, edges: Edges, threshold: float, height: float
) -> np.ndarray:
    """(M + 1, len(FEATURES)) float32 of the nodes that leaves (N + 1,) belong to; row 0, the ground, means nothing."""
    count = len(tops)
    area, fore, fore2, distance, boundary, y, x, yy, xx, yx = (np.bincount(node, row, count) for row in sums)
    area = np.maximum(area, 1)
    inner, outer = node[edges.inner], node[edges.outer]
    rim = inner != outer

    def along(values: np.ndarray) -> np.ndarray:
        return np.bincount(inner[rim], values[rim], count)

    sides = along(edges.sides)
    divisor = np.maximum(sides, 1)
    touching = np.bincount(inner[rim & (outer > 0)], edges.sides[rim & (outer > 0)], count)
    mean = fore / area
    vy, vx, vyx = (
        yy / area - (y / area) ** 2 + 1 / 12,
        xx / area - (x / area) ** 2 + 1 / 12,
        yx / area - y * x / area**2,
    )
    half = (vy + vx) / 2
    det = np.maximum(vy * vx - vyx**2, 1e-6)
    longer = half + np.sqrt(np.maximum(half**2 - det, 0))
    columns = (
        np.log(area),
        mean,
        np.sqrt(np.maximum(fore2 / area - mean**2, 0)),
        distance / area,
        boundary / area,
        along(edges.boundary) / divisor,
        along(edges.core) / divisor,
        along(edges.foreground) / divisor,
        tops / LEVELS,
        sides**2 / area,
        4 * np.pi * np.sqrt(det) / area,
        np.sqrt(np.maximum(2 * half - longer, 1e-3) / longer),
        touching / divisor,
        np.full(count, threshold),
        np.full(count, height),
    )
    return np.stack(columns, 1).astype(np.float32)


def best_iou(regions: Regions, iou: np.ndarray) -> np.ndarray:
    """(H, W) float32: of each pixel the best predicted IoU (N,) of the candidates that hold it, 0 where none does."""
    best = np.zeros(regions.size[0] * regions.size[1], np.float32)
    if len(iou):
        rising = np.argsort(iou, kind="stable")
        pixels = [regions.pixels[i] for i in rising]
        best[np.concatenate(pixels)] = np.repeat(iou[rising], [len(inside) for inside in pixels])  # the greatest stays
    return best.reshape(regions.size)
