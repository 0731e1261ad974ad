"""The memory decoder: distances against a second way to work them out, scores, and what it is before it is filled."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from adapters.decoders.patch_memory import Memory, MemoryDecoder, neighbourhoods

SIZE = (24, 32)
IMAGES = torch.zeros(2, 3, *SIZE)


def features(seed: int = 0) -> list[Tensor]:
    """Two taps of 5 channels on a grid of 3 x 4."""
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(2, 5, 3, 4, generator=generator) for _ in range(2)]


def filled(taps: list[Tensor], threshold: float = 1.0, **options: object) -> MemoryDecoder:
    """A decoder that remembers every patch of the first image."""
    decoder = Memory(size=12, **options).build(5, 2, 8)  # type: ignore[arg-type]
    rows = neighbourhoods(taps, decoder.options.neighbours)[0].flatten(1).T
    mean, deviation = rows.mean(0), rows.std(0)
    decoder.fill((rows - mean) / deviation, mean, deviation)
    decoder.threshold.fill_(threshold)
    return decoder


def test_an_empty_memory_finds_nothing_strange() -> None:
    decoder = Memory(size=4).build(5, 2, 8)
    assert (decoder(features(), torch.zeros(2, 3, *SIZE))["foreground"] == -10).all()


def test_a_patch_that_is_remembered_is_not_strange_and_another_is_as_far_as_numpy_says() -> None:
    taps = features()
    decoder = filled(taps, neighbours=1, smoothing_px=0.0)
    distances = decoder.distances(decoder.described(taps, IMAGES), (3, 4))[:, 0].numpy()
    assert distances[0] == pytest.approx(0, abs=2e-3)
    rows = torch.cat(taps, 1)[1].flatten(1).T.numpy()
    standard = (rows - decoder.mean.numpy()) / decoder.deviation.numpy()
    away = np.linalg.norm(standard[:, None] - decoder.patches.numpy()[None], axis=2).min(1) / np.sqrt(10)
    assert distances[1].ravel() == pytest.approx(away, rel=1e-3)


def test_a_score_is_a_half_at_the_threshold() -> None:
    taps = features()
    decoder = filled(taps)
    at = float(decoder.distances(decoder.described(taps, IMAGES), SIZE)[1].max())
    scores = filled(taps, threshold=at)(taps, torch.zeros(2, 3, *SIZE))["foreground"].sigmoid()
    assert scores.shape == (2, 1, *SIZE) and float(scores[1].max()) == pytest.approx(0.5)


def test_what_is_filled_is_saved_whole_and_nothing_of_it_learns() -> None:
    decoder = filled(features(), threshold=0.7)
    again = Memory(**vars(decoder.options)).build(5, 2, 8)
    again.load_state_dict(decoder.state_dict())
    images = torch.zeros(2, 3, *SIZE)
    assert torch.equal(again(features(3), images)["foreground"], decoder(features(3), images)["foreground"])
    assert not any(parameter.requires_grad for parameter in decoder.parameters())
