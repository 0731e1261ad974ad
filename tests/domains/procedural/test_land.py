"""Land of any size: a piece shows what the whole shows there, and what is drawn is what is true."""

from __future__ import annotations

import numpy as np
import pytest
from skimage.measure import label

from domains.procedural.land import Land, clipped, polygon_area

SIDE = 900


@pytest.fixture(scope="module")
def land() -> Land:
    return Land(3, SIDE)


def test_the_same_seed_draws_the_same(land: Land) -> None:
    image, ids = Land(3, SIDE).draw(200, 100, 300, 200)
    again, ids_again = land.draw(200, 100, 300, 200)
    np.testing.assert_array_equal(image, again)
    np.testing.assert_array_equal(ids, ids_again)
    assert (Land(4, SIDE).draw(200, 100, 300, 200)[1] != ids).any()


def test_a_piece_holds_the_entities_of_the_whole_there(land: Land) -> None:
    whole = land.ids(0, 0, SIDE, SIDE)
    np.testing.assert_array_equal(land.draw(311, 137, 256, 300)[1], whole[311:567, 137:437])


def test_every_pixel_is_of_an_entity_that_is_in_one_piece(land: Land) -> None:
    ids = land.ids(0, 0, SIDE, SIDE)
    assert ids.min() > 0
    sizes = np.sqrt(np.bincount(ids.ravel())[1:])
    assert sizes[sizes > 0].min() < 60 and sizes.max() > 250
    parcels = [number for number in land.sizes if (ids == number).sum() > 100]
    assert parcels and all(label(ids == number, connectivity=2).max() == 1 for number in parcels)


def test_a_small_thing_differs_from_its_ground(land: Land) -> None:
    landmarks = [landmark for landmarks in land.cells.values() for landmark in landmarks]
    assert len(landmarks) > 10
    for landmark in landmarks:
        x, y = landmark.outline.mean(0)[0], landmark.outline[:, 1].min() - 6
        ground = int(land.ids(int(y), int(x), 1, 1)[0, 0])
        assert np.abs(land.looks.colour[landmark.number] - land.looks.colour[ground]).max() > 25


def test_a_square_is_clipped_to_its_half() -> None:
    square = np.array([[0.0, 0], [2, 0], [2, 2], [0, 2]])
    half = clipped(square, np.array([1.0, 0]), 0.5)
    assert polygon_area(square) == 4 and polygon_area(half) == pytest.approx(1)
    assert half[:, 0].max() == 0.5
