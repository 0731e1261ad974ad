"""False alarms held to a rate, by scores that are given."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from adapters.options.decoders import Dense, Memory, Query
from adapters.training import quiet
from domains.entities import EntityMap, EntitySample, Place
from domains.errors import InputError


def samples(scores: list[list[float]], foreground: float, defects: int) -> list[EntitySample]:
    """Pictures whose first pixels say the scores that are found on them, in red, and how surely they are foreground, in
    green; the last ones have an entity of their own.
    """
    pictures = []
    for i, of_image in enumerate(scores):
        image = np.zeros((8, 8, 3), np.uint8)
        image[0, : len(of_image), 0] = np.array(of_image) * 100
        image[0, : len(of_image), 1] = foreground * 100
        ids = np.full((8, 8), int(i >= len(scores) - defects), np.int32)
        pictures.append(EntitySample(image, (EntityMap.from_ids(ids),), Place(str(i))))
    return pictures


@pytest.fixture
def network(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """A network that finds what pictures say."""
    decoder = SimpleNamespace(options=Dense(regions=True, least_iou=0.3, sure_foreground=0.8))

    def find(segmenter, scene, contract) -> EntityMap:
        options = segmenter.decoder.options
        scores, foreground = scene[0, scene[0].any(1), :2].T / 100
        kept = scores[(scores >= options.least_iou) | (foreground > options.sure_foreground)].astype(np.float32)
        ids = np.zeros((8, 8), np.int32)
        ids[0, : len(kept)] = np.arange(1, len(kept) + 1)
        return EntityMap(ids, kept)

    monkeypatch.setattr(quiet, "segment", find)
    return SimpleNamespace(decoder=decoder, eval=lambda: None)


CONTRACT = SimpleNamespace(photograph=lambda sample: sample.image)


def held(network, scores: list[list[float]], rate: float, foreground: float = 0, defects: int = 0) -> quiet.Quiet:
    pictures = samples(scores, foreground, defects)
    return quiet.quieten(network, pictures, CONTRACT, rate)  # type: ignore[arg-type]


def test_as_many_good_images_show_an_entity_as_the_rate_allows(network) -> None:
    scores = [[0.1 + 0.02 * i, 0.2] for i in range(39)] + [[0.99]]  # and an image with a defect, which is not asked
    result = held(network, scores, 0.2, defects=1)
    options = network.decoder.options
    assert (result.held_back, result.alarms) == (39, 3)  # by half the rate the 36th is silent, and what is below it
    assert (options.least_iou, options.sure_foreground) == (pytest.approx(0.801), 0.5)
    assert str(result) == (
        "at most 0.2 of good images may show an entity: sure_foreground 0.8 -> 0.5, least_iou 0.3 -> 0.801, "
        "3 of 39 good val images do"
    )


def test_what_is_surely_foreground_is_held_too(network) -> None:
    held(network, [[0.2]] * 3 + [[]] * 57, 0.1, foreground=0.83)  # of 60 half the rate allows two
    assert network.decoder.options.sure_foreground == 0.9
    held(network, [[0.2]] * 2 + [[]] * 58, 0.1, foreground=0.83)
    assert network.decoder.options.sure_foreground == 0.5
    held(network, [[0.0]] * 3 + [[]] * 57, 0.1, foreground=0.83)  # of no score, and seen all the same
    assert network.decoder.options.sure_foreground == 0.9


def test_of_few_good_images_the_strangest_is_the_measure(network) -> None:
    result = held(network, [[0.5], [], [0.7, 0.2]], 0.05)
    assert result.changed["least_iou"][1] == pytest.approx(0.75, abs=0.002) and result.alarms == 0
    assert result.changed["sure_foreground"] == (0.8, 0.6)  # beside the lowest
    assert "so few cannot promise less than 0.25" in str(result)


def test_a_threshold_that_is_quieter_than_it_need_be_falls(network) -> None:
    result = held(network, [[], [0.1], [0.15]] * 10, 0.2)
    assert result.changed["least_iou"] == (0.3, pytest.approx(0.15, abs=0.002)) and result.alarms <= 6
    assert held(network, [[]] * 30, 0.2).changed["least_iou"][1] == 0.1  # the least that calibration tries


def test_decoders_have_their_own_option_and_what_cannot_be_held_is_told(network) -> None:
    assert quiet.score_option(Dense()) == "min_score" and quiet.score_option(Query()) == "score_threshold"
    with pytest.raises(InputError, match="memory has its own"):
        quiet.score_option(Memory())
    with pytest.raises(InputError, match="wants images without entity in val"):
        held(network, [[0.5]], 0.1, defects=1)
