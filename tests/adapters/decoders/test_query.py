"""The query decoder: shapes, attention, painting, and that it learns."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from adapters.decoders.query import Query, grid_points, sine_positions, where_masked
from adapters.losses import DEFAULT_LOSSES, build_loss
from domains.entities import EntityBatch
from domains.errors import InputError

SMALL = Query(queries=12, dim=64, layers=2, mask_stride=2, detail_channels=16)
SURE = 60.0


def inputs(stride: int = 8, height: int = 32, width: int = 48, taps: int = 2) -> tuple[list[Tensor], Tensor]:
    features = [torch.randn(2, 24, height // stride, width // stride) for _ in range(taps)]
    return features, torch.rand(2, 3, height, width)


def every(outputs: dict[str, Any]) -> list[dict[str, Tensor]]:
    return [*outputs["auxiliary"], {key: value for key, value in outputs.items() if key != "auxiliary"}]


@pytest.mark.parametrize("mask_stride", [2, 4, 8])
@pytest.mark.parametrize(("stride", "height", "width"), [(8, 32, 48), (14, 56, 112), (16, 64, 32)])
def test_outputs_have_their_shapes_at_any_size(mask_stride: int, stride: int, height: int, width: int) -> None:
    decoder = replace(SMALL, mask_stride=mask_stride).build(24, 2, stride)
    outputs = decoder(*inputs(stride, height, width))
    assert len(outputs["auxiliary"]) == 2
    for layer in every(outputs):
        assert layer["mask_logits"].shape == (2, 12, height // mask_stride, width // mask_stride)
        assert layer["object_logits"].shape == layer["iou_logits"].shape == (2, 12)


@pytest.mark.parametrize("options", [SMALL, replace(SMALL, detail_channels=0), replace(SMALL, layers=4)])
def test_a_gradient_reaches_every_parameter(options: Query) -> None:
    decoder = options.build(24, 3, 8)
    outputs = decoder(*inputs(taps=3))
    sum(value.square().sum() for layer in every(outputs) for value in layer.values()).backward()  # type: ignore[union-attr]
    tap_unused = {f"projections.{i}" for i in range(3)} if options.layers < 3 else set()
    for name, parameter in decoder.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().sum() > 0 or name.startswith(tuple(tap_unused)) or name.endswith("k.bias"), name


def test_images_of_a_batch_do_not_see_each_other() -> None:
    decoder = SMALL.build(24, 2, 8).eval()
    features, images = inputs()
    together = decoder(features, images)
    alone = decoder([x[1:] for x in features], images[1:])
    for key in ("mask_logits", "object_logits", "iou_logits"):
        torch.testing.assert_close(together[key][1:], alone[key], atol=1e-4, rtol=1e-4)


def test_half_precision_stays_close_and_finite() -> None:
    decoder = SMALL.build(24, 2, 8)
    features, images = inputs()
    with torch.autocast("cpu", torch.bfloat16):
        outputs = decoder(features, images)
        sum(value.float().sum() for layer in every(outputs) for value in layer.values()).backward()  # type: ignore[union-attr]
    assert all(value.isfinite().all() for layer in every(outputs) for value in layer.values())
    assert all(p.grad is not None and p.grad.isfinite().all() for p in decoder.parameters())


def test_a_query_attends_under_its_mask_and_everywhere_if_that_is_empty() -> None:
    masks = torch.full((1, 2, 4, 4), -1.0)
    masks[0, 0, :2, 2:] = 1.0  # the upper right cell of a grid of 2 x 2; the second query has no mask
    assert where_masked(masks, (2, 2)).tolist() == [[[[False, True, False, False], [True] * 4]]]


def test_positions_tell_all_cells_apart() -> None:
    positions = sine_positions(grid_points((5, 7), torch.device("cpu")), 64)
    assert positions.shape == (35, 64)
    assert F.pdist(positions).min() > 0.5


def drawn_outputs() -> dict[str, Any]:
    """Four queries on 8 x 8 cells: two that overlap, a tiny one, one that is not sure to be an entity."""
    masks = torch.full((1, 4, 8, 8), -SURE)
    masks[0, 0, 0:6, 0:4] = SURE
    masks[0, 1, 0:6, 2:8] = SURE
    masks[0, 2, 7, 7] = SURE
    masks[0, 3, 7, 0:4] = SURE
    chance = torch.tensor([[0.9, 0.8, 0.95, 0.4]])
    return {"mask_logits": masks, "object_logits": chance.logit(), "iou_logits": torch.full((1, 4), SURE)}


def test_painting_gives_each_pixel_to_the_strongest_and_drops_the_small_and_the_unsure() -> None:
    decoder = replace(SMALL, min_area_px=5).build(24, 2, 8)
    found = decoder.proposals.entities(drawn_outputs(), 0, (16, 16))
    wanted = np.zeros((16, 16), np.int32)
    wanted[0:12, 4:16] = 2
    wanted[0:12, 0:8] = 1
    assert (found.ids == wanted).all()
    assert found.scores is not None
    assert found.scores == pytest.approx([0.9, 0.8], abs=1e-3)  # objectness x IoU 1 x mask score 1


def test_a_score_is_objectness_times_iou_times_mean_mask_score() -> None:
    outputs = {
        "mask_logits": torch.full((1, 1, 4, 4), math.log(4)),  # 4/5
        "object_logits": torch.full((1, 1), math.log(9)),  # 9/10
        "iou_logits": torch.full((1, 1), math.log(3)),  # 3/4
    }
    found = SMALL.build(24, 2, 8).proposals.entities(outputs, 0, (8, 8))
    assert found.scores == pytest.approx([0.9 * 0.75 * 0.8])


def test_entities_have_the_size_asked_for_where_the_input_was_padded() -> None:
    found = SMALL.build(24, 2, 8).proposals.entities(drawn_outputs(), 0, (11, 13))
    assert found.ids.shape == (11, 13)
    assert found.count == 2


def test_no_query_above_the_threshold_is_an_empty_map() -> None:
    outputs = {**drawn_outputs(), "object_logits": torch.full((1, 4), -SURE)}
    found = SMALL.build(24, 2, 8).proposals.entities(outputs, 0, (16, 16))
    assert found.count == 0 and not found.ids.any()
    assert found.scores is not None and len(found.scores) == 0


@pytest.mark.parametrize("key", ["mask_logits", "object_logits", "iou_logits"])
def test_nan_is_an_error_and_no_empty_map(key: str) -> None:
    outputs = drawn_outputs()
    with pytest.raises(InputError, match="NaN"):
        SMALL.build(24, 2, 8).proposals.entities({**outputs, key: outputs[key] * math.nan}, 0, (16, 16))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"mask_stride": 3}, r"decoder\.mask_stride is 3; wanted one of 2, 4, 8"),
        ({"dim": 66}, r"decoder\.dim is 66"),
        ({"heads": 5}, r"decoder\.heads is 5; wanted a divisor of decoder\.dim, which is 128"),
        ({"heads": 0}, r"decoder\.heads is 0; wanted an integer from 1"),
        ({"queries": 0}, r"decoder\.queries is 0"),
        ({"layers": 0}, r"decoder\.layers is 0"),
    ],
)
def test_options_that_cannot_be_built_are_refused(options: dict[str, int], message: str) -> None:
    with pytest.raises(InputError, match=message):
        Query(**options)


def drawn_scene() -> EntityBatch:
    """Two images of 48 x 48 with four and three bright rectangles."""
    ids = torch.zeros(2, 48, 48, dtype=torch.int32)
    images = torch.rand(2, 3, 48, 48) * 0.1 + 0.2
    rectangles = (
        [(3, 3, 15, 18), (22, 4, 20, 11), (6, 27, 14, 17), (27, 24, 15, 15)],
        [(4, 8, 22, 14), (30, 3, 14, 22), (9, 30, 18, 12)],
    )
    for b, drawn in enumerate(rectangles):
        for i, (y, x, height, width) in enumerate(drawn):
            ids[b, y : y + height, x : x + width] = i + 1
            images[b, :, y : y + height, x : x + width] += 0.5
    return EntityBatch(images, ids)


def test_it_learns_two_images_by_heart_from_random_frozen_features() -> None:
    torch.manual_seed(0)
    batch = drawn_scene()
    filters = torch.randn(2, 24, 3, 8, 8)
    features = [F.conv2d(batch.images, one, stride=8).tanh() for one in filters]
    decoder = SMALL.build(24, 2, 8)
    loss = build_loss(DEFAULT_LOSSES["query"] | {"set": {"points": 128}})
    optimiser = torch.optim.AdamW(decoder.parameters(), lr=2e-3)
    for _ in range(100):
        optimiser.zero_grad()
        sum(loss(decoder(features, batch.images), batch).values()).backward()  # type: ignore[union-attr]
        torch.nn.utils.clip_grad_norm_(decoder.parameters(), 1.0)
        optimiser.step()
    outputs = decoder(features, batch.images)
    for b, truth in enumerate(batch.masks):
        found = torch.from_numpy(decoder.proposals.entities(outputs, b, (48, 48)).masks())
        overlap = (truth[:, None] & found).sum((2, 3)) / (truth[:, None] | found).sum((2, 3))  # (N, found)
        assert len(found) == len(truth)
        assert (overlap.amax(1) > 0.8).all()
