"""The build backend: setuptools, with everything of the checkout under one import name.

The code says `from domains.x import y`. Installed like that, `adapters`, `domains` and `recipes` would lie in
everybody's site-packages, where AdapterHub's package is called `adapters`. So a wheel holds

    entity_adapters/__init__.py                  entity_adapters.py of the checkout
    entity_adapters/{adapters,domains,recipes}/  every file of them, weights, YAML, JSON and HTML included
    entity_adapters/data_cards/, cli.py

and the names of modules are changed on the way: in imports, at the positions that `ast` gives, and in strings
("domains.pathology.domain:DOMAIN", `python -m recipes.reading.editor_schema`), token by token and only where a module
of that name is there. `python cli.py` becomes `entity-adapters`, the console script. What cannot be changed so (a bare
`import domains.x`, a name that is put together when it runs) ends the build with the file and the line.
`pip install -e .` changes nothing: the checkout is imported as it is.
"""

from __future__ import annotations

import ast
import io
import re
import shutil
import tokenize
from collections.abc import Iterator
from pathlib import Path

from setuptools.build_meta import *  # noqa: F403  # the hooks that pip calls
from setuptools.command.build_py import build_py

PACKAGE = "entity_adapters"
ROOMS = ("adapters", "domains", "recipes")
FOLDERS = (*ROOMS, "data_cards")
FILES = {"cli.py": "cli.py", f"{PACKAGE}.py": "__init__.py"}
PROGRAM, SCRIPT = "python cli.py", "entity-adapters"
OF_CHECKOUT = ("__pycache__", ".DS_Store")
"""Names of what is no source."""

DOTTED = re.compile(rf"(?<![\w./-])(?:{'|'.join(ROOMS)})(?:\.[A-Za-z_]\w*)+")
PIECED = re.compile(rf"\w*[\"']*(?:{'|'.join(ROOMS)})\.(?:\{{.*|[\"']*)", re.DOTALL)
"""A literal that is the start of a dotted name, the rest of which is only known when the code runs."""
LITERALS = {tokenize.STRING, getattr(tokenize, "FSTRING_MIDDLE", tokenize.STRING)}  # the latter from Python 3.12 on

Position = tuple[int, int]
Edit = tuple[Position, int, str]
"""Row, from 1, and column; how many signs go; what comes in their place."""


class BuildError(Exception):
    """A source that cannot be put under one name; the message says where and what to write."""


class OnePackage(build_py):
    """Puts the checkout's files below `entity_adapters/`, names of modules changed."""

    def run(self) -> None:
        """Write the package anew: a file that went since the last build would be in the wheel again."""
        if self.editable_mode:
            super().run()
            return
        target = Path(self.build_lib) / PACKAGE
        shutil.rmtree(target, ignore_errors=True)
        files = layout(Path())
        modules = frozenset(map(module_name, files.values()))
        for source, place in files.items():
            (target / place).parent.mkdir(parents=True, exist_ok=True)
            (target / place).write_bytes(packaged(source, modules))

    def get_source_files(self) -> list[str]:
        """What an sdist holds beside `pyproject.toml`, README and licence."""
        return [path.as_posix() for path in (*layout(Path()), Path(".packaging", Path(__file__).name))]

    def get_outputs(self, include_bytecode: bool = True) -> list[str]:
        """The files of the wheel."""
        if self.editable_mode:
            return super().get_outputs(include_bytecode)
        return [str(Path(self.build_lib, PACKAGE, place)) for place in layout(Path()).values()]


def layout(root: Path) -> dict[Path, Path]:
    """Every file that goes along, with its place below the package."""
    files = {root / name: Path(place) for name, place in FILES.items()}
    for folder in FOLDERS:
        for path in sorted((root / folder).rglob("*")):
            relative = path.relative_to(root)
            if path.is_file() and not {*relative.parts} & {*OF_CHECKOUT}:
                files[path] = relative
    return files


def module_name(place: Path) -> str:
    """`domains.x` of domains/x.py and of domains/x/__init__.py; of a file that is no module a name that none has."""
    return ".".join(place.with_suffix("").parts).removesuffix(".__init__") if place.suffix == ".py" else str(place)


def packaged(source: Path, modules: frozenset[str]) -> bytes:
    """The bytes of a file as they are in a wheel. modules: dotted names in the checkout."""
    if source.suffix == ".py":
        return renamed(source.read_text(encoding="utf-8"), modules, source.as_posix()).encode()
    if source.suffix == ".html":
        return source.read_bytes().replace(PROGRAM.encode(), SCRIPT.encode())
    return source.read_bytes()  # a data card's digest is in the adapters that were fitted on its data


def renamed(source: str, modules: frozenset[str], file: str = "source") -> str:
    """A module's source under the package's name. Raises BuildError where an import or a string cannot be changed."""
    tokens = list(tokenize.generate_tokens(io.StringIO(source).readline))
    edits = [*import_edits(source, tokens, modules, file), *string_edits(tokens, modules, file)]
    lines = source.splitlines(keepends=True)
    for (row, column), length, text in sorted(edits, reverse=True):
        line = lines[row - 1]
        lines[row - 1] = line[:column] + text + line[column + length :]
    return "".join(lines)


def import_edits(source: str, tokens: list[tokenize.TokenInfo], modules: frozenset[str], file: str) -> Iterator[Edit]:
    """The package's name before each module of ours that is imported."""
    lines = source.splitlines()
    after = {token.start: following.start for token, following in zip(tokens, tokens[1:], strict=False)}

    def position(node: ast.stmt | ast.alias) -> Position:
        """Row and column in signs; `ast` counts bytes."""
        return node.lineno, len(lines[node.lineno - 1].encode()[: node.col_offset].decode())

    for node in ast.walk(ast.parse(source, file)):
        if isinstance(node, ast.ImportFrom) and not node.level and is_ours(node.module or "", modules, file, node):
            yield after[position(node)], 0, f"{PACKAGE}."
        for alias in node.names if isinstance(node, ast.Import) else ():
            if is_ours(alias.name, modules, file, node):
                if alias.asname is None:
                    raise BuildError(f"{file}:{node.lineno}: import {alias.name}; wanted `as NAME`, or from ... import")
                yield position(alias), 0, f"{PACKAGE}."


def is_ours(name: str, modules: frozenset[str], file: str, node: ast.AST) -> bool:
    """Whether an imported module is one of ours. Raises BuildError for one of a room that has no file."""
    if name in modules:
        return True
    if name.partition(".")[0] in ROOMS:
        raise BuildError(f"{file}:{getattr(node, 'lineno', 0)}: there is no module {name}")
    return False


def string_edits(tokens: list[tokenize.TokenInfo], modules: frozenset[str], file: str) -> Iterator[Edit]:
    """The package's name before each module of ours that a literal names, and the console script for `cli.py`."""
    for token in tokens:
        if token.type not in LITERALS:
            continue
        if PIECED.fullmatch(token.string):
            raise BuildError(f"{file}:{token.start[0]}: {token.string} is a piece of a name; wanted a whole module's")
        for match in DOTTED.finditer(token.string):
            if names_module(match[0], modules):
                yield place_in(token, match.start()), 0, f"{PACKAGE}."
        for match in re.finditer(re.escape(PROGRAM), token.string):
            yield place_in(token, match.start()), len(PROGRAM), SCRIPT


def names_module(dotted: str, modules: frozenset[str]) -> bool:
    """Whether it is a module's name, or that of something in a module: a verb's `adapters` is neither."""
    parents = dotted.split(".")
    return any(".".join(parents[:length]) in modules for length in range(2, len(parents) + 1))


def place_in(token: tokenize.TokenInfo, offset: int) -> Position:
    """Row and column of a sign of a token, which may go over several lines."""
    before = token.string[:offset].split("\n")
    row, column = token.start
    return row + len(before) - 1, len(before[-1]) + (column if len(before) == 1 else 0)
