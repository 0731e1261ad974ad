"""Good images beside the same with a drawn entity."""

from __future__ import annotations

import numpy as np

from domains.crops.drawn_samples import WithDrawn
from domains.entities import EntityMap, EntitySample, Place
from domains.industrial.drawn import draw_defect


def test_the_second_half_has_a_drawn_entity_on_the_same_ground() -> None:
    ground = np.full((40, 70, 3), 120, np.uint8)
    samples = [EntitySample(ground, (EntityMap(np.zeros((40, 70), np.int32)),), Place(name)) for name in "ab"]
    drawn = WithDrawn(samples, draw_defect, seed=3)
    assert len(drawn) == 4 and [drawn[i].truth.count for i in (0, 1)] == [0, 0]
    assert sum(drawn[i].truth.count for i in (2, 3)) >= 1
    for i in (2, 3):
        sample, again = drawn[i], drawn[i]
        changed = (sample.image != ground).any(2)
        assert np.array_equal(sample.image, again.image) and sample.image.shape == ground.shape
        assert not changed[:, :15].any() and not changed[:, 55:].any() and sample.truth.shape == (40, 70)
        assert "with a drawn entity" in sample.place.scene
    assert (ground == 120).all()
