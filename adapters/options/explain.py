"""One line for options that are wrong: the option, what came, and what was wanted.

What was wanted is read from the JSON Schema of the options, so it cannot disagree with what is checked.
"""

from __future__ import annotations

import reprlib
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import ValidationError

from domains.errors import InputError, suggest

Node = Mapping[str, Any]

NOUNS = {
    "integer": "an integer",
    "number": "a number",
    "string": "a text",
    "boolean": "true or false",
    "null": "null",
    "object": "a section of options",
}
LIMITS = {"minimum": "of at least", "exclusiveMinimum": "above", "maximum": "of at most", "exclusiveMaximum": "below"}

UNKNOWN = "unexpected_keyword_argument"


class OptionError(InputError):
    """An option in range that does not go with the others of its section. source: what opens the line where the section
    was read from no file.
    """

    def __init__(self, source: str, option: str, value: object, reason: str) -> None:
        self.option, self.value, self.reason = option, value, reason
        super().__init__(f"{source}{option} is {short(value)}; {reason}")


def explain(error: ValidationError, schema: Node) -> str:
    """`method.rank is 0; wanted an integer from 1 to 256`, and how many other options are wrong.

    Unknown options come first: what is missing may be what they mean.
    """
    lines: dict[str, str] = {}
    for detail in sorted(error.errors(include_url=False), key=lambda detail: detail["type"] != UNKNOWN):
        path, node = locate(detail["loc"], schema)
        if detail["type"] == "too_short" and any(item.startswith(f"{path}[") for item in lines):
            continue  # pydantic counts the items that are right, and here none is
        lines.setdefault(path, line(path, node, detail, schema))
    text, *further = lines.values()
    return text + (f" (and {len(further)} more)" if further else "")


def line(path: str, node: Node, detail: Mapping[str, Any], schema: Node) -> str:
    """What is wrong with one option. detail: an item of `ValidationError.errors()`; node: the schema at `path`."""
    came, kind = detail["input"], detail["type"]
    if kind == UNKNOWN:
        holder = name_with_option(detail["loc"], schema)
        if holder:
            home, name = detail["loc"][:2]
            return f"{path} is an option of {home}.name={holder}; {home}.name is {str(name)!r}"
        options = section(node, schema).get("properties", {})
        return f"{path} is no option; {suggest(str(detail['loc'][-1]), options)}"
    if kind == "missing":
        return f"{path} is missing; wanted {phrase(node, schema)}"
    if kind == "union_tag_invalid":
        name = came["name"]
        return f"{path}.name is {short(name)}; {suggest(str(name), node['discriminator']['mapping'])}"
    if kind == "value_error":
        error = detail["ctx"]["error"]
        reason = str(error)
        if isinstance(error, OptionError):
            return f"{joined(path, error.option)} is {short(error.value)}; {error.reason}"
        if isinstance(came, Mapping):  # a whole section, or the whole recipe: the reason names the options
            return f"{path}: {reason}" if path else reason
        return f"{path} is {short(came)}; {reason}"
    choices = section(node, schema).get("enum", [])
    if isinstance(came, str) and any(isinstance(choice, str) for choice in choices):
        return f"{path} is {short(came)}; {suggest(came, choices)}"
    return f"{path} is {short(came)}; wanted {phrase(node, schema)}"


def name_with_option(loc: Sequence[str | int], schema: Node) -> str | None:
    """Of an unknown option of a section with a name: a name whose section has this option, the default where it has."""
    if len(loc) != 3:
        return None
    node = schema["properties"].get(loc[0], {})
    members = section(node, schema).get("discriminator", {}).get("mapping", {})
    holders = [name for name, ref in members.items() if loc[2] in referred({"$ref": ref}, schema)["properties"]]
    default = (node.get("default") or {}).get("name")
    return default if default in holders else next(iter(holders), None)


def short(value: object) -> str:
    """The value as a recipe writes it, cut where it is long."""
    words = {None: "null", True: "true", False: "false"}
    if value is None or isinstance(value, bool):
        return words[value]
    return _SHORT.repr(list(value) if isinstance(value, tuple) else value)


_SHORT = reprlib.Repr()
_SHORT.maxstring = _SHORT.maxother = 80


def locate(loc: Sequence[str | int], schema: Node) -> tuple[str, Node]:
    """The dotted path of an option and its schema; an unknown option has that of the section it stands in.

    pydantic's location also names the member of a union that it tried: those words are no part of the path.
    """
    path, node = "", schema
    for step in loc:
        inner = section(node, schema)
        if step in inner.get("discriminator", {}).get("mapping", {}):
            node = {"$ref": inner["discriminator"]["mapping"][step]}
        elif isinstance(step, int):
            path, node = f"{path}[{step}]", item(inner, step)
        elif step in inner.get("properties", {}):
            path, node = joined(path, step), inner["properties"][step]
        elif "properties" in inner:
            return joined(path, step), inner
        elif isinstance(inner.get("additionalProperties"), Mapping):
            path, node = joined(path, step), inner["additionalProperties"]
        else:
            break  # a member of a plain union: what is wanted is said for the union
    return path, node


def joined(path: str, step: str) -> str:
    """The dotted path of an option below another."""
    return f"{path}.{step}" if path else step


def item(array: Node, index: int) -> Node:
    """The schema of an array's item, be it a list or a tuple of fixed length."""
    fixed = array.get("prefixItems", ())
    return fixed[index] if index < len(fixed) else array.get("items", {})


def section(node: Node, schema: Node) -> Node:
    """What may stand under the node: its reference followed, and of what may be null, the other choice."""
    while True:
        choices = [choice for choice in node.get("anyOf", ()) if choice.get("type") != "null"]
        if len(choices) == 1:
            node = choices[0]
        if "$ref" not in node:
            return node
        node = referred(node, schema)


def referred(node: Node, schema: Node) -> Node:
    """The schema that a reference stands for, any other as it is."""
    return schema["$defs"][node["$ref"].rsplit("/", 1)[-1]] if "$ref" in node else node


def phrase(node: Node, schema: Node) -> str:
    """In words: `an integer from 1 to 256`, `'all' or 'last:N' or a list, each an integer of at least 0`."""
    node = referred(node, schema)
    if "wanted" in node:
        return node["wanted"]
    if "anyOf" in node:
        return " or ".join(phrase(member, schema) for member in node["anyOf"])
    if "const" in node or "enum" in node:
        choices = [repr(choice) for choice in node.get("enum") or [node["const"]]]
        return choices[0] if len(choices) == 1 else f"one of {', '.join(choices)}"
    kind = node.get("type", "object")
    if kind == "array":
        return list_phrase(node, schema)
    return NOUNS[kind] + bounds(node)


def list_phrase(node: Node, schema: Node) -> str:
    """Of an array: `a list of 3, each a number from 0 to 1`."""
    fixed = node.get("prefixItems")
    if fixed:
        return f"a list of {len(fixed)}, each {phrase(fixed[0], schema)}"
    low, high = node.get("minItems", 0), node.get("maxItems")
    filled = f" of {low} to {high}" if high is not None else " that is not empty" if low else ""
    return f"a list{filled}, each {phrase(node['items'], schema)}"


def bounds(node: Node) -> str:
    """` from 1 to 256`, ` above 0 and below 1`, ` that is a multiple of 8`, or nothing."""
    low, high = node.get("minimum"), node.get("maximum")
    if low is not None and high is not None:
        limits = [f"from {low} to {high}"]
    else:
        limits = [f"{word} {node[key]}" for key, word in LIMITS.items() if key in node]
    if "multipleOf" in node:
        limits.append(f"a multiple of {node['multipleOf']}")
    return " " + " and ".join(limits) if limits else ""
