"""What is known of an entity goes where its pixels go: through crop, flip, paste, drawing, resizing and batch."""

from __future__ import annotations

import albumentations as A
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from domains.crops.augment import Turn, augment, compose, eight_symmetries, left_right
from domains.crops.crops import CropOptions, cut_window, entity_boxes
from domains.crops.pasting import paste
from domains.crops.train_crops import TrainCrops
from domains.entities import NO_CLASS, EntityMap, EntitySample, Place, collate
from domains.entities.resize import resize_sample
from domains.industrial.drawn import draw_defect

SIDE = 48
CELL = 8
COUNT = (SIDE // CELL) ** 2
CHANGES = (eight_symmetries(), left_right(1.0), Turn(40, p=1.0), A.ElasticTransform(alpha=30, sigma=4, p=1.0))


def scene(seed: int, start: int = 0) -> EntitySample:
    """A board of entities, some of its cells empty or without truth. Each class is named after what its entity looks
    like, `start` + its number, which is its colour too, and its score and parent follow from that.
    """
    rng = np.random.default_rng(seed)
    cells = np.arange(1, COUNT + 1).reshape(SIDE // CELL, -1)
    cells = np.where(rng.random(cells.shape) < 0.3, rng.choice([0, -1], cells.shape), cells)
    ids = cells.repeat(CELL, 0).repeat(CELL, 1).astype(np.int32)
    ids[0, 0] = COUNT  # the last number is always there, as rows go up to it
    numbers = np.arange(1, COUNT + 1)
    truth = EntityMap(
        ids,
        scores=score_of(start + numbers),
        labels=(COUNT - numbers).astype(np.int32),
        vocabulary=tuple(name_of(start + number) for number in numbers[::-1]),
        parents=(numbers // 2).astype(np.int32),  # a tree whose root is 1
        pixel_scores=(np.maximum(ids, 0) / 64).astype(np.float16),
    )
    image = np.repeat(np.maximum(ids, 0)[..., None], 3, 2).astype(np.uint8)
    return EntitySample(image, (truth,), Place(f"scene {seed}", pixel_size_m=1e-6))


def name_of(number: int) -> str:
    return f"entity {number}"


def score_of(numbers: np.ndarray) -> np.ndarray:
    return (numbers / 128).astype(np.float32)


def numbers_of(truth: EntityMap) -> list[int]:
    """What each entity was called where it came from, by its class; 0 for one that was drawn."""
    assert truth.labels is not None and len(truth.labels) == truth.count
    return [0 if label == NO_CLASS else int(truth.vocabulary[label].split()[1]) for label in truth.labels.tolist()]


def check(truth: EntityMap, pasted: set[int]) -> None:
    """Rows are exactly those of the entities that are left, each as it came; `pasted` have left their parents."""
    assert truth.scores is not None and truth.parents is not None and truth.pixel_scores is not None
    assert set(np.unique(truth.ids[truth.ids > 0])) == set(range(1, truth.count + 1))
    assert len(truth.scores) == len(truth.parents) == truth.count
    numbers = numbers_of(truth)
    position = {number: i + 1 for i, number in enumerate(numbers) if number}
    for i, number in enumerate(numbers):
        if number == 0:
            assert truth.scores[i] == 1 and truth.parents[i] == 0
            continue
        assert truth.scores[i] == score_of(np.array(number))
        ancestor = 0 if number in pasted else number // 2
        while ancestor and ancestor not in position:
            ancestor //= 2
        assert truth.parents[i] == position.get(ancestor, 0)
    sure = np.concatenate([[0], truth.scores * 128 / 64])  # of what was not pasted or drawn
    plain = np.isin(truth.ids, [i + 1 for i, number in enumerate(numbers) if 0 < number <= COUNT])
    assert np.allclose(truth.pixel_scores[plain], sure[np.maximum(truth.ids, 0)][plain], atol=1e-3)
    assert (truth.pixel_scores[truth.ids < 0] == 0).all()


def cropped(sample: EntitySample, draw: st.DataObject, pasted: set[int]) -> EntitySample:
    side = draw.draw(st.integers(12, 60))
    y, x = (draw.draw(st.integers(-8, 24)) for _ in range(2))
    image, truth = cut_window(sample.image, sample.truth, y, x, side)
    return EntitySample(image, (truth,), sample.place)


def resized(sample: EntitySample, draw: st.DataObject, pasted: set[int]) -> EntitySample:
    return resize_sample(sample, draw.draw(st.sampled_from([0.4, 0.75, 1.5])))


def turned(sample: EntitySample, draw: st.DataObject, pasted: set[int]) -> EntitySample:
    return augment(sample, compose(draw.draw(st.sampled_from(CHANGES))), draw.draw(st.integers(0, 99)))


def pasted_onto(sample: EntitySample, draw: st.DataObject, pasted: set[int]) -> EntitySample:
    donor = scene(draw.draw(st.integers(100, 120)), start=COUNT * (1 + len(pasted)))
    rng = np.random.default_rng(draw.draw(st.integers(0, 99)))
    image, truth = paste(sample.image, sample.truth, donor.image, donor.truth, entity_boxes(donor.truth.ids), rng)
    pasted.update(number for number in numbers_of(truth) if number > COUNT)
    return EntitySample(image, (truth.renumbered(),), sample.place)


def drawn_on(sample: EntitySample, draw: st.DataObject, pasted: set[int]) -> EntitySample:
    image, truth = draw_defect(sample.image, sample.truth, np.random.default_rng(draw.draw(st.integers(0, 99))))
    return EntitySample(image, (truth,), sample.place)


STEPS = (cropped, resized, turned, pasted_onto, drawn_on)


@settings(max_examples=60, deadline=None)
@given(st.data(), st.integers(0, 99))
def test_rows_are_those_of_the_entity_that_they_came_from_through_any_chain(draw: st.DataObject, seed: int) -> None:
    sample, pasted = scene(seed), set()
    for step in draw.draw(st.lists(st.sampled_from(STEPS), min_size=1, max_size=5)):
        side = min(sample.image.shape[:2])
        sample = step(
            EntitySample(sample.image[:side, :side], (sample.truth.crop(0, 0, side, side),), sample.place), draw, pasted
        )
    check(sample.truth.renumbered(), pasted)
    batch = collate([sample])
    assert [0 if label < 0 else int(batch.vocabulary[label].split()[1]) for label in batch.labels[0].tolist()] == (
        numbers_of(sample.truth.renumbered())
    )


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000))
def test_crops_of_training_have_the_rows_of_what_they_show(seed: int) -> None:
    options = CropOptions(crop_px=32, drawn_share=0.3)
    crops = TrainCrops([scene(seed)], options, compose(*CHANGES), seed=seed, length=3)
    for i in range(3):
        check(crops[i].truth, set())
