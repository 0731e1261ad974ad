"""Training crops: ids survive, what has no truth is unlabelled, and (seed, epoch, index) decides everything."""

from __future__ import annotations

import pickle
from collections import Counter

import albumentations as A
import numpy as np
import pytest
from scipy.ndimage import binary_erosion
from skimage.color import hed_from_rgb
from torch.utils.data import DataLoader

from domains.augment import Mixture, Photometric, TrainCrops, Turn, augment, compose, eight_symmetries, reseed
from domains.crops import mirrored
from domains.domain import DOMAINS, build_domain
from domains.entities import UNLABELLED, EntityMap, EntitySample, Place, collate
from domains.industrial.light import UnevenLight
from domains.natural.photometry import OtherCamera
from domains.pathology.counterstain import Counterstain
from domains.pathology.stain import HED, StainJitter
from domains.remote_sensing.atmosphere import Haze, Sunlight
from domains.resize import resize_ids, resize_map, resize_sample

CHANGES = (StainJitter(), Counterstain(), UnevenLight(), Haze(), Sunlight(), OtherCamera())
STILL = (StainJitter(0, 0, 0), Counterstain(0), UnevenLight(0, 0, 0), Haze(0), Sunlight(0, 0, 0), OtherCamera(0, 0, 0))
BIG = 2**24 + 1  # the first id that float32 does not hold


def squares(height: int = 96, width: int = 120, base: int = BIG, annotators: int = 1) -> EntitySample:
    """A chequerboard of 12 px: every second square an entity, in a colour of its own on a bright ground."""
    rows, columns = np.arange(height) // 12, np.arange(width) // 12
    cells = rows[:, None] * 10 + columns
    ids = np.where((rows[:, None] + columns) % 2 == 0, base + cells, 0).astype(np.int32)
    image = np.zeros((height, width, 3), np.uint8)
    image[..., 0] = np.where(ids > 0, ids % 200, 250)
    truths = tuple(EntityMap(np.where(ids > 0, ids + 1000 * i, 0)) for i in range(annotators))
    return EntitySample(image, truths, Place("squares", pixel_size_m=1e-6))


def same(one: EntitySample, other: EntitySample) -> bool:
    return np.array_equal(one.image, other.image) and np.array_equal(one.truth.ids, other.truth.ids)


def well_aligned(sample: EntitySample, blur_px: int) -> bool:
    """The inside of every entity, `blur_px` away from its border, shows one colour: image and ids moved alike."""
    ids, red = sample.truth.ids, sample.image[..., 0].astype(int)
    insides = [red[binary_erosion(ids == entity, iterations=blur_px)] for entity in np.unique(ids[ids > 0])]
    assert any(inside.size for inside in insides)
    return all(np.ptp(inside) <= 3 for inside in insides if inside.size)


# Crops


def test_crops_have_the_size_asked_for_and_ids_that_were_there():
    source = squares()
    known = set(np.unique(source.truth.ids)) | {UNLABELLED}
    crops = TrainCrops([source], 64, compose(eight_symmetries(), Turn(45, p=1)), length=20)
    for crop in crops:
        assert crop.image.shape == (64, 64, 3) and crop.image.dtype == np.uint8
        assert crop.truth.ids.shape == (64, 64) and crop.truth.ids.dtype == np.int32
        assert set(np.unique(crop.truth.ids)) <= known
        assert crop.truth.count > 2**24


@pytest.mark.parametrize("scale", [0.5, 1.0, 2.0])
def test_image_and_ids_stay_aligned_through_scale_zoom_flips_and_turns(scale):
    augmentation = compose(eight_symmetries(), Turn(45, p=1))
    crops = TrainCrops([squares(240, 240)], 64, augmentation, length=8, scale=scale, scale_range=(0.9, 1.6))
    assert all(well_aligned(crop, blur_px=4 if scale > 1 else 2) for crop in crops)  # interpolation blurs


def test_a_crop_larger_than_the_image_is_mirrored_and_unlabelled_there():
    crop = TrainCrops([squares(20, 30)], 64, scale_range=(1, 1))[0]
    labelled = crop.truth.labelled
    assert labelled.sum() == 20 * 30
    assert crop.image[~labelled].any()
    rows, columns = np.nonzero(labelled)
    assert (rows.min(), columns.min()) == (-crop.place.y, -crop.place.x)


@pytest.mark.parametrize(("height", "width"), [(1, 1), (1, 300), (300, 2)])
def test_images_of_a_pixel_or_a_line_make_crops(height, width):
    crop = TrainCrops([squares(height, width)], 32, compose(eight_symmetries()))[0]
    assert crop.image.shape == (32, 32, 3)


def test_mirrored_positions_do_not_repeat_the_edge():
    assert mirrored(np.arange(-4, 8), 3).tolist() == [0, 1, 2, 1, 0, 1, 2, 1, 0, 1, 2, 1]
    assert mirrored(np.arange(-2, 3), 1).tolist() == [0] * 5


def test_the_stated_share_of_crops_holds_an_entity():
    ids = np.zeros((400, 400), np.int32)
    ids[200:203, 200:203] = 1  # a random crop holds it in about 1 of 100 cases
    sample = EntitySample(np.zeros((400, 400, 3), np.uint8), (EntityMap(ids),), Place("one"))
    crops = TrainCrops([sample], 32, length=300, entity_share=0.8)
    assert 0.72 < np.mean([crop.truth.foreground.any() for crop in crops]) < 0.9


def test_small_entities_are_as_likely_as_large_ones():
    ids = np.ones((400, 400), np.int32)
    ids[50:55, 350:355] = 2
    sample = EntitySample(np.zeros((400, 400, 3), np.uint8), (EntityMap(ids),), Place("two"))
    crops = TrainCrops([sample], 32, length=200, entity_share=1.0)
    assert np.mean([(crop.truth.ids == 2).any() for crop in crops]) > 0.4


def test_one_annotator_is_drawn_per_crop():
    crops = TrainCrops([squares(annotators=3)], 64, length=40)
    assert all(len(crop.truths) == 1 for crop in crops)
    assert len({(int(crop.truth.ids.max()) - BIG) // 1000 for crop in crops}) == 3


def test_every_image_is_shown_once_per_pass():
    samples = [EntitySample(squares().image, squares().truths, Place(str(i))) for i in range(7)]
    shown = [crop.place.scene for crop in TrainCrops(samples, 32, length=21)]
    assert all(sorted(shown[i : i + 7]) == sorted(map(str, range(7))) for i in (0, 7, 14))
    assert shown[:7] != shown[7:14]


def test_a_place_tells_where_the_crop_was_cut_and_how_large_its_pixels_are():
    source = squares(200, 200, base=1)
    crop = TrainCrops([source], 40, scale=2.0, scale_range=(0.5, 0.5))[0]  # 80 px of the scaled image, 40 of the source
    assert crop.place.pixel_size_m == pytest.approx(1e-6)
    window = source.truth.foreground[crop.place.y :, crop.place.x :][:40, :40]
    assert (window == crop.truth.foreground).mean() > 0.8


# Seeds


def test_a_crop_is_decided_by_seed_epoch_and_index():
    def crops(seed: int = 0, epoch: int = 0) -> list[EntitySample]:
        return list(TrainCrops([squares()], 48, build_domain("pathology").augmentation(), seed, epoch=epoch, length=4))

    first = crops()
    assert all(map(same, first, crops()))
    assert not any(map(same, first, crops(seed=1)))
    assert not any(map(same, first, crops(epoch=1)))
    assert not same(first[0], first[1])


def test_crops_do_not_depend_on_the_order_in_which_they_are_asked_for():
    crops = TrainCrops([squares()], 48, build_domain("industrial").augmentation(), length=6)
    forward = [crops[i] for i in range(6)]
    assert all(same(crops[i], forward[i]) for i in reversed(range(6)))


def test_a_mixture_holds_the_stated_share_of_the_other_source_and_follows_the_epoch():
    main, other = (TrainCrops([squares(base=base)], 24, length=400) for base in (1000, 5000))
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
    return bool(crop.truth.ids.max() >= 5000)


def test_a_worker_process_gives_the_same_crops_and_sees_the_next_epoch():
    crops = TrainCrops([squares(base=70_000)], 48, build_domain("natural").augmentation(), length=4)
    loader = DataLoader(crops, 2, num_workers=1, collate_fn=collate, persistent_workers=True)
    for epoch in (0, 1):
        crops.set_epoch(epoch)
        here = collate(crops[i] for i in range(4))
        there = list(loader)
        assert [batch.images.shape[0] for batch in there] == [2, 2]
        assert (here.images[:2] == there[0].images).all() and (here.ids[2:] == there[1].ids).all()


def test_crops_survive_pickling_without_their_decoded_images():
    crops = TrainCrops([squares(600, 600)], 48, compose(eight_symmetries()), seed=3, epoch=2, length=4)
    before = len(pickle.dumps(crops))
    first = crops[1]
    copy = pickle.loads(pickle.dumps(crops))
    assert abs(len(pickle.dumps(crops)) - before) < 1000
    assert copy.epoch == 2 and same(copy[1], first)


def test_crops_are_copies_of_the_decoded_image():
    source = squares(64, 64)
    before = source.image.copy()
    crop = TrainCrops([source], 64, scale_range=(1, 1))[0]
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
        for crop in TrainCrops(dataset, 16, length=9, cache_bytes=cache_bytes):
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


# Transforms


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


@pytest.mark.parametrize("name", DOMAINS)
def test_augmented_crops_of_a_domain_make_a_batch(name):
    domain = build_domain(name, sample_count=3)
    batch = collate(TrainCrops(domain.dataset("train"), 64, domain.augmentation(), length=3))
    assert batch.images.shape == (3, 3, 64, 64)
    assert batch.images.min() >= 0 and batch.images.max() <= 1
    assert len(batch.masks) == 3


# Balance


def scenes(filled: int, empty: int, side: int = 60, entity_px: int = 9) -> list[EntitySample]:
    """Images with one square entity in a corner, then images without."""
    image, ids = np.zeros((side, side, 3), np.uint8), np.zeros((side, side), np.int32)
    ids[5 : 5 + entity_px, 5 : 5 + entity_px] = 1
    bad = [EntitySample(image, (EntityMap(ids),), Place(f"bad {i}")) for i in range(filled)]
    return bad + [EntitySample(image, (EntityMap(np.zeros_like(ids)),), Place(f"good {i}")) for i in range(empty)]


@pytest.mark.parametrize("share", [0.0, 0.25, 0.7, 1.0])
def test_balanced_crops_hold_an_entity_as_often_as_asked_however_rare_defects_are(share):
    crops = list(TrainCrops(scenes(2, 48), 32, length=40, balance=share))
    assert sum(crop.truth.count > 0 for crop in crops) == round(40 * share)
    assert all(("bad" in crop.place.scene) == (crop.truth.count > 0) for crop in crops)
    plain = sum(crop.truth.count > 0 for crop in TrainCrops(scenes(2, 48), 32, length=40))
    assert plain <= 2


def test_balance_shows_every_image_of_a_kind_before_one_again():
    crops = list(TrainCrops(scenes(4, 6), 32, length=20, balance=0.4, seed=3))
    shown = Counter(crop.place.scene for crop in crops)
    assert sorted(shown.values()) == [2] * 10
    other = [crop.place.scene for crop in TrainCrops(scenes(4, 6), 32, length=20, balance=0.4, seed=3, epoch=1)]
    assert other != [crop.place.scene for crop in crops]


def test_balance_without_good_images_leaves_the_other_crops_anywhere():
    crops = list(TrainCrops(scenes(3, 0, side=200), 32, length=60, balance=0.5))
    assert 30 <= sum(crop.truth.count > 0 for crop in crops) < 40
    nothing = list(TrainCrops(scenes(0, 3), 32, length=6, balance=0.5))
    assert not any(crop.truth.count for crop in nothing)


def test_the_stated_share_of_crops_without_entity_lies_where_a_spot_is():
    def crops(share: float, spots: list[list[int]], **options) -> list[EntitySample]:
        found = TrainCrops(scenes(3, 3), 24, balance=0.5, hard_share=share, length=200, **options)
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
    crops = TrainCrops(scenes(3, 2), 24, hard_share=0.5)
    windows = crops.windows_without_entity(20)
    assert len(windows) == 20 and {one.index for one in windows} == {3, 4}
    assert all(one.image.shape == (24, 24, 3) for one in windows)
    again = TrainCrops(scenes(3, 2), 24, hard_share=0.5, epoch=1).windows_without_entity(20)
    assert [one[:3] for one in windows] == [one[:3] for one in crops.windows_without_entity(20)]
    assert [one[:3] for one in windows] != [one[:3] for one in again]
    assert TrainCrops(scenes(3, 0), 24, hard_share=0.5).windows_without_entity(20) == []


def test_a_tiny_defect_is_never_shrunk_in_a_balanced_crop():
    def shown(entity_px: int) -> list[int]:
        crops = TrainCrops(scenes(1, 1, 120, entity_px), 64, length=40, balance=1.0, scale_range=(0.5, 1.5))
        return [int(crop.truth.areas.sum()) for crop in crops]

    assert min(shown(2)) >= 1 and np.mean(shown(2)) > 4  # one or more pixels of the four, at their own size or larger
    zooms = [
        64 / crop.place.pixel_size_m
        for crop in TrainCrops(
            [EntitySample(one.image, one.truths, Place("a", pixel_size_m=1.0)) for one in scenes(1, 0, 120, 2)],
            64,
            length=40,
            balance=1.0,
            scale_range=(0.5, 1.5),
        )
    ]
    assert min(zooms) >= 63 and max(zooms) > 80
    assert min(shown(40)) < 40 * 40 / 3  # a large one may be


def test_a_balanced_crop_takes_an_annotator_who_saw_the_entity():
    one = scenes(1, 0)[0]
    both = EntitySample(one.image, (EntityMap(np.zeros_like(one.truth.ids)), one.truth), one.place)
    assert all(crop.truth.count for crop in TrainCrops([both], 32, length=10, balance=1.0))


def test_images_of_several_pixel_sizes_are_brought_to_one():
    ids = np.zeros((60, 60), np.int32)
    ids[20:40, 20:40] = 1
    image = np.repeat((ids * 200).astype(np.uint8)[..., None], 3, axis=2)
    samples = [
        EntitySample(image, (EntityMap(ids),), Place("a", pixel_size_m=size)) for size in (0.5e-6, 0.25e-6, None)
    ]
    crops = TrainCrops(samples, 64, None, pixel_size_m=0.5e-6, scale=2.0, scale_range=(1, 1))
    sides = [crops._decoded[i].image.shape[0] for i in range(3)]
    assert sides == [120, 60, 120]
    assert [crops._decoded[i].place.pixel_size_m for i in range(2)] == pytest.approx([0.25e-6] * 2)
