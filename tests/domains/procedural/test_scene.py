from __future__ import annotations

import numpy as np
import pytest

from domains.entities import EntityMap
from domains.errors import InputError
from domains.procedural import SCENES
from domains.procedural.scene import draw_scene
from domains.procedural.surfaces import surfaces
from domains.procedural.truth import MIN_AREA_PX

FAMILIES = sorted(SCENES)
FULL = {"landscapes", "leaves", "mosaic"}  # every pixel belongs to an entity
SCENES_EACH = 10


def pixels(image: np.ndarray, truth: np.ndarray | EntityMap) -> tuple[np.ndarray, np.ndarray]:
    return image, truth.ids if isinstance(truth, EntityMap) else truth


@pytest.fixture(scope="module")
def drawn() -> dict[str, list[tuple[np.ndarray, np.ndarray]]]:
    return {
        family: [pixels(*SCENES[family](np.random.default_rng((1, i)), 96, 128)) for i in range(SCENES_EACH)]
        for family in FAMILIES
    }


@pytest.mark.parametrize("family", FAMILIES)
def test_a_scene_is_an_rgb_image_and_a_map_of_its_size(family, drawn):
    for image, ids in drawn[family]:
        assert image.shape == (96, 128, 3) and image.dtype == np.uint8
        assert ids.shape == (96, 128) and ids.dtype == np.int32


@pytest.mark.parametrize("family", FAMILIES)
def test_ids_are_dense_and_no_entity_is_too_small_to_see(family, drawn):
    for _, ids in drawn[family]:
        areas = np.bincount(ids.ravel())[1:]
        assert ids.min() >= 0
        assert (areas >= MIN_AREA_PX).all()


@pytest.mark.parametrize("family", FAMILIES)
def test_only_full_families_leave_no_pixel_without_an_entity(family, drawn):
    bare = [bool((ids == 0).any()) for _, ids in drawn[family]]
    assert not any(bare) if family in FULL else sum(bare) >= SCENES_EACH - 1


@pytest.mark.parametrize(
    ("family", "least", "most"),
    [
        ("leaves", 6, 140),
        ("nuclei_he", 8, 120),
        ("nuclei_fluo", 2, 80),
        ("tissue", 10, 90),
        ("surfaces", 0.8, 6),
        ("aerial", 2, 60),
        ("mosaic", 6, 200),
        ("objects", 1.5, 22),
        ("landscapes", 4, 30),
        ("nested", 6, 40),
    ],
)
def test_the_mean_number_of_entities_is_that_of_such_pictures(family, least, most, drawn):
    assert least <= np.mean([ids.max() for _, ids in drawn[family]]) <= most


@pytest.mark.parametrize("family", FAMILIES)
def test_images_differ_and_are_not_flat(family, drawn):
    images = [image for image, _ in drawn[family]]
    assert len({image.tobytes() for image in images}) == SCENES_EACH
    assert np.median([image.std() for image in images]) > 4


@pytest.mark.parametrize("family", FAMILIES)
def test_a_seed_draws_the_same_scene_again_and_another_seed_another(family):
    first, again, other = (draw_scene(family, seed, 64, 64) for seed in ((3, 5), (3, 5), (3, 6)))
    assert np.array_equal(first.image, again.image) and np.array_equal(first.truth.ids, again.truth.ids)
    assert not np.array_equal(first.image, other.image)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize(("height", "width"), [(32, 32), (40, 200), (257, 129)])
def test_any_size_is_drawn(family, height, width):
    for seed in range(3):
        sample = draw_scene(family, seed, height, width)
        assert sample.image.shape == (height, width, 3)
        assert sample.truth.shape == (height, width)


def test_entities_show_in_the_image():
    """Nuclei absorb light: whoever learns from these maps can see them."""
    darker = []
    for seed in range(10):
        sample = draw_scene("nuclei_he", seed, 96, 96)
        grey, inside = sample.image.mean(2), sample.truth.foreground
        darker.append(grey[inside].mean() < grey[~inside].mean() - 8)
    assert sum(darker) >= 9


def test_some_surfaces_are_sound_and_most_are_not():
    counts = [surfaces(np.random.default_rng((2, i)), 64, 64)[1].max() for i in range(80)]
    assert 0.04 < np.mean(np.array(counts) == 0) < 0.4


def test_a_scene_carries_its_family_and_seed_as_its_place():
    assert draw_scene("leaves", 7, 32, 32).place.scene == "leaves-7"
    assert draw_scene("leaves", (7, 2), 32, 32).place.scene == "leaves-7-2"


def test_an_unknown_family_is_refused_with_a_suggestion():
    with pytest.raises(InputError, match="did you mean 'mosaic'"):
        draw_scene("mosaik", 0, 32, 32)
