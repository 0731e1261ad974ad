"""Crops drawn so that the stated share of them holds an entity."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from domains.crops.crops import CropOptions
from domains.crops.train_crops import TrainCrops
from domains.entities import EntityMap, EntitySample, Place


def scenes(filled: int, empty: int, side: int = 60, entity_px: int = 9) -> list[EntitySample]:
    """Images with one square entity in a corner, then images without."""
    image, ids = np.zeros((side, side, 3), np.uint8), np.zeros((side, side), np.int32)
    ids[5 : 5 + entity_px, 5 : 5 + entity_px] = 1
    bad = [EntitySample(image, (EntityMap(ids),), Place(f"bad {i}")) for i in range(filled)]
    return bad + [EntitySample(image, (EntityMap(np.zeros_like(ids)),), Place(f"good {i}")) for i in range(empty)]


@pytest.mark.parametrize("share", [0.0, 0.25, 0.7, 1.0])
def test_balanced_crops_hold_an_entity_as_often_as_asked_however_rare_defects_are(share):
    crops = list(TrainCrops(scenes(2, 48), CropOptions(crop_px=32, balance=share), length=40))
    assert sum(crop.truth.count > 0 for crop in crops) == round(40 * share)
    assert all(("bad" in crop.place.scene) == (crop.truth.count > 0) for crop in crops)
    plain = sum(crop.truth.count > 0 for crop in TrainCrops(scenes(2, 48), CropOptions(crop_px=32), length=40))
    assert plain <= 2


def test_balance_shows_every_image_of_a_kind_before_one_again():
    crops = list(TrainCrops(scenes(4, 6), CropOptions(crop_px=32, balance=0.4), length=20, seed=3))
    shown = Counter(crop.place.scene for crop in crops)
    assert sorted(shown.values()) == [2] * 10
    other = [
        crop.place.scene
        for crop in TrainCrops(scenes(4, 6), CropOptions(crop_px=32, balance=0.4), length=20, seed=3, epoch=1)
    ]
    assert other != [crop.place.scene for crop in crops]


def test_balance_without_good_images_leaves_the_other_crops_anywhere():
    crops = list(TrainCrops(scenes(3, 0, side=200), CropOptions(crop_px=32, balance=0.5), length=60))
    assert 30 <= sum(crop.truth.count > 0 for crop in crops) < 40
    nothing = list(TrainCrops(scenes(0, 3), CropOptions(crop_px=32, balance=0.5), length=6))
    assert not any(crop.truth.count for crop in nothing)


def test_the_stated_share_of_crops_without_entity_lies_where_a_spot_is():
    def crops(share: float, spots: list[list[int]], **options) -> list[EntitySample]:
        found = TrainCrops(scenes(3, 3), CropOptions(crop_px=24, balance=0.5, hard_share=share), length=200, **options)
        found.set_spots(np.array(spots, np.int64).reshape(-1, 3))
        return [found[i] for i in range(200)]

    plain, unset, mined = crops(0, [[4, 50, 7]]), crops(0.6, []), crops(0.6, [[4, 50, 7]])
    assert [crop.place for crop in plain] == [crop.place for crop in unset]  # before the first look, as ever
    without = [i for i, crop in enumerate(plain) if crop.truth.count == 0]
    assert [i for i, crop in enumerate(mined) if crop.truth.count == 0] == without and len(without) == 100
    assert {i for i in range(200) if plain[i].place != mined[i].place} <= set(without)
    hard = [mined[i] for i in without if mined[i].place.scene == "good 1" and holds(mined[i].place, 50, 7)]
    assert 50 <= len(hard) <= 75  # of a hundred


def holds(place: Place, y: int, x: int) -> bool:
    """24 px at the largest zoom out are 35."""
    return 0 <= y - place.y <= 35 and 0 <= x - place.x <= 35


def test_windows_without_entity_are_those_of_images_without():
    crops = TrainCrops(scenes(3, 2), CropOptions(crop_px=24, hard_share=0.5))
    windows = crops.windows_without_entity(20)
    assert len(windows) == 20 and {one.index for one in windows} == {3, 4}
    assert all(one.image.shape == (24, 24, 3) for one in windows)
    again = TrainCrops(scenes(3, 2), CropOptions(crop_px=24, hard_share=0.5), epoch=1).windows_without_entity(20)
    assert [one[:3] for one in windows] == [one[:3] for one in crops.windows_without_entity(20)]
    assert [one[:3] for one in windows] != [one[:3] for one in again]
    assert TrainCrops(scenes(3, 0), CropOptions(crop_px=24, hard_share=0.5)).windows_without_entity(20) == []


def test_a_tiny_defect_is_never_shrunk_in_a_balanced_crop():
    def shown(entity_px: int) -> list[int]:
        crops = TrainCrops(
            scenes(1, 1, 120, entity_px), CropOptions(crop_px=64, balance=1.0, scale_range=(0.5, 1.5)), length=40
        )
        return [int(crop.truth.areas.sum()) for crop in crops]

    assert min(shown(2)) >= 1 and np.mean(shown(2)) > 4  # one or more pixels of the four, at their own size or larger
    zooms = [
        64 / crop.place.pixel_size_m
        for crop in TrainCrops(
            [EntitySample(one.image, one.truths, Place("a", pixel_size_m=1.0)) for one in scenes(1, 0, 120, 2)],
            CropOptions(crop_px=64, balance=1.0, scale_range=(0.5, 1.5)),
            length=40,
        )
    ]
    assert min(zooms) >= 63 and max(zooms) > 80
    assert min(shown(40)) < 40 * 40 / 3  # a large one may be


def test_a_balanced_crop_takes_an_annotator_who_saw_the_entity():
    one = scenes(1, 0)[0]
    both = EntitySample(one.image, (EntityMap(np.zeros_like(one.truth.ids)), one.truth), one.place)
    assert all(crop.truth.count for crop in TrainCrops([both], CropOptions(crop_px=32, balance=1.0), length=10))


def test_images_of_several_pixel_sizes_are_brought_to_one():
    ids = np.zeros((60, 60), np.int32)
    ids[20:40, 20:40] = 1
    image = np.repeat((ids * 200).astype(np.uint8)[..., None], 3, axis=2)
    samples = [
        EntitySample(image, (EntityMap(ids),), Place("a", pixel_size_m=size)) for size in (0.5e-6, 0.25e-6, None)
    ]
    crops = TrainCrops(samples, CropOptions(crop_px=64, pixel_size_m=0.5e-6, scale=2.0, scale_range=(1, 1)), None)
    sides = [crops._decoded[i].image.shape[0] for i in range(3)]
    assert sides == [120, 60, 120]
    assert [crops._decoded[i].place.pixel_size_m for i in range(2)] == pytest.approx([0.25e-6] * 2)
