from __future__ import annotations

import numpy as np
import pytest
import torch

from adapters.decoders.dense import Dense
from adapters.losses.targets import DenseTargets, inner_rim
from adapters.proposals.watershed import FIELDS, Watershed
from domains.entities import EntityMap


def fields_of(ids: np.ndarray) -> dict[str, np.ndarray]:
    """The fields that a perfect network gives."""
    targets = DenseTargets.of(torch.from_numpy(ids)[None])
    return {
        "foreground": targets.foreground[0].numpy(),
        "boundary_distance": targets.boundary_distance[0].numpy(),
        "centre_distance": targets.centre_distance[0].numpy(),
        "boundary": inner_rim(ids).astype(np.float32),
    }


def discs(*centres: tuple[int, int, int], shape: tuple[int, int] = (64, 64)) -> np.ndarray:
    y, x = np.mgrid[: shape[0], : shape[1]]
    ids = np.zeros(shape, np.int32)
    for number, (cy, cx, r) in enumerate(centres, start=1):
        ids[(y - cy) ** 2 + (x - cx) ** 2 < r * r] = number
    return ids


def agreement(found: EntityMap, truth: np.ndarray) -> float:
    """Lowest, over true entities, of the IoU with the best found one."""
    worst = 1.0
    for number in range(1, truth.max() + 1):
        mask = truth == number
        rivals = [(mask & (found.ids == i)).sum() / (mask | (found.ids == i)).sum() for i in range(1, found.count + 1)]
        worst = min(worst, max(rivals, default=0))
    return worst


def test_perfect_fields_give_back_touching_entities() -> None:
    truth = discs((20, 20, 12), (20, 40, 12), (44, 30, 13))
    found = Watershed(Dense()).cut(fields_of(truth))
    assert found.count == 3
    assert agreement(found, truth) > 0.95
    assert found.scores is not None and (found.scores > 0.5).all()


def test_a_map_without_background_is_split_at_its_boundaries() -> None:
    truth = np.ones((64, 64), np.int32)
    truth[:, 32:] = 2
    truth[40:, :] = 3
    found = Watershed(Dense()).cut(fields_of(truth))
    assert found.count == 3 and agreement(found, truth) > 0.95


def test_there_is_no_cap_on_the_number_of_entities() -> None:
    truth = np.zeros((320, 320), np.int32)
    for number in range(900):
        y, x = divmod(number, 30)
        truth[y * 10 + 1 : y * 10 + 9, x * 10 + 1 : x * 10 + 9] = number + 1
    assert Watershed(Dense()).cut(fields_of(truth)).count == 900


def test_the_thresholds_do_what_they_say() -> None:
    truth = discs((20, 20, 12), (50, 50, 3))
    fields = fields_of(truth)
    assert Watershed(Dense(min_area_px=60)).cut(fields).count == 1
    faint = {**fields, "foreground": fields["foreground"] * 0.4}
    assert Watershed(Dense()).cut(faint).count == 0
    assert Watershed(Dense(foreground_threshold=0.3)).cut(faint).count == 2


def test_a_higher_seed_height_joins_what_a_shallow_saddle_parts() -> None:
    truth = discs((30, 22, 12), (30, 38, 12))
    truth[truth > 0] = 1  # two lobes of one entity
    fields = fields_of(truth)
    low = Watershed(Dense(seed_height=0.02, smoothing_px=0)).cut(fields).count
    high = Watershed(Dense(seed_height=0.4, smoothing_px=0)).cut(fields).count
    assert (low, high) == (2, 1)


@pytest.mark.parametrize("detail", [True, False])
@pytest.mark.parametrize("stride", [8, 14, 16])
def test_outputs_have_the_images_size_for_any_stride(detail: bool, stride: int) -> None:
    decoder = Dense(width=16, detail=detail, embedding_dim=3).build(20, 2, stride)
    images = torch.rand(2, 3, 112, 56)
    features = [torch.randn(2, 20, 112 // stride, 56 // stride) for _ in range(2)]
    outputs = decoder(features, images)
    assert set(outputs) == {*FIELDS, "embedding"}
    assert all(outputs[name].shape == (2, 1, 112, 56) for name in FIELDS)
    assert outputs["embedding"].shape == (2, 3, 112, 56)


def test_without_the_detail_branch_the_image_is_not_seen() -> None:
    decoder = Dense(width=16, detail=False).build(20, 1, 8)
    features = [torch.randn(1, 20, 8, 8)]
    one, other = (decoder(features, image)["foreground"] for image in torch.rand(2, 1, 3, 64, 64))
    assert torch.equal(one, other)


def test_every_weight_learns() -> None:
    decoder = Dense(width=16, embedding_dim=2).build(20, 2, 8)
    outputs = decoder([torch.randn(1, 20, 4, 4) for _ in range(2)], torch.rand(1, 3, 32, 32))
    torch.stack([value.square().mean() for value in outputs.values()]).sum().backward()
    assert all(parameter.grad is not None and parameter.grad.abs().sum() > 0 for parameter in decoder.parameters())


def test_entities_are_cropped_to_the_size_before_padding() -> None:
    decoder = Dense(width=16).build(20, 1, 8)
    with torch.no_grad():
        outputs = decoder([torch.randn(1, 20, 4, 4)], torch.rand(1, 3, 32, 32))
    assert decoder.proposals.entities(outputs, 0, (30, 25)).shape == (30, 25)


def test_it_learns_from_frozen_features_in_any_memory_layout() -> None:
    """torch 2.13 dies of a segmentation fault in group norm on features that are tokens turned around, as ours are."""
    tokens = torch.randn(2, 16, 64)  # (B, T, D)
    features = [tokens.transpose(1, 2).reshape(2, 64, 4, 4)]
    Dense(width=16).build(64, 1, 8)(features, torch.rand(2, 3, 32, 32))["foreground"].mean().backward()
