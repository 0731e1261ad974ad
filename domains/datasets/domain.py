"""A domain: which images, which augmentation, which metrics. One class serves all; their differences are values.

A domain is an entry `name -> "module:attribute"`, ours in `DOMAINS`, those of installed packages under the entry point
group `entity_adapters.domains`. The attribute is called with the data and the options, and returns a `Domain`; a
`DomainSpec` is such a callable, and writing one is all that most domains need.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from functools import cached_property
from hashlib import blake2b
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol, cast

import numpy as np

from domains.bands import starts_with_rgb
from domains.crops.crops import Samples
from domains.datasets.cards import Card, card_of_folder, find_card
from domains.datasets.dataset import EntityDataset, Folder, open_folder
from domains.datasets.sample import SampleScenes, sample_records
from domains.datasets.splits import FRACTIONS, assign
from domains.errors import InputError, suggest
from domains.formats import LAYOUTS, recognise
from domains.formats.label_meanings import Labels, Void
from domains.formats.layout import SPLITS, Layout, Reading, Record, Split
from domains.metrics import EntityMetric, build_metrics
from domains.procedural.dataset import ProceduralScenes
from domains.tiling.grid import Window

if TYPE_CHECKING:  # a second of import that evaluation does not need
    import albumentations as A

DOMAINS: dict[str, str] = {
    "pathology": "domains.pathology.domain:DOMAIN",
    "industrial": "domains.industrial.domain:DOMAIN",
    "remote_sensing": "domains.remote_sensing.domain:DOMAIN",
    "natural": "domains.natural.domain:DOMAIN",
}
GROUP = "entity_adapters.domains"
SAMPLE = "sample"
REHEARSED = 100_000  # scenes, of which a fit draws a few thousand
SOME_IMAGES = 64


OPTIONAL: dict[str, Any] = {"seasons": False, "stain_augmentation": "none", "fluorescence_as_dye": 0.0}
"""Options of a domain that add to its training transforms, and the value at which each adds nothing."""

Change = Callable[[Any, Callable[[], Iterable[np.ndarray]]], "Sequence[A.BasicTransform]"]
"""From such an option's value, and from what reads some training images, to the transforms that it adds."""


class Domain(Protocol):
    """What the rest of the house knows of a domain. `domains.datasets.contract.CHECKS` tests one."""

    @property
    def name(self) -> str: ...

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
    changes: Mapping[str, Change] = field(default_factory=dict)
    """Transforms for those of `OPTIONAL` that it knows, done before its others."""
    layouts: tuple[Layout, ...] = ()
    """Layouts of this domain alone; they are looked for before those of `LAYOUTS`."""

    @property
    def known_layouts(self) -> dict[str, Layout]:
        """Every layout that its data may be in, by name."""
        return {**{own.name: own for own in self.layouts}, **LAYOUTS, **{own.name: own for own in self.layouts}}

    worth: Callable[..., WorthLooking | None] | None = None
    """Where on a large scene entities can be at all; None for everywhere. Called with the scene, and with
    `smallest_um2=` where it has that parameter and `predict --smallest-piece` says it."""
    describe: Callable[[np.ndarray, np.ndarray, float | None], dict[int, dict[str, float]]] | None = None
    """More measurements of entities: ids (H, W), image (H, W, 3) uint8 and pixel size to {id: {name: value}}."""
    seen_pixel_size_m: float | None = None
    """Metres per pixel at which the network sees images that know theirs, where `domain.scale` is auto; None: as they
    are."""

    def __call__(self, data: str | Path = SAMPLE, **options: Any) -> DataDomain:
        known = [one.name for one in fields(DataDomain) if one.name not in ("spec", "data")]
        for option in options:
            if option not in known:
                raise InputError(f"domain.{option} is no option of {self.name!r}; {suggest(option, known)}")
        return DataDomain(self, str(data), **options)


@dataclass(frozen=True)
class DataDomain:
    """A spec on data: `sample`, or a folder in any of the spec's `known_layouts`.

    Nothing is read before a split is asked for.

    Raises InputError from `dataset`: no such folder, unknown layout, no usable image, an empty split.
    """

    spec: DomainSpec
    data: str = SAMPLE
    layout: str | None = None
    """Name of the layout; None recognises it."""
    groups: str | Path | None = None
    """CSV of files and groups; None takes the layout's groups, or `groups.csv` in the folder."""
    fractions: tuple[float, float, float] = FRACTIONS
    """Shares of train, val and test, for data without a split of their own."""
    max_images: int | None = None
    """Train on this many images only: one of every group before a second of any, see `first_images`."""
    sample_count: int = 64
    """Generated scenes in all, when data is `sample`."""
    seed: int = 0
    """Of the generated scenes."""
    strict: bool = False
    """A file that cannot be used is an error, rather than left out."""
    pixel_size_m: float | None = None
    """Of a folder's images, in place of what they say of themselves."""
    stain_augmentation: str = "none"
    """jitter, styles, both or none; see `domains.pathology.domain`."""
    fluorescence_as_dye: float = 0.0
    """Share of the training crops of fluorescence that are shown as stained tissue; see `domains.pathology.as_dye`."""
    seasons: bool = False
    """Plants of other seasons and soft shadows in training crops; see `domains.remote_sensing.domain`."""
    bands: tuple[str, ...] = ()
    """Bands of rasters, see `domains.bands`; none for RGB."""
    band_names: tuple[str, ...] = ()
    """Names of a file's bands in their order, where the file does not give them."""
    attribute: str | None = None
    """Of vector labels: the column whose values are the classes."""
    labels: Labels | None = None
    """What the numbers of label pictures mean: ids, mask or classes; None to decide."""
    void: Void | None = None
    """The number of label pictures that is unlabelled, "none" for none; None to decide."""

    @property
    def name(self) -> str:
        return self.spec.name

    @property
    def headline(self) -> str:
        return self.spec.headline

    def dataset(self, split: Split | Literal["all"]) -> EntityDataset | SampleScenes:
        if split != "all" and split not in SPLITS:
            raise InputError(f"split is {split!r}; {suggest(split, [*SPLITS, 'all'])}")
        records = [record for name in SPLITS for record in self.splits[name] if split in (name, "all")]
        if not records:
            raise InputError(f"{self.data!r} has no {split} images; set domain.fractions, or ask for --split all")
        if split == "train" and self.max_images is not None:
            records = first_images(records, self.max_images)
        if self.data == SAMPLE and self.bands:
            raise InputError(
                f"domain.bands is {list(self.bands)!r:.80}, but the sample is RGB; name a folder by --data"
            )
        if self.data == SAMPLE:
            return SampleScenes(self.spec.families, records)
        return EntityDataset(records, self.folder.layout, self.folder.cache)

    def augmentation(self) -> A.Compose:
        from domains.crops.augment import compose, without_colour

        added: list[Any] = []
        for option, nothing in OPTIONAL.items():
            value = getattr(self, option)
            if value == nothing:
                continue
            if option not in self.spec.changes:
                raise InputError(
                    f"domain.{option} is {value!r}, which {self.name!r} does not know; leave it {nothing!r}"
                )
            added = [*self.spec.changes[option](value, self._some_images), *added]
        whole: Any = self.spec.augmentation()
        if added:
            whole = compose(*added, *whole.transforms)
        return whole if starts_with_rgb(self.bands) else without_colour(whole)

    def _some_images(self) -> Iterator[np.ndarray]:
        """Of the training split, spread over it, each read when it is asked for."""
        train = self.dataset("train")
        for i in sorted({round(i) for i in np.linspace(0, len(train) - 1, min(len(train), SOME_IMAGES))}):
            yield train[i].image

    def rehearsal(self, size_px: int) -> ProceduralScenes | None:
        families = self.spec.rehearsed or self.spec.families
        return ProceduralScenes(families, REHEARSED, self.seed, size_px) if families else None

    def metrics(self) -> dict[str, EntityMetric]:
        return build_metrics(self.spec.metric_keys)

    def card(self) -> Card | None:
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
    return blake2b(name.encode("utf-8", "surrogateescape"), digest_size=8).digest()


def build_domain(name: str, data: str | Path = SAMPLE, **options: Any) -> Domain:
    """The domain of that name on those data; options are the fields of `DataDomain` (third parties may have others).

    Raises InputError for an unknown name, and for an entry that cannot be loaded.
    """
    return load_domain(name)(data, **options)


def load_domain(name: str) -> Callable[..., Domain]:
    """The entry of that name: a `DomainSpec`, or whatever a third party registered to be called in its place."""
    entries = domain_entries()
    if name not in entries:
        raise InputError(f"domain.name is {name!r}; {suggest(name, entries)}")
    entry = entries[name]
    try:
        loaded = entry.load()
    except Exception as error:  # a stranger's package: whatever its import raises, the user gets one line
        raise InputError(
            f"domain {name!r} of {origin(entry)} cannot be loaded from {entry.value!r}: "
            f"{type(error).__name__}: {error}; repair or uninstall that package"
        ) from error
    if not callable(loaded):
        raise InputError(f"domain {name!r} of {origin(entry)}: wanted a DomainSpec or a function, got {loaded!r}")
    return cast(Callable[..., Domain], loaded)


def domain_entries() -> dict[str, EntryPoint]:
    """Every known domain. Ours cannot be replaced by a package that takes their names."""
    ours = {name: EntryPoint(name, value, GROUP) for name, value in DOMAINS.items()}
    return {entry.name: entry for entry in entry_points(group=GROUP)} | ours


def origin(entry: EntryPoint) -> str:
    return f"the package {entry.dist.name!r}" if entry.dist else "this repository"
