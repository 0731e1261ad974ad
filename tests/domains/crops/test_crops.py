"""Training crops: ids survive, what has no truth is unlabelled, and (seed, epoch, index) decides everything."""

from __future__ import annotations

import pickle

import albumentations as A
import numpy as np
import pytest
from torch.utils.data import DataLoader

from domains.crops.augment import Photometric, Turn, augment, compose, eight_symmetries, reseed
from domains.crops.crops import CropOptions, mirrored
from domains.crops.train_crops import Mixture, TrainCrops
from domains.datasets.domain import build_domain
from domains.entities import EntityMap, EntitySample, Place, collate
from tests.domains.crops.chequerboard import same, squares, well_aligned


def test_crops_have_the_size_asked_for_and_entities_that_were_there():
    source = squares(base=70_000, classes=True)
    entities = set(np.unique(source.truth.ids))
    crops = TrainCrops([source], CropOptions(crop_px=64), compose(eight_symmetries(), Turn(45, p=1)), length=20)
    for crop in crops:
        assert crop.image.shape == (64, 64, 3) and crop.image.dtype == np.uint8
        assert crop.truth.ids.shape == (64, 64) and crop.truth.ids.dtype == np.int32
        assert set(np.unique(crop.truth.ids[crop.truth.ids > 0])) == set(range(1, crop.truth.count + 1))
        assert len(crop.truth.labels) == crop.truth.count > 0 and set(crop.truth.labels) <= entities


@pytest.mark.parametrize("scale", [0.5, 1.0, 2.0])
def test_image_and_ids_stay_aligned_through_scale_zoom_flips_and_turns(scale):
    augmentation = compose(eight_symmetries(), Turn(45, p=1))
    crops = TrainCrops(
        [squares(240, 240)], CropOptions(crop_px=64, scale=scale, scale_range=(0.9, 1.6)), augmentation, length=8
    )
    assert all(well_aligned(crop, blur_px=4 if scale > 1 else 2) for crop in crops)  # interpolation blurs


def test_a_crop_larger_than_the_image_is_mirrored_and_unlabelled_there():
    crop = TrainCrops([squares(20, 30)], CropOptions(crop_px=64, scale_range=(1, 1)))[0]
    labelled = crop.truth.labelled
    assert labelled.sum() == 20 * 30
    assert crop.image[~labelled].any()
    rows, columns = np.nonzero(labelled)
    assert (rows.min(), columns.min()) == (-crop.place.y, -crop.place.x)


@pytest.mark.parametrize(("height", "width"), [(1, 1), (1, 300), (300, 2)])
def test_images_of_a_pixel_or_a_line_make_crops(height, width):
    crop = TrainCrops([squares(height, width)], CropOptions(crop_px=32), compose(eight_symmetries()))[0]
    assert crop.image.shape == (32, 32, 3)


def test_mirrored_positions_do_not_repeat_the_edge():
    assert mirrored(np.arange(-4, 8), 3).tolist() == [0, 1, 2, 1, 0, 1, 2, 1, 0, 1, 2, 1]
    assert mirrored(np.arange(-2, 3), 1).tolist() == [0] * 5


def test_the_stated_share_of_crops_holds_an_entity():
    ids = np.zeros((400, 400), np.int32)
    ids[200:203, 200:203] = 1  # a random crop holds it in about 1 of 100 cases
    sample = EntitySample(np.zeros((400, 400, 3), np.uint8), (EntityMap(ids),), Place("one"))
    crops = TrainCrops([sample], CropOptions(crop_px=32, entity_share=0.8), length=300)
    assert 0.72 < np.mean([crop.truth.foreground.any() for crop in crops]) < 0.9


def test_small_entities_are_as_likely_as_large_ones():
    ids = np.ones((400, 400), np.int32)
    ids[50:55, 350:355] = 2
    truth = EntityMap(ids, labels=np.array([1, 2]))
    sample = EntitySample(np.zeros((400, 400, 3), np.uint8), (truth,), Place("two"))
    crops = TrainCrops([sample], CropOptions(crop_px=32, entity_share=1.0), length=200)
    assert np.mean([2 in crop.truth.labels for crop in crops]) > 0.4


def test_one_annotator_is_drawn_per_crop():
    crops = TrainCrops([squares(base=1, annotators=3, classes=True)], CropOptions(crop_px=64), length=40)
    assert all(len(crop.truths) == 1 for crop in crops)
    assert len({int(crop.truth.labels.max()) // 1000 for crop in crops}) == 3


def test_every_image_is_shown_once_per_pass():
    samples = [EntitySample(squares().image, squares().truths, Place(str(i))) for i in range(7)]
    shown = [crop.place.scene for crop in TrainCrops(samples, CropOptions(crop_px=32), length=21)]
    assert all(sorted(shown[i : i + 7]) == sorted(map(str, range(7))) for i in (0, 7, 14))
    assert shown[:7] != shown[7:14]


def test_a_place_tells_where_the_crop_was_cut_and_how_large_its_pixels_are():
    source = squares(200, 200, base=1)
    crop = TrainCrops([source], CropOptions(crop_px=40, scale=2.0, scale_range=(0.5, 0.5)))[
        0
    ]  # 80 px of the scaled image, 40 of the source
    assert crop.place.pixel_size_m == pytest.approx(1e-6)
    window = source.truth.foreground[crop.place.y :, crop.place.x :][:40, :40]
    assert (window == crop.truth.foreground).mean() > 0.8


# Seeds


def test_a_crop_is_decided_by_seed_epoch_and_index():
    def crops(seed: int = 0, epoch: int = 0) -> list[EntitySample]:
        return list(
            TrainCrops(
                [squares()],
                CropOptions(crop_px=48),
                build_domain("pathology").augmentation(),
                seed,
                epoch=epoch,
                length=4,
            )
        )

    first = crops()
    assert all(map(same, first, crops()))
    assert not any(map(same, first, crops(seed=1)))
    assert not any(map(same, first, crops(epoch=1)))
    assert not same(first[0], first[1])


def test_crops_do_not_depend_on_the_order_in_which_they_are_asked_for():
    crops = TrainCrops([squares()], CropOptions(crop_px=48), build_domain("industrial").augmentation(), length=6)
    forward = [crops[i] for i in range(6)]
    assert all(same(crops[i], forward[i]) for i in reversed(range(6)))


def test_a_mixture_holds_the_stated_share_of_the_other_source_and_follows_the_epoch():
    main, other = (
        TrainCrops([squares(base=base, classes=True)], CropOptions(crop_px=24), length=400) for base in (1000, 5000)
    )
    mixed = Mixture(main, other, 0.25)
    shares = []
    for epoch in (0, 1):
        mixed.set_epoch(epoch)
        crops = [mixed[i] for i in range(len(mixed))]
        assert all(same(crop, (main, other)[from_other(crop)][i]) for i, crop in enumerate(crops[:20]))
        shares.append([from_other(crop) for crop in crops])
    assert np.mean(shares) == pytest.approx(0.25, abs=0.05)
    assert shares[0] != shares[1]
    assert [from_other(mixed[i]) for i in range(400)] == shares[1]


def from_other(crop: EntitySample) -> bool:
    return bool(crop.truth.labels.max() >= 5000)


def test_a_worker_process_gives_the_same_crops_and_sees_the_next_epoch():
    crops = TrainCrops(
        [squares(base=70_000)], CropOptions(crop_px=48), build_domain("natural").augmentation(), length=4
    )
    loader = DataLoader(crops, 2, num_workers=1, collate_fn=collate, persistent_workers=True)
    for epoch in (0, 1):
        crops.set_epoch(epoch)
        here = collate(crops[i] for i in range(4))
        there = list(loader)
        assert [batch.images.shape[0] for batch in there] == [2, 2]
        assert (here.images[:2] == there[0].images).all() and (here.ids[2:] == there[1].ids).all()


def test_crops_survive_pickling_without_their_decoded_images():
    crops = TrainCrops(
        [squares(600, 600)], CropOptions(crop_px=48), compose(eight_symmetries()), seed=3, epoch=2, length=4
    )
    before = len(pickle.dumps(crops))
    first = crops[1]
    copy = pickle.loads(pickle.dumps(crops))
    assert abs(len(pickle.dumps(crops)) - before) < 1000
    assert copy.epoch == 2 and same(copy[1], first)


def test_crops_are_copies_of_the_decoded_image():
    source = squares(64, 64)
    before = source.image.copy()
    crop = TrainCrops([source], CropOptions(crop_px=64, scale_range=(1, 1)))[0]
    crop.image[:] = 0
    crop.truth.ids[:] = 0
    assert (source.image == before).all() and source.truth.foreground.any()


def test_images_are_decoded_once_until_the_cache_is_full():
    class Counting(list):
        reads = 0

        def __getitem__(self, index):
            self.reads += 1
            return super().__getitem__(index)

    few, none = Counting([squares()] * 3), Counting([squares()] * 3)
    for dataset, cache_bytes in ((few, 2**20), (none, 0)):
        for crop in TrainCrops(dataset, CropOptions(crop_px=16), length=9, cache_bytes=cache_bytes):
            assert crop.truth.shape == (16, 16)
    assert (few.reads, none.reads) == (3, 9)


def test_transforms_of_one_pipeline_act_independently():
    def marking(channel: int):
        def mark(image, rng):
            marked = image.copy()
            marked[..., channel] = 255
            return marked

        return Photometric(mark, p=0.5)

    pipeline = compose(marking(0), marking(1))
    sample = EntitySample(np.zeros((4, 4, 3), np.uint8), (EntityMap(np.zeros((4, 4), np.int32)),), Place("black"))
    marks = {tuple(augment(sample, pipeline, seed).image[0, 0, :2] > 0) for seed in range(40)}
    assert len(marks) == 4  # with one seed for all, as Compose.set_random_seed gives, both act or neither


def test_nested_pipelines_are_reseeded():
    pipeline = A.Compose([A.OneOf([A.HorizontalFlip(p=1), A.VerticalFlip(p=1)], p=1)])
    sample = squares(24, 24)
    assert same(augment(sample, pipeline, 5), augment(sample, pipeline, 5))
    assert len({augment(sample, pipeline, seed).image.tobytes() for seed in range(12)}) == 2
    reseed(pipeline, np.random.SeedSequence(1))
