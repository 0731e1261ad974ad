"""Before anything is learned or measured: the files are held against their data card, and leaks are refused."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from domains.datasets.card_draft import content
from domains.datasets.cards import Card, SplitContent
from domains.datasets.dataset import EntityDataset, Folder
from domains.datasets.domain import SAMPLE, Domain
from domains.datasets.leaks import TEACHERS, find_leaks
from domains.datasets.looks import Look, look_at
from domains.datasets.read_as import read_as
from domains.errors import InputError
from domains.formats.layout import Record, Split
from domains.scenes.images import read_image
from recipes.reading.command import command
from recipes.reading.schema import DomainSection
from recipes.scene_files import scenes_of

WITHOUT_ENTITY = {
    "train": "all that it learns is what domain.drawn_defects draws",
    "val": "what is chosen on them, the best weights and the thresholds, goes by false alarms alone",
    "test": "metrics of entities are undefined there, and counts speak of false alarms alone",
}
"""What it means that a split has no entity."""


def tell_reading(domain: Domain, section: DomainSection) -> None:
    """Prints as what a folder was read, in at most five lines; nothing of data that are no folder."""
    folder = folder_of(domain, section)
    if folder is not None:
        read = read_as(folder.root, folder.layout, folder.records, folder.faults)
        print("\n".join(read.brief(section.data)))


def check_entities(domain: Domain, section: DomainSection, splits: Sequence[str]) -> None:
    """Prints a note for a split that has no entity. splits: of `fit` all, else the one that is measured on.

    Raises InputError where there is nothing to learn or to measure: no entity in train, or in none of the data.
    """
    folder = folder_of(domain, section)
    if folder is None:
        return
    fitted = len(splits) > 1
    drawn = fitted and (section.drawn_share > 0 or section.good_only)
    advice = f"look how the labels are read by `{command('domains', 'check', section.data)}`"
    if not drawn and not any(folder.entities.values()):
        raise InputError(
            f"domain.data {section.data!r}: wanted entities to {'learn' if fitted else 'measure'}, got "
            f"{len(folder.records)} images without any; {advice}"
        )
    for split in splits:
        records = getattr(domain.dataset(split), "records", ())  # type: ignore[arg-type]
        if any(folder.entities.get(record.name) for record in records):
            continue
        if fitted and section.good_only and split != "test":
            continue  # as asked for
        fact = f"none of the {len(records)} {split} images holds an entity"
        if fitted and split == "train" and not drawn:
            raise InputError(
                f"domain.data {section.data!r}: {fact}, so there is nothing to learn; {advice}, or split otherwise by "
                "domain.groups or domain.fractions"
            )
        print(f"note: {fact}; {WITHOUT_ENTITY[split if fitted else 'test']}")


def folder_of(domain: Domain, section: DomainSection) -> Folder | None:
    """The folder that a domain's data were read from, None for data that are none or that it reads by itself."""
    if section.data == SAMPLE or not Path(section.data).is_dir():
        return None
    folder = getattr(domain, "folder", None)
    return folder if isinstance(folder, Folder) else None


def check_data(domain: Domain, section: DomainSection, splits: Sequence[str]) -> None:
    """Of the splits that are about to be used. Data without records of image files (`sample`) are not looked at.

    Prints a line where a card is at hand. Raises InputError for a split that its card does not describe, and for an
    image of the last split that was learned from too, unless `section` allows it.
    """
    if section.data == SAMPLE or not Path(section.data).is_dir():
        return
    card = domain.card() if section.card == "check" else None
    if card is not None:
        check_card(card, domain, section, splits)
    measured = splits[-1]
    if section.leaks != "allow" and measured in TEACHERS:
        check_leaks(domain, section, measured)


def check_card(card: Card, domain: Domain, section: DomainSection, splits: Sequence[str]) -> None:
    """Prints what was compared; a draft's blank fields are told and do no harm. Raises InputError."""
    root = Path(section.data)
    beside_data = card.path.resolve().parent == root.resolve()
    if beside_data and card.missing:
        print(f"data card {card.path}: still to be filled in: {', '.join(card.missing)}")
    matching, records = [], records_of(domain, "all")
    for split in splits:
        cut = {"train": section.max_images, "val": section.max_val_images}.get(split)
        if split not in card.splits or cut:
            continue
        measured = content(root, records_of(domain, split), records)
        stated = card.splits[split]
        if stated.labels_sha256 is None:
            measured = replace(measured, labels_sha256=None)
        if measured != stated:
            refuse_split(card, domain, section, split, measured, beside_data)
            return
        matching.append(split)
    if matching:
        print(f"data card {card.path}: {', '.join(matching)} as it states")


def refuse_split(
    card: Card, domain: Domain, section: DomainSection, split: str, measured: SplitContent, beside_data: bool
) -> None:
    """Raises InputError; prints a note instead where the card is a shipped one, found by the folder's name alone."""
    root, stated = Path(section.data), card.splits[split]
    records = records_of(domain, "all")
    stated_all = card.splits.get("all")
    if (measured.images, measured.sha256) == (stated.images, stated.sha256):
        fact = (
            f"the images of {split} are those of the data card {str(card.path)!r}, but their label files are others: "
            f"SHA-256 {str(measured.labels_sha256)[:12]}..., the card has {str(stated.labels_sha256)[:12]}..."
        )
        answer = f"restore them, draft the card again by `{command('domains', 'card', section.data, '--overwrite')}`"
    elif stated_all is not None and content(root, records, records).sha256 == stated_all.sha256:
        fact = (
            f"the images are those of the data card {str(card.path)!r}, but {split} is another share of them "
            f"({measured.images} images, the card has {stated.images})"
        )
        answer = "give the card's groups by domain.groups=FILE, leave domain.fractions as it was"
    else:
        fact = (
            f"{split} is not what the data card {str(card.path)!r} states: {measured.images} images with SHA-256 "
            f"{measured.sha256[:12]}..., the card has {stated.images} with {stated.sha256[:12]}..."
        )
        answer = (
            f"restore the images, draft the card again by `{command('domains', 'card', section.data, '--overwrite')}`"
        )
    if not beside_data:
        print(f"note: {fact}; figures here do not compare with those on the card's split")
        return
    raise InputError(f"domain.data {section.data!r}: {fact}; {answer}, or go on with domain.card=ignore")


def check_leaks(domain: Domain, section: DomainSection, split: Any) -> None:
    """Raises InputError where images of `split` are also among those that it is learnt from."""
    records: dict[Split, list[Record]] = {name: records_of(domain, name) for name in (split, *TEACHERS[split])}
    dataset = domain.dataset(split)
    read = dataset.image if isinstance(dataset, EntityDataset) else lambda record: read_image(record.image)
    leaks = find_leaks(records, split, lambda record: look_of(read, record), nearly=section.leaks == "refuse")
    if leaks:
        further = (
            f"; and {len(leaks) - 1} more pairs, see `{command('domains', 'check', section.data)}`"
            if len(leaks) > 1
            else ""
        )
        nearly = "; domain.leaks=identical if these are different things" if leaks[0].bits is not None else ""
        raise InputError(
            f"domain.data {section.data!r}: {leaks[0]}{further}; put what shows one thing into one group "
            f"(domain.groups=FILE), take one out, or go on with domain.leaks=allow{nearly}"
        )


def check_unlabelled(domain: Domain, section: DomainSection, folder: str) -> None:
    """Raises InputError where a folder of images without labels holds some of the test images, unless leaks are
    allowed: what learns from them has seen what it is measured on.
    """
    tested = records_of(domain, "test")
    if section.data == SAMPLE or section.leaks == "allow" or not tested:
        return
    try:
        paths = [path for path in scenes_of([Path(folder)]).paths if isinstance(path, Path)]
    except InputError as error:
        raise InputError(f"train.unlabelled: {error}") from error
    pictures = [Record(path.name, path, None, path.name) for path in paths]
    dataset = domain.dataset("test")
    of_test: Any = dataset.image if isinstance(dataset, EntityDataset) else lambda record: read_image(record.image)
    test_names = {id(record) for record in tested}

    def look(record: Record) -> Look | None:
        return look_of(of_test if id(record) in test_names else lambda record: read_image(record.image), record)

    records: dict[Split, list[Record]] = {"train": pictures, "test": tested}
    copies = [record for record in tested if any(record.image.resolve() == path.resolve() for path in paths)]
    leaks = [] if copies else find_leaks(records, "test", look, nearly=section.leaks == "refuse")
    if copies or leaks:
        example = f"{copies[0].name!r} itself" if copies else str(leaks[0]).replace("(train)", "(unlabelled)")
        count = len(copies) or len({leak.measured.name for leak in leaks})
        raise InputError(
            f"train.unlabelled {folder!r} holds {count} of the {len(tested)} test images: {example}; take them out, or "
            "go on with domain.leaks=allow"
        )


def look_of(read: Callable[[Record], np.ndarray], record: Record) -> Look | None:
    """None for what cannot be opened as one picture, such as a slide."""
    try:
        return look_at(read(record))
    except InputError:
        return None


def records_of(domain: Domain, split: Any) -> list[Record]:
    """Those of a split that are image files; none where the split is empty, or its data set knows no records."""
    try:
        records = getattr(domain.dataset(split), "records", ())
    except InputError:
        return []
    return [record for record in records if isinstance(record, Record) and record.image.exists()]
