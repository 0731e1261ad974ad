"""The images that an adapter learnt from: noted at the end of `fit`, told where it is measured on them again."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from adapters.sharing.door import read_info
from adapters.sharing.learnt import LearntFrom, Met, digests_of
from adapters.sharing.opening import opened
from domains.datasets.domain import Domain
from domains.formats.layout import SPLITS
from recipes.check_data import folder_of
from recipes.reading.schema import DomainSection, Recipe


def images_of_fit(recipe: Recipe, domain: Domain) -> LearntFrom | None:
    """Of the training and validation images of a folder, and of the adapter that the fit started from; None where
    neither says anything: generated scenes are nobody's test images."""
    before = None
    if recipe.train.start_adapter:
        with opened(Path(recipe.train.start_adapter).expanduser()) as folder:
            before = read_info(folder).learnt_from
    if folder_of(domain, recipe.domain) is None:
        return before
    train, val = (digests_of(shown(domain, recipe.domain, split)) for split in SPLITS[:2])
    return LearntFrom(train=train, val=val).joined(before)


def shown(domain: Domain, section: DomainSection, split: Any) -> list[str]:
    """The digest of each image of a split, of a folder; those of one colour have none."""
    folder = folder_of(domain, section)
    records: Sequence[Any] = getattr(domain.dataset(split), "records", ()) if folder is not None else ()
    digests = [folder.pixels.get(record.name) for record in records] if folder is not None else []
    return [digest for digest in digests if digest is not None]


def met_again(learnt: LearntFrom | None, domain: Domain, section: DomainSection, split: Any) -> Met | None:
    """How many of a split's images an adapter learnt from; None where it or the data do not say."""
    if learnt is None or folder_of(domain, section) is None:
        return None
    return learnt.among(shown(domain, section, split))


def met_line(met: Met, images: int, split: str) -> str:
    """What it means for the numbers."""
    named = "" if split == "all" else f" {split}"
    undecided = "" if met.comparable == images else f"; of {images - met.comparable} it cannot be told"
    fact = f"the adapter learnt from {met.images} of these {images}{named} images, by their pixels ({met}{undecided})"
    return f"note: {fact}: the numbers flatter it"
