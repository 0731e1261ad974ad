"""Of masks that overlap the surest become entities; the others are parts and groups."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace

import numpy as np
import torch

from adapters.decoders import DECODERS
from adapters.proposals.gridded import GridMasks, surest_first
from adapters.proposals.mask_set import MaskSet
from domains.entities.forest import EntityForest


def box(y: int, x: int, height: int, width: int) -> np.ndarray:
    mask = np.zeros((16, 16), bool)
    mask[y : y + height, x : x + width] = True
    return mask


def test_the_surest_mask_takes_its_pixels_and_the_next_what_is_free() -> None:
    left, right, most_of_left, small = box(0, 0, 8, 8), box(0, 6, 8, 8), box(1, 1, 6, 8), box(12, 12, 1, 2)
    masks = MaskSet.of([left, right, most_of_left, small], np.array([1.2, 0.8, 0.7, 0.6]))
    entities = surest_first(masks, most_taken=0.5, min_area_px=3)
    assert np.array_equal(entities.ids, 1 * left + 2 * (right & ~left))
    assert entities.scores is not None and np.allclose(entities.scores, [1, 0.8])
    assert surest_first(masks, most_taken=0.5, min_area_px=1).count == 3
    assert surest_first(masks, most_taken=0.2, min_area_px=3).count == 1  # a quarter of the right box is taken


class Scripted:
    """An image that answers three masks of every point: the cell of 8 px that it lies in, its upper half, all."""

    shape = (16, 16)
    scores = (0.9, 0.6, 0.55)

    def candidates(self, points: np.ndarray, *, least_iou: float) -> Iterator[SimpleNamespace]:
        for number, ((x, y),) in enumerate(points):
            row, column = int(y) // 8 * 8, int(x) // 8 * 8
            masks = [box(row, column, 8, 8), box(row, column, 4, 8), box(0, 0, 16, 16)]
            rows = [i for i, score in enumerate(self.scores) if score > least_iou]
            logits = torch.stack([torch.from_numpy(np.where(masks[i], 9.0, -9.0)) for i in rows])
            scores, prompts = torch.tensor([self.scores[i] for i in rows]), torch.full((len(rows),), number)
            yield SimpleNamespace(prompts=prompts, levels=torch.tensor(rows), logits=logits, ious=scores)

    def upsampled(self, logits: torch.Tensor) -> torch.Tensor:
        return logits


def test_a_grid_gives_entities_their_parts_and_what_holds_them() -> None:
    options = DECODERS["sam"](points_per_side=4, least_iou=0.5)
    proposals = GridMasks(options, lambda outputs, index, size: Scripted())
    prepared = proposals.prepared({}, 0, (16, 16))
    flat, forest = proposals.cut(prepared), proposals.forest(prepared)
    assert flat.count == 4 and np.array_equal(forest.cut(proposals.granularity).ids, flat.ids)
    assert np.array_equal(flat.ids > 0, np.ones((16, 16), bool))
    assert forest.cut(0.0).count == 1 and forest.cut(1.0).count == 4 and forest.count == 9
    assert set(forest.nodes.g.tolist()) <= {*proposals.levels.finest_first}
    strict = GridMasks(DECODERS["sam"](points_per_side=4, least_iou=0.7), proposals.look)
    assert strict.forest(strict.prepared({}, 0, (16, 16))).count == 4


def test_an_image_without_sure_masks_has_no_entity() -> None:
    options = DECODERS["sam"](points_per_side=2, least_iou=0.95)
    proposals = GridMasks(options, lambda outputs, index, size: Scripted())
    forest: EntityForest = proposals.forest(proposals.prepared({}, 0, (16, 16)))
    assert forest.count == 0 and proposals.cut(proposals.prepared({}, 0, (16, 16))).count == 0
