"""Nested candidate regions of the dense decoder's fields, and which of them are entities.

One threshold cannot suit every entity: two nuclei whose seam is faint want a shallow saddle, one with a bright spot
a deep one. So the fields are cut at several foreground thresholds and saddle depths, which gives nested candidates,
each is described by its shape and by the fields inside and along its rim, a small network predicts its IoU with the
nearest entity, and the best are taken that do not overlap. Candidates by nesting and a learnt choice after Arteta et
al., Learning to Detect Cells Using Non-overlapping Extremal Regions, MICCAI 2012; a predicted IoU as the score after
Mask Scoring R-CNN (Huang et al., CVPR 2019).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from adapters.proposals.basins import Saddles, basins, join_shallow, saddles, surrounding, touching
from adapters.proposals.pixel_sets import PixelSets, Rows
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
SIDES = ((-1, 0), (1, 0), (0, -1), (0, 1))
"""Steps (down, right) from a pixel to those that it shares a side with."""


@dataclass(frozen=True)
class Regions:
    """Candidates of one image: features (N, len(FEATURES)) float32, and the pixels of each, flat indices into it."""

    features: np.ndarray
    pixels: PixelSets
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
    box = surrounding(fields["foreground"] > THRESHOLDS[0], int(np.ceil(4 * smoothing_px)) + 1)  # scipy cuts it at 4
    inner = core_field({name: field[box] for name, field in fields.items()}, smoothing_px)
    height, width = fields["foreground"].shape
    core, level = np.zeros((height, width), inner.dtype), np.zeros((height, width), np.int32)
    core[box], level[box] = inner, np.round(inner * LEVELS)
    features, pixels = [np.zeros((0, len(FEATURES)), np.float32)], []
    for threshold in THRESHOLDS:
        foreground = fields["foreground"] > threshold
        if foreground.any():
            rows, sets = _at_threshold(fields, core, level, foreground, threshold)
            features.append(rows)
            pixels.append(sets)
    return Regions(np.concatenate(features), PixelSets.joined(pixels), (height, width))


def _at_threshold(
    fields: Mapping[str, np.ndarray], core: np.ndarray, level: np.ndarray, mask: np.ndarray, threshold: float
) -> tuple[np.ndarray, PixelSets]:
    """Features and pixels of the candidates; those of greater height are unions of the least's, the leaves."""
    ids, peaks = basins(level, mask)
    passes = saddles(ids, level)
    leaf_of, peaks = join_shallow(peaks, passes, round(HEIGHTS[0] * LEVELS))
    passes = Saddles.highest(*passes.merged(leaf_of))  # equal ones in the order of the leaves
    inside = np.flatnonzero(mask)
    leaf = leaf_of[ids.ravel()[inside]]
    inside, leaf = inside[leaf > 0], leaf[leaf > 0]  # without what joined the ground
    sums, edges = leaf_sums(leaf, inside, fields, len(peaks)), leaf_edges(leaf_of, ids, inside, fields, core)
    features, members, node, tops = [], [], np.arange(len(peaks)), peaks
    for height in HEIGHTS:  # what merged at a lesser height stays together
        step, tops = join_shallow(tops, passes, round(height * LEVELS))
        node, passes = step[node], passes.merged(step)
        features.append(describe(node, tops, sums, edges, threshold, height)[1:])
        members.append(Rows.grouped(node, len(tops)).take(np.arange(1, len(tops))))
    nodes = Rows.joined(members)
    kept = distinct(nodes, len(peaks))
    kept = kept[np.add.reduceat(sums[0][nodes.values], nodes.starts[:-1])[kept] >= SMALLEST_PX]
    order = Rows.grouped(leaf, len(peaks))
    leaves = Rows(inside[order.values], order.starts)
    return np.concatenate(features)[kept], PixelSets(leaves, nodes.take(kept))


def distinct(nodes: Rows, count: int) -> np.ndarray:
    """(M,) the nodes, of several heights, that hold other leaves than any before; leaves: 0..count - 1, ascending."""
    least = nodes.values[nodes.starts[:-1]]
    keys = least * (count + 1) + nodes.lengths  # of nested sets with one least leaf no two are of one size
    return np.sort(np.unique(keys, return_index=True)[1])


def leaf_sums(leaf: np.ndarray, inside: np.ndarray, fields: Mapping[str, np.ndarray], count: int) -> np.ndarray:
    """(10, count): area; sums of foreground, its square, boundary distance, boundary; first and second moments.

    leaf: (P,), of 1..count - 1, of the pixels `inside` (P,), flat indices.
    """
    foreground, distance, boundary = (
        fields[name].ravel()[inside].astype(np.float64) for name in ("foreground", "boundary_distance", "boundary")
    )
    y, x = (axis.astype(np.float64) for axis in np.divmod(inside, fields["foreground"].shape[1]))
    weights = [foreground, foreground**2, distance, boundary, y, x, y * y, x * x, y * x]
    return np.stack([np.bincount(leaf, minlength=count), *(np.bincount(leaf, values, count) for values in weights)])


def leaf_edges(
    leaf_of: np.ndarray, ids: np.ndarray, inside: np.ndarray, fields: Mapping[str, np.ndarray], core: np.ndarray
) -> Edges:
    """The frame of the image is no edge: what was cut by it goes on there.

    leaf_of: the leaf of each basin of ids (H, W); inside: flat indices of the pixels of all leaves.
    """
    pairs = zip(*(touching(ids, inside, *step) for step in SIDES), strict=True)
    inner, outer = (np.concatenate(ends) for ends in pairs)
    leaf, beside = leaf_of[ids.ravel()[inner]], leaf_of[ids.ravel()[outer]]
    apart = leaf != beside
    inner, outer, leaf, beside = inner[apart], outer[apart], leaf[apart], beside[apart]
    count = len(leaf_of)
    pairs, pair = np.unique(leaf.astype(np.int64) * count + beside, return_inverse=True)
    weights = (None, fields["boundary"].ravel()[inner], core.ravel()[inner], fields["foreground"].ravel()[outer])
    sums = (np.bincount(pair, values, len(pairs)) for values in weights)
    return Edges(*np.divmod(pairs, count), *sums)


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
    height, width = regions.size
    return regions.pixels.greatest(iou, height * width).reshape(regions.size)
