"""The reference of options is current, and says something of every option."""

from __future__ import annotations

import re

import pytest

from adapters.options.section import schema_of
from recipes.reading.option_docs import KINDS, PAGE, page, sections


def rows(text: str) -> list[list[str]]:
    return [re.split(r"(?<!\\)\|", line)[1:-1] for line in text.splitlines() if line.startswith("| `")]


def test_the_page_is_current() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), "run python -m recipes.reading.option_docs"


@pytest.mark.parametrize("kind", KINDS.values())
def test_every_option_of_every_section_has_a_row(kind) -> None:
    blocks = {block.split("`")[1] if block.startswith("`") else "": block for block in page().split("\n### ")}
    for heading, node in sections(schema_of(kind)):
        names = {cells[0].strip(" `") for cells in rows(blocks[heading])}
        assert names == {name for name, option in node["properties"].items() if "const" not in option}


def test_every_row_says_what_the_option_takes_and_does() -> None:
    table = rows(page())
    assert len(table) > 90
    assert all(len(cells) == 4 and all(cell.strip() for cell in cells) for cells in table)


def test_ranges_and_defaults_are_those_that_are_checked() -> None:
    assert "| `rank` | an integer from 1 to 256 | `8` | Width of the bottleneck; file size grows with it. |" in page()
    assert "| `name` | a text | needed |" in page()
