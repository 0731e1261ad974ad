"""Entities of a field of strangeness, counted by hand."""

from __future__ import annotations

import numpy as np
import torch

from adapters.options.decoders import Memory
from adapters.proposals.strangeness import Strangeness

FIELD = np.full((12, 12), 0.1, np.float32)
FIELD[1:4, 1:4] = 0.6  # nine pixels
FIELD[4, 4] = 0.9  # and one that touches at a corner
FIELD[8:10, 8:10] = 0.7  # four


def test_connected_strange_pixels_are_entities_scored_by_the_strangest() -> None:
    entities = Strangeness(Memory(min_area_px=5)).cut(FIELD)
    assert entities.count == 1 and int((entities.ids == 1).sum()) == 10
    assert entities.scores is not None and entities.scores[0] == np.float32(0.9)
    assert entities.pixel_scores is not None and entities.pixel_scores.dtype == np.float16
    both = Strangeness(Memory(min_area_px=4)).cut(FIELD)
    assert both.count == 2 and both.ids[8, 8] == 2
    assert Strangeness(Memory(strange=0.95)).cut(FIELD).count == 0


def test_outputs_are_cropped_to_their_image_and_become_scores() -> None:
    logits = torch.zeros(2, 1, 8, 8)
    prepared = Strangeness(Memory()).prepared({"foreground": logits}, 1, (5, 6))
    assert prepared.shape == (5, 6) and (prepared == 0.5).all()


def test_the_critical_score_is_where_the_last_entity_of_an_area_goes() -> None:
    for area, expected in ((4, 0.7), (5, 0.6), (1, 0.9), (11, 0.1)):
        score = Strangeness(Memory(min_area_px=area)).critical(FIELD)
        assert abs(score - expected) < 1e-3
        assert Strangeness(Memory(strange=score, min_area_px=area)).cut(FIELD).count == 0
        assert Strangeness(Memory(strange=score - 2e-3, min_area_px=area)).cut(FIELD).count > 0
