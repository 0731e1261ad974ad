"""What thresholds mean for a backbone: percentiles of its neighbours' similarity, in its folder or measured."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from adapters.inference.neighbours import COLOUR_SIGMA, NAME, Neighbours, colours_of
from domains.errors import InputError


def test_thresholds_are_quantiles_of_the_cosines_between_neighbours() -> None:
    grid = np.zeros((2, 3, 2))
    grid[..., 0], grid[:, 2] = 1, (0, 1)  # of 7 pairs the two into the last column are at right angles
    neighbours = Neighbours.measured(2, [grid])
    assert neighbours.thresholds([0.9, 0.0]) == (1.0, 0.0)
    with pytest.raises(InputError, match="too small to be merged"):
        Neighbours.measured(2, [np.ones((1, 1, 2))])


def test_a_folder_says_them_unless_they_are_of_another_kernel(tmp_path: Path) -> None:
    said = Neighbours(2, tuple(np.linspace(-1, 1, 101).round(6).tolist()))
    said.write(tmp_path)
    assert Neighbours.read(tmp_path) == said
    assert Neighbours.read(tmp_path / "none") is None
    replace(said, colour_sigma=COLOUR_SIGMA / 2).write(tmp_path)
    assert Neighbours.read(tmp_path) is None


def test_products_of_colours_are_a_kernel_of_their_distance() -> None:
    pairs = np.array([[[120, 60, 40], [120, 60, 40]], [[90, 90, 90], [110, 120, 90]], [[255, 255, 255], [0, 0, 0]]])
    image = np.kron(pairs.astype(np.uint8), np.ones((4, 4, 1), np.uint8))  # cells of 4 px
    lab = cv2.cvtColor(pairs.astype(np.float32) / 255, cv2.COLOR_RGB2LAB)
    distance = np.linalg.norm(lab[:, 0] - lab[:, 1], axis=1)
    vectors = colours_of(image, (3, 2))
    assert vectors.shape == (3, 2, 64) and vectors.dtype == np.float32
    products = np.einsum("nd,nd->n", vectors[:, 0], vectors[:, 1])
    assert products == pytest.approx(np.exp(-(distance**2) / (2 * COLOUR_SIGMA**2)), abs=0.25)
    assert products[0] > products[1] > products[2] + 0.3


@pytest.mark.parametrize(
    "text", ["{", '{"tap": 1}', '{"tap": 0, "percentiles": [0]}', '{"tap": 1, "percentiles": ["a"]}']
)
def test_a_damaged_table_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / NAME).write_text(text)
    with pytest.raises(InputError, match="remove it"):
        Neighbours.read(tmp_path)
