"""Masks of points in entities: where the points lie, which mask of each is taken, and which go."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from adapters.proposals.mask_set import MaskSet
from adapters.proposals.prompted import PromptedMasks, inner_points
from tests.adapters.backbones.tiny_models import tiny_backbone
from tests.adapters.decoders.test_sam import picture
from tests.adapters.proposals.test_automatic import Blobs


@pytest.fixture(scope="module")
def blobs() -> Blobs:
    from adapters.decoders.sam import SamPrompts

    return Blobs(SamPrompts(tiny_backbone("sam")))


def test_inner_points_are_known() -> None:
    """A square of 5 x 5, an L whose thick leg is 3 wide, a line, and a half at the image's frame."""
    ids = np.zeros((9, 16), np.int32)
    ids[1:6, 1:6] = 1
    ids[1:8, 7:10], ids[7, 7:15] = 2, 2
    ids[8, 0:5] = 3
    ids[0:3, 13:16] = 4
    ids[4, 12] = -1
    points = inner_points(ids)
    assert points[0].tolist() == [3.5, 3.5] and points[3].tolist() == [14.5, 1.5]
    assert points[1][0] == 8.5 and points[2][1] == 8.5
    assert inner_points(np.zeros((3, 3), np.int32)).shape == (0, 2)


@pytest.mark.parametrize("seed", range(3))
def test_each_point_lies_in_its_entity_as_far_in_as_any(seed: int) -> None:
    rng = np.random.default_rng(seed)
    ids = np.kron(rng.integers(0, 9, (5, 6)), np.ones((6, 5), int)).astype(np.int32)
    present = np.unique(ids[ids > 0])
    ids = np.searchsorted(np.append(0, present), ids).astype(np.int32)
    for number, (x, y) in enumerate(inner_points(ids), 1):
        outside = np.argwhere(np.pad(ids, 1) != number) - 1
        depth = {tuple(at): np.hypot(*(outside - at).T).min() for at in np.argwhere(ids == number)}
        # within a pixel of the deepest: pixels beside another entity, not that entity's, are what it is far from
        assert depth[int(y), int(x)] >= max(depth.values()) - 1


def test_the_surest_mask_of_each_point_is_taken_and_of_masks_alike_the_surer(blobs: Blobs) -> None:
    embedded: Any = blobs.set_image(picture(60, 64))
    points = np.random.default_rng(0).uniform(4, 56, (24, 2))
    every = embedded.predict(points[:, None])
    best = [3 * i + int(every.scores[3 * i : 3 * i + 3].argmax()) for i in range(len(points))]
    proposed = PromptedMasks(most_overlap=0.4)
    surest = proposed.surest(embedded, points)
    assert surest.prompts.tolist() == [*range(24)] and surest.levels.tolist() == [i % 3 for i in best]
    assert all(np.array_equal(mask, every[i]) for mask, i in zip(surest, best, strict=True))
    np.testing.assert_allclose(surest.stability, every.stability[best])
    chosen: list[int] = []
    for i in sorted(range(24), key=lambda i: -surest.scores[i]):
        overlaps = [(surest[i] & surest[j]).sum() / max((surest[i] | surest[j]).sum(), 1) for j in chosen]
        if surest.areas[i] and not any(overlap > 0.4 for overlap in overlaps):
            chosen.append(i)
    masks = proposed.masks(embedded, points)
    assert masks.prompts.tolist() == chosen and 1 < len(chosen) < 24
    sure = PromptedMasks(least_iou=0.5).surest(embedded, points)
    assert sure.prompts.tolist() == [i for i in range(24) if surest.scores[i] > 0.5] and 0 < len(sure) < 24


def test_no_points_have_no_masks(blobs: Blobs) -> None:
    masks: MaskSet = PromptedMasks().masks(blobs.set_image(picture(40, 64)), np.zeros((0, 2)))  # type: ignore[arg-type]
    assert len(masks) == 0 and masks.shape == (40, 64)
