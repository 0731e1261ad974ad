"""What thresholds mean for a backbone: percentiles of its neighbours' similarity, in its folder or measured."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from adapters.backbones.embedded_bases import folder_of
from adapters.inference.neighbours import NAME, QUANTILES, Neighbours
from domains.errors import InputError


def test_thresholds_are_quantiles_of_the_cosines_between_neighbours() -> None:
    grid = np.zeros((2, 3, 2))
    grid[..., 0], grid[:, 2] = 1, (0, 1)  # of 7 pairs the two into the last column are at right angles
    neighbours = Neighbours.measured(2, [grid])
    assert neighbours.thresholds([0.9, 0.0]) == (1.0, 0.0)
    with pytest.raises(InputError, match="too small to be merged"):
        Neighbours.measured(2, [np.ones((1, 1, 2))])


def test_the_embedded_base_says_its_own(tmp_path: Path) -> None:
    said = Neighbours.read(folder_of("entity-small"))
    assert said is not None
    thresholds = said.thresholds(QUANTILES)
    assert list(thresholds) == sorted(thresholds, reverse=True) and len(set(thresholds)) == len(QUANTILES)
    said.write(tmp_path)
    assert Neighbours.read(tmp_path) == said
    assert Neighbours.read(tmp_path / "none") is None


@pytest.mark.parametrize(
    "text", ["{", '{"tap": 1}', '{"tap": 0, "percentiles": [0]}', '{"tap": 1, "percentiles": ["a"]}']
)
def test_a_damaged_table_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / NAME).write_text(text)
    with pytest.raises(InputError, match="remove it"):
        Neighbours.read(tmp_path)
