"""What `transfer` measures: one adapter, or the base, on one set at a time, where no cell of it is kept."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from adapters.backbones import Backbone
from adapters.inference.segment import InputContract, measure, weights_digest
from adapters.sharing.appearances import Appearances
from adapters.sharing.door import read_info, seal
from adapters.sharing.learnt import LearntFrom
from adapters.sharing.opening import opened
from domains.datasets.domain import Domain
from domains.metrics import MetricSet
from recipes.bases import base_of
from recipes.load import loaded
from recipes.reading.schema import Recipe
from recipes.shared import BASE, SharedRecipe, shared_recipe
from recipes.verbs.progress import Progress
from recipes.verbs.transfer_cells import CellFolder, MeasuredSet


@dataclass(frozen=True)
class About:
    """What an adapter says of itself, read without its network."""

    shared: SharedRecipe
    learnt: LearntFrom | None
    contract: InputContract
    digest: str
    """Of everything that decides a prediction: the seal."""
    appearances: Appearances | None = None
    """How images look that it was fitted on, where it says so."""


@dataclass(frozen=True)
class LabelledSet(MeasuredSet):
    """A set that the reader names."""

    domain: Domain
    recipe: Recipe
    """That of its domain, on its folder."""


@dataclass(frozen=True, eq=False)
class Job:
    """An adapter, by its path and the name of its row, on a set."""

    row: str
    adapter: str
    column: MeasuredSet
    about: About | None = None
    """None for the bare base."""
    recipe: tuple[str, Sequence[str]] | None = None
    """What the bare base is measured by: a recipe, and overrides."""

    @property
    def can_be_measured(self) -> bool:
        """Not an adapter of other bands on generated scenes, which are RGB; of a set that is named it is an error."""
        return isinstance(self.column, LabelledSet) or self.about is None or self.about.contract.channels == 3


@dataclass
class Measuring:
    """What measures networks on sets: bases, loaded once each, and the cells that are kept."""

    cells: CellFolder
    backbone: str | None = None
    """Where the base of adapters lies that is not where they say."""
    bases: dict[str, Backbone] = field(default_factory=dict)

    def run(self, jobs: Sequence[Job]) -> dict[tuple[str, str], MetricSet]:
        """(row, set) -> metrics, of the cells that are kept and then, one by one, of the others."""
        paths = {job: self.path(job) for job in jobs}
        measured = {job: self.cells.read(paths[job], job.column) for job in jobs}
        missing = [job for job, metrics in measured.items() if metrics is None]
        if len(missing) < len(jobs):
            print(f"{len(jobs) - len(missing)} of {len(jobs)} cells were measured before: {self.cells.folder}")
        images = sum(len(job.column.samples) for job in missing)
        if missing:
            with Progress("transfer", images, unit="images") as progress:
                for job in missing:
                    measured[job] = self.measured(job, paths[job], progress)
        return {(job.row, job.column.name): metrics for job, metrics in measured.items() if metrics is not None}

    def path(self, job: Job) -> Path:
        """Where the cell of a job lies or will lie; of the bare base its network is built to say so."""
        if job.about is not None:
            return self.cells.path(job.about.digest, job.about.contract, job.column)
        recipe, overrides = job.recipe or (None, ())
        with loaded(BASE, recipe, overrides, base_of(BASE, self.bases)) as network:
            return self.cells.path(weights_digest(network.segmenter), network.contract, job.column)

    def measured(self, job: Job, path: Path, progress: Progress) -> MetricSet:
        """Measure a network on a set, and keep the cell."""
        recipe, overrides = job.recipe or (None, ())
        base = base_of(job.adapter, self.bases, self.backbone)
        with loaded(job.adapter, recipe, overrides, base, self.cells.runtime) as network:
            segmenter, contract, metrics = network.segmenter, network.contract, job.column.metrics()
            metrics = measure(segmenter, job.column.samples, metrics, contract, progress.advance, progress.tick)
        self.cells.keep(path, job.column, metrics, job.row)
        return metrics


def about_adapter(adapter: str) -> About:
    """What an adapter says of itself, without its network. Raises InputError."""
    with opened(Path(adapter)) as folder:
        info = read_info(folder)
        digest = info.digest or seal(folder, info)
        return About(shared_recipe(folder, info), info.learnt_from, info.contract, digest, info.appearances)
