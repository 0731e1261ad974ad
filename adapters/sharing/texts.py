"""JSON and YAML that somebody else wrote: read without surprises, or refused in one line.

Both refuse a key that is given twice (the second would win unseen), nesting that no file of ours has, and integers
beyond 64 bits, which some numbers of Python can't even print. JSON has no NaN and no infinity, whatever Python's own
reader takes.
"""

from __future__ import annotations

import json
import math
import re
from copy import deepcopy
from functools import lru_cache
from typing import Any, NoReturn

import yaml

from domains.errors import InputError

MAX_DEPTH = 16
MOST = 2**63
REMEMBERED_LETTERS = 2**16
_BRACKETS = re.compile(r'"(?:\\.|[^"\\])*+"?|[\[\]{}]', re.DOTALL)  # a text that does not end takes all the rest


def parse_json(text: str, source: str) -> Any:
    """The value of a JSON text. Raises InputError that opens with `source`."""
    try:
        check_depth(text)
        return json.loads(
            text,
            parse_int=_integer,
            parse_float=_number,
            parse_constant=_constant,
            object_pairs_hook=_without_duplicates,
        )
    except (ValueError, RecursionError) as error:  # InputError and JSONDecodeError among them
        raise InputError(f"{source}: {error}") from error


def check_depth(text: str) -> None:
    """Raises ValueError before anything is parsed: the parser would call itself as deep."""
    depth = 0
    for bracket in _BRACKETS.finditer(text):
        depth += {"[": 1, "{": 1, "]": -1, "}": -1}.get(bracket[0], 0)
        if depth > MAX_DEPTH:
            raise ValueError(f"nested deeper than {MAX_DEPTH}")


def _integer(digits: str) -> int:
    if len(digits) > 20 or abs(int(digits)) > MOST:
        raise ValueError(f"the number {digits:.20} is beyond 64 bits")
    return int(digits)


def _number(digits: str) -> float:
    if not math.isfinite(float(digits)):
        raise ValueError(f"the number {digits:.20} is beyond what a float holds")
    return float(digits)


def _constant(word: str) -> NoReturn:
    raise ValueError(f"{word} is no JSON")


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    keys: set[str] = set()
    for key, _ in pairs:
        if key in keys:
            raise ValueError(f"{key!r:.80} is given twice")
        keys.add(key)
    return dict(pairs)


def parse_yaml(text: str, source: str) -> Any:
    """The value of a YAML text; InputError that opens with `source` and the line.

    The last texts are remembered: a command reads its recipe and what that inherits several times.
    """
    return deepcopy(_remembered(text, source)) if len(text) <= REMEMBERED_LETTERS else _parsed(text, source)


@lru_cache(maxsize=32)
def _remembered(text: str, source: str) -> Any:
    return _parsed(text, source)


def _parsed(text: str, source: str) -> Any:
    try:
        return _Loader(text).get_single_data()
    except yaml.MarkedYAMLError as error:
        line = f":{error.problem_mark.line + 1}" if error.problem_mark else ""
        raise InputError(f"{source}{line}: {error.problem!s:.200}") from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise InputError(f"{source}: {' '.join(str(error).split()):.200}") from error


def yaml_text(value: Any) -> str:
    """YAML that `parse_yaml` reads as the same value."""
    return yaml.dump(value, Dumper=_Dumper, sort_keys=False, width=120)


class _Loader(yaml.SafeLoader):
    """Safe, and stricter: no aliases (a few lines could stand for gigabytes), no duplicate keys, limits as above."""

    depth = 0

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        event = self.peek_event()
        if isinstance(event, yaml.AliasEvent):
            raise _refused("aliases are not read; write the value out", event)
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise _refused(f"nested deeper than {MAX_DEPTH}", event)
        node = super().compose_node(parent, index)
        self.depth -= 1
        return node

    def construct_yaml_int(self, node: yaml.ScalarNode) -> int:
        value = super().construct_yaml_int(node)
        if abs(value) > MOST:
            raise _refused("a number is beyond 64 bits", node)
        return value

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys: set[str] = set()
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise _refused("a key must be a plain word", key)
            if key.value in keys:
                raise _refused(f"{key.value!r:.80} is given twice", key)
            keys.add(key.value)
        return super().construct_mapping(node, deep)


def _refused(problem: str, where: yaml.Event | yaml.Node) -> yaml.MarkedYAMLError:
    return yaml.MarkedYAMLError(problem=problem, problem_mark=where.start_mark)


def _resolvers() -> dict[str, list[tuple[str, re.Pattern[str]]]]:
    """PyYAML's own, with floats as in YAML 1.2 (3e-4), and without dates: a folder may be called 2024-01-01."""
    number = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?$|[-+]?\.(inf|Inf|INF)$|\.(nan|NaN|NAN)$")
    replaced = ("tag:yaml.org,2002:timestamp", "tag:yaml.org,2002:float")
    kept = {
        sign: [(tag, pattern) for tag, pattern in resolvers if tag not in replaced]
        for sign, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }
    for sign in "-+.0123456789":
        kept[sign] = [*kept.get(sign, []), ("tag:yaml.org,2002:float", number)]
    return kept


_Loader.yaml_implicit_resolvers = _resolvers()
_Loader.add_constructor("tag:yaml.org,2002:int", _Loader.construct_yaml_int)


class _Dumper(yaml.SafeDumper):
    """Sections line by line, lists in one; a text that `_Loader` would read as a number, such as 1e3, is quoted."""

    def represent_list(self, data: list[Any]) -> yaml.Node:
        return self.represent_sequence("tag:yaml.org,2002:seq", data, flow_style=True)


_Dumper.yaml_implicit_resolvers = _Loader.yaml_implicit_resolvers
_Dumper.add_representer(list, _Dumper.represent_list)
