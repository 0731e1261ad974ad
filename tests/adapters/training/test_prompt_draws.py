from __future__ import annotations

import pytest
import torch

from adapters.decoders.prompt_batch import Prompted
from adapters.training.prompt_draws import WAYS, Asked, Crop, corrected, draw_boxes, draw_points


@pytest.fixture
def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


@pytest.fixture
def crop() -> Crop:
    """A whole (1) with a part (2) that has a detail (3), and a thing without parts (4); one row is unlabelled."""
    ids = torch.zeros(16, 16, dtype=torch.long)
    ids[:10, :10], ids[2:8, 2:8], ids[4:8, 4:8], ids[12:, 8:] = 1, 2, 3, 4
    ids[11] = -1
    return Crop(ids, torch.tensor([0, 1, 2, 0]))


def test_an_entity_holds_all_that_lies_in_it(crop) -> None:
    assert crop.chains[3].tolist()[:3] == [3, 2, 1] and crop.chains[4].tolist()[0] == 4
    masks = crop.masks(torch.tensor([1, 2, 3, 4]))
    assert masks.flatten(1).sum(1).tolist() == [100, 36, 16, 32]
    assert crop.labelled[5].unique().tolist() == [0.5] and crop.labelled[0].unique().tolist() == [1]
    assert crop.shares(torch.tensor([3])).sum() == 4


def test_granularities_are_those_of_a_forest(crop) -> None:
    low, high = crop.granularity
    assert list(zip(low[1:].tolist(), high[1:].tolist(), strict=True)) == [(0, 0), (0, 0.5), (0.5, 1), (0, 1)]


def test_where_nothing_has_parts_the_finest_is_not_known(crop, generator) -> None:
    flat = Crop(crop.ids, torch.zeros(4, dtype=torch.long))
    assert flat.granularity[1].max() == 0.5
    asked = Asked.drawn(flat, torch.full((50,), 4), "granularity", generator)
    assert asked.prompts.granularity is not None and asked.prompts.granularity.max() <= 0.5


@pytest.mark.parametrize("way", WAYS)
def test_prompts_lie_in_or_around_their_entities(crop, generator, way) -> None:
    entities = crop.draw(60, generator)
    assert set(entities.tolist()) == {1, 2, 3, 4}
    asked = Asked.drawn(crop, entities, way, generator)
    if way == "boxes":
        assert asked.prompts.points is None and asked.prompts.boxes is not None
        away = asked.prompts.boxes[entities == 4] - torch.tensor([8.0, 12, 16, 16])
        assert (away.abs() <= torch.tensor([1.601, 0.801, 1.601, 0.801])).all() and away.abs().max() > 0.1
        return
    assert asked.prompts.points is not None
    x, y = asked.prompts.points[:, 0].long().unbind(1)
    assert crop.masks(entities)[torch.arange(60), y, x].all()
    assert (asked.deepest == crop.ids[y, x]).all()
    shares, meant = asked.meant()
    assert torch.equal(shares[:, 0], crop.shares(entities)) and meant[:, 0].all()
    assert meant.sum(1).tolist() == (crop.chains[asked.deepest] > 0).sum(1).tolist()
    if way == "granularity":
        assert asked.prompts.granularity is not None
        granularity = asked.prompts.granularity
        assert granularity[entities == 3].min() > 0.5 and granularity[(entities == 1) & (asked.deepest != 1)].max() == 0


def test_specks_are_not_asked_for(generator) -> None:
    ids = torch.zeros(8, 8, dtype=torch.long)
    ids[0, :3] = 1
    assert len(Crop(ids, torch.zeros(1, dtype=torch.long)).draw(5, generator)) == 0


def test_corrections_are_inside_where_a_mask_lacks_and_outside_where_it_spills(generator) -> None:
    truth, masks = torch.zeros(2, 8, 8, dtype=torch.bool), torch.zeros(2, 8, 8, dtype=torch.bool)
    truth[0, :4], masks[1, 6:] = True, True
    prompts = Prompted(boxes=torch.zeros(2, 4))
    points = corrected(prompts, masks, truth, 3, generator)
    assert points.boxes is prompts.boxes and points.points is not None and points.labels is not None
    assert points.labels.tolist() == [[1, 1, 1], [0, 0, 0]] and points.points.shape == (2, 3, 2)
    assert points.points[0, :, 1].max() < 8 and points.points[1, :, 1].min() >= 12
    again = corrected(points, masks, truth, 1, generator)
    assert again.points is not None and torch.equal(again.points[:, :3], points.points)


def test_points_of_an_empty_mask_are_anywhere(generator) -> None:
    assert draw_points(torch.zeros(1, 4, 4, dtype=torch.bool), 2, generator).shape == (1, 2, 2)
    mask = torch.zeros(1, 4, 6, dtype=torch.bool)
    mask[0, 3, 5] = True
    assert draw_points(mask, 1, generator).tolist() == [[[5, 3]]]
    assert (draw_boxes(mask, generator) - torch.tensor([5.0, 3, 6, 4])).abs().max() <= 0.2
