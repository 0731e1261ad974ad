"""An adapter by what a user calls it: a folder, a packed file, or `base`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from adapters.backbones import Backbone
from adapters.folder import RECIPE, load_adapter
from adapters.inference import InputContract
from adapters.methods import METHODS, merge
from adapters.segmenter import EntitySegmenter
from adapters.sharing import opened
from domains.errors import InputError
from recipes.build import backbone_of, contract_of, segmenter_of
from recipes.compose import load_recipe
from recipes.schema import Recipe

BASE = "base"


@dataclass(frozen=True)
class Loaded:
    """A network ready to predict, how it wants its input, and the recipe behind it."""

    name: str
    segmenter: EntitySegmenter
    contract: InputContract
    recipe: Recipe


@contextmanager
def loaded(
    adapter: str, recipe: str | None = None, overrides: Sequence[str] = (), backbone: Backbone | None = None
) -> Iterator[Loaded]:
    """The adapter, on `backbone` when one is given, whose adapter it then replaces.

    recipe: in place of the one in the adapter; needed for `base`, which has none.
    """
    if adapter == BASE:
        if recipe is None:
            raise InputError("--adapter base wants a --recipe, which says the domain; for instance --recipe pathology")
        parts = load_recipe(recipe, overrides)
        if parts.train.start_adapter:  # which is not the base
            parts = parts.model_copy(update={"train": parts.train.model_copy(update={"start": None})})
        backbone = backbone or backbone_of(parts)
        segmenter = segmenter_of(parts, backbone, METHODS["decoder_only"]("decoder_only"))
        yield Loaded(BASE, segmenter.eval(), contract_of(parts), parts)
        return
    with opened(Path(adapter)) as folder:
        parts = load_recipe(recipe or own_recipe(folder), overrides)
        changed = parts.backbone.name if any(word.startswith("backbone.name=") for word in overrides) else None
        segmenter, info = load_adapter(folder, backbone, changed)
        merge(segmenter.backbone)
        yield Loaded(adapter, segmenter, info.contract, parts)


def own_recipe(folder: Path) -> str:
    path = folder / RECIPE
    if not path.is_file():
        raise InputError(f"{str(folder)!r} has no {RECIPE}; name a recipe by --recipe")
    return str(path)
