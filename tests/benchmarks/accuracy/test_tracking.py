from __future__ import annotations

import numpy as np
import pytest

from benchmarks.accuracy import tracking
from domains.procedural.clips import draw_clip


def test_perturbed_entities_are_the_true_ones_renumbered_ragged_dropped_and_merged(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ids, rng = draw_clip("division", 1, 4, 96, 96).frame(2)[1], np.random.default_rng(0)
    for name in ("DROPPED", "MERGED"):
        monkeypatch.setattr(tracking, name, 0.0)
    ragged = tracking.perturbed(rng, ids)
    assert len(np.unique(ragged)) == len(np.unique(ids)) and not np.array_equal(ragged > 0, ids > 0)
    agreed = ((ragged > 0) & (ids > 0)).sum() / ((ragged > 0) | (ids > 0)).sum()
    assert 0.5 < agreed < 1
    monkeypatch.setattr(tracking, "DROPPED", 1.0)
    assert not tracking.perturbed(rng, ids).any()
    monkeypatch.setattr(tracking, "DROPPED", 0.0)
    monkeypatch.setattr(tracking, "MERGED", 1.0)
    pair = np.zeros((20, 20), np.int32)
    pair[5:15, 3:10], pair[5:15, 10:17] = 4, 9
    assert len(np.unique(tracking.perturbed(rng, pair))) == 2
