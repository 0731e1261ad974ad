from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial import ConvexHull

from domains.pathology.morphology import morphology
from domains.pathology.stain import HED, transmitted


def disk(radius: int, side: int = 64) -> np.ndarray:
    y, x = np.mgrid[:side, :side] - side // 2
    return (y**2 + x**2 <= radius**2).astype(np.int32)


def test_a_disk_is_round_full_and_as_large_as_geometry_says() -> None:
    image = transmitted(np.full((64, 64, 1), 0.8) * HED[0]).astype(np.uint8)
    values = morphology(disk(20), image, 0.5e-6)[1]
    assert values["Area µm^2"] == pytest.approx(np.pi * 10**2, rel=0.02)
    assert values["Perimeter µm"] == pytest.approx(2 * np.pi * 10, rel=0.06)
    assert values["Eccentricity"] < 0.05 and values["Solidity"] > 0.95
    assert values["Haematoxylin OD mean"] == pytest.approx(0.8, abs=0.02)


def test_an_ellipse_and_a_notched_square_against_their_formulas() -> None:
    y, x = np.mgrid[:80, :80] - 40
    ids = ((y / 12) ** 2 + (x / 30) ** 2 <= 1).astype(np.int32)
    assert morphology(ids, np.zeros((80, 80, 3), np.uint8), None)[1]["Eccentricity"] == pytest.approx(
        np.sqrt(1 - (12 / 30) ** 2), abs=0.01
    )
    notched = np.zeros((80, 80), np.int32)
    notched[20:60, 20:60] = 1
    notched[30:50, 40:60] = 0
    corners = np.argwhere(notched)[:, None, :] + [[0, 0], [0, 1], [1, 0], [1, 1]]
    hull = ConvexHull(corners.reshape(-1, 2)).volume
    values = morphology(notched, np.zeros((80, 80, 3), np.uint8), None)[1]
    assert values["Solidity"] == pytest.approx(1200 / hull, abs=0.01) and values["Area px^2"] == 1200


def test_eosin_is_no_haematoxylin_and_ids_with_gaps_stay() -> None:
    ids = disk(6)
    ids[ids > 0] = 9
    ids[0, 0], ids[0, 10:12] = 4, 5
    values = morphology(ids, transmitted(np.full((64, 64, 1), 0.8) * HED[1]).astype(np.uint8), None)
    assert list(values) == [4, 5, 9] and abs(values[9]["Haematoxylin OD mean"]) < 0.03
    assert values[4]["Solidity"] == values[5]["Solidity"] == 1
    assert all(np.isfinite(value) for values in values.values() for value in values.values())
    assert morphology(np.zeros((5, 5), np.int32), np.zeros((5, 5, 3), np.uint8), None) == {}


@pytest.mark.parametrize("kind", ["grey", "blue light", "stained"])
def test_haematoxylin_is_told_of_stained_tissue_alone(kind: str) -> None:
    ids = disk(10)
    dark, bright = np.array([40, 40, 40]), np.array([200, 200, 200])
    inside, ground = {
        "grey": (dark, bright),  # coins, cytology in grey
        "blue light": (np.array([10, 20, 220]), np.array([0, 0, 8])),  # fluorescence in false colour
        "stained": (np.array([110, 60, 150]), np.array([240, 230, 240])),
    }[kind]
    image = np.where(ids[..., None] > 0, inside, ground).astype(np.uint8)
    values = morphology(ids, image, None)[1]
    assert ("Haematoxylin OD mean" in values) == (kind == "stained") and "Area px^2" in values
