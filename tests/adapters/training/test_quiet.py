"""False alarms held to a rate, by scores that are given."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from adapters.options.decoders import Dense, Memory, Query
from adapters.training import quiet
from domains.entities import EntityMap, EntitySample, Place
from domains.errors import InputError


def samples(scores: list[list[float]], defects: int = 0) -> list[EntitySample]:
    """Pictures whose first pixels say the scores that are found on them; the last ones have an entity of their own."""
    pictures = []
    for i, of_image in enumerate(scores):
        image = np.zeros((8, 8, 3), np.uint8)
        image[0, : len(of_image), 0] = np.array(of_image) * 100
        ids = np.full((8, 8), int(i >= len(scores) - defects), np.int32)
        pictures.append(EntitySample(image, (EntityMap.from_ids(ids),), Place(str(i))))
    return pictures


@pytest.fixture
def network(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """A network that finds what pictures say, of the least score at least."""
    decoder = SimpleNamespace(options=Dense(regions=True, least_iou=0.3, sure_foreground=0.8))

    def found(segmenter, scene, contract) -> EntityMap:
        options = segmenter.decoder.options
        scores = scene[0, :, 0][scene[0, :, 0] > 0] / 100
        scores = scores[(scores >= options.least_iou) | (options.sure_foreground < 1)].astype(np.float32)
        ids = np.zeros((8, 8), np.int32)
        ids[0, : len(scores)] = np.arange(1, len(scores) + 1)
        return EntityMap(ids, scores)

    monkeypatch.setattr(quiet, "segment", found)
    return SimpleNamespace(decoder=decoder, eval=lambda: None)


CONTRACT = SimpleNamespace(photograph=lambda sample: sample.image)


def held(network, scores: list[list[float]], rate: float, defects: int = 0) -> quiet.Quiet:
    return quiet.quieten(network, samples(scores, defects), CONTRACT, rate)  # type: ignore[arg-type]


def test_as_many_good_images_show_an_entity_as_the_rate_allows(network) -> None:
    scores = [[0.1 + 0.02 * i, 0.2] for i in range(39)] + [[0.99]]  # and an image with a defect, which is not asked
    result = held(network, scores, 0.1, defects=1)
    assert (result.held_back, result.alarms) == (39, 3)  # the 36th of 39 is silent, and what is below it
    assert network.decoder.options.least_iou == result.now == pytest.approx(0.801)
    assert network.decoder.options.sure_foreground == 1
    assert str(result) == (
        "at most 0.1 of good images may show an entity: least_iou 0.3 -> 0.801, 3 of 39 good val images do"
    )


def test_of_few_good_images_the_strangest_is_the_measure(network) -> None:
    result = held(network, [[0.5], [], [0.7, 0.2]], 0.05)
    assert result.now == pytest.approx(0.75, abs=0.002) and result.alarms == 0
    assert "so few cannot promise less than 0.25" in str(result)


def test_a_threshold_that_is_quieter_than_it_need_be_falls(network) -> None:
    result = held(network, [[], [0.1], [0.15]] * 10, 0.2)
    assert result.was == 0.3 and result.now == pytest.approx(0.15, abs=0.002) and result.alarms <= 6
    assert held(network, [[]] * 30, 0.2).now == 0.1  # the least that calibration tries


def test_decoders_have_their_own_option_and_what_cannot_be_held_is_told(network) -> None:
    assert quiet.score_option(Dense()) == "min_score" and quiet.score_option(Query()) == "score_threshold"
    with pytest.raises(InputError, match="memory has its own"):
        quiet.score_option(Memory())
    with pytest.raises(InputError, match="wants images without entity in val"):
        held(network, [[0.5]], 0.1, defects=1)
