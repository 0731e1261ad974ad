"""Data cards: what a data set is, in a form that the Hub shows and a program can check.

A card is Markdown with the front matter of a Hub dataset card (https://huggingface.co/docs/hub/datasets-cards) and
the sections of `SECTIONS`. Its digest goes into `entity.json` of every adapter trained on the data. Under
`entity_splits` the front matter may say which images the splits hold, and `fit` and `evaluate` hold the files against
that: `{train: {images: 46, sha256: <contents.parts_sha256>, labels_sha256: <the same>}, val: ..., all: ...}`.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml

from domains.errors import InputError

FOLDER = Path(__file__).resolve().parents[2] / "data_cards"
FRONT_MATTER = ("license", "task_categories", "pretty_name", "size_categories", "tags")
IN_FOLDER = "data_card.md"
"""The card that lies beside the images it describes; it comes before the shipped one of that name."""
SPLITS_FIELD = "entity_splits"
SECTIONS = ("What counts as an entity", "Scale", "Splits and groups", "Licence", "Known faults", "Source")


def licence_of(front: Mapping[str, Any]) -> str | None:
    """The licence that a card's front matter says, by its name where the Hub has no word for it; None where it is
    silent.
    """
    name = front.get("license_name") if front.get("license") == "other" else front.get("license")
    return str(name or front.get("license") or "")[:200] or None


@dataclass(frozen=True)
class Card:
    """name: the file's stem; front: the front matter; sections: title of each `##` section to its text."""

    name: str
    front: Mapping[str, Any]
    sections: Mapping[str, str]
    text: str
    path: Path

    @cached_property
    def missing(self) -> list[str]:
        """Every field that is missing or empty, as a reader knows it."""
        missing = [f"front matter {key!r}" for key in FRONT_MATTER if not self.front.get(key)]
        missing += [f"section '## {title}'" for title in SECTIONS if not written(self.sections.get(title, ""))]
        if "image-segmentation" not in (self.front.get("task_categories") or ()):
            missing.append("'image-segmentation' in task_categories")
        return missing

    @cached_property
    def splits(self) -> dict[str, SplitContent]:
        """What the card says that each split (and `all`) holds; empty where it says nothing. Raises InputError."""
        stated = self.front.get(SPLITS_FIELD)
        if stated is None:
            return {}
        try:
            return {
                str(split): SplitContent(int(claim["images"]), str(claim["sha256"]), claim.get("labels_sha256"))
                for split, claim in stated.items()
            }
        except (TypeError, AttributeError, KeyError, ValueError) as error:
            raise InputError(
                f"data card {str(self.path)!r}: wanted {SPLITS_FIELD} as {{train: {{images: N, sha256: ...}}, ...}}, "
                f"got {stated!r:.80}; `python cli.py domains card DIR` drafts it"
            ) from error


@dataclass(frozen=True)
class SplitContent:
    """Number of images, and `contents.parts_sha256` of them and of the files that hold their truth. labels_sha256: None
    where a card does not say it, or a layout keeps the truth of many images in one list.
    """

    images: int
    sha256: str
    labels_sha256: str | None = None

    def stated(self) -> dict[str, Any]:
        """The fields that are known, as the front matter has them."""
        return {key: value for key, value in asdict(self).items() if value is not None}


def read_card(path: str | Path) -> Card:
    """The card of a file. Raises InputError naming the file and every field that is missing or empty."""
    card = open_card(Path(path))
    if card.missing:
        raise InputError(f"data card {str(path)!r} lacks {', '.join(card.missing)}; data_cards/ has complete ones")
    return card


def open_card(path: Path) -> Card:
    """The card of a file, which may be a draft with fields left blank. Raises InputError for what is no card."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"cannot read the data card {str(path)!r}: {error}") from error
    return Card(path.stem, front_matter(text, path), sections_of(text), text, path)


def digest(card: Card) -> str:
    """SHA-256 of the card's text, line endings and trailing blanks apart."""
    lines = [line.rstrip() for line in card.text.strip().splitlines()]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def find_card(name: str) -> Card | None:
    """The card of `data_cards/` for a data set or a data folder of that name; None where there is none."""
    path = FOLDER / f"{name}.md"
    return read_card(path) if name and path.name in {file.name for file in FOLDER.glob("*.md")} else None


def card_of_folder(root: Path) -> Card | None:
    """`data_card.md` of a data folder, drafts included, else the shipped card of the folder's name."""
    path = root / IN_FOLDER
    return open_card(path) if path.is_file() else find_card(root.resolve().name)


def front_matter(text: str, path: Path) -> dict[str, Any]:
    """The YAML between the first two lines of `---`."""
    match = re.match(r"---\s*\n(.*?\n)---\s*(\n|$)", text, re.DOTALL)
    try:
        front = yaml.safe_load(match[1]) if match else None
    except yaml.YAMLError as error:
        raise InputError(
            f"data card {str(path)!r}: its front matter is not YAML: {' '.join(str(error).split())}"
        ) from error
    if not isinstance(front, dict):
        raise InputError(f"data card {str(path)!r} wants YAML front matter between two lines '---' at its start")
    return front


def written(text: str) -> str:
    """What somebody wrote: the text without comments, in which a draft says what belongs there."""
    return re.sub(r"<!--.*?-->", "", text, flags=re.DOTALL).strip()


def sections_of(text: str) -> dict[str, str]:
    """Title of each `## ` section to its stripped text."""
    pieces = re.split(r"^## +(.+?) *$", text, flags=re.MULTILINE)
    return {title: body.strip() for title, body in zip(pieces[1::2], pieces[2::2], strict=True)}
