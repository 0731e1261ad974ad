"""Hostile options, generated from the options classes: every field of every section, in every way to be wrong.

    python -m tests.fuzz.options

A class is read through its JSON Schema, so a new one, or a new field, is covered as soon as a recipe or an adapter has
it. `jsonschema`, which knows nothing of our reading, says which values are wrong; each must be refused in one line.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Callable, Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

import jsonschema

from adapters.options.explain import item, referred, section
from adapters.options.section import Options, schema_of
from adapters.sharing.exported import KEY, Exported, exported_of
from adapters.sharing.info import AdapterInfo, parse_info
from adapters.sharing.texts import MAX_DEPTH, parse_json
from domains.errors import InputError
from recipes.reading.pretrain_schema import PretrainRecipe
from recipes.reading.schema import Recipe, check_recipe

Node = Mapping[str, Any]
Steps = tuple[str | int, ...]

ADAPTER: dict[str, Any] = {
    "schema_version": 2,
    "backbone": {
        "name": "someone/base", "family": "dinov2", "model_type": "dinov2", "dim": 192, "depth": 6, "stride": 8,
        "taps": [2, 4, 6], "mean": [0.5, 0.5, 0.5], "std": [0.2, 0.2, 0.2],
    },
    "fingerprint": "0" * 64, "method": {"name": "lora"}, "decoder": {"name": "dense"}, "input": {},
    "domain": "natural", "data": "images", "probe": [0.5], "digest": "0" * 64,
}  # fmt: skip
RECIPE: dict[str, Any] = {"domain": {"name": "natural"}}
PRETRAINING: dict[str, Any] = {"scenes": {"families": {"leaves": 1.0}}}

VALUES: list[Any] = [
    None, True, False, -1, 0, 1, 2.5, -0.5, 1e308, -1e308, 2**31, "", "x", "12", "true", [], {}, [None], ["x"],
    [1, "x"], [[1]], {"name": "x"}, {"x": 1}, "\x1b[31mred", "\u202e",
]  # fmt: skip
"""Of every kind that JSON has; which of them are wrong for an option, its schema says."""
MARK = "the value goes here"
TEXTS = {
    "NaN": "NaN",
    "infinity": "Infinity",
    "minus infinity": "-Infinity",
    "a float beyond floats": "1e999",
    "an integer beyond 64 bits": str(2**64),
    "an integer beyond all printing": "9" * 5000,
    "nesting": "[" * (MAX_DEPTH + 1) + "]" * (MAX_DEPTH + 1),
    "nesting without end": "[" * 10**5,
    "mappings without end": '{"x":' * 10**4,
}
EXPORTED: dict[str, Any] = {
    "schema_version": 1, "version": "0.1.0", "fields": ["foreground"], "side_multiple": 8, "weights": "0" * 32,
    "probe": [0.5], "scorer": {"mean": [0.5]}, "adapter": ADAPTER,
}  # fmt: skip
"""JSON, or what looks like it, that is refused wherever it stands."""


@dataclass(frozen=True)
class Case:
    """A text that is wrong in one place."""

    steps: Steps
    fault: str
    text: str

    @property
    def name(self) -> str:
        """The option, dotted, and what is wrong with it."""
        return f"{'.'.join(map(str, self.steps))}: {self.fault}"


def cases(kind: type[Options], right: Mapping[str, Any]) -> Iterator[Case]:
    """Every fault of every field of the options, each in an otherwise whole text. right: values that are."""
    schema = schema_of(kind)
    for steps, values, node in options_in(schema, schema, dict(right)):
        for fault, value in wrong_values(node, schema):
            yield Case(steps, fault, json.dumps(with_value(values, steps, value)))
        marked = json.dumps(with_value(values, steps, MARK))
        for fault, text in TEXTS.items():
            yield Case(steps, fault, marked.replace(json.dumps(MARK), text))
        if isinstance(steps[-1], str):
            yield from wrong_keys(steps, values, node, schema)


def options_in(
    node: Node, schema: Node, values: dict[str, Any], steps: Steps = ()
) -> Iterator[tuple[Steps, dict[str, Any], Node]]:
    """(where, values in which its section is, its schema) of every option; of a section with a name under each."""
    inner = section(node, schema)
    for name, ref in inner.get("discriminator", {}).get("mapping", {}).items():
        named = with_value(values, steps, {"name": name})
        yield from options_in({"$ref": ref}, schema, named, steps)
    for name, option in inner.get("properties", {}).items():
        place = (*steps, name)
        yield place, values, option
        option = section_among(option, schema)
        held = section(option, schema)
        is_section = "properties" in held or "discriminator" in held
        if is_section and not isinstance(value_at(values, place), dict):
            yield from options_in(option, schema, with_value(values, place, {}), place)
        elif is_section:
            yield from options_in(option, schema, values, place)
        elif held.get("type") == "array":
            count = max(held.get("minItems", 1), 1)
            filled = with_value(values, place, [MARK] * count)
            yield (*place, 0), filled, item(held, 0)


def section_among(option: Node, schema: Node) -> Node:
    """The section of an option that may be a section or something else, such as true; any other option as it is."""
    held = section(option, schema)
    sections = [choice for choice in held.get("anyOf", ()) if "properties" in section(choice, schema)]
    return sections[0] if len(sections) == 1 else option


def wrong_values(node: Node, schema: Node) -> Iterator[tuple[str, Any]]:
    """(what is wrong, value) of an option."""
    is_named = "discriminator" in section(node, schema)
    validator = jsonschema.Draft202012Validator({**node, "$defs": schema.get("$defs", {})})
    for value in [*VALUES, *edges(node, schema)]:
        if is_named and value == {}:
            continue  # a section without a name may have one that goes without saying
        if not validator.is_valid(value) or is_loose(value, node, schema):
            yield f"{value!r:.60}", value


def is_loose(value: Any, node: Node, schema: Node) -> bool:
    """Whether JSON Schema takes a float of a whole number for an integer, which we do not."""
    is_float = isinstance(value, float) and value.is_integer()
    return is_float and "enum" not in node and types_of(node, schema) <= {"integer", "null"}


def types_of(node: Node, schema: Node) -> set[str]:
    """The JSON types that an option may have."""
    node = referred(node, schema)
    choices = [*node.get("anyOf", ()), *node.get("oneOf", ())]
    if choices:
        return set().union(*(types_of(choice, schema) for choice in choices))
    values = node.get("enum", [node["const"]] if "const" in node else [])
    return {node["type"]} if "type" in node else {"string" if isinstance(value, str) else "integer" for value in values}


def edges(node: Node, schema: Node) -> Iterator[Any]:
    """Values just out of the ranges of an option."""
    node = referred(node, schema)
    for choice in (*node.get("anyOf", ()), *node.get("oneOf", ())):
        yield from edges(choice, schema)
    is_integer = node.get("type") == "integer"
    for limit, away in (("minimum", -1), ("maximum", 1)):
        if limit in node:
            yield node[limit] + away if is_integer else math.nextafter(node[limit], away * math.inf)
    for limit, away in (("exclusiveMinimum", -1), ("exclusiveMaximum", 1)):
        if limit in node:
            yield node[limit]
            yield node[limit] + away if is_integer else math.nextafter(node[limit], away * math.inf)
    if "multipleOf" in node:
        yield node.get("minimum", 0) + 1
    if is_integer:
        yield float(node.get("minimum", 4))
        yield str(node.get("minimum", 4))
    if "maxLength" in node:
        yield "0" * (node["maxLength"] + 1)
    if "maxItems" in node and "prefixItems" not in node:
        yield [1.0] * (node["maxItems"] + 1)
    if "prefixItems" in node:
        yield [0.5] * (len(node["prefixItems"]) - 1)
        yield [0.5] * (len(node["prefixItems"]) + 1)
    if node.get("maxProperties") is not None:
        yield {str(number): {} for number in range(node["maxProperties"] + 1)}


def wrong_keys(steps: Steps, values: dict[str, Any], node: Node, schema: Node) -> Iterator[Case]:
    """The option twice, under another name, and, where it is no choice, not at all."""
    *home, name = steps
    value = value_at(values, steps)
    if value is None:
        value = node.get("default")
    text = json.dumps(with_value(values, steps, MARK))
    pair = f"{json.dumps(name)}: {json.dumps(MARK)}"
    again = f"{json.dumps(name)}: {json.dumps(value)}"
    yield Case(steps, "given twice", text.replace(pair, f"{again}, {again}"))
    yield Case(steps, "another name", json.dumps(with_value(values, (*home, f"{name}_"), value)))
    holder = value_at(values, tuple(home)) if home else values
    if isinstance(holder, dict) and name in holder and "default" not in node and is_required(steps, values, schema):
        without = deepcopy(values)
        target: Any = value_at(without, tuple(home)) if home else without
        del target[name]
        yield Case(steps, "missing", json.dumps(without))


def is_required(steps: Steps, values: dict[str, Any], schema: Node) -> bool:
    """Whether the section of an option cannot do without it."""
    node: Node = schema
    for step in steps[:-1]:
        inner = section(node, schema)
        node = inner["properties"][step]
        named = section(node, schema).get("discriminator", {}).get("mapping", {})
        if named:
            node = {"$ref": named[value_at(values, steps[:-1])["name"]]}
    return steps[-1] in section(node, schema).get("required", ())


def value_at(values: Any, steps: Steps) -> Any:
    """The value there, None where there is none."""
    for step in steps:
        if not isinstance(values, dict):
            return None
        values = values.get(step)
    return values


def with_value(values: dict[str, Any], steps: Steps, value: Any) -> dict[str, Any]:
    """The values with another one there."""
    changed: Any = deepcopy(values)
    holder = changed
    for step in steps[:-1]:
        holder = holder[step]
    holder[steps[-1]] = value
    return changed


Reader = Callable[[str], object]


def accepted(kind: type[Options], right: Mapping[str, Any], read: Reader, every: int = 1) -> list[str]:
    """Cases, of those every so many, that were not refused as they should be."""
    failures = []
    for number, case in enumerate(cases(kind, right)):
        if number % every == 0 and (fault := fault_of(case, read)):
            failures.append(f"{kind.__name__}: {case.name}: {fault}")
    return failures


def fault_of(case: Case, read: Reader) -> str:
    """What is wrong with how a case is taken; "" where it is refused in a line that can be shown."""
    try:
        read(case.text)
    except InputError as error:
        line = str(error)
        if "\n" in line or len(line) > 1000:
            return f"told in {len(line)} signs, {line.count(chr(10)) + 1} lines"
        return ""
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return "accepted"


def read_adapter(text: str) -> object:
    """`entity.json` alone."""
    return parse_info(text, "'entity.json'")


def read_exported(text: str) -> object:
    """The contract in an exported file's metadata."""
    return exported_of({KEY: text}, "'model.onnx'")


def read_recipe(kind: type[Any]) -> Reader:
    """Recipes as the values of a JSON text."""

    def read(text: str) -> object:
        return check_recipe(kind, parse_json(text, "recipe"))

    return read


DOORS: list[tuple[type[Options], dict[str, Any], Reader]] = [
    (AdapterInfo, ADAPTER, read_adapter),
    (Recipe, RECIPE, read_recipe(Recipe)),
    (PretrainRecipe, PRETRAINING, read_recipe(PretrainRecipe)),
    (Exported, EXPORTED, read_exported),
]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--every", type=int, default=1, help="of the cases, try every so many")
    every = parser.parse_args().every
    failures = [line for door in DOORS for line in accepted(*door, every)]
    count = sum(sum(1 for _ in cases(kind, right)) for kind, right, _ in DOORS)
    print("\n".join(failures) or f"{count} wrong options: each refused in one line")
    sys.exit(bool(failures))
