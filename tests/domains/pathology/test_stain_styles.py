from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from domains.datasets.domain import build_domain
from domains.errors import InputError
from domains.pathology.normalise import tissue, to_lab
from domains.pathology.stain import HED, transmitted
from domains.pathology.stain_styles import StainStyles


def tile(hue: float, seed: int = 0) -> np.ndarray:
    """(64, 64, 3) stained tissue beside glass."""
    rng = np.random.default_rng(seed)
    amounts = rng.uniform(0.2, 1, (64, 64, 2))
    amounts[:, :8] = 0
    vectors = HED[:2] + [[hue, 0, 0], [0, 0, hue]]
    return transmitted((amounts @ vectors).astype(np.float32))


IMAGES = [tile(hue, seed) for seed, hue in enumerate((-0.15, -0.05, 0.05, 0.15))]


def mean_lab(image: np.ndarray) -> np.ndarray:
    return to_lab(tissue(image)[None])[0].mean(axis=0)


def test_statistics_are_the_moments_of_the_images_moments() -> None:
    styles = StainStyles.of(IMAGES)
    assert styles is not None
    means = np.array([mean_lab(image) for image in IMAGES])
    assert np.array(styles.statistics[0][0]) == pytest.approx(means.mean(axis=0), abs=1e-3)
    assert np.array(styles.statistics[0][1]) == pytest.approx(means.std(axis=0), abs=1e-3)


def test_templates_stay_within_the_styles_and_differ_by_seed() -> None:
    styles = StainStyles.of(IMAGES)
    assert styles is not None
    centre, spread = np.array(styles.statistics[0][0]), np.array(styles.statistics[0][1])
    drawn = [styles(IMAGES[0], np.random.default_rng(seed)) for seed in range(20)]
    assert len({image.tobytes() for image in drawn}) == 20
    assert (drawn[3] == styles(IMAGES[0], np.random.default_rng(3))).all()
    moved = np.array([mean_lab(image) for image in drawn])
    assert (np.abs(moved - centre) < 2.5 * spread + 4).all()
    assert moved.std(axis=0).max() > 0.4 * spread.max()


def test_no_spread_is_normalisation_to_the_mean_style() -> None:
    styles = StainStyles.of(IMAGES, spread=0)
    assert styles is not None
    drawn = [mean_lab(styles(image, np.random.default_rng(seed))) for seed, image in enumerate(IMAGES)]
    assert np.ptp(drawn, axis=0).max() < 0.4 * np.ptp([mean_lab(image) for image in IMAGES], axis=0).max()


def test_glass_grey_and_blank_tiles_stay() -> None:
    styles = StainStyles.of(IMAGES)
    assert styles is not None
    rng = np.random.default_rng(0)
    for blank in (np.full((32, 32, 3), 255, np.uint8), np.zeros((32, 32, 3), np.uint8)):
        assert styles(blank, rng) is blank
    grey = np.repeat(IMAGES[0][..., :1], 3, axis=2)
    assert styles(grey, rng) is grey
    assert (styles(IMAGES[0], rng)[:, :8] >= IMAGES[0][:, :8].astype(int) - 3).all()
    assert StainStyles.of([grey, np.full((32, 32, 3), 255, np.uint8), IMAGES[0]]) is None


@pytest.mark.parametrize("kind", ["jitter", "styles", "both"])
def test_the_domain_changes_stains_when_asked(kind: str) -> None:
    domain = build_domain("pathology", sample_count=16, stain_augmentation=kind)
    image = domain.dataset("train")[0].image  # type: ignore[index]
    augmented = domain.augmentation()(image=image, mask=np.zeros(image.shape[:2], np.int32))
    assert augmented["image"].shape == image.shape
    plain: Any = build_domain("pathology", sample_count=16).augmentation().transforms
    changed: Any = domain.augmentation().transforms
    assert len(changed) > len(plain)
    with pytest.raises(InputError, match="which 'natural' does not know; leave it"):
        build_domain("natural", stain_augmentation=kind).augmentation()
