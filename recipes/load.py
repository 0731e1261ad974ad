"""An adapter by what a user calls it: a folder, a packed file, or `base`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from adapters.decoders.slot_decoder import FittedMemory
from adapters.inference.segment import InputContract
from adapters.labelling.labeller import Labeller
from adapters.network import EntitySegmenter
from adapters.runtime import CPU, Runtime
from adapters.sharing.door import read_info
from adapters.sharing.info import RECIPE, AdapterInfo, present
from adapters.sharing.labels_file import load_labeller
from adapters.sharing.learnt import LearntFrom
from adapters.sharing.memory_file import load_memory
from adapters.sharing.opening import opened
from adapters.sharing.student_file import load_student
from domains.errors import printable
from recipes.reading.compose import changed, load_recipe
from recipes.reading.schema import Recipe
from recipes.shared import BASE, SharedRecipe, base_recipe, check_student, member_of, members_of, on_base, shared_recipe

if TYPE_CHECKING:  # what bases want loads slowly, and a student wants none of it
    from adapters.backbones import Backbone


@dataclass(frozen=True)
class Ready:
    """A network ready to predict, how it wants its input, and the name of the domain that it is of."""

    name: str
    segmenter: EntitySegmenter
    contract: InputContract
    domain: str
    labeller: Labeller | None = field(default=None, kw_only=True)
    """What gives entities their class; None where nothing does."""
    memory: FittedMemory | None = field(default=None, kw_only=True)
    """What follows entities through clips by `--track name=memory` in place of the base's; None where it has none."""

    @property
    def is_nameless(self) -> bool:
        """Whether the adapter knows classes, and this network cannot tell them."""
        return False


@dataclass(frozen=True)
class Loaded(Ready):
    """A network of torch, and the recipe behind it."""

    recipe: Recipe
    shared: SharedRecipe | None = None
    """The adapter's own recipe, where it is that; None for one that the reader named."""
    info: AdapterInfo | None = None
    """What the adapter says of itself; None for the bare base."""

    @property
    def is_nameless(self) -> bool:
        """Whether it is a student of an adapter that knows classes, which are told by the base's features."""
        return self.labeller is None and self.info is not None and self.info.labels is not None

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
    fast: bool = False,
    *,
    member: str | None = None,
) -> Iterator[Loaded]:
    """The adapter ready to predict on `runtime`, on `backbone` when one is given, whose adapter it then replaces.

    recipe: in place of the one in the adapter; needed for `base`, which has none. Networks are checked and merged on
    the CPU, where probes were made, and then placed; so a backbone that was placed with another adapter comes back
    first. fast: its student takes the adapter's place, and no base is loaded. member: of an adapter of several domains,
    the one that it is to be. Raises InputError for an adapter that is not whole, or has no student where one is asked
    for.
    """
    if backbone is not None:
        backbone.to("cpu")
    if adapter == BASE:
        check_student(adapter, None, fast)
        yield bare(base_recipe(recipe, overrides), backbone, runtime)
        return
    with opened(Path(adapter)) as folder:
        info = read_info(folder)
        shared = shared_recipe(folder, info, member) if recipe is None or present(folder, RECIPE) else None
        stored = info
        if info.mixture is not None:
            info = info.of_member(member_of(info, member, adapter))
        if recipe is not None or shared is None:
            parsed, shared = load_recipe(recipe or "", overrides), None
        else:
            parsed = changed(shared.recipe, overrides)
        elsewhere = parsed.backbone.name if any(word.startswith("backbone.name=") for word in overrides) else None
        if fast:
            check_student(adapter, info)
            segmenter: EntitySegmenter = load_student(folder, info)
        else:
            name = None if stored is info else member_of(stored, member, adapter)
            segmenter = adapted(folder, stored, backbone, elsewhere, name)
            if stored is not info:
                decode_by(segmenter, info)
        labeller = None if fast else load_labeller(folder, info)
        placed, domain, memory = segmenter.place(runtime), parsed.domain.name, load_memory(folder, info)
        yield Loaded(adapter, placed, info.contract, domain, parsed, shared, info, labeller=labeller, memory=memory)


def bare(recipe: Recipe, backbone: Backbone | None, runtime: Runtime) -> Loaded:
    """The bare base with the decoder that it comes with, by a recipe."""
    from adapters.methods import METHODS
    from recipes.build import backbone_of, contract_of, segmenter_of
    from recipes.sides import on_patches

    if recipe.train.start_adapter:  # which is not the base
        recipe = replace(recipe, train=replace(recipe.train, start=None))
    backbone = backbone or backbone_of(recipe)
    recipe = on_patches(recipe, backbone)
    segmenter = segmenter_of(recipe, backbone, METHODS["decoder_only"]("decoder_only"), runtime)
    return Loaded(BASE, segmenter.eval(), contract_of(recipe), recipe.domain.name, recipe)


def adapted(
    folder: Path, info: AdapterInfo, backbone: Backbone | None, elsewhere: str | None, member: str | None = None
) -> EntitySegmenter:
    """The adapter of a folder on its base, merged into it. elsewhere: where the base lies, if not where that says.
    member: of a mixture.
    """
    from adapters.methods import merge
    from adapters.methods.decoder_update import merge_kernels
    from adapters.sharing.folder import load_adapter

    segmenter, _ = load_adapter(folder, backbone, elsewhere, info, member=member)
    merge(segmenter.backbone)
    merge_kernels(segmenter.decoder)
    return segmenter


def decode_by(segmenter: EntitySegmenter, info: AdapterInfo) -> None:
    """Let a member of a mixture have its entities by its own options, and its scenes as it sees them, checked as those
    of an adapter are. Raises InputError for what cannot be decoded.
    """
    from adapters.decoders import decoder_options
    from adapters.sharing.folder import check_contract
    from adapters.sharing.probe import exercise

    options = decoder_options(info.decoder)
    check_contract(info.contract, options, segmenter.backbone)
    segmenter.decoder.options = options
    exercise(segmenter, info.contract)


def verify(adapter: str, backbone_name: str | None = None) -> str:
    """Load everything as prediction would, decode a small scene, and say so in one line; of a mixture for each of its
    domains. Raises InputError where anything is wrong.
    """
    names, base = members_of(adapter), ""
    for name in names:
        with loaded(adapter, overrides=on_base(backbone_name), member=name) as network:
            base = printable(network.segmenter.backbone.name)
    if names:
        return f"{adapter}: whole, fits {base}, and gives the output it was saved with, for {', '.join(names)}"
    with loaded(adapter, overrides=on_base(backbone_name)) as network:
        base, info = printable(network.segmenter.backbone.name), network.info
    if info is None or info.student is None:
        return f"{adapter}: whole, fits {base}, and gives the output it was saved with"
    with loaded(adapter, fast=True):
        return f"{adapter}: whole, fits {base}, and gives the output it was saved with, as its student does"
