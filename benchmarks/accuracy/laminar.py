"""A forest of masks that overlap, a trial: the surest of which any two lie beside each other or one in the other.

A flat map need not come first, as in `nested_prompts`, so that a whole may be surer than its parts or less sure, and
both stay. Greedy by predicted IoU, as an NMS is; the parent of a mask is the smallest that holds nine tenths of it
(HASSOD, Cao et al., NeurIPS 2023, https://arxiv.org/abs/2310.20707, section 3.2, has that share too).
"""

from __future__ import annotations

import numpy as np

from adapters.proposals.mask_set import MaskSet
from adapters.proposals.nested_prompts import INSIDE, SMALLER
from domains.entities.forest import NEVER, EntityForest, Nodes


def laminar(masks: MaskSet) -> np.ndarray:
    """(M,) numbers of the masks that stay, the surest first: a mask goes that neither holds a surer one, lies in it,
    nor shares a tenth of the smaller with it.
    """
    shared, areas = masks.intersections(masks), np.maximum(masks.areas, 1)
    chosen: list[int] = []
    for number in np.argsort(-masks.scores, kind="stable").tolist():
        smaller, larger = (choose(areas[number], areas[chosen]) for choose in (np.minimum, np.maximum))
        share = shared[number, chosen] / smaller
        is_inside = (share >= INSIDE) & (smaller < SMALLER * larger)
        if masks.areas[number] and (is_inside | (share <= 1 - INSIDE)).all():
            chosen.append(number)
    return np.array(chosen, np.int64)


def laminar_forest(masks: MaskSet, least_px: int = 12) -> EntityForest:
    """The forest of the masks of `laminar`: granularities are those of `EntityForest.nested`, a step for every level
    that a node holds; of pixels that two which lie beside each other share, the larger has them.

    least_px: nodes of fewer pixels are left out, their pixels are those of what holds them.
    """
    masks = masks.take(laminar(masks))
    masks = masks.take(np.argsort(-masks.areas, kind="stable"))
    shared = masks.intersections(masks)
    leaves = np.zeros(masks.shape, np.int32)
    nodes: list[int] = []  # their masks
    parents: list[int] = []
    regions: list[np.ndarray] = []
    for number in range(len(masks)):
        holds = [i for i, node in enumerate(nodes) if shared[number, node] >= INSIDE * masks.areas[number]]
        home = holds[-1] if holds else None  # the smallest
        region = masks[number] & (leaves == 0 if home is None else regions[home])
        if np.count_nonzero(region) < least_px:
            continue
        nodes.append(number)
        parents.append(0 if home is None else home + 1)
        regions.append(region)
        leaves[region & (leaves == parents[-1])] = len(nodes)
    heights = np.zeros(len(nodes) + 1, np.int64)
    for node in range(len(nodes), 0, -1):  # what holds a node has a lower number
        heights[parents[node - 1]] = max(heights[parents[node - 1]], heights[node] + 1)
    g = (1 - heights[1:] / max(2, int(heights[1:].max(initial=0)))).astype(np.float32)
    scores = np.clip(masks.scores[nodes], 0, 1).astype(np.float32)
    columns = g, np.full(len(nodes), NEVER, np.float32), scores
    return EntityForest(leaves, Nodes(np.array(parents, np.int32), *columns))
