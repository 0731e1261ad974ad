"""What is the same picture, and what only resembles it."""

from __future__ import annotations

import io
from itertools import combinations

import numpy as np
import pytest
from PIL import Image
from scipy.fft import dct

from domains.datasets.dataset import grouped
from domains.datasets.looks import Likeness, Looks, alike, flips_and_turns, look_at
from domains.formats import recognise
from domains.scenes.images import read_image


def texture(seed: int, height: int = 192, width: int = 256, cells: int = 24) -> np.ndarray:
    """(H, W, 3) uint8, as unlike another seed's as photographs are. cells: spots from edge to edge."""
    coarse = np.random.default_rng(seed).integers(0, 256, (cells, cells, 3), dtype=np.uint8)
    return np.asarray(Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC))


def jpeg(image: np.ndarray, quality: int) -> np.ndarray:
    file = io.BytesIO()
    Image.fromarray(image).save(file, "JPEG", quality=quality)
    return np.asarray(Image.open(file))


def resized(image: np.ndarray, factor: float) -> np.ndarray:
    height, width = (round(side * factor) for side in image.shape[:2])
    return np.asarray(Image.fromarray(image).resize((width, height), Image.Resampling.BICUBIC))


CHANGES = {
    "the same": lambda image: image,
    "JPEG of quality 30": lambda image: jpeg(image, 30),
    "half the size": lambda image: resized(image, 0.5),
    "twice the size": lambda image: resized(image, 2),
    "mirrored": lambda image: image[:, ::-1],
    "upside down and JPEG": lambda image: jpeg(np.ascontiguousarray(image[::-1]), 60),
    "turned by 90 degrees": np.rot90,
    "turned, mirrored and smaller": lambda image: resized(np.ascontiguousarray(np.rot90(image, 3)[::-1]), 0.6),
    "darker": lambda image: (image * 0.6).astype(np.uint8),
    "noise": lambda image: np.clip(image + np.random.normal(0, 8, image.shape), 0, 255).astype(np.uint8),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_a_changed_picture_is_still_the_same(change):
    for seed in range(5):
        image = texture(seed)
        (found,) = alike([look_at(np.ascontiguousarray(change(image)))], [look_at(image)])
        assert found.bits <= 6 and found.correlation > 0.85


def test_different_pictures_are_not_alike():
    looks = [look_at(texture(seed)) for seed in range(60)]
    assert [(pair.look, pair.candidate) for pair in alike(looks, looks)] == [(i, i) for i in range(60)]


def test_the_same_light_with_other_detail_is_not_alike():
    """What only the hash would take for the same: one broad pattern under two different grains."""
    light = texture(0, cells=5) * 0.8
    looks = [look_at((light + 0.2 * texture(seed, cells=64)).astype(np.uint8)) for seed in (1, 2)]
    assert np.bitwise_count(looks[0].hashes[0] ^ looks[1].hashes[0]) <= 8
    assert alike(looks[:1], looks[1:]) == []


def test_a_picture_of_one_colour_is_like_nothing():
    blank = look_at(np.full((50, 70, 3), 90, np.uint8))
    assert not blank.detail.any() and alike([blank], [blank]) == []


def test_the_hash_is_that_of_the_turned_picture():
    """The eight from one transform equal eight transforms, up to a bit at the median."""
    image = texture(3, 128, 128)
    look = look_at(image)
    turned = []
    for axes in (image, image.swapaxes(0, 1)):
        turned += [axes, axes[:, ::-1], axes[::-1], axes[::-1, ::-1]]
    for view, own in zip(turned, look.hashes, strict=True):
        assert np.bitwise_count(look_at(np.ascontiguousarray(view)).hashes[0] ^ own) <= 1
    squares = flips_and_turns(look.detail)
    assert all(
        np.allclose(look_at(np.ascontiguousarray(v)).detail, s, atol=1e-4) for v, s in zip(turned, squares, strict=True)
    )


def test_the_hash_is_the_published_one():
    """Written out by 1-D transforms, as `imagehash.phash` has it, on a picture that needs no resizing."""
    grey = np.random.default_rng(0).integers(0, 256, (32, 32)).astype(np.uint8)
    low = dct(dct(grey.astype(float), axis=0), axis=1)[:8, :8]
    expected = np.packbits((low > np.median(low)).ravel()).view(np.uint64)[0]
    assert look_at(np.repeat(np.repeat(np.repeat(grey[..., None], 3, 2), 2, 0), 2, 1)).hashes[0] == expected


def test_pairs_are_named_by_their_places():
    looks = [look_at(texture(seed)) for seed in (1, 2, 3)]
    assert alike(looks[1:2], looks) == [Likeness(0, 1, 0, pytest.approx(1, abs=1e-5))]
    assert alike([], looks) == [] and alike(looks, []) == []


def test_looks_in_a_file_are_those_in_memory():
    looks, stored = [look_at(texture(seed)) for seed in range(3)], Looks()
    for look in looks:
        stored.append(look)
    assert len(stored) == 3 and [len(stored[1:]), len(list(stored))] == [2, 3]
    for look, again in zip(looks, stored, strict=True):
        assert np.array_equal(look.hashes, again.hashes) and np.array_equal(look.detail, again.detail)
    assert np.array_equal(stored[-1].detail, looks[2].detail) and alike(stored, stored) == alike(looks, looks)
    with pytest.raises(IndexError):
        stored[3]


@pytest.mark.parametrize(("name", "least"), [("magnetic_tile", 80), ("crackforest", 0)])
def test_on_real_images_only_those_of_one_group_are_alike(real_data, name, least):
    root = real_data / name
    records = grouped(root, recognise(root).listing(root), real_data / "index" / f"{name}.csv").records
    looks = [look_at(read_image(record.image)) for record in records]
    same = {(pair.look, pair.candidate) for pair in alike(looks, looks)} & set(combinations(range(len(records)), 2))
    assert all(records[i].group == records[j].group for i, j in same)
    assert len(same) >= least  # tiles under several exposures
