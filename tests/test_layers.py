"""Imports run one way: cli -> recipes -> adapters -> domains. Read from the source by `ast`, so nothing is imported."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from tests.measure_house import PRONOUNS, House, bindings, circles, long_calls, long_signatures, tree_of

ROOT = Path(__file__).parents[1]
HOUSE = House(ROOT)
FLOORS = ("domains", "adapters", "recipes", "cli")  # from the ground up
MOST_LINES, MOST_PRONOUNS = 400, 0.003
DOMAINS = sorted({file.parent.name for file in ROOT.glob("domains/*/domain.py")} - {"datasets"})
NAMED = {
    ("recipes/verbs/listing.py", "pathology"): "the recipe on the shelf that `recipes list` shows first",
    ("recipes/verbs/pretrain.py", "pathology"): "the recipe on the shelf that a pretrained base is fitted by next",
}
"""Where shared code has the name of a domain, and why."""


def files(floor: str) -> list[Path]:
    return sorted([*(ROOT / floor).rglob("*.py"), *ROOT.glob(f"{floor}.py")])


def nodes(file: Path) -> Iterator[ast.AST]:
    return ast.walk(tree_of(file))


@cache
def imported(file: Path) -> list[str]:
    """Dotted names that a file imports, in functions and for type checkers too; `from a import b` gives a and a.b."""
    names: list[str] = []
    for node in nodes(file):
        if isinstance(node, ast.Import):
            names += (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{file} imports relatively; write the whole name"
            names += (str(node.module), *(f"{node.module}.{alias.name}" for alias in node.names))
    return names


def offences(sources: list[Path], *forbidden: str) -> list[str]:
    assert sources
    return [
        f"{file.relative_to(ROOT)} imports {name}"
        for file in sources
        for name in imported(file)
        if any(name == package or name.startswith(f"{package}.") for package in forbidden)
    ]


@pytest.mark.parametrize("floor", FLOORS)
def test_a_floor_imports_nothing_from_above(floor: str) -> None:
    above = FLOORS[FLOORS.index(floor) + 1 :]
    assert not offences(files(floor), *above, "tests", "benchmarks")


@pytest.mark.parametrize("domain", DOMAINS)
def test_a_domain_imports_no_other_domain(domain: str) -> None:
    others = [f"domains.{other}" for other in DOMAINS if other != domain]
    assert not offences(files(f"domains/{domain}"), *others)


@pytest.mark.parametrize("floor", FLOORS)
def test_what_domains_share_imports_and_names_no_single_domain(floor: str) -> None:
    shared = [file for file in files(floor) if file.relative_to(ROOT).parts[1:2] not in [(name,) for name in DOMAINS]]
    assert not offences(shared, *(f"domains.{domain}" for domain in DOMAINS))
    expected = {place for place in NAMED if place[0].split("/")[0] == floor}
    assert {place for file in shared for place in named_domains(file)} == expected


def named_domains(file: Path) -> Iterator[tuple[str, str]]:
    """(file, name) of each string that is the name of a domain, or holds the path of one's module or file."""
    for node in nodes(file):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            for name in DOMAINS:
                if node.value == name or re.search(rf"\bdomains[./]{name}\b", node.value):
                    yield file.relative_to(ROOT).as_posix(), name


def test_a_named_domain_is_seen() -> None:
    assert len(DOMAINS) >= 4
    assert [*named_domains(ROOT / "domains" / "natural" / "domain.py")] == [("domains/natural/domain.py", "natural")]


def test_only_one_module_imports_albumentations() -> None:
    everything = [file for floor in FLOORS for file in files(floor) if not file.match("domains/crops/augment.py")]
    typed = {name for file in everything for name in only_for_type_checkers(file)}
    assert [line for line in offences(everything, "albumentations") if line not in typed] == []


def only_for_type_checkers(file: Path) -> Iterator[str]:
    """`FILE imports NAME` for what stands under `if TYPE_CHECKING:`, which never runs."""
    for node in nodes(file):
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            for line in (line for line in node.body if isinstance(line, ast.Import | ast.ImportFrom)):
                yield from (f"{file.relative_to(ROOT)} imports {alias.name}" for alias in line.names)


def test_looking_at_folders_and_pictures_loads_no_torch() -> None:
    """`domains check` then starts in half the time: no file that it imports has torch in its head."""
    reached, waiting = set(), ["recipes.check_data"]
    while waiting:
        file = ROOT / f"{waiting.pop().replace('.', '/')}.py"
        file = file if file.exists() else file.with_suffix("") / "__init__.py"
        if file in reached or not file.exists():
            continue
        reached.add(file)
        waiting += [name for name in in_head(file) if name.startswith(FLOORS)]
    assert len(reached) > 100 and ROOT / "domains" / "datasets" / "dataset.py" in reached
    assert [file for file in reached if any(name.partition(".")[0] == "torch" for name in in_head(file))] == []


def in_head(file: Path) -> list[str]:
    """Dotted names that a file imports when it is imported, with the packages that hold them."""
    names: list[str] = []
    for node in tree_of(file).body:
        if isinstance(node, ast.Import):
            names += (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            names += (str(node.module), *(f"{node.module}.{alias.name}" for alias in node.names))
    return [".".join(name.split(".")[:length]) for name in names for length in range(1, name.count(".") + 2)]


def test_neither_files_nor_rooms_import_each_other_in_a_circle() -> None:
    assert circles(HOUSE.imports) == [] and circles(HOUSE.rooms) == []


def test_the_house_has_few_rooms_and_arrows() -> None:
    rooms = HOUSE.rooms
    assert len(rooms) <= 31 and sum(map(len, rooms.values())) <= 154  # the last reads nested labels


def test_files_and_calls_are_short() -> None:
    lines = {name: len(path.read_text(encoding="utf-8").splitlines()) for name, path in HOUSE.files.items()}
    assert [name for name, count in lines.items() if count > MOST_LINES] == []
    assert [name for name, tree in HOUSE.trees.items() if long_calls(tree)] == []
    assert [name for name, tree in HOUSE.trees.items() if long_signatures(tree)] == []


def test_names_are_no_pronouns() -> None:
    names = [name.strip("_") for tree in HOUSE.trees.values() for name in bindings(tree)]
    assert sum(name in PRONOUNS for name in names) <= MOST_PRONOUNS * len(names)


def test_a_long_call_is_seen() -> None:
    assert long_calls(ast.parse("f(1, 2, 3, 4, 5, 6, 7, 8)")) == 1 and not long_calls(ast.parse("f(1, 2, 3, x=4)"))
    assert long_signatures(ast.parse("def f(a, b, c, d, e, f, g, h): ...")) == ["f"]


def test_circles_are_seen() -> None:
    assert circles({"a": {"b"}, "b": {"c"}, "c": {"a", "d"}, "d": set()}) == [["a", "b", "c"]]
