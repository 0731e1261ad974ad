from __future__ import annotations

import numpy as np
import pytest

from domains.datasets.domain import build_domain
from domains.errors import InputError
from domains.pathology.as_dye import AsDye
from domains.procedural.scene import draw_scene


def glowing() -> tuple[np.ndarray, np.ndarray]:
    """(image, ids) of fluorescence."""
    y, x = np.mgrid[:64, :64]
    ids = ((y - 30) ** 2 + (x - 30) ** 2 < 144).astype(np.int32)
    glow = 6 + 90 * ids + np.random.default_rng(0).integers(0, 5, ids.shape)
    return np.repeat(glow[..., None], 3, axis=2).astype(np.uint8), ids


def test_what_glowed_is_dark_on_light_and_coloured() -> None:
    image, ids = glowing()
    before = image.copy()
    shown = [AsDye()(image, np.random.default_rng(seed)) for seed in range(20)]
    assert (image == before).all()
    for one in shown:
        assert one.shape == image.shape and one.dtype == np.uint8
        assert one[ids == 1].mean() < one[ids == 0].mean() - 15
        assert one.std(axis=2).mean() > 1
    means = np.array([one[ids == 1].mean(axis=0) for one in shown])
    assert (means.std(axis=0) > 5).all()  # another dye each time
    again = AsDye()(image, np.random.default_rng(3))
    assert (again == shown[3]).all()


@pytest.mark.parametrize("family", ["nuclei_he", "aerial"])
def test_a_coloured_or_bright_picture_stays_as_it_is(family: str) -> None:
    image = draw_scene(family, (1, 2), 64, 64).image
    assert AsDye()(image, np.random.default_rng(0)) is image
    grey = np.full((8, 8, 3), 180, np.uint8)
    assert AsDye()(grey, np.random.default_rng(0)) is grey


def test_an_empty_picture_does_not_become_noise() -> None:
    image = np.full((64, 64, 3), 5, np.uint8)
    image[::7, ::5] += 1
    for seed in range(5):
        shown = AsDye(glass=1)(image, np.random.default_rng(seed)).astype(int)
        assert shown.std(axis=(0, 1)).max() < 25


def test_a_domain_shows_a_share_of_its_crops_so_and_others_know_none() -> None:
    image, ids = glowing()
    dyed = build_domain("pathology", fluorescence_as_dye=1.0).augmentation()
    assert type(dyed.transforms[0].change) is AsDye and dyed.transforms[0].p == 1.0
    assert dyed(image=image, masks=[ids])["image"].std(axis=2).mean() > 1
    plain = build_domain("pathology").augmentation()
    assert len(plain.transforms) == len(dyed.transforms) - 1
    with pytest.raises(InputError, match="which 'natural' does not know; leave it"):
        build_domain("natural", fluorescence_as_dye=0.5).augmentation()
