"""The draft of a data card: what a program can find out about a folder is filled in, what only people know is not."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

import yaml

from domains.datasets.cards import SPLITS_FIELD, SplitContent
from domains.datasets.check import Report
from domains.datasets.contents import parts_sha256
from domains.formats.layout import Record

FAULTS = 10  # of each kind in a card; `domains check` lists all
HUMAN = {
    "license": "as https://hf.co/docs/hub/repositories-licenses; `other` wants license_name and license_link too",
    "tags": "words to find it by, [instance-segmentation, ...]",
}


def draft_card(report: Report, name: str) -> str:
    """Markdown in the form of `cards.read_card`. Fields for people are blank, each with what belongs there."""
    front = {
        "task_categories": ["image-segmentation"],
        "pretty_name": name,
        "size_categories": [size_category(report.total.images)],
        SPLITS_FIELD: {split: split_content.stated() for split, split_content in split_contents(report).items()},
    }
    facts = yaml.safe_dump(front, sort_keys=False, default_flow_style=None, width=120, allow_unicode=True)
    blank = "".join(f"{key}:  # {hint}\n" for key, hint in HUMAN.items())
    return f"---\n{blank}{facts}---\n# {name}\n\n{_sections(report)}"


def split_contents(report: Report) -> dict[str, SplitContent]:
    """Number and digest of the images of every split that has any, and of all."""
    all_records: list[Record] = [record for records in report.records.values() for record in records]
    splits = {**report.records, "all": all_records}
    return {split: content(report.root, records, all_records) for split, records in splits.items() if records}


def content(root: Path, records: Sequence[Record], all_records: Sequence[Record]) -> SplitContent:
    """Number and digests of some images of the data, of which those cut from one file count by their names too.

    all_records: of all images of the data.
    """
    images = Counter(record.image for record in all_records)
    pieces = ((record.image, record.name if images[record.image] > 1 else "") for record in records)
    labels = {(file, "") for record in records for file in label_files(record.truth)}
    return SplitContent(len(records), parts_sha256(root, pieces), parts_sha256(root, labels) if labels else None)


def label_files(truth: Any) -> Iterator[Path]:
    """The files that a record's truth names; none where it holds outlines that were read from a list."""
    if isinstance(truth, Path):
        yield truth
    elif is_dataclass(truth) and not isinstance(truth, type):
        yield from label_files([getattr(truth, member.name) for member in fields(truth)])
    elif isinstance(truth, Mapping):
        yield from label_files([*truth.values()])
    elif isinstance(truth, (tuple, list)):
        for entry in truth:
            yield from label_files(entry)


def size_category(images: int) -> str:
    """The word for a number of images, as the Hub has them: `1K<n<10K`."""
    limits = [(1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M")]
    return next((name for limit, name in limits if images < limit), "1M<n<10M")


def _sections(report: Report) -> str:
    facts = dict(report.rows())
    shares = "\n".join(f"- {split}: {facts[split]}" for split in report.splits)
    faults = "".join(f"- {fault}\n".replace(f"{report.root}/", "") for fault in report.skipped[:FAULTS])
    if len(report.skipped) > FAULTS:
        faults += f"- and {len(report.skipped) - FAULTS} more, see `python cli.py domains check`\n"
    leaks = "".join(f"- a leak: {leak}\n" for leak in report.leaks[:FAULTS])
    strata = f" Strata: {facts['strata']}." if "strata" in facts else ""
    return f"""Layout: `{report.layout}`. Images: {facts["images"]}. Sizes: {facts["image sizes"]}.{strata}

<!-- what the images show, who took them, with what device; delete these remarks when they are answered -->

## What counts as an entity
By the layout: {report.entity}. Entities: {facts["entities"]}. Annotators: {facts["annotators"]}.

<!-- what was outlined and what was left out, what happens to touching and overlapping things -->

## Scale
Pixel size: {facts["pixel size"]}. Area in pixels: {facts["area, px"]}. Entities per truth: {facts["per truth"]}.

## Splits and groups
{report.total.groups} groups. The digests at the top say what each split holds; `fit` and `evaluate` check them.

{shares}

<!-- what a group is (slide, patient, scene, part), and how groups were found -->

## Licence
<!-- the terms under which images and annotations may be used and passed on, and who gave them -->

## Known faults
{faults}{leaks}<!-- what is missing, doubtful or biased -->

## Source
<!-- where the images come from, with address and date, and what to cite -->
"""
