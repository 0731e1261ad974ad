"""The house, measured from its source by `ast`: nothing is imported or run.

    python tests/measure_house.py                  the figures of this checkout
    python tests/measure_house.py --root DIR       those of another one, to compare
    python tests/measure_house.py --picture        also draws docs/architecture.png

A *room* is a folder that holds Python files; `cli.py` is a room of its own. An *arrow* is an import from one room into
another, imports inside functions and those under `TYPE_CHECKING` included. A room's *floor* is one above the highest
floor that it imports; a *circle* is a set of rooms, or of files, that import each other. Tests, benchmarks and findings
are no rooms.
"""

from __future__ import annotations

import argparse
import ast
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from statistics import median, quantiles

TOPS = ("adapters", "domains", "recipes")
# fmt: off
PRONOUNS = frozenset({
    "all", "another", "any", "both", "each", "either", "everything", "few", "first", "found", "given", "got",
    "here", "is_one", "it", "its", "known", "last", "left", "more", "most", "much", "neither", "next", "none",
    "nothing", "one", "other", "others", "own", "part", "parts", "rest", "said", "same", "second", "shown",
    "some", "such", "taken", "that", "them", "there", "these", "they", "thing", "things", "this", "those",
    "told", "two", "want", "wanted", "what", "whole",
})
# fmt: on
"""Words that stand for a thing instead of naming it: not the field's, so no names."""

Function = ast.FunctionDef | ast.AsyncFunctionDef
Graph = dict[str, set[str]]


@cache
def tree_of(file: Path) -> ast.Module:
    """The syntax tree of a file, which several questions go through."""
    return ast.parse(file.read_text(encoding="utf-8"))


@dataclass(frozen=True)
class House:
    root: Path

    @cached_property
    def files(self) -> dict[str, Path]:
        """Dotted module names and their files; a package stands for its `__init__.py`."""
        paths = [path for top in TOPS for path in sorted((self.root / top).rglob("*.py"))]
        modules = {".".join(path.relative_to(self.root).with_suffix("").parts): path for path in paths}
        modules["cli"] = self.root / "cli.py"
        return {name.removesuffix(".__init__"): path for name, path in modules.items()}

    @cached_property
    def trees(self) -> dict[str, ast.Module]:
        return {name: tree_of(path) for name, path in self.files.items()}

    @cached_property
    def imports(self) -> Graph:
        """What each module imports of this house."""
        return {name: set(self._imported(name)) - {name} for name in self.files}

    def _imported(self, name: str) -> Iterator[str]:
        for node in ast.walk(self.trees[name]):
            if isinstance(node, ast.Import):
                yield from (alias.name for alias in node.names if alias.name in self.files)
            elif isinstance(node, ast.ImportFrom) and node.module in self.files:
                for alias in node.names:
                    member = f"{node.module}.{alias.name}"
                    yield member if member in self.files else node.module

    def room(self, module: str) -> str:
        path = self.files[module].relative_to(self.root)
        return module if len(path.parts) == 1 else ".".join(path.parent.parts)

    @cached_property
    def rooms(self) -> Graph:
        """The rooms that each room imports; packages that define nothing and import nothing are no rooms."""
        graph: Graph = {
            self.room(name): set() for name, tree in self.trees.items() if len(tree.body) > 1 or name == "cli"
        }
        for name, targets in self.imports.items():
            graph.setdefault(self.room(name), set()).update(self.room(target) for target in targets)
        return {room: targets - {room} for room, targets in graph.items()}


def circles(graph: Graph) -> list[list[str]]:
    """The strongly connected components of more than one node (Tarjan, SIAM J. Computing 1972)."""
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    components: list[list[str]] = []

    def visit(node: str) -> None:
        index[node] = low[node] = len(index)
        stack.append(node)
        for target in sorted(graph.get(node, ())):
            if target not in index:
                visit(target)
                low[node] = min(low[node], low[target])
            elif target in stack:
                low[node] = min(low[node], index[target])
        if low[node] == index[node]:
            at = stack.index(node)
            components.append(sorted(stack[at:]))
            del stack[at:]

    for node in sorted(graph):
        if node not in index:
            visit(node)
    return [component for component in components if len(component) > 1]


def floors(graph: Graph) -> dict[str, int]:
    """The floor of each room, from 1; of a graph without circles."""
    levels: dict[str, int] = {}

    def level(room: str) -> int:
        if room not in levels:
            levels[room] = 1 + max((level(target) for target in graph.get(room, ())), default=0)
        return levels[room]

    for room in graph:
        level(room)
    return levels


def functions(tree: ast.Module) -> Iterator[Function]:
    return (node for node in ast.walk(tree) if isinstance(node, Function))


def public_functions(tree: ast.Module) -> Iterator[Function]:
    """Functions and methods that others may call: no name on the way to them starts with `_`, none is nested."""
    bodies: list[Iterable[ast.stmt]] = [tree.body]
    bodies += [node.body for node in tree.body if isinstance(node, ast.ClassDef) and not node.name.startswith("_")]
    for body in bodies:
        yield from (node for node in body if isinstance(node, Function) and not node.name.startswith("_"))


def bindings(tree: ast.Module) -> Iterator[str]:
    """Every name that is bound: assigned, looped over, unpacked, an argument, a caught error, an alias."""
    for node in ast.walk(tree):
        match node:
            case ast.Name(ctx=ast.Store()):
                yield node.id
            case ast.arg():
                yield node.arg
            case ast.ExceptHandler(name=str()) | ast.MatchAs(name=str()):
                yield str(node.name)


def long_calls(tree: ast.Module, most: int = 7) -> int:
    return sum(isinstance(node, ast.Call) and len(node.args) > most for node in ast.walk(tree))


def long_signatures(tree: ast.Module, most: int = 7) -> list[str]:
    """Functions that can be called with more than `most` positional arguments; of commands they are options by name."""
    names = []
    for node in ast.walk(tree):
        if isinstance(node, Function) and not any("command(" in ast.unparse(mark) for mark in node.decorator_list):
            arguments = [*node.args.posonlyargs, *node.args.args]
            if len([each for each in arguments if each.arg not in ("self", "cls")]) > most:
                names.append(node.name)
    return names


def spread(values: list[int]) -> str:
    if len(values) < 2:
        return "-"
    return f"{median(values):.0f} / {quantiles(values, n=20)[-1]:.0f} / {max(values)}"


def share(count: int, total: int) -> str:
    return f"{100 * count / max(total, 1):.1f} % of {total}"


def readme(root: Path) -> tuple[int, int]:
    """Lines, and decimal figures."""
    text = (root / "README.md").read_text(encoding="utf-8")
    return len(text.splitlines()), len(re.findall(r"(?<![\w.])\d*\.\d+", text))


def figures(house: House) -> list[tuple[str, str]]:
    trees = list(house.trees.values())
    all_functions = [node for tree in trees for node in functions(tree)]
    public = [node for tree in trees for node in public_functions(tree)]
    names = [name for tree in trees for name in bindings(tree)]
    sources = [path.read_text(encoding="utf-8") for path in house.files.values()]
    lines = [len(source.splitlines()) for source in sources]
    lengths = [(node.end_lineno or 0) - node.lineno + 1 for node in all_functions]
    documented = [ast.get_docstring(node) is not None for node in all_functions]
    documented_public = [ast.get_docstring(node) is not None for node in public]
    pronouns = [name.strip("_") in PRONOUNS for name in names]
    arrows = [(room, target) for room, targets in house.rooms.items() for target in targets]
    room_circles = circles(house.rooms)
    levels = {} if room_circles else floors(house.rooms)
    readme_lines, readme_figures = readme(house.root)
    return [
        ("rooms", str(len(house.rooms))),
        ("arrows between rooms", str(len(arrows))),
        ("floors", str(max(levels.values())) if levels else "none: a circle"),
        ("circles of rooms", str(len(room_circles))),
        ("circles of files", str(len(circles(house.imports)))),
        ("files", str(len(house.files))),
        ("lines of a file: median / p95 / most", spread(lines)),
        (
            "lines of a function: median / p95 / most",
            spread(lengths),
        ),
        (
            "functions with a docstring",
            share(sum(documented), len(documented)),
        ),
        (
            "public functions with a docstring",
            share(sum(documented_public), len(documented_public)),
        ),
        ("pronouns as names", share(sum(pronouns), len(pronouns))),
        ("calls with more than 7 positional arguments", str(sum(map(long_calls, trees)))),
        (
            "functions that take more than 7 positional arguments",
            str(sum(len(long_signatures(tree)) for tree in trees)),
        ),
        ("`type: ignore`", str(sum(source.count("# type: ignore") for source in sources))),
        ("README: lines", str(readme_lines)),
        ("README: decimal figures", str(readme_figures)),
    ]


def draw(house: House, path: Path) -> None:
    """The rooms on their floors, as a picture; each arrow in the colour of the room that imports."""
    from matplotlib import colormaps
    from matplotlib.figure import Figure

    levels = floors(house.rooms)
    rows = [
        sorted(room for room, level in levels.items() if level == floor) for floor in range(1, max(levels.values()) + 1)
    ]
    at = {room: ((i + 0.5) / len(row), floor) for floor, row in enumerate(rows) for i, room in enumerate(row)}
    figure = Figure(figsize=(15, 1.25 * len(rows)))
    axes = figure.subplots()
    axes.set_axis_off()
    axes.set_ylim(-0.6, len(rows) - 0.4)
    axes.set_xlim(0, 1)
    colours = {room: colormaps["tab20"](i % 20) for i, room in enumerate(sorted(levels))}
    for room, targets in house.rooms.items():
        for target in targets:
            arrow = {"arrowstyle": "-|>", "color": colours[room], "alpha": 0.45, "shrinkA": 14, "shrinkB": 14}
            axes.annotate("", at[target], at[room], arrowprops=arrow)
    for room, place in at.items():
        box = {"boxstyle": "round,pad=0.4", "facecolor": "white", "edgecolor": colours[room], "linewidth": 2}
        axes.text(*place, room.replace(".", "/"), ha="center", va="center", fontsize=9, bbox=box)
    path.parent.mkdir(exist_ok=True)
    figure.savefig(path, dpi=90, bbox_inches="tight")


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure the house.")
    parser.add_argument("--root", type=Path, default=Path(__file__).parents[1])
    parser.add_argument("--picture", action="store_true", help="draw docs/architecture.png")
    options = parser.parse_args()
    house = House(options.root)
    for name, value in figures(house):
        print(f"{name:<55}{value:>20}")
    for component in (*circles(house.rooms), *circles(house.imports)):
        print("circle:", " - ".join(component))
    if options.picture:
        draw(house, options.root / "docs" / "architecture.png")


if __name__ == "__main__":
    main()
