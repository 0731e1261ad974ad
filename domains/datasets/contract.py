"""The contract of a domain, as checks that any test suite can run on its own:

    @pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
    def test_my_domain_keeps_the_contract(check):
        check(build_domain("my_domain"))

Each check raises AssertionError saying what is wrong. All of them read at most a few samples of each split.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from domains.crops.augment import augment
from domains.datasets.domain import Domain
from domains.entities import UNLABELLED, EntityMap, EntitySample, Place
from domains.formats.layout import SPLITS
from domains.metrics import METRICS
from domains.metrics.matching import compare_all

SAMPLES = 3
ALWAYS = {"ap", "ap50", "pq"}


def has_a_name(domain: Domain) -> None:
    assert isinstance(domain.name, str) and domain.name.isidentifier(), f"name is {domain.name!r}, wanted an identifier"


def samples_are_well_formed(domain: Domain) -> None:
    for where, sample in first_samples(domain):
        image, shape = sample.image, sample.image.shape[:2]
        assert image.dtype == np.uint8 and image.ndim == 3 and image.shape[2] >= 2, (
            f"{where}: image is {image.dtype} {image.shape}, wanted uint8 (H, W, 2 or more)"
        )
        assert sample.truths, f"{where}: no truth, wanted at least one map"
        for truth in sample.truths:
            assert truth.shape == shape, f"{where}: truth is {truth.shape}, its image {shape}"
            assert truth.ids.min() >= UNLABELLED, f"{where}: ids go down to {truth.ids.min()}, wanted -1 at least"
        assert sample.place.scene, f"{where}: place.scene is empty, wanted a name to report by"


def every_split_has_entities(domain: Domain) -> None:
    for split in SPLITS:
        dataset: Any = domain.dataset(split)
        assert len(dataset), f"{split} is empty"
        assert any(dataset[i].truth.count for i in range(len(dataset))), f"no image of {split} has an entity"


def splits_share_no_scene(domain: Domain) -> None:
    seen: dict[str, str] = {}
    for split in SPLITS:
        dataset: Any = domain.dataset(split)
        groups = {record.group for record in dataset.records} if hasattr(dataset, "records") else scenes(dataset)
        for group in groups:
            assert seen.setdefault(group, split) == split, f"group {group!r} is in {seen[group]} and in {split}"


def all_is_the_three_splits_together(domain: Domain) -> None:
    sizes = [len(domain.dataset(split)) for split in SPLITS]
    together = len(domain.dataset("all"))
    assert together == sum(sizes), f"'all' has {together} samples, {', '.join(SPLITS)} have {sizes}"


def a_sample_is_the_same_every_time(domain: Domain) -> None:
    first, again = domain.dataset("train"), domain.dataset("train")
    assert same(first[0], again[0]), "train[0] differs when it is read again"


def datasets_survive_pickling(domain: Domain) -> None:
    for split in SPLITS:
        dataset = domain.dataset(split)
        assert same(dataset[0], pickle.loads(pickle.dumps(dataset))[0]), f"{split}[0] differs after pickling"


def augmentation_keeps_entities(domain: Domain) -> None:
    """Shape, types and ids; an id above 65535 as well, and no background where there was none."""
    ids = np.arange(1, 65, dtype=np.int32).reshape(8, 8).repeat(8, 0).repeat(8, 1) + 70_000
    image = domain.dataset("train")[0].image
    sample = EntitySample(np.resize(image, (64, 64, 3)), (EntityMap(ids),), Place("made up"))
    augmentation = domain.augmentation()
    for seed in range(40):
        result = augment(sample, augmentation, seed)
        assert result.image.dtype == np.uint8 and result.image.shape == (64, 64, 3), (
            f"an augmented image is {result.image.dtype} {result.image.shape}, wanted uint8 (64, 64, 3)"
        )
        came = set(np.unique(result.truth.ids)) - {UNLABELLED}
        assert came <= set(np.unique(ids)), f"augmentation made up the ids {sorted(came - set(np.unique(ids)))[:5]}"


def augmentation_follows_its_seed(domain: Domain) -> None:
    sample, first, again = domain.dataset("train")[0], domain.augmentation(), domain.augmentation()
    for seed in range(5):
        assert same(augment(sample, first, seed), augment(sample, again, seed)), f"seed {seed} gave two results"


def metrics_are_known_and_include_the_common_ones(domain: Domain) -> None:
    keys = set(domain.metrics())
    assert keys >= ALWAYS, f"metrics lack {sorted(ALWAYS - keys)}, by which domains are compared"
    assert domain.headline in keys, f"headline is {domain.headline!r}, metrics are {sorted(keys)}"


def metrics_start_afresh(domain: Domain) -> None:
    """A perfect prediction scores 1 on every metric (or its `best`), and a second call knows nothing of it."""
    ids = np.zeros((160, 160), np.int32)
    for i, (start, side) in enumerate(((0, 120), (122, 35), (122, 16), (145, 8))):  # one of each size class
        ids[start : start + side, i * 40 * (i > 1) : i * 40 * (i > 1) + side] = i + 1
    truth = EntityMap.from_ids(ids)
    perfect = EntityMap(truth.ids, scores=np.ones(truth.count, np.float32))
    nothing = EntityMap(np.zeros_like(truth.ids))
    for key, metric in domain.metrics().items():
        metric.observe(compare_all(perfect, (truth,), pixel_size_m=1.0))
        metric.observe(
            compare_all(nothing, (nothing,), pixel_size_m=1.0)
        )  # without which no image could be told from others
        best = getattr(metric, "best", 1.0)
        assert np.isclose(metric.compute(), best), f"{key} of a perfect prediction is {metric.compute()}, not {best}"
        assert key not in METRICS or np.isnan(domain.metrics()[key].compute()), f"{key} is not fresh on a second call"


CHECKS: tuple[Callable[[Domain], None], ...] = (
    has_a_name,
    samples_are_well_formed,
    every_split_has_entities,
    splits_share_no_scene,
    all_is_the_three_splits_together,
    a_sample_is_the_same_every_time,
    datasets_survive_pickling,
    augmentation_keeps_entities,
    augmentation_follows_its_seed,
    metrics_are_known_and_include_the_common_ones,
    metrics_start_afresh,
)


def first_samples(domain: Domain) -> Iterator[tuple[str, EntitySample]]:
    for split in SPLITS:
        dataset: Any = domain.dataset(split)
        for i in range(min(SAMPLES, len(dataset))):
            yield f"{split}[{i}]", dataset[i]


def scenes(dataset: Any) -> set[str]:
    return {dataset[i].place.scene for i in range(len(dataset))}


def same(one: EntitySample, other: EntitySample) -> bool:
    return (
        np.array_equal(one.image, other.image)
        and len(one.truths) == len(other.truths)
        and all(np.array_equal(a.ids, b.ids) for a, b in zip(one.truths, other.truths, strict=True))
    )
