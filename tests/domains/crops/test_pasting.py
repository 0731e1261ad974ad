"""Entities pasted onto good images: as strong as where they come from, without a seam, and labelled to the pixel."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import binary_dilation, gaussian_filter

from domains.crops.crops import CropOptions, entity_boxes
from domains.crops.pasting import FRAME_PX, MARGIN_PX, paste, pasteable
from domains.crops.train_crops import TrainCrops
from domains.entities import EntityMap, EntitySample, Place


def surface(level: float, shape: tuple[int, int] = (64, 64), seed: int = 0) -> np.ndarray:
    """Brushed metal: a slope of light and smooth noise."""
    noise = gaussian_filter(np.random.default_rng(seed).normal(0, 12, shape), 1.5)
    return np.repeat((level + np.linspace(-8, 8, shape[1]) + noise).clip(0, 255)[..., None], 3, 2).astype(np.uint8)


def defective(level: float = 170, depth: float = 60) -> tuple[np.ndarray, np.ndarray]:
    """(image, ids): a pit of 6 x 9 px, darker by `depth`."""
    image, ids = surface(level, seed=1).astype(float), np.zeros((64, 64), np.int32)
    ids[30:36, 20:29] = 4
    image[ids > 0] -= depth
    return image.clip(0, 255).astype(np.uint8), ids


def pasted(image: np.ndarray, donor: np.ndarray, ids: np.ndarray, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    blended, truth = paste(image, blank(image), donor, EntityMap(ids), entity_boxes(ids), np.random.default_rng(seed))
    return blended, truth.ids


def blank(image: np.ndarray) -> EntityMap:
    """Truth without entity."""
    return EntityMap(np.zeros(image.shape[:2], np.int32))


@pytest.mark.parametrize("seed", range(6))
def test_a_pasted_defect_keeps_its_contrast_in_the_light_of_its_new_place(seed: int) -> None:
    donor, donor_ids = defective()
    image = surface(80)
    found, ids = pasted(image, donor, donor_ids, seed)
    mask = ids > 0
    assert mask.sum() == 54 and ids.max() == 1
    ring = binary_dilation(mask, iterations=3) & ~mask
    assert found[ring].mean() - found[mask].mean() == pytest.approx(60, abs=12)  # of OpenCV's own margin it lost all
    assert abs(float(found[ring].mean()) - image[ring].mean()) < 12  # not the donor's 170


def test_nothing_changes_away_from_the_entity() -> None:
    donor, donor_ids = defective()
    image = surface(80)
    found, ids = pasted(image, donor, donor_ids)
    far = ~binary_dilation(ids > 0, np.ones((3, 3), bool), MARGIN_PX)
    assert np.array_equal(found[far], image[far]) and not np.array_equal(found, image)
    assert np.array_equal(image, surface(80)) and donor_ids.max() == 4  # nobody's array was written into


def test_the_mask_moves_with_the_pixels_in_every_symmetry() -> None:
    donor, donor_ids = defective(depth=90)
    donor_ids[30:33, 20:24] = 0  # an L
    donor[30:33, 20:24] = surface(170, seed=1)[30:33, 20:24]
    shapes = set()
    for seed in range(40):
        found, ids = pasted(surface(150), donor, donor_ids, seed)
        dark = found[..., 0] < 110
        assert np.count_nonzero(dark ^ (ids > 0)) < 8
        rows, columns = np.nonzero(ids)
        shapes.add(
            (ids[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1] > 0).tobytes() + bytes([np.ptp(rows)])
        )
    assert len(shapes) == 8


def test_it_lands_on_labelled_background_only() -> None:
    donor, donor_ids = defective()
    donor_truth, boxes = EntityMap(donor_ids), entity_boxes(donor_ids)
    unlabelled = EntityMap(np.full((64, 64), -1, np.int32))
    image = surface(80)
    assert paste(image, unlabelled, donor, donor_truth, boxes, np.random.default_rng(0))[1] is unlabelled
    half = unlabelled.ids.copy()
    half[:, 32:] = 0
    for seed in range(10):
        result = paste(image, EntityMap(half), donor, donor_truth, boxes, np.random.default_rng(seed))[1]
        assert not (result.ids[:, :32] > 0).any()


def test_it_brings_its_label_and_score_and_leaves_its_parent_behind() -> None:
    donor, donor_ids = defective()
    donor_ids[0:4, 0:4] = 1
    donor_truth = EntityMap(
        donor_ids,
        scores=np.array([0.1, 0.2, 0.3, 0.4], np.float32),
        labels=np.array([0, 0, 0, 1], np.int32),
        vocabulary=("scratch", "pit"),
        parents=np.array([0, 0, 0, 1], np.int32),
    )
    box = entity_boxes(donor_ids)[-1:]  # of entity 4
    here = np.zeros((64, 64), np.int32)
    here[60:63, 60:63] = 1
    rows = {"labels": np.array([0], np.int32), "vocabulary": ("pit", "dust"), "parents": np.array([0], np.int32)}
    truth = paste(surface(80), EntityMap(here, **rows), donor, donor_truth, box, np.random.default_rng(0))[1]
    assert truth.count == 2 and (truth.ids == 2).sum() == 54
    assert truth.labels is not None and truth.parents is not None and truth.scores is not None
    assert [truth.vocabulary[label] for label in truth.labels] == ["pit", "pit"]
    assert truth.vocabulary == ("pit", "dust", "scratch")  # what was there keeps its number
    assert truth.parents.tolist() == [0, 0] and np.allclose(truth.scores, [1, 0.4])


def test_what_does_not_fit_and_what_its_frame_cuts_is_not_pasted() -> None:
    ids = np.zeros((64, 64), np.int32)
    ids[0:5, 20:25], ids[20:60, 10:14], ids[10:15, 40:45], ids[50:64, 50:55] = 1, 2, 3, 4
    boxes = entity_boxes(ids)
    assert boxes[pasteable(boxes, ids.shape, 64), 0].tolist() == [2, 3]
    assert boxes[pasteable(boxes, ids.shape, 40 + 2 * (FRAME_PX + MARGIN_PX) - 1), 0].tolist() == [3]
    small = surface(80, (10, 200))
    empty, rng = blank(small), np.random.default_rng(0)
    result = paste(small, empty, surface(90), EntityMap(ids), boxes, rng)
    assert result[0] is small and result[1] is empty
    result = paste(small, empty, surface(90), blank(surface(90)), np.zeros((0, 5), np.int64), rng)
    assert result[0] is small and result[1] is empty


def samples() -> list[EntitySample]:
    image, ids = defective()
    good = [EntitySample(surface(90, seed=i), (EntityMap(np.zeros((64, 64))),), Place(f"good {i}")) for i in range(3)]
    return [EntitySample(image, (EntityMap(ids),), Place("bad")), *good]


def test_crops_without_entity_receive_one_as_often_as_asked_and_the_same_each_time() -> None:
    crops = TrainCrops(samples(), CropOptions(crop_px=48, balance=0.0, paste_share=0.5, scale_range=(1, 1)), length=80)
    filled = [crop for crop in crops if crop.truth.count]
    assert all(crop.place.scene.startswith("good") for crop in crops)
    assert 25 <= len(filled) <= 50  # where the crop leaves the image there may be no room
    again = TrainCrops(samples(), CropOptions(crop_px=48, balance=0.0, paste_share=0.5, scale_range=(1, 1)), length=80)
    assert all(np.array_equal(crops[i].image, again[i].image) for i in range(20))
    without = TrainCrops(samples(), CropOptions(crop_px=48, balance=0.0, scale_range=(1, 1)), length=80)
    assert not any(crop.truth.count for crop in without)
