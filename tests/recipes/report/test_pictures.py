from __future__ import annotations

import base64
import io

import numpy as np
import pytest
from PIL import Image

from domains.entities import EntityMap
from domains.metrics import MetricSet
from recipes.report.pictures import (
    ALONE,
    LEAST_SIDE_PX,
    MANY_IMAGES,
    MATCHED,
    MATCHED_WITHIN,
    SIDES_PX,
    UNLABELLED,
    Chosen,
    chosen_images,
    outlined,
    picture_of,
)


def square(*places: tuple[int, int], side: int = 8) -> EntityMap:
    """A map of 40 x 60 with a square at each place."""
    ids = np.zeros((40, 60), np.int32)
    for i, (y, x) in enumerate(places):
        ids[y : y + side, x : x + side] = i + 1
    return EntityMap(ids)


def measured(shifts: list[int], keys: tuple[str, ...] = ("ap50", "pq", "aji")) -> MetricSet:
    """An image per shift of the only prediction against the only truth."""
    metrics = MetricSet(keys)
    for i, shift in enumerate(shifts):
        metrics.update(square((4, 4 + shift)), [square((4, 4))], group=str(i))
    return metrics


def test_the_best_the_middle_and_the_worst_image_are_chosen_by_the_headline():
    chosen = chosen_images(measured([3, 0, 1, 2, 4]), "aji")
    assert [(choice.kind, choice.index, choice.key) for choice in chosen] == [
        ("best", 1, "aji"),
        ("median", 3, "aji"),
        ("worst", 4, "aji"),
    ]
    assert chosen[0].value == 1 and chosen[1].value == pytest.approx(48 / 80)


def test_a_headline_that_is_no_number_of_an_image_gives_way_to_pq_and_undefined_images_are_left_out():
    metrics = measured([0, 1])
    metrics.update(square(), [square()], group="empty")
    chosen = chosen_images(metrics, "ap50")
    assert [(choice.kind, choice.index, choice.key) for choice in chosen] == [("best", 0, "pq"), ("worst", 1, "pq")]
    assert chosen_images(measured([0], ("ap50",)), "ap50") == []


def test_there_are_two_images_of_each_kind_where_there_are_many():
    chosen = chosen_images(measured([i % 7 for i in range(MANY_IMAGES)]), "aji")
    assert [choice.kind for choice in chosen] == ["best"] * 2 + ["median"] * 2 + ["worst"] * 2


def decoded(address: str) -> Image.Image:
    return Image.open(io.BytesIO(base64.b64decode(address.partition(",")[2])))


def test_a_picture_is_an_image_and_two_clear_layers_of_its_size():
    image = np.full((40, 60, 3), 90, np.uint8)
    truth, prediction = square((4, 4), (20, 40)), square((4, 5), (24, 10), (30, 30))
    picture = picture_of(image, truth, prediction, Chosen(0, "best", "pq", 0.4), "cells")
    assert (picture.value, picture.counts) == ("pq 0.400", "1 right, 2 wrong, 1 missed")
    assert picture.width == SIDES_PX[0] and picture.height == SIDES_PX[0] * 40 // 60
    plain, *layers = map(decoded, (picture.image, picture.truth, picture.prediction))
    assert abs(np.asarray(plain.convert("RGB")).astype(int) - 90).max() <= 2
    for layer in layers:
        assert layer.size == plain.size
        assert np.asarray(layer.convert("RGBA"))[0, 0, 3] == 0  # clear where there is no entity


def test_outlines_have_the_colour_of_what_matches_or_does_not():
    ids = square((4, 4), (20, 40)).ids
    layer = outlined(ids, [1], 60)
    assert layer[4, 4] == MATCHED and layer[20, 40] == ALONE and layer[8, 8] == MATCHED_WITHIN and layer[0, 0] == 0


def test_unlabelled_pixels_are_seen():
    ids = square((4, 4)).ids.copy()
    ids[:, 50:] = -1
    picture = picture_of(
        np.zeros((40, 60, 3), np.uint8), EntityMap(ids), square((4, 4)), Chosen(0, "best", "pq", 1), "a"
    )
    layer = np.asarray(decoded(picture.truth))
    assert layer[0, -1] == UNLABELLED and layer[0, 0] == 0


@pytest.mark.parametrize("shape", [(3000, 40), (1, 1), (900, 1200)])
def test_a_picture_of_any_shape_stays_within_its_bytes(shape):
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (*shape, 3), np.uint8)
    ids = EntityMap(rng.integers(0, 9, shape, np.int32))
    picture = picture_of(image, ids, ids, Chosen(0, "best", "pq", 1), "noise", most_bytes=400_000)
    data = sum(len(base64.b64decode(a.partition(",")[2])) for a in (picture.image, picture.truth, picture.prediction))
    assert data <= 400_000 and LEAST_SIDE_PX <= max(picture.width, picture.height) <= SIDES_PX[0]
