from __future__ import annotations

import numpy as np
import pytest

from domains.errors import InputError
from domains.scenes import Photograph, Viewed
from domains.scenes.band_view import band_view, difference
from domains.scenes.stretch import apply_stretch, stretch_limits

NAMES = ("blue", "green", "red", "nir")


@pytest.fixture
def scene() -> Photograph:
    rng = np.random.default_rng(0)
    values = rng.integers(1, 4000, (40, 50, 4)).astype(np.uint16) * np.array([1, 2, 3, 8], np.uint16)
    values[:5] = 0
    return Photograph(values, channels=NAMES, nodata=0)


def test_each_band_is_stretched_by_its_own_percentiles_without_nodata(scene):
    view = band_view(scene, ["red", "4", "green", "blue"])
    shown = view(scene.image)
    assert shown.shape == (40, 50, 4) and shown.dtype == np.uint8 and view.channels == ("red", "4", "green", "blue")
    for i, source in enumerate((2, 3, 1, 0)):
        band = scene.image[..., source]
        assert np.array_equal(shown[..., i], apply_stretch(band, *stretch_limits(band, 0), 0))
    assert (shown[:5] == 0).all() and shown[5:].max(axis=(0, 1)).min() == 255


def test_a_window_shows_what_the_whole_shows(scene):
    viewed = Viewed(scene, band_view(scene, ["red", "nir", "ndvi"]))
    whole = viewed.read(0, 0, 40, 50)
    assert np.array_equal(viewed.read(7, 11, 20, 13), whole[7:27, 11:24])
    assert (viewed.read(-3, -3, 3, 3) == 0).all()


def test_an_index_is_the_normalised_difference_of_the_values_as_stored(scene):
    shown = band_view(scene, ["ndvi", "(red-green)/(red+green)", "red"])(scene.image).astype(float)
    blue, green, red, nir = np.moveaxis(scene.image[5:].astype(float), -1, 0)
    assert np.abs(shown[5:, :, 0] / 127.5 - 1 - (nir - red) / (nir + red)).max() < 0.005
    assert np.abs(shown[5:, :, 1] / 127.5 - 1 - (red - green) / (red + green)).max() < 0.005
    assert (shown[:5] == 0).all()


def test_a_difference_is_bounded_and_0_where_it_is_undefined():
    first, second = np.array([3.0, 0, np.nan, 5, -2, -9]), np.array([-1.0, 0, 1, 5, 1, 1])
    assert difference(first, second, nodata=-9).tolist() == [255, 0, 0, 128, 255, 0]


def test_8_bit_bands_stay_and_one_band_is_shown_thrice():
    image = np.arange(60, dtype=np.uint8).reshape(4, 5, 3)
    view = band_view(Photograph(image), ["2"])
    assert np.array_equal(view(image), np.repeat(image[..., 1:2], 3, axis=2)) and view.channels == ("2", "2", "2")


def test_the_recipe_names_the_bands_of_a_file_that_does_not(scene):
    unnamed = Photograph(scene.image, nodata=0)
    named = band_view(unnamed, ["red", "green", "blue"], NAMES)
    assert np.array_equal(named(scene.image), band_view(scene, ["red", "green", "blue"])(scene.image))


@pytest.mark.parametrize(
    ("bands", "names", "wanted"),
    [
        (["red", "green", "swir1"], (), "band 'swir1' is wanted, the image has 4 bands; known: blue, green, nir, red"),
        (["1", "2", "5"], (), "band 5 is wanted, the image has 4"),
        (["1", "2", "0"], (), "band 0 is wanted"),
        (["red"], (*NAMES, "swir1"), r"wanted 5 bands \(blue.*the image has 4"),
    ],
)
def test_a_scene_with_too_few_bands_is_refused_in_one_line(scene, bands, names, wanted):
    with pytest.raises(InputError, match=wanted) as error:
        band_view(scene, bands, names)
    assert "\n" not in str(error.value)


def test_a_file_without_names_asks_for_them():
    with pytest.raises(InputError, match="names none.*domain.band_names"):
        band_view(Photograph(np.zeros((4, 4, 3), np.uint16)), ["red"])


def test_a_band_without_any_value_is_named():
    with pytest.raises(InputError, match="band 'nir' of uint16.*only NaN"):
        band_view(Photograph(np.zeros((4, 4, 4), np.uint16), channels=NAMES, nodata=0), ["nir"])
