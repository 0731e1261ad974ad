"""The reference of all options, for people: `python -m recipes.reading.option_docs` writes docs/options.md.

Names, ranges, defaults and sentences are those of the classes that recipes and adapters are read by. With the name of
an installed package's domain it prints the page with that domain's options instead.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from adapters.options.explain import phrase, referred, section, short
from adapters.options.section import Options, schema_of
from recipes.reading.pretrain_schema import PretrainRecipe
from recipes.reading.schema import Recipe, recipe_of

PAGE = Path(__file__).parents[2] / "docs" / "options.md"
OPENING = """\
# Options

<!-- written by `python -m recipes.reading.option_docs` -->

What a recipe may say, section by section. An option is set in a recipe's YAML (`train: {steps: 800}`) or on the command
line (`train.steps=800`); `python cli.py recipes show NAME` prints all that a recipe comes to. What is out of range is
refused in one line.
"""
KINDS: dict[str, type[Options]] = {"Recipes of fitting": Recipe, "Recipes of pretraining": PretrainRecipe}

Node = Mapping[str, Any]


def page(kinds: Mapping[str, type[Options]] = KINDS) -> str:
    """The whole page, Markdown. A section of several kinds of recipe stands once, with the first."""
    blocks, seen = [OPENING], set[str]()
    for title, kind in kinds.items():
        blocks.append(f"## {title}\n\n{schema_of(kind)['description']}\n")
        for heading, node in sections(schema_of(kind)):
            if heading not in seen:
                blocks.append(table(heading, node, schema_of(kind)))
            seen.add(heading)
    return "\n".join(blocks)


def sections(schema: Node) -> Iterator[tuple[str, Node]]:
    """(heading, schema) of each section; one that goes by names, and one of sections, for each of these."""
    for name, option in schema["properties"].items():
        held = section(option, schema)
        for choice, ref in held.get("discriminator", {}).get("mapping", {}).items():
            yield f"{name}: {{name: {choice}}}", referred({"$ref": ref}, schema)
        options = held.get("properties", {})
        inner = {key: section(node, schema) for key, node in options.items()}
        if inner and all("properties" in node for node in inner.values()):
            yield from ((f"{name}: {{{key}: ...}}", node) for key, node in inner.items())
        elif inner:
            yield name, held


def table(heading: str, node: Node, schema: Node) -> str:
    """A section: its sentence, and a row per option."""
    lines = [f"### `{heading}`", "", node["description"], ""]
    rows = [row(name, option, node, schema) for name, option in node["properties"].items() if not is_name(option)]
    if rows:
        lines += ["| option | takes | default | what it does |", "|---|---|---|---|", *rows, ""]
    return "\n".join(lines)


def is_name(option: Node) -> bool:
    """Whether an option is the name of the part, which the heading says."""
    return "const" in option


def row(name: str, option: Node, node: Node, schema: Node) -> str:
    """One option: name, what it takes, default, what it is for."""
    default = "needed" if name in node.get("required", ()) else f"`{as_written(option.get('default'))}`"
    cells = [f"`{name}`", phrase(option, schema), default, option.get("description", "")]
    return f"| {' | '.join(' '.join(cell.split()).replace('|', chr(92) + '|') for cell in cells)} |"


def as_written(value: object) -> str:
    """A default as a recipe writes it."""
    return value if isinstance(value, str) else json.dumps(value) if isinstance(value, (list, dict)) else short(value)


if __name__ == "__main__":
    if len(sys.argv) > 1:
        print(page({f"Recipes of the domain {sys.argv[1]}": recipe_of(sys.argv[1])}))
    else:
        PAGE.write_text(page(), encoding="utf-8")
