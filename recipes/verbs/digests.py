"""What a report rests on, to be checked: the recipe without places, the digests of an adapter's files and its base."""

from __future__ import annotations

import re
from hashlib import sha256
from pathlib import Path

from adapters.options.backbone import EMBEDDED
from adapters.sharing.door import read_info, without_places
from adapters.sharing.info import FILES, AdapterInfo, present
from adapters.sharing.opening import opened
from recipes.reading.compose import values_of, yaml_text
from recipes.reading.schema import Recipe
from recipes.report.page import FoldedText
from recipes.report.tables import Cell, Table, number, text


def recipe_text(recipe: Recipe, title: str = "Recipe") -> FoldedText:
    """The whole recipe as YAML, without the places of the machine that wrote it: the page is made to be sent."""
    return FoldedText(
        title, yaml_text(without_places(values_of(recipe, exclude_none=True), base=is_place(recipe.backbone.name)))
    )


def is_place(name: str) -> bool:
    """Whether the name of a base is neither that of an embedded one nor an id on the Hub: a place of some machine."""
    return name not in EMBEDDED and not re.fullmatch(r"[\w-][\w.-]*/[\w-][\w.-]*", name)


def digest_tables(adapter: str | Path) -> list[Table]:
    """The files of an adapter with their SHA-256, and what it belongs to. Raises InputError where it is not whole."""
    with opened(Path(adapter)) as folder:
        info = read_info(folder)
        files = [folder / name for name in FILES if present(folder, name)]
        rows = [
            [
                text(file.name),
                number(file.stat().st_size / 1e3, ",.1f"),
                digest_cell(sha256(file.read_bytes()).hexdigest()),
            ]
            for file in files
        ]
    return [
        Table(["file", "kB", "SHA-256"], rows, "Files of the adapter", folded=True),
        Table(["digest", "of", ""], belongings(info), "What it belongs to", folded=True),
    ]


def belongings(info: AdapterInfo) -> list[list[Cell]]:
    """Rows of the digests by which an adapter knows its base, its start, its images and itself."""
    learnt = info.learnt_from
    digests = {
        "base": (info.fingerprint, f"the weights of {info.backbone.bare_name}"),
        "decoder underneath": (info.start and info.start.digest, "the pretrained decoder that its updates belong to"),
        "data card": (info.card_digest, "the card of the images"),
        "seal": (info.digest, "all that decides a prediction"),
    }
    rows = [[text(name), text(of), digest_cell(value)] for name, (value, of) in digests.items() if value]
    if learnt is not None:
        images = f"{learnt.train.images} training and {learnt.val.images} validation images, in entity.json"
        rows.append([text("images"), text("what it learnt from"), text(images)])
    return rows


def digest_cell(value: str) -> Cell:
    """A digest in the letters of code."""
    return Cell(value, code=True)
