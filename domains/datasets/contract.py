"""The contract of a domain, as checks that any test suite can run on its own:

    @pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
    def test_my_domain_keeps_the_contract(check):
        check(build_domain("my_domain"))

Each check raises AssertionError saying what is wrong. All of them read at most a few samples of each split.
"""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable, Iterator
from dataclasses import MISSING, asdict, fields, is_dataclass
from typing import Any, get_args

import numpy as np

from domains.crops.augment import augment
from domains.crops.normalisers import build_normaliser, fit_normaliser
from domains.datasets.domain import Domain, DomainSpec, Flavour, data_options
from domains.entities import UNLABELLED, EntityMap, EntitySample, Place
from domains.errors import InputError
from domains.formats import LAYOUTS
from domains.formats.layout import SPLITS
from domains.metrics import METRICS
from domains.metrics.matching import compare_all

SAMPLES = 3
ALWAYS = {"ap", "ap50", "pq"}


def has_a_name(domain: Domain) -> None:
    """Its name can be written in recipes and as a folder."""
    assert isinstance(domain.name, str) and domain.name.isidentifier(), f"name is {domain.name!r}, wanted an identifier"


def samples_are_well_formed(domain: Domain) -> None:
    """Images are uint8 of two channels or more, truths are of their shape."""
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
    """No split is empty or has background alone."""
    for split in SPLITS:
        dataset: Any = domain.dataset(split)
        assert len(dataset), f"{split} is empty"
        assert any(dataset[i].truth.count for i in range(len(dataset))), f"no image of {split} has an entity"


def splits_share_no_scene(domain: Domain) -> None:
    """No group of images is in two splits."""
    seen: dict[str, str] = {}
    for split in SPLITS:
        dataset: Any = domain.dataset(split)
        groups = {record.group for record in dataset.records} if hasattr(dataset, "records") else scenes(dataset)
        for group in groups:
            assert seen.setdefault(group, split) == split, f"group {group!r} is in {seen[group]} and in {split}"


def all_is_the_three_splits_together(domain: Domain) -> None:
    """`all` has as many samples as its splits."""
    sizes = [len(domain.dataset(split)) for split in SPLITS]
    together = len(domain.dataset("all"))
    assert together == sum(sizes), f"'all' has {together} samples, {', '.join(SPLITS)} have {sizes}"


def a_sample_is_the_same_every_time(domain: Domain) -> None:
    """A data set that is made anew gives the same sample."""
    dataset, renewed = domain.dataset("train"), domain.dataset("train")
    assert same(dataset[0], renewed[0]), "train[0] differs when it is read again"


def datasets_survive_pickling(domain: Domain) -> None:
    """As they must, to travel to worker processes."""
    for split in SPLITS:
        dataset = domain.dataset(split)
        assert same(dataset[0], pickle.loads(pickle.dumps(dataset))[0]), f"{split}[0] differs after pickling"


def augmentation_keeps_entities(domain: Domain) -> None:
    """Shape, types, entities and their labels; an id above 65535 as well, and no background where there was none."""
    ids = np.arange(1, 65, dtype=np.int32).reshape(8, 8).repeat(8, 0).repeat(8, 1) + 70_000
    image = domain.dataset("train")[0].image
    truth = EntityMap(ids, labels=np.arange(70_065)[1:])  # each entity's class is its id
    sample = EntitySample(np.resize(image, (64, 64, 3)), (truth,), Place("made up"))
    augmentation = domain.augmentation()
    for seed in range(40):
        result = augment(sample, augmentation, seed)
        assert result.image.dtype == np.uint8 and result.image.shape == (64, 64, 3), (
            f"an augmented image is {result.image.dtype} {result.image.shape}, wanted uint8 (64, 64, 3)"
        )
        assert result.truth.labels is not None, "augmentation lost the entities' classes"
        made_up = set(result.truth.labels.tolist()) - set(np.unique(ids).tolist())
        assert not made_up, f"augmentation made up the ids {sorted(made_up)[:5]}"
        came = result.truth.ids
        assert ((came > 0) | (came == UNLABELLED)).all(), "augmentation made background where there was none"


def augmentation_follows_its_seed(domain: Domain) -> None:
    """One seed gives one result."""
    sample, augmentation, renewed = domain.dataset("train")[0], domain.augmentation(), domain.augmentation()
    for seed in range(5):
        assert same(augment(sample, augmentation, seed), augment(sample, renewed, seed)), (
            f"seed {seed} gave two results"
        )


def metrics_are_known_and_include_the_common_ones(domain: Domain) -> None:
    """The headline is among them, and what all domains are compared by."""
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
    nothing = EntityMap(np.zeros(truth.shape, np.int32))
    for key, metric in domain.metrics().items():
        metric.observe(compare_all(perfect, (truth,), pixel_size_m=1.0))
        metric.observe(
            compare_all(nothing, (nothing,), pixel_size_m=1.0)
        )  # without which no image could be told from others
        best = getattr(metric, "best", 1.0)
        assert np.isclose(metric.compute(), best), f"{key} of a perfect prediction is {metric.compute()}, not {best}"
        assert key not in METRICS or np.isnan(domain.metrics()[key].compute()), f"{key} is not fresh on a second call"


def layouts_can_be_tried(domain: Domain) -> None:
    """Its layouts say what they are, come before a layout that exists, and travel to worker processes."""
    for layout in spec_of(domain).layouts:
        assert layout.name.isidentifier() and layout.entities and layout.expects, f"layout {layout!r} says too little"
        assert layout.before in ("", *LAYOUTS), f"layout {layout.name!r} comes before {layout.before!r}; {[*LAYOUTS]}"
        assert type(pickle.loads(pickle.dumps(layout))) is type(layout), f"layout {layout.name!r} cannot be pickled"
        assert spec_of(domain).known_layouts[layout.name] is layout, f"another layout is called {layout.name!r}"


def options_do_nothing_unless_asked_for(domain: Domain) -> None:
    """Its options have defaults, are not those of data, and hold all that it changes or draws by."""
    spec = spec_of(domain)
    assert is_dataclass(spec.options), f"options is {spec.options!r}, wanted a dataclass"
    names = [option.name for option in fields(spec.options)]
    lacking = [option.name for option in fields(spec.options) if option.default is MISSING]
    assert not lacking, f"the options {lacking} have no default, at which they do nothing"
    assert not {*names} & {*data_options(), "data"}, f"of {names} one is an option of data already"
    assert set(spec.changes) <= set(names), f"changes are of {sorted(spec.changes)}, options are {names}"
    assert spec.draw is None or "drawn_defects" in names, f"draws on crops, but has no option drawn_defects: {names}"


def drawing_leaves_what_is_labelled(domain: Domain) -> None:
    """What is drawn on a crop changes neither pixels nor ids of entities that are there."""
    draw, image = spec_of(domain).draw, domain.dataset("train")[0].image
    ids = np.zeros(image.shape[:2], np.int32)
    ids[: len(ids) // 2] = 1
    for seed in range(10 if draw else 0):
        drawn, truth = draw(image, EntityMap(ids), np.random.default_rng(seed))
        assert drawn.dtype == np.uint8 and drawn.shape == image.shape, f"drawn is {drawn.dtype} {drawn.shape}"
        assert np.array_equal(truth.ids[ids > 0], ids[ids > 0]), f"seed {seed} draws over what is labelled"
        assert np.array_equal(drawn[ids > 0], image[ids > 0]), f"seed {seed} changes the image where it is labelled"


def normalisers_come_back_from_an_adapter(domain: Domain) -> None:
    """Of images that have the look which it normalises; others it may refuse, as fluorescence has no two stains."""
    for name in spec_of(domain).normalisers:
        try:
            options = fit_normaliser(name, domain.dataset("train"))
        except InputError:
            continue
        normaliser, image = build_normaliser(json.loads(json.dumps(options))), domain.dataset("train")[0].image
        recoloured = normaliser.fitted(image)(image)
        assert recoloured.dtype == np.uint8 and recoloured.shape == image.shape, f"{name} gives {recoloured.shape}"
        assert asdict(normaliser).keys() | {"name"} == options.keys(), f"{name} stores {sorted(options)}"


def flavour_is_known(domain: Domain) -> None:
    """Its results have properties that an export writes."""
    flavour = spec_of(domain).flavour
    assert flavour in get_args(Flavour), f"flavour is {flavour!r}, wanted one of {get_args(Flavour)}"


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
    layouts_can_be_tried,
    options_do_nothing_unless_asked_for,
    drawing_leaves_what_is_labelled,
    normalisers_come_back_from_an_adapter,
    flavour_is_known,
)


def spec_of(domain: Domain) -> Any:
    """The `DomainSpec` of a domain, one without anything of its own for what was written without a spec."""
    nothing = DomainSpec(domain.name, domain.headline, tuple(domain.metrics()), (), domain.augmentation)
    return getattr(domain, "spec", nothing)


def first_samples(domain: Domain) -> Iterator[tuple[str, EntitySample]]:
    """Up to `SAMPLES` samples of each split, with where they stand."""
    for split in SPLITS:
        dataset: Any = domain.dataset(split)
        for i in range(min(SAMPLES, len(dataset))):
            yield f"{split}[{i}]", dataset[i]


def scenes(dataset: Any) -> set[str]:
    """The names of what the samples show."""
    return {dataset[i].place.scene for i in range(len(dataset))}


def same(sample: EntitySample, again: EntitySample) -> bool:
    """Whether two samples have equal images and ids."""
    return (
        np.array_equal(sample.image, again.image)
        and len(sample.truths) == len(again.truths)
        and all(np.array_equal(a.ids, b.ids) for a, b in zip(sample.truths, again.truths, strict=True))
    )
