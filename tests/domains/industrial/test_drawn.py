"""Generated defects on real images: labelled to the pixel, and nothing that was labelled is touched."""

from __future__ import annotations

import numpy as np
import pytest

from domains.crops.crops import CropOptions
from domains.crops.train_crops import TrainCrops
from domains.entities import EntityMap, EntitySample, Place
from domains.industrial.drawn import SEEN_PX, draw_defect
from domains.procedural.surfaces import CHANCES, DEFECTS

SIDE = 96


def ground(seed: int = 0) -> np.ndarray:
    noise = np.random.default_rng(seed).normal(120, 6, (SIDE, SIDE, 1))
    return np.repeat(noise.clip(0, 255), 3, 2).astype(np.uint8)


def labelled() -> np.ndarray:
    """An entity, number 4, in a quarter of the picture, and a margin without truth."""
    ids = np.zeros((SIDE, SIDE), np.int32)
    ids[: SIDE // 2, : SIDE // 2], ids[-8:] = 4, -1
    return ids


def defect(image: np.ndarray, ids: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    drawn, truth = draw_defect(image, EntityMap(ids), rng)
    return drawn, truth.ids


def test_a_defect_has_a_row_of_its_own_without_a_class() -> None:
    rows = {"scores": np.full(4, 0.5, np.float32), "labels": np.arange(4), "parents": np.array([0, 1, 1, 0])}
    truth = draw_defect(ground(), EntityMap(labelled(), **rows), np.random.default_rng(1))[1]
    assert truth.count == 5 and truth.labels is not None and truth.scores is not None and truth.parents is not None
    assert truth.labels.tolist() == [0, 1, 2, 3, -1] and truth.parents.tolist() == [0, 1, 1, 0, 0]
    assert truth.scores.tolist() == [0.5, 0.5, 0.5, 0.5, 1]


@pytest.mark.parametrize("seed", range(40))
def test_what_is_labelled_keeps_its_pixels_and_its_number(seed: int) -> None:
    image, ids = ground(), labelled()
    drawn, marked = defect(image, ids, np.random.default_rng(seed))
    assert np.array_equal(marked[ids != 0], ids[ids != 0])
    assert np.array_equal(drawn[ids != 0], image[ids != 0])
    assert set(np.unique(marked)) <= {-1, 0, 4, 5}
    assert drawn.dtype == np.uint8 and (drawn == drawn[..., :1]).all()  # a grey picture stays grey


def test_nearly_every_picture_shows_a_defect_where_it_says() -> None:
    image, nothing, shown = ground(), np.zeros((SIDE, SIDE), np.int32), []
    for i in range(60):
        drawn, marked = defect(image, nothing, np.random.default_rng((0, i)))
        if marked.any():
            assert (marked == 1).sum() >= SEEN_PX
            change = np.abs(drawn.astype(int) - image)[..., 0]
            shown.append(change[marked == 1].mean() > change[marked == 0].mean())
        else:
            assert np.array_equal(drawn, image)
    assert len(shown) >= 50 and np.mean(shown) > 0.95


def test_every_kind_is_drawn_on_more_bands_than_three() -> None:
    assert len(CHANCES) == len(DEFECTS)
    image = np.concatenate([ground(), ground()], 2)[..., :5]
    drawn, marked = defect(image, np.zeros((SIDE, SIDE), np.int32), np.random.default_rng(3))
    assert drawn.shape == image.shape and marked.max() == 1


class Good:
    """Pictures without entity."""

    def __len__(self) -> int:
        return 3

    def __getitem__(self, index: int) -> EntitySample:
        return EntitySample(ground(index), (EntityMap(np.zeros((SIDE, SIDE), np.int32)),), Place(str(index)))


def test_the_share_of_crops_on_which_one_is_drawn() -> None:
    crops = TrainCrops(Good(), CropOptions(crop_px=64, drawn_share=0.5, draw=draw_defect), length=400)
    held = [crops[i].truth.count for i in range(400)]
    assert 0.4 < np.mean(held) < 0.6 and max(held) == 1
    again = TrainCrops(Good(), CropOptions(crop_px=64, drawn_share=0.5, draw=draw_defect), length=400)
    assert all(np.array_equal(crops[i].image, again[i].image) for i in range(20))
    assert not any(TrainCrops(Good(), CropOptions(crop_px=64), length=50)[i].truth.count for i in range(50))
