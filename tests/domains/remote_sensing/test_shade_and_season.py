from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from domains.crops.augment import Photometric, compose, without_colour
from domains.datasets.domain import DataDomain, build_domain
from domains.errors import InputError
from domains.remote_sensing.domain import DOMAIN
from domains.remote_sensing.season import Season
from domains.remote_sensing.shade import Shade


def test_shade_darkens_a_part_of_every_band_alike_with_a_soft_edge():
    image = np.full((90, 120, 5), (40, 80, 120, 160, 200), np.uint8)
    seen = 0
    for seed in range(20):
        shaded = Shade()(image, np.random.default_rng(seed))
        assert shaded.shape == image.shape and shaded.dtype == np.uint8 and (shaded <= image).all()
        share = shaded / image
        assert np.abs(share - share[..., :1]).max() < 0.03 and share.min() > 0.34
        part = (share[..., 4] < 0.97).mean()
        seen += 0.05 < part < 0.95
        assert np.abs(np.diff(share[..., 4], axis=0)).max() < 0.5
    assert seen > 8


def test_season_moves_plants_and_leaves_roofs():
    image = np.zeros((4, 4, 3), np.uint8)
    image[:2], image[2:] = (60, 140, 50), (150, 150, 150)
    reds = []
    for seed in range(30):
        moved = Season()(image, np.random.default_rng(seed))
        assert np.array_equal(moved[2:], image[2:])
        reds.append(int(moved[0, 0, 0]) - 60)
    assert max(reds) > 10 and min(reds) < -5


def test_season_takes_black_and_white():
    for value in (0, 255):
        image = np.full((3, 3, 3), value, np.uint8)
        assert np.array_equal(Season()(image, np.random.default_rng(0)), image)


@pytest.mark.parametrize("channels", [4, 8])
def test_of_many_bands_the_first_three_are_recoloured_and_all_are_shaded_and_turned(channels):
    image = np.random.default_rng(0).integers(0, 256, (64, 64, channels), np.uint8)
    seasons = Photometric(Season(), p=1.0)
    seasons.set_random_seed(0)
    colour = seasons(image=image)["image"]
    assert np.array_equal(colour[..., 3:], image[..., 3:]) and not np.array_equal(colour[..., :3], image[..., :3])
    whole = DOMAIN(seasons=True).augmentation()
    ids = np.arange(64 * 64, dtype=np.int32).reshape(64, 64)
    for seed in range(10):
        whole.set_random_seed(seed)
        result = whole(image=image, mask=ids)
        assert result["image"].shape == image.shape and result["image"].dtype == np.uint8


def changes(domain: DataDomain) -> list[str]:
    parts: Any = domain.augmentation().transforms
    return [type(one.change).__name__ for one in parts if isinstance(one, Photometric)]


def test_seasons_and_shadows_are_drawn_when_asked_for_and_by_no_other_domain():
    assert not {"Season", "Shade"} & set(changes(DOMAIN()))
    assert changes(DOMAIN(seasons=True)) == ["Season", "Shade", *changes(DOMAIN())]
    with pytest.raises(InputError, match="domain.seasons is True, which 'natural' does not know; leave it False"):
        build_domain("natural", seasons=True).augmentation()


def test_without_colour_only_what_suits_every_band_is_left():
    assert changes(DOMAIN(seasons=True, bands=("nir", "red", "green"))) == ["Shade"]
    assert len(list(without_colour(compose(Photometric(Season()))))) == 0


def test_an_image_of_many_bands_turns_as_each_band_does():
    from domains.crops.augment import Turn

    y, x, c = np.mgrid[:40, :50, :6]
    image = (100 + 2 * y + x + 5 * c).astype(np.uint8)
    turn = Turn(30, p=1.0)
    whole = turn.apply(image, angle_deg=20.0)
    for i in range(6):
        alone = turn.apply(np.repeat(image[..., i : i + 1], 3, 2), angle_deg=20.0)[..., 0]
        assert np.abs(whole[..., i].astype(int) - alone).max() <= 1  # OpenCV rounds by number of channels
