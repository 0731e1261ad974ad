from __future__ import annotations

import numpy as np
import pytest
import torch

from adapters.backbones import BackboneOptions, build_backbone
from adapters.backbones.embedded_bases import FOLDERS
from adapters.decoders import base_prompts
from adapters.decoders.base_prompts import BasePrompts
from adapters.decoders.build_promptable import build_promptable
from adapters.decoders.pretrained_prompts import fresh_parts
from adapters.options.prompts import PromptOptions
from adapters.proposals.automatic import AutomaticMasks
from tests.adapters.decoders.test_sam import picture


@pytest.fixture(scope="module")
def promptable() -> BasePrompts:
    """The embedded base with a small prompt decoder of random weights, whose logits spread."""
    torch.manual_seed(0)
    backbone = build_backbone(BackboneOptions("entity-small"))
    decoders = fresh_parts(FOLDERS["entity-small"], backbone, PromptOptions(width=32, layers=1, heads=2))
    for mlp in decoders.decoder.decoder.output_hypernetworks_mlps:
        mlp.proj_out.weight.data *= 20
    return BasePrompts(backbone, decoders)


def test_masks_are_as_large_as_any_image(promptable) -> None:
    image = promptable.set_image(picture(37, 53))
    points = np.array([[[3.0, 4.0]], [[50.0, 30.0]]])
    masks = image.predict(points)
    assert masks.shape == (37, 53) and len(masks) == 6 and masks.levels.tolist() == [0, 1, 2] * 2
    boxes = image.predict(boxes=np.array([[3.0, 4, 30, 20]]), several=False)
    assert len(boxes) == 1 and 0 < np.mean([masks.areas.mean(), boxes.areas.mean()]) < 37 * 53


def test_a_granularity_has_one_mask_a_point(promptable) -> None:
    image = promptable.set_image(picture(32, 40))
    points = np.random.default_rng(0).uniform(0, 32, (5, 1, 2))
    coarse, fine, without = (image.predict(points, granularity=g) for g in (0.0, 1.0, None))
    assert len(coarse) == len(fine) == 5 and len(without) == 15 and promptable.takes_granularity
    assert not np.allclose(coarse.scores, fine.scores)


def test_many_prompts_on_one_embedding_equal_each_by_itself(promptable) -> None:
    image, rng = promptable.set_image(picture(40, 48)), np.random.default_rng(0)
    points = rng.uniform(0, 40, (6, 2, 2))
    together = image.predict(points, np.tile([1, 0], (6, 1)))
    for i, point in enumerate(points):
        alone = image.predict(point[None], np.array([[1, 0]]))
        np.testing.assert_allclose(alone.scores, together.scores[3 * i : 3 * i + 3], atol=1e-5)


def test_a_large_image_is_seen_smaller_and_answered_in_its_own_pixels(promptable, monkeypatch) -> None:
    monkeypatch.setattr(base_prompts, "MOST_PX", 48)
    image = promptable.set_image(picture(60, 96))
    assert image.extent == ((60, 96), (30, 48), (32, 48))
    small = promptable.set_image(picture(30, 48))
    masks = image.predict(np.array([[[90.0, 50.0]]]))
    assert masks.shape == (60, 96) and small.extent.size == (30, 48)
    prompts = image.prompted(np.array([[[20.0, 8.0]]]), None, np.array([[4.0, 6, 20, 30]]), 0.5)
    assert prompts.points is not None and prompts.points.tolist() == [[[10, 4]]]
    assert prompts.boxes is not None and prompts.boxes.tolist() == [[2, 3, 10, 15]]


def test_its_features_are_those_of_its_cells(promptable) -> None:
    image = promptable.set_image(picture(32, 40))
    centre = image.features(np.array([[12.0, 20.0]]))  # of the cell in row 2, column 1
    np.testing.assert_allclose(centre[0], image.embedding[0, :, 2, 1].numpy(), atol=1e-5)


def test_a_grid_of_points_proposes_masks(promptable) -> None:
    options = AutomaticMasks(points_per_side=3, least_iou=0, least_stability=0, most_overlap=0.9)
    masks = options.masks(promptable, picture(40, 48))
    assert 1 <= len(masks) <= 27 and masks.shape == (40, 48)


def test_the_embedded_base_takes_prompts() -> None:
    promptable = build_promptable(build_backbone(BackboneOptions("entity-small")))
    assert promptable.takes_granularity and promptable.name == "entity-small"
    disc = np.full((64, 64, 3), 40, np.uint8)
    y, x = np.mgrid[:64, :64]
    inside = (y - 30) ** 2 + (x - 34) ** 2 < 15**2
    disc[inside] = (220, 160, 60)
    for masks in (
        promptable.set_image(disc).predict(np.array([[[34.0, 30.0]]]), granularity=0.0),
        promptable.set_image(disc).predict(boxes=np.array([[19.0, 15, 49, 45]]), several=False),
    ):
        overlap = (masks[0] & inside).sum() / (masks[0] | inside).sum()
        assert overlap > 0.8
