"""What augmentation does to image and ids, and resizing."""

from __future__ import annotations

import numpy as np
import pytest
from skimage.color import hed_from_rgb

from domains.crops.augment import Turn, augment, compose
from domains.crops.crops import CropOptions
from domains.crops.train_crops import TrainCrops
from domains.datasets.domain import build_domain
from domains.entities import UNLABELLED, EntityMap, EntitySample, Place, collate
from domains.entities.resize import resize_ids, resize_map, resize_sample
from domains.industrial.light import UnevenLight
from domains.natural.photometry import OtherCamera
from domains.pathology.counterstain import Counterstain
from domains.pathology.stain import HED, StainJitter
from domains.registry import house_domains
from domains.remote_sensing.atmosphere import Haze, Sunlight
from tests.domains.crops.chequerboard import squares

CHANGES = (StainJitter(), Counterstain(), UnevenLight(), Haze(), Sunlight(), OtherCamera())
STILL = (StainJitter(0, 0, 0), Counterstain(0), UnevenLight(0, 0, 0), Haze(0), Sunlight(0, 0, 0), OtherCamera(0, 0, 0))


def test_a_turn_leaves_corners_unlabelled_and_the_image_without_black():
    sample = EntitySample(np.full((65, 65, 3), 200, np.uint8), (EntityMap(np.ones((65, 65), np.int32)),), Place("flat"))
    turned = augment(sample, compose(Turn(45, p=1)), 1)
    assert (turned.image > 198).all()
    corners = turned.truth.ids[[0, 0, -1, -1], [0, -1, 0, -1]]
    assert (corners == UNLABELLED).all() and turned.truth.ids[32, 32] == 1
    assert set(np.unique(turned.truth.ids)) == {UNLABELLED, 1}


def test_natural_images_are_never_turned_upside_down():
    image = np.zeros((32, 32, 3), np.uint8)
    image[:16] = 200
    sample = EntitySample(image, (EntityMap(np.ones((32, 32), np.int32)),), Place("sky"))
    pipeline = build_domain("natural").augmentation()
    assert all(augment(sample, pipeline, seed).image[:8].mean() > 100 for seed in range(20))


@pytest.mark.parametrize("change", STILL, ids=lambda change: type(change).__name__)
def test_a_change_of_strength_zero_changes_nothing(change):
    image = np.random.default_rng(0).integers(1, 256, (16, 16, 3), np.uint8)
    assert np.abs(change(image, np.random.default_rng(0)).astype(int) - image).max() <= 1


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: type(change).__name__)
def test_a_change_follows_its_random_generator_and_leaves_its_input_alone(change):
    image = np.random.default_rng(0).integers(0, 256, (24, 40, 3), np.uint8)
    before = image.copy()
    results = [change(image, np.random.default_rng(seed)) for seed in (1, 1, 2)]
    assert (image == before).all()
    assert all(result.shape == image.shape and result.dtype == np.uint8 for result in results)
    assert (results[0] == results[1]).all() and (results[0] != results[2]).any()


def test_stain_vectors_are_those_of_scikit_image():
    theirs = np.linalg.inv(hed_from_rgb)
    assert np.allclose(HED, theirs / np.linalg.norm(theirs, axis=1, keepdims=True))


def test_stain_jitter_changes_tissue_and_leaves_glass_white():
    tissue = (255 * np.exp(-1.2 * HED[0])).astype(np.uint8)  # haematoxylin
    image = np.full((8, 8, 3), 255, np.uint8)
    image[:4] = tissue
    results = [StainJitter()(image, np.random.default_rng(seed)) for seed in range(40)]
    assert min(result[4:].min() for result in results) >= 245
    spread = np.std([result[0, 0] for result in results], axis=0)
    assert (spread > 4).all()
    assert all(result[0, 0, 2] > result[0, 0, 1] for result in results)  # purple stays purple: more blue than green


def test_a_counterstain_dyes_the_glass_pink_and_darkens_every_channel():
    image = np.full((32, 32, 3), 250, np.uint8)
    for seed in range(10):
        dyed = Counterstain(hue=0)(image, np.random.default_rng(seed)).astype(int)
        assert (dyed <= image).all()
        red, green, blue = dyed.mean((0, 1))
        assert red >= blue >= green  # eosin takes green most and red least


def test_more_dye_is_darker_as_beer_and_lambert_say():
    class Doubled:
        """Draws twice the dye and leaves the rest alone."""

        def uniform(self, low, high, size):
            return np.full(size, 2.0 if low > 0 else 0.0)

        def normal(self, mean, deviation, size):
            return np.zeros(size)

    image = np.full((2, 2, 3), (160, 120, 200), np.uint8)
    twice = StainJitter()(image, Doubled())
    assert np.abs(twice[0, 0] - 255 * (image[0, 0] / 255) ** 2).max() <= 1


@pytest.mark.parametrize(
    "change", [StainJitter(), Counterstain(), UnevenLight()], ids=lambda change: type(change).__name__
)
def test_a_grey_picture_stays_grey(change):
    image = np.random.default_rng(0).integers(0, 256, (16, 16, 1), np.uint8).repeat(3, 2)
    for seed in range(5):
        changed = change(image, np.random.default_rng(seed))
        assert (changed == changed[..., :1]).all()


def test_haze_moves_every_pixel_towards_a_bright_veil():
    image = np.full((16, 16, 3), 40, np.uint8)
    assert (Haze()(image, np.random.default_rng(0)) > image).all()


# Resizing


def test_resized_ids_are_exact_and_only_those_that_were_there():
    ids = squares(48, 60, base=2**31 - 200).truth.ids
    assert (resize_ids(resize_ids(ids, (96, 120)), (48, 60)) == ids).all()
    assert set(np.unique(resize_ids(ids, (31, 47)))) <= set(np.unique(ids))


def test_a_resized_map_carries_scores_labels_and_parents_of_what_is_left():
    ids = np.zeros((40, 40), np.int32)
    ids[:20], ids[20:], ids[1, 1] = 1, 3, 2
    entities = EntityMap(
        ids, np.array([0.1, 0.2, 0.3]), np.array([4, 5, 6], np.int32), ("a",) * 7, np.array([3, 1, 0], np.int32)
    )
    small = resize_map(entities, (4, 4))
    assert small.scores.tolist() == [0.1, 0.3] and small.labels.tolist() == [4, 6] and small.parents.tolist() == [2, 0]
    assert resize_map(entities, (40, 40)) is entities


def test_a_resized_sample_keeps_its_world_size():
    sample = squares(48, 60, base=1)
    double = resize_sample(sample, 2.0)
    assert double.image.shape == (96, 120, 3) and double.truth.shape == (96, 120)
    assert double.place.pixel_size_m == pytest.approx(0.5e-6)
    assert resize_sample(sample, 0.001).image.shape == (1, 1, 3)


@pytest.mark.parametrize("name", house_domains())
def test_augmented_crops_of_a_domain_make_a_batch(name):
    domain = build_domain(name, sample_count=3)
    batch = collate(TrainCrops(domain.dataset("train"), CropOptions(crop_px=64), domain.augmentation(), length=3))
    assert batch.images.shape == (3, 3, 64, 64)
    assert batch.images.min() >= 0 and batch.images.max() <= 1
    assert len(batch.masks) == 3
