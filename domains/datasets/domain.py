"""A domain: which images, which augmentation, which metrics. One class serves all; their differences are values.

An entry of `domains.registry` is called with the data and the options, and returns a `Domain`; a `DomainSpec` is such a
callable, and writing one is all that most domains need. Whatever is a domain's own, from the layouts of its published
sets to what viewers want to read in its results, is a field of its spec: no other module names a domain.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import Field, dataclass, field, fields
from functools import cached_property
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol, cast

import numpy as np

from domains import registry
from domains.bands import starts_with_rgb
from domains.crops.crops import Draw
from domains.crops.normalisers import Normaliser
from domains.datasets.cards import Card, card_of_folder, find_card
from domains.datasets.dataset import EntityDataset, Folder, open_folder
from domains.datasets.sample import SampleScenes, sample_records
from domains.datasets.splits import assign
from domains.entities import Samples
from domains.errors import InputError, suggest
from domains.formats import all_layouts, recognise
from domains.formats.layout import SPLITS, Layout, Reading, Record, Split, Window
from domains.metrics import EntityMetric, build_metrics
from domains.options import DataOptions, ReadingOptions
from domains.procedural.dataset import ProceduralScenes
from domains.registry import load_entry

if TYPE_CHECKING:  # a second of import that evaluation does not need
    import albumentations as A

SAMPLE = "sample"
REHEARSED = 100_000  # scenes, of which a fit draws a few thousand
SOME_IMAGES = 64


Change = Callable[[Any, Callable[[], Iterable[np.ndarray]]], "Sequence[A.BasicTransform]"]
"""From an option's value, and from what reads some training images, to the training transforms that it adds."""
Flavour = Literal["plain", "qupath"]
"""Whose properties GeoJSON has: plain columns of a map, or the classes and measurements that QuPath reads."""


class Domain(Protocol):
    """What the rest of the house knows of a domain. `domains.datasets.contract.CHECKS` tests one."""

    @property
    def name(self) -> str:
        """What recipes and adapters call it."""
        ...

    @property
    def headline(self) -> str:
        """Key of the metric that is shown first; one of `metrics()`."""
        ...

    def dataset(self, split: Split | Literal["all"]) -> Samples:
        """Indexable and picklable, with a length; where it has `records`, they name each sample's group."""
        ...

    def augmentation(self) -> A.Compose:
        """For training only."""
        ...

    def rehearsal(self, size_px: int) -> ProceduralScenes | None:
        """Generated scenes of that side to mix into training against forgetting, where there are any."""
        ...

    def metrics(self) -> Mapping[str, EntityMetric]:
        """Fresh metrics by key, always with ap, ap50 and pq."""
        ...

    def card(self) -> Card | None:
        """The data card of the data at hand, where there is one."""
        ...


class WorthLooking(Protocol):
    """The part of a scene that prediction looks at."""

    @property
    def share(self) -> float:
        """Of the scene, 0..1."""
        ...

    def __call__(self, window: Window) -> bool:
        """Whether a window of level 0 has any of it."""
        ...

    def picture(self, tiles: Iterable[Window]) -> np.ndarray:
        """(h, w, 3) uint8: a thumbnail with that part and the tiles of it."""
        ...


@dataclass(frozen=True)
class NoOptions:
    """Of a domain that has none beside those of its data."""


@dataclass(frozen=True)
class DomainSpec:
    """What makes a domain this one. Called with data and options, it is that domain on those data."""

    name: str
    headline: str
    """Key of the metric that is shown first."""
    metric_keys: tuple[str, ...]
    families: tuple[str, ...]
    """Families of generated scenes that `data=sample` draws from."""
    augmentation: Callable[[], A.Compose]
    """Builds the training transforms; imports albumentations when called, not before."""
    rehearsed: tuple[str, ...] = ()
    """Families that `train.rehearsal` draws from; empty: those of `families`."""
    cards: tuple[str, ...] = ()
    """Data cards of sets that fit this domain, to point at."""
    options: type[Any] = NoOptions
    """Its options beside those of the data, which a recipe says: a dataclass that imports no torch, each field with its
    range, and with the default at which it does nothing. Of a domain of this house, `OPTIONS` of its `options.py`."""
    changes: Mapping[str, Change] = field(default_factory=dict)
    """Transforms for those of its options that add some, done before its others, those of the last option first."""
    draw: Draw | None = None
    """What `domain.drawn_defects` draws on training crops; None: nothing."""
    normalisers: Mapping[str, type[Normaliser]] = field(default_factory=dict)
    """Ways to recolour its scenes before the network, by the name that adapters store; see `domains.crops.normalisers`.
    """
    layouts: tuple[Layout, ...] = ()
    """Layouts of the sets that were published in its field. Those of this house are tried on every folder, whatever
    domain is named; those of a package on the folders of its domain, before the others."""
    flavour: Flavour = "plain"
    """Whose properties `predict --format geojson` writes."""
    worth: Callable[..., WorthLooking | None] | None = None
    """Where on a large scene entities can be at all; None for everywhere. Called with the scene, and with
    `smallest_um2=` where it has that parameter and `predict --smallest-piece` says it."""
    describe: Callable[[np.ndarray, np.ndarray, float | None], dict[int, dict[str, float]]] | None = None
    """More measurements of entities: ids (H, W), image (H, W, 3) uint8 and pixel size to {id: {name: value}}."""
    seen_pixel_size_m: float | None = None
    """Metres per pixel at which the network sees images that know theirs, where `domain.scale` is auto; None: as they
    are."""

    @property
    def known_layouts(self) -> dict[str, Layout]:
        """Every layout that its data may be in, by name, in the order in which they are tried."""
        house = all_layouts()
        added = {layout.name: layout for layout in self.layouts if house.get(layout.name) is not layout}
        return {**added, **{name: layout for name, layout in house.items() if name not in added}}

    def __call__(self, data: str | Path = SAMPLE, **options: Any) -> DataDomain:
        """The domain on a folder, or on `sample`. Raises InputError for an option that no domain has."""
        of_data = data_options()
        of_domains = {**house_options(), **{option.name: option for option in fields(self.options)}}
        for option in options:
            if option not in of_data and option not in of_domains:
                raise InputError(
                    f"domain.{option} is no option of {self.name!r}; {suggest(option, [*of_data, *of_domains])}"
                )
        extra = {name: value for name, value in options.items() if name in of_domains}
        return DataDomain(spec=self, data=str(data), extra=extra, **{k: v for k, v in options.items() if k in of_data})


@dataclass(frozen=True, kw_only=True)
class DataDomain(DataOptions, ReadingOptions):
    """A spec on data: `sample`, or a folder in any of the spec's `known_layouts`.

    Nothing is read before a split is asked for.

    Raises InputError from `dataset`: no such folder, unknown layout, no usable image, an empty split.
    """

    spec: DomainSpec
    data: str = SAMPLE
    seed: int = 0
    """Of the generated scenes."""
    extra: Mapping[str, Any] = field(default_factory=dict)
    """Options of the spec's own by name; those of other domains may be among them where they do nothing."""

    @property
    def name(self) -> str:
        """The spec's."""
        return self.spec.name

    @property
    def headline(self) -> str:
        """The spec's."""
        return self.spec.headline

    @property
    def draw(self) -> Draw | None:
        """The spec's."""
        return self.spec.draw

    def dataset(self, split: Split | Literal["all"]) -> EntityDataset | SampleScenes:
        """The images of a split, of `train` up to `max_images`, of `val` to `max_val_images`. Raises InputError."""
        if split != "all" and split not in SPLITS:
            raise InputError(f"split is {split!r}; {suggest(split, [*SPLITS, 'all'])}")
        records = [record for name in SPLITS for record in self.splits[name] if split in (name, "all")]
        if self.good_only and split in ("train", "val") and records:
            records = [record for record in records if not self._has_entity(record)]
            if not records:
                raise InputError(
                    f"domain.good_only is true, and {self.data!r} has no {split} image without entity; add good ones, "
                    "or set domain.fractions"
                )
        if not records:
            whole = "; `evaluate --split all` measures on every image" if split == "test" else ""
            raise InputError(f"{self.data!r} has no {split} images; set domain.fractions{whole}")
        most = {"train": self.max_images, "val": self.max_val_images}.get(split)
        if most is not None:
            records = first_images(records, most)
        if self.data == SAMPLE and self.bands:
            raise InputError(
                f"domain.bands is {list(self.bands)!r:.80}, but the sample is RGB; name a folder by --data"
            )
        if self.data == SAMPLE:
            return SampleScenes(self.spec.families, records)
        return EntityDataset(records, self.folder.layout, self.folder.cache)

    def _has_entity(self, record: Record) -> bool:
        """Whether an image shows an entity, by its labels."""
        if self.data == SAMPLE:
            return SampleScenes(self.spec.families, [record])[0].truth.count > 0
        return self.folder.entities[record.name] > 0

    def augmentation(self) -> A.Compose:
        """The transforms that the options add, then the spec's; without those of colour where the bands are no RGB.

        Raises InputError for an option of another domain that is not at its default.
        """
        from domains.crops.augment import compose, without_colour

        self._refuse_foreign_options()
        added: list[Any] = []
        for option in fields(self.spec.options):
            value = self.extra.get(option.name, option.default)
            if value != option.default and option.name in self.spec.changes:
                added = [*self.spec.changes[option.name](value, self._some_images), *added]
        whole: Any = self.spec.augmentation()
        if added:
            whole = compose(*added, *whole.transforms)
        return whole if starts_with_rgb(self.bands) else without_colour(whole)

    def _refuse_foreign_options(self) -> None:
        of_spec, of_house = {option.name for option in fields(self.spec.options)}, house_options()
        for name, value in self.extra.items():
            if name not in of_spec and value != of_house[name].default:
                raise InputError(
                    f"domain.{name} is {value!r}, which {self.name!r} does not know; leave it "
                    f"{of_house[name].default!r}"
                )

    def _some_images(self) -> Iterator[np.ndarray]:
        """Of the training split, spread over it, each read when it is asked for."""
        train = self.dataset("train")
        for i in sorted({round(i) for i in np.linspace(0, len(train) - 1, min(len(train), SOME_IMAGES))}):
            yield train[i].image

    def rehearsal(self, size_px: int) -> ProceduralScenes | None:
        """Scenes of the spec's `rehearsed` families, or of its others; None where it has none."""
        families = self.spec.rehearsed or self.spec.families
        return ProceduralScenes(families, REHEARSED, self.seed, size_px) if families else None

    def metrics(self) -> dict[str, EntityMetric]:
        """Fresh ones, of the spec's keys."""
        return build_metrics(self.spec.metric_keys)

    def card(self) -> Card | None:
        """Of the folder, or of the sample; None where there is none."""
        if self.data == SAMPLE:
            return find_card(f"sample_{self.name}")
        return card_of_folder(Path(self.data).expanduser())

    @cached_property
    def splits(self) -> dict[Split, list[Record]]:
        """Every usable record by its split."""
        if self.data == SAMPLE:
            return sample_records(self.sample_count, self.fractions, self.seed)
        return assign(self.folder.records, fractions=self.fractions)

    @cached_property
    def folder(self) -> Folder:
        """The data folder, recognised and read once."""
        root = Path(self.data).expanduser()
        if not root.is_dir():
            cards = ", ".join(f"data_cards/{card}.md" for card in self.spec.cards)
            raise InputError(
                f"domain.data is {self.data!r}: wanted 'sample' or a folder of labelled images, got "
                f"{'a file' if root.exists() else f'nothing at {str(root.absolute())!r}'}; "
                "docs/formats.md lists the layouts" + (f"; see {cards}" if cards else "")
            )
        layouts = self.spec.known_layouts
        if self.layout is not None and self.layout not in layouts:
            raise InputError(f"domain.layout is {self.layout!r}; {suggest(self.layout, layouts)}")
        groups = None if self.groups is None else Path(self.groups).expanduser()
        layout = recognise(root, layouts) if self.layout is None else layouts[self.layout]
        reading = Reading(tuple(map(str, self.bands)), tuple(self.band_names), self.attribute, self.labels, self.void)
        return open_folder(root, groups, self.strict, layout.with_reading(reading), pixel_size_m=self.pixel_size_m)


def first_images(records: Sequence[Record], count: int) -> list[Record]:
    """`count` records, spread over groups: the first of every group comes before the second of any.

    Groups, and images within a group, stand in the order of their names' hashes: 10 images hold the 5, on any machine.
    """
    by_hash = sorted(records, key=lambda record: name_hash(record.name))
    rank: dict[str, int] = {}
    turns = []
    for record in by_hash:
        turns.append(rank.get(record.group, 0))
        rank[record.group] = turns[-1] + 1
    order = sorted(range(len(turns)), key=lambda i: (turns[i], name_hash(by_hash[i].group)))
    return [by_hash[i] for i in order[:count]]


def name_hash(name: str) -> bytes:
    """(8,) bytes that are a name's on every machine."""
    return blake2b(name.encode("utf-8", "surrogateescape"), digest_size=8).digest()


def data_options() -> tuple[str, ...]:
    """Names of the options of data, which every `DomainSpec` takes."""
    return (*(option.name for kind in (DataOptions, ReadingOptions) for option in fields(kind)), "seed")


def house_options() -> dict[str, Field[Any]]:
    """The options of the domains of this house by name, which every recipe may say where they do nothing."""
    return {option.name: option for owner in registry.house_options() for option in fields(owner)}


def build_domain(name: str, data: str | Path = SAMPLE, **options: Any) -> Domain:
    """The domain of that name on those data. options: `data_options` and the domain's own (third parties may have
    others).

    Raises InputError for an unknown name, and for an entry that cannot be loaded.
    """
    return load_domain(name)(data, **options)


def load_domain(name: str) -> Callable[..., Domain]:
    """The registered entry, as `domains.registry.load_entry`. Raises InputError."""
    return cast(Callable[..., Domain], load_entry(name))
