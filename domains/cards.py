"""Data cards: what a data set is, in a form that the Hub shows and a program can check.

A card is Markdown with the front matter of a Hub dataset card (https://huggingface.co/docs/hub/datasets-cards) and
the sections of `SECTIONS`. Its digest goes into `entity.json` of every adapter trained on the data.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from domains.errors import InputError

FOLDER = Path(__file__).resolve().parents[1] / "data_cards"
FRONT_MATTER = ("license", "task_categories", "pretty_name", "size_categories", "tags")
SECTIONS = ("What counts as an entity", "Scale", "Splits and groups", "Licence", "Known faults", "Source")


@dataclass(frozen=True)
class Card:
    """name: the file's stem; front: the front matter; sections: title of each `##` section to its text."""

    name: str
    front: Mapping[str, Any]
    sections: Mapping[str, str]
    text: str


def read_card(path: str | Path) -> Card:
    """The card of a file. Raises InputError naming the file and every field that is missing or empty."""
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"cannot read the data card {str(path)!r}: {error}") from error
    card = Card(path.stem, front_matter(text, path), sections_of(text), text)
    missing = [f"front matter {key!r}" for key in FRONT_MATTER if not card.front.get(key)]
    missing += [f"section '## {title}'" for title in SECTIONS if not card.sections.get(title)]
    if "image-segmentation" not in card.front.get("task_categories", ()):
        missing.append("'image-segmentation' in task_categories")
    if missing:
        raise InputError(f"data card {str(path)!r} lacks {', '.join(missing)}; data_cards/ has complete ones")
    return card


def digest(card: Card) -> str:
    """SHA-256 of the card's text, line endings and trailing blanks apart."""
    lines = [line.rstrip() for line in card.text.strip().splitlines()]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def find_card(name: str) -> Card | None:
    """The card of `data_cards/` for a data set or a data folder of that name; None where there is none."""
    path = FOLDER / f"{name}.md"
    return read_card(path) if name and path.name in {known.name for known in FOLDER.glob("*.md")} else None


def front_matter(text: str, path: Path) -> dict[str, Any]:
    """The YAML between the first two lines of `---`."""
    found = re.match(r"---\s*\n(.*?\n)---\s*(\n|$)", text, re.DOTALL)
    try:
        front = yaml.safe_load(found[1]) if found else None
    except yaml.YAMLError as error:
        raise InputError(
            f"data card {str(path)!r}: its front matter is not YAML: {' '.join(str(error).split())}"
        ) from error
    if not isinstance(front, dict):
        raise InputError(f"data card {str(path)!r} wants YAML front matter between two lines '---' at its start")
    return front


def sections_of(text: str) -> dict[str, str]:
    """Title of each `## ` section to its stripped text."""
    parts = re.split(r"^## +(.+?) *$", text, flags=re.MULTILINE)
    return {title: body.strip() for title, body in zip(parts[1::2], parts[2::2], strict=True)}
