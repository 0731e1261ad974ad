"""An adapter by what a user calls it: a folder, a packed file, or `base`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from adapters.backbones import Backbone
from adapters.inference.segment import InputContract
from adapters.methods import METHODS, merge
from adapters.methods.decoder_update import merge_kernels
from adapters.network import EntitySegmenter
from adapters.runtime import CPU, Runtime
from adapters.sharing.door import read_info
from adapters.sharing.folder import load_adapter
from adapters.sharing.info import RECIPE, AdapterInfo, present
from adapters.sharing.learnt import LearntFrom
from adapters.sharing.opening import opened
from domains.errors import printable
from recipes.build import backbone_of, contract_of, segmenter_of
from recipes.reading.compose import changed, load_recipe
from recipes.reading.schema import Recipe
from recipes.shared import BASE, SharedRecipe, base_recipe, on_base, shared_recipe
from recipes.sides import on_patches


@dataclass(frozen=True)
class Ready:
    """A network ready to predict, how it wants its input, and the name of the domain that it is of."""

    name: str
    segmenter: EntitySegmenter
    contract: InputContract
    domain: str


@dataclass(frozen=True)
class Loaded(Ready):
    """A network of torch, and the recipe behind it."""

    recipe: Recipe
    shared: SharedRecipe | None = None
    """The adapter's own recipe, where it is that; None for one that the reader named."""
    info: AdapterInfo | None = None
    """What the adapter says of itself; None for the bare base."""

    @property
    def learnt_from(self) -> LearntFrom | None:
        """The images that the adapter learnt from, where it says so."""
        return self.info and self.info.learnt_from


@contextmanager
def loaded(
    adapter: str,
    recipe: str | None = None,
    overrides: Sequence[str] = (),
    backbone: Backbone | None = None,
    runtime: Runtime = CPU,
) -> Iterator[Loaded]:
    """The adapter ready to predict on `runtime`, on `backbone` when one is given, whose adapter it then replaces.

    recipe: in place of the one in the adapter; needed for `base`, which has none. Networks are checked and merged on
    the CPU, where probes were made, and then placed; so a backbone that was placed with another adapter comes back
    first. Raises InputError for an adapter that is not whole.
    """
    if backbone is not None:
        backbone.to("cpu")
    if adapter == BASE:
        basic = base_recipe(recipe, overrides)
        if basic.train.start_adapter:  # which is not the base
            basic = replace(basic, train=replace(basic.train, start=None))
        backbone = backbone or backbone_of(basic)
        basic = on_patches(basic, backbone)
        segmenter = segmenter_of(basic, backbone, METHODS["decoder_only"]("decoder_only"), runtime)
        yield Loaded(BASE, segmenter.eval(), contract_of(basic), basic.domain.name, basic)
        return
    with opened(Path(adapter)) as folder:
        info = read_info(folder)
        shared = shared_recipe(folder, info) if recipe is None or present(folder, RECIPE) else None
        if recipe is not None or shared is None:
            parsed, shared = load_recipe(recipe or "", overrides), None
        else:
            parsed = changed(shared.recipe, overrides)
        elsewhere = parsed.backbone.name if any(word.startswith("backbone.name=") for word in overrides) else None
        segmenter, info = load_adapter(folder, backbone, elsewhere, info)
        merge(segmenter.backbone)
        merge_kernels(segmenter.decoder)
        yield Loaded(adapter, segmenter.place(runtime), info.contract, parsed.domain.name, parsed, shared, info)


def verify(adapter: str, backbone_name: str | None = None) -> str:
    """Load everything as prediction would, decode a small scene, and say so in one line. Raises InputError where
    anything is wrong.
    """
    with loaded(adapter, overrides=on_base(backbone_name)) as network:
        base = printable(network.segmenter.backbone.name)
    return f"{adapter}: whole, fits {base}, and gives the output it was saved with"
