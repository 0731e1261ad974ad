"""entity-adapters as a library, under one import name: `from entity_adapters import load`.

In a wheel this file is `entity_adapters/__init__.py`, and `adapters`, `domains`, `recipes`, `cli` and `data_cards` lie
beside it: nothing of ours stands in anybody's site-packages under so common a name. In a checkout they stay where they
are, and `entity_adapters.domains.x` is the module `domains.x` itself, so that a plugin is written in one way for both.
Nothing heavy is imported until a public name is asked for.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib import import_module
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from importlib.util import find_spec, spec_from_loader
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cli import main
    from recipes.adapter_set import load_many
    from recipes.api import load

    __version__: str

__all__ = ["__version__", "load", "load_many", "main"]

FOLDER = Path(__file__).resolve().parent
ROOMS = ("adapters", "domains", "recipes", "cli")
PUBLIC = {"load": ".recipes.api", "load_many": ".recipes.adapter_set", "main": ".cli"}
"""Public names and the modules that have them, by a name that holds in a checkout and in a wheel."""


def __getattr__(name: str) -> Any:
    """A public name, imported when it is first asked for."""
    if name == "__version__":
        return _version()
    if name not in PUBLIC:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(PUBLIC[name], __name__), name)


def __dir__() -> list[str]:
    """The public names, whether or not they were asked for yet."""
    return sorted({*globals(), *__all__})


def on_worker(work: Any, tasks: Any) -> Any:
    """What `predict --scheduler` asks of a worker, by the one name that can be imported wherever that was started."""
    return import_module(".recipes.verbs.predict_task", __name__).replies(work, tasks)


class Concealed(str):
    """A word with a secret, of a task of `predict --scheduler`: a worker logs what a task that fails was given."""

    def __repr__(self) -> str:
        return "'...'"


def _version() -> str:
    """The version of a checkout as its `pyproject.toml` says it, whatever else is installed; else the package's."""
    project = FOLDER / "pyproject.toml"
    if IN_CHECKOUT and project.is_file():
        import tomllib

        return tomllib.loads(project.read_text(encoding="utf-8"))["project"]["version"]
    from importlib.metadata import version

    return version("entity-adapters")


class CheckoutFinder(MetaPathFinder, Loader):
    """Finds `entity_adapters.domains...` as the module `domains...`, loaded once, and the rooms from any folder."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """The spec of a room or of a module in one, under either name; None for all else."""
        if fullname in ROOMS:
            return PathFinder.find_spec(fullname, [str(FOLDER)])
        package, _, name = fullname.partition(".")
        if package != __name__ or name.partition(".")[0] not in ROOMS or find_spec(name) is None:
            return None
        return spec_from_loader(fullname, self)

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        """The module by its name in the checkout. The machinery is about to give it this spec: its own is kept."""
        module = import_module(spec.name.partition(".")[2])
        spec.loader_state = module.__spec__
        return module

    def exec_module(self, module: ModuleType) -> None:
        """Give the module, which ran when it was imported, its own spec back."""
        if module.__spec__ is not None:
            module.__spec__ = module.__spec__.loader_state


IN_CHECKOUT = "__path__" not in globals()
if IN_CHECKOUT:
    __path__: list[str] = []  # a module with a path may have submodules
    sys.meta_path.insert(0, CheckoutFinder())  # before the path's finder, which would load a room's modules again
