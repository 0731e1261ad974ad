"""`tests/` mirrors the tree: what a file tests lies below its own folder, and texts name it right."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

import pytest

from tests.test_layers import FLOORS, ROOT, imported

HOUSE = ("adapters", "domains", "recipes", "benchmarks")
ACROSS = {
    "tests/domains/tiny": "folders in the layouts of published sets, for the tests of formats, domains and fuzz",
    "tests/fuzz": "damages the input of every reader and section of options",
    "tests/golden": "compares whole runs of two checkouts",
    "tests/kills": "kills whole runs",
}
"""Folders that mirror none, and why."""
UPHILL = {"tests/domains/pathology/test_normalise.py": "what a data set gives is what `measure` shows"}
"""Tests that import from a floor above their own, and why."""
MOST_LINES = 400
MODULES = [file.relative_to(ROOT) for top in HOUSE for file in sorted((ROOT / top).rglob("*.py"))]
TESTS = [file.relative_to(ROOT) for file in sorted((ROOT / "tests").rglob("test_*.py"))]
WITHIN = [test for test in TESTS if test.parts[1] in HOUSE and len(test.parts) > 3]
TEXTS = [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("*/*.md"), *(ROOT / file for file in MODULES)]


def across(path: Path) -> bool:
    return any(path.is_relative_to(folder) for folder in ACROSS)


def mirrored(name: str) -> set[Path]:
    """Folders in which `test_NAME.py` may lie: beside each module of that name, and in each package of that name."""
    beside = {module.parent for module in MODULES if module.stem == name}
    return {"tests" / folder for folder in beside | {module.parent for module in MODULES if module.parent.name == name}}


def test_the_test_of_a_module_lies_in_the_mirrored_folder() -> None:
    named = {test: mirrored(test.stem.removeprefix("test_")) for test in TESTS if not across(test)}
    assert sum(bool(folders) for folders in named.values()) > 100
    assert [str(test) for test, folders in named.items() if folders and test.parent not in folders] == []


def test_every_folder_of_tests_has_one_in_the_code() -> None:
    folders = {test.parent for test in (ROOT / "tests").rglob("*.py")}
    folders = {folder.relative_to(ROOT) for folder in folders} - {Path("tests")}
    assert all(any(folder.is_relative_to(name) for folder in folders) for name in ACROSS)
    code = {module.parent for module in MODULES}
    assert sorted(str(f) for f in folders if not across(f) and Path(*f.parts[1:]) not in code) == []


@pytest.mark.parametrize("test", WITHIN, ids=str)
def test_a_test_in_a_room_imports_what_it_tests_from_there(test: Path) -> None:
    """Or through helpers beside it, or, for the verbs, through the command line."""
    room = ".".join(test.parts[1:-1])
    names = {*imported(ROOT / test)}
    doors = (room, f"tests.{room}", *(["cli"] if test.parts[1] == "recipes" else []))
    assert any(name == door or name.startswith(f"{door}.") for name in names for door in doors)


@pytest.mark.parametrize("floor", ["domains", "adapters"])
def test_the_tests_of_a_floor_import_nothing_from_above(floor: str) -> None:
    above = FLOORS[FLOORS.index(floor) + 1 :]
    tests = {
        str(test): {name.split(".")[0] for name in imported(ROOT / test)} for test in TESTS if test.parts[1] == floor
    }
    uphill = {test for test, packages in tests.items() if packages & {*above}}
    assert tests and uphill == {test for test in UPHILL if test in tests}


def test_no_test_file_is_longer_than_one_reads() -> None:
    lengths = {str(test): len((ROOT / test).read_text(encoding="utf-8").splitlines()) for test in TESTS}
    assert {test: lines for test, lines in lengths.items() if lines > MOST_LINES} == {}


def lacking(text: str) -> Iterator[str]:
    """Paths below tests/ that a text names and that are not there; `test_x.py` alone may lie in any folder."""
    for path in re.findall(r"\btests/[\w/.]*\w/?", text):
        if not (ROOT / path).exists():
            yield path
    for name in re.findall(r"(?<![\w/])test_\w+\.py", text):
        if name not in {test.name for test in TESTS}:
            yield name


def test_every_test_that_a_text_names_is_there() -> None:
    text = "\n".join(file.read_text(encoding="utf-8") for file in TEXTS)
    assert text.count("tests/") > 100
    assert sorted({*lacking(text)}) == []


def test_a_test_that_is_not_there_is_seen() -> None:
    assert [*lacking("see `tests/test_nowhere.py`, `test_none.py` and `tests/test_mirror.py`.")] == [
        "tests/test_nowhere.py",
        "test_none.py",
    ]


def same_to_same(source: str) -> Iterator[int]:
    """Lines on which an assertion compares a value with itself."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Compare):
            sides = [ast.dump(side) for side in (node.left, *node.comparators)]
            equal = zip(sides, sides[1:], node.ops, strict=False)
            if any(a == b and isinstance(op, ast.Eq) and "Call" not in a for a, b, op in equal):
                yield node.lineno


def test_no_test_compares_a_value_with_itself() -> None:
    lines = chain.from_iterable(((str(t), i) for i in same_to_same((ROOT / t).read_text("utf-8"))) for t in TESTS)
    assert [*lines] == []
    assert [*same_to_same("assert a == b\nassert a.b == a.b\nassert 1 == x == x")] == [2, 3]
