"""Textures of patches: against scipy, white within an image, blind to its light, and a scratch is the strangest."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter

from adapters.decoders.patch_memory import Memory
from adapters.decoders.texture import WIDTH, gradient, smoothed, textures, whitened, without_edge


def surface(scratch: bool = False) -> torch.Tensor:
    """(1, 3, 96, 96) of grain in [0, 1], with a bright line of 2 px where it is scratched."""
    pixels = np.random.default_rng(0).normal(0.5, 0.05, (96, 96))
    if scratch:
        pixels[46:48, 32:64] += 0.3
    return torch.from_numpy(pixels).float().clamp(0, 1).expand(1, 3, 96, 96)


def test_descriptions_are_white_within_an_image_and_blind_to_its_light() -> None:
    described = textures(surface(), (12, 12))
    assert described.shape == (1, WIDTH, 12, 12)
    rows = described[0].flatten(1)
    assert rows.mean(1).abs().max() < 1e-4
    assert torch.allclose(torch.cov(rows).diagonal(), torch.ones(WIDTH), atol=0.05)
    assert torch.allclose(textures(0.4 * surface() + 0.3, (12, 12)), described, atol=1e-2)
    assert torch.isfinite(textures(torch.zeros(2, 3, 16, 16), (2, 2))).all()  # a lens cap


def test_half_precision_of_the_network_leaves_descriptions_as_they_are() -> None:
    with torch.autocast("cpu", torch.bfloat16):
        described = textures(surface(), (12, 12))
    assert described.dtype == torch.float32 and torch.equal(described, textures(surface(), (12, 12)))


def test_a_scratch_is_the_strangest_of_its_image() -> None:
    strange = textures(surface(scratch=True), (12, 12))[0].norm(dim=0)
    row, column = divmod(int(strange.argmax()), 12)
    assert row in (5, 6) and 3 <= column <= 8


@pytest.mark.parametrize(("side", "cells_differ"), [(24, False), (32, False), (40, True)])
def test_a_tile_of_four_cells_within_its_edge_shows_no_defect(side: int, cells_differ: bool) -> None:
    """As docs/industrial.md says: a limit of the description, not a wish."""
    pixels = np.random.default_rng(0).normal(0.5, 0.05, (side, side))
    pixels[side // 2 - 2 : side // 2 + 2, side // 2 - 2 : side // 2 + 2] = 1
    image = torch.from_numpy(pixels).float().clamp(0, 1).expand(1, 3, side, side)
    strange = textures(image, (side // 8, side // 8))[0].norm(dim=0)
    assert bool(strange.max() > 2 * strange.median()) == cells_differ


def test_gradients_are_those_of_numpy() -> None:
    field = smoothed(torch.rand(1, 1, 20, 24, generator=torch.Generator().manual_seed(0)), 1.0)
    down, across = np.gradient(field[0, 0].numpy())
    expected = np.hypot(down, across)[1:-1, 1:-1]  # at its edges numpy takes one side alone
    assert gradient(field)[0, 0, 1:-1, 1:-1].numpy() == pytest.approx(expected, abs=1e-6)


def test_a_field_is_smoothed_as_scipy_does() -> None:
    field = torch.rand(1, 1, 40, 50, generator=torch.Generator().manual_seed(1))
    expected = gaussian_filter(field[0, 0].numpy(), 2.0, mode="mirror", truncate=3.0)
    assert smoothed(field, 2.0)[0, 0].numpy() == pytest.approx(expected, abs=1e-5)
    assert torch.equal(smoothed(field, 0.0), field)


def test_the_edge_is_as_what_is_within() -> None:
    cells = torch.arange(25.0).view(1, 1, 5, 5)
    assert without_edge(cells)[0, 0, 0].tolist() == [6, 6, 7, 8, 8]
    assert torch.equal(without_edge(cells[..., :2]), cells[..., :2])
    assert torch.isfinite(whitened(cells)).all()


def test_a_memory_of_textures_is_as_wide_as_they_are() -> None:
    decoder = Memory(size=5, description="texture").build(40, 3, 8)
    assert decoder.patches.shape == (5, WIDTH)
    images = surface()
    described = decoder.described([torch.zeros(1, 40, 12, 12)], images)
    assert torch.equal(described, textures(images, (12, 12)))
