"""A report as one HTML file: it loads nothing, opens without a network, and shows a stranger's words as words.

`page.html` lays it out with autoescape on, `page.css` and `page.js` go into it. Its Content-Security-Policy allows that
one style, that one script, by their digests, and pictures in the file itself: whatever else a browser would load or run
is refused.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template
from markupsafe import Markup

from domains.atomic import atomic_path
from domains.errors import printable
from recipes.report.charts import Chart, drawings
from recipes.report.pictures import Picture
from recipes.report.tables import Table

FOLDER = Path(__file__).parent
MOST_ROWS = 1000
"""Of a table; a page of more opens slowly, and the files beside it have them all."""
MOST_LETTERS = 100_000
"""Of a folded text."""


@dataclass(frozen=True)
class Headline:
    """The number that is read before the others."""

    label: str
    value: str
    interval: str = ""
    asides: Sequence[tuple[str, str]] = ()
    """Numbers beside it, each with its name."""
    sentences: Sequence[str] = ()


@dataclass(frozen=True)
class FoldedText:
    """A text that is shown, as it is, when its title is clicked."""

    title: str
    content: str


@dataclass(frozen=True)
class Section:
    """A part of the page under its title."""

    title: str
    note: str = ""
    pictures: Sequence[Picture] = ()
    charts: Sequence[Chart] = ()
    tables: Sequence[Table] = ()
    texts: Sequence[FoldedText] = ()

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to show."""
        return not (self.pictures or self.tables or self.texts or any(map(drawings, self.charts)))


@dataclass(frozen=True)
class Page:
    """What was done, what came of it, and what that rests on."""

    verb: str
    title: str
    facts: Sequence[tuple[str, str]]
    headline: Headline | None
    sections: Sequence[Section]


def page_html(page: Page) -> str:
    """The page as HTML."""
    style, script = source("page.css"), source("page.js")
    policy = (
        f"default-src 'none'; img-src data:; style-src '{digest(style)}'; script-src '{digest(script)}'; "
        "base-uri 'none'; form-action 'none'"
    )
    return template().render(
        page=page,
        sections=[section for section in page.sections if not section.is_empty],
        drawings=drawings,
        style=Markup(style),
        script=Markup(script),
        policy=policy,
        most_rows=MOST_ROWS,
        most_letters=MOST_LETTERS,
    )


def write_page(path: Path, page: Page) -> None:
    """Write the page, whole or not at all."""
    text = page_html(page)
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


@cache
def template() -> Template:
    """The layout of every page."""
    loader = FileSystemLoader(FOLDER)
    environment = Environment(
        loader=loader,
        autoescape=True,
        undefined=StrictUndefined,
        finalize=seen,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("page.html")


def seen(value: Any) -> Any:
    """What the page shows of a value: a text with what is no sign to be seen spelled out, such as turns of writing."""
    return "\n".join(map(printable, value.split("\n"))) if type(value) is str else value


@cache
def source(name: str) -> str:
    """The text of a file beside this one, as it stands between its tags."""
    return (FOLDER / name).read_text(encoding="utf-8")


def digest(content: str) -> str:
    """Of an inline style or script, as a Content-Security-Policy has it."""
    return f"sha256-{base64.b64encode(sha256(content.encode()).digest()).decode('ascii')}"
