from __future__ import annotations

import numpy as np

from domains.datasets.domain import build_domain
from domains.pathology.in_section import InSection
from domains.pathology.stain import transmitted

PURPLE = np.array([0.6, 0.75, 0.25])


def dyed(ground: float = 0.2) -> tuple[np.ndarray, np.ndarray]:
    """(image, ids) of nuclei in one dye on an even ground."""
    y, x = np.mgrid[:96, :96]
    ids = np.zeros((96, 96), np.int32)
    for number, (row, column) in enumerate([(24, 24), (30, 70), (70, 40)], 1):
        ids[np.hypot(y - row, x - column) < 11] = number
    amount = ground + 0.9 * (ids > 0) + np.random.default_rng(0).normal(0, 0.02, ids.shape)
    return transmitted(amount[..., None] * PURPLE), ids


def test_nuclei_stay_where_they_are_and_their_ground_gets_colours_of_its_own():
    image, ids = dyed()
    before = image.copy()
    shown = [InSection()(image, np.random.default_rng(seed)) for seed in range(25)]
    assert (image == before).all()
    red = [picture[..., 0].astype(float) for picture in shown]
    assert np.mean([r[ids > 0].mean() < r[ids == 0].mean() - 10 for r in red]) > 0.9
    grounds = np.array([picture[ids == 0].mean(0) for picture in shown])
    assert (grounds.std(0) > 8).all()
    assert (InSection()(image, np.random.default_rng(3)) == shown[3]).all()


def test_grey_cytology_is_dyed_and_fluorescence_is_left_alone():
    image, _ = dyed()
    grey = np.repeat(image.mean(2, keepdims=True), 3, 2).astype(np.uint8)
    assert InSection()(grey, np.random.default_rng(0)).std(axis=2).mean() > 2
    glowing = 255 - grey
    assert InSection()(glowing, np.random.default_rng(0)) is glowing


def test_bare_glass_stays_as_it_is():
    glass = np.full((64, 64, 3), 245, np.uint8)
    glass[::5, ::3, 1] = 240
    assert InSection()(glass, np.random.default_rng(0)) is glass


def test_the_domain_knows_it_by_name():
    augmentation = build_domain("pathology", stain_augmentation="section").augmentation()
    assert type(augmentation.transforms[0].change) is InSection
    image, ids = dyed()
    assert augmentation(image=image, masks=[ids])["image"].shape == image.shape
