from __future__ import annotations

import numpy as np
import pytest

from domains.procedural.textures import KINDS, crop_kind, texture_bank
from domains.procedural.truth import visible_truth


def test_the_bank_holds_240_textures_of_equal_strength():
    bank = texture_bank()
    assert bank.shape == (240, 256, 256) and bank.dtype == np.uint8
    spread = bank.reshape(240, -1).astype(np.float32).std(1)
    assert np.all((spread > 15) & (spread < 40))


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_a_crop_may_be_larger_than_its_tile(kind):
    crop = crop_kind(kind, np.random.default_rng(0), 300, 400, scale=0.5, turn=1.0)
    assert crop.shape == (300, 400) and abs(float(crop.mean())) < 0.6


def test_entities_too_small_to_see_become_none_or_go_to_a_neighbour():
    ids = np.full((8, 8), 4, np.int32)
    ids[:2, :2] = 9  # four pixels
    assert visible_truth(ids).tolist()[0] == [0, 0, 1, 1, 1, 1, 1, 1]
    assert (visible_truth(ids, full=True) == 1).all()
