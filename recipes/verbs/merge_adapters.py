"""`cli.py adapters merge`: several adapters of one base as one, and how far they are in each other's way.

What each adds to the frozen weights is combined (`adapters.sharing.merging`); the backbone's part is made low-rank
again, so parents are of LoRA, or of the decoder alone. The decoder comes out as it does of a fit of the first parent:
whole, or as low-rank updates of the pretrained one. How an image is seen, and the thresholds, are the first parent's;
how the images look that it is for, by which `predict --adapter auto` chooses it, is of all of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from adapters.backbones import Backbone
from adapters.backbones.embedded_bases import folder_of
from adapters.decoders import decoder_options
from adapters.decoders.pretrained import warm_start
from adapters.methods import Method, build_method, detach, merge
from adapters.methods.decoder_update import LowRankConv2d, merge_kernels
from adapters.methods.quantised_update import QuantisedConv2d
from adapters.methods.updated_conv import UpdatedConv2d
from adapters.network import EntitySegmenter
from adapters.options.lora import Lora, MethodOptions
from adapters.options.methods import DecoderOnly
from adapters.options.training import TrainOptions
from adapters.sharing.appearances import united
from adapters.sharing.door import read_info, read_recipe
from adapters.sharing.folder import as_json, describe, load_adapter, save_adapter
from adapters.sharing.info import AdapterInfo
from adapters.sharing.learnt import LearntFrom
from adapters.sharing.merging import METHODS, Combine, interference, low_rank
from adapters.sharing.opening import opened
from adapters.sharing.texts import yaml_text
from adapters.training.rounding import round_learnt
from domains.errors import InputError
from recipes.reading.command import command, following
from recipes.sets import AskedSet, parse_adapters

MOST_RANK = 256
Updates = dict[str, Tensor]
"""What an adapter adds to each of the base's tensors, and to each of its pretrained decoder's."""


@dataclass(frozen=True)
class Parent:
    """An adapter that is merged: what it says of itself, and its updates."""

    name: str
    info: AdapterInfo
    recipe: dict[str, Any]
    backbone: Updates
    decoder: Updates
    scorer: Mapping[str, Tensor]

    @property
    def kind(self) -> str | None:
        """Of the scenes that its decoder was pretrained on."""
        return kind_of(self.info, self.recipe)


def merged_text(adapters: Sequence[str], weights: Sequence[float], how: str, rank: int | None, out: Path) -> str:
    """Merge adapters into OUT; the lines of their interference, and the one that verifies what came of them.

    weights: one for each; none: equal ones whose sum is 1. rank: of the backbone's part; None: enough to hold the sum.
    Raises InputError for adapters that cannot be merged.
    """
    if out.exists():
        raise InputError(f"{str(out)!r} exists; name another folder")
    weights = list(weights) or [1 / len(adapters)] * len(adapters)
    if len(adapters) < 2 or len(weights) != len(adapters):
        raise InputError(f"wanted at least two adapters and a weight for each; got {len(adapters)} and {len(weights)}")
    backbone, parents = read_parents(adapters)
    segmenter, method = child_of(parents, weights, how, rank, backbone)
    lead = parents[0]
    lines = [interference_line(a, b) for a, b in combinations(parents, 2)]
    data = "+".join(parent.info.data for parent in parents)
    learnt = learnt_by(parents)
    looks = united([parent.info.appearances for parent in parents if parent.info.appearances is not None])
    info = describe(
        segmenter, method, lead.info.contract, lead.info.domain, data, learnt_from=learnt, appearances=looks
    )
    recipe = {**lead.recipe, "method": as_json(asdict(method))}
    save_adapter(out, segmenter, method, info, yaml_text(recipe))
    lines += [line for line in (classes_line(parents, out), memory_line(parents, out)) if line]
    return "\n".join([*lines, str(out), following("adapters", "verify", out)])


def classes_line(parents: Sequence[Parent], out: Path) -> str:
    """That classes are not merged, as each parent tells them by features of its own; "" where no parent has any."""
    named = [parent.name for parent in parents if parent.info.labels is not None]
    if not named:
        return ""
    teach = command("adapters", "teach", out, "--examples", "DIR", "--out", "NEW")
    return f"the classes of {', '.join(named)} are left out, as they are told by features that a merge changes: {teach}"


def memory_line(parents: Sequence[Parent], out: Path) -> str:
    """That memory decoders are not merged; "" where no parent has any."""
    named = [parent.name for parent in parents if parent.info.memory is not None]
    if not named:
        return ""
    follow = command("adapters", "follow", out, "--data", "DIR", "--out", "RUN")
    return f"the memory decoders of {', '.join(named)} are left out, as each learnt beside its adapter: {follow}"


def transferred(adapters: Sequence[str], out: Path, sets: Sequence[AskedSet], folder: Path, split: str) -> None:
    """The table of `transfer` of parents and child, into a folder of its own. Raises InputError."""
    from recipes.runtime import choose
    from recipes.verbs.transfer import transfer  # what draws its picture loads slowly, and a merge alone wants none

    transfer(parse_adapters([*adapters, str(out)]), sets, folder, split, runtime=choose("auto"))


def learnt_by(parents: Sequence[Parent]) -> LearntFrom | None:
    """The images that any of the parents learnt from, as far as they say: the child was fitted on all of them."""
    learnt = None
    for parent in parents:
        learnt = learnt if parent.info.learnt_from is None else parent.info.learnt_from.joined(learnt)
    return learnt


def read_parents(adapters: Sequence[str]) -> tuple[Backbone, list[Parent]]:
    """The shared base, bare, and what every adapter adds to it. Raises InputError where they do not fit together."""
    parents: list[Parent] = []
    backbone: Any = None
    with ExitStack() as stack:
        for name in adapters:
            folder = stack.enter_context(opened(Path(name)))
            info = read_info(folder)
            check_parent(name, info, parents)
            segmenter, info = load_adapter(folder, backbone)
            backbone = segmenter.backbone
            recipe = read_recipe(folder)
            updates = updates_of(segmenter, kind_of(info, recipe))
            learnt_scorer: Any = segmenter.decoder.scorer
            scorer = {} if learnt_scorer is None else learnt_scorer.state_dict()
            parents.append(Parent(name, info, recipe, *updates, scorer))
    detach(backbone)
    return backbone, parents


def check_parent(name: str, info: AdapterInfo, parents: Sequence[Parent]) -> None:
    """Raises InputError for a method whose updates are not low-rank, and for another base, decoder or bands than the
    first parent's.
    """
    if info.mixture is not None:
        raise InputError(f"{name!r} is of several domains; merge one of them, which `adapters member` writes")
    if info.decoder.name == "memory":
        raise InputError(f"{name!r} is a memory of good images, which holds no updates to merge")
    if not isinstance(info.method, Lora | DecoderOnly):
        raise InputError(f"{name!r} is of method {info.method.name}; only lora and decoder_only can be merged")
    if not parents:
        return
    lead = parents[0].info
    tuned = {"merging", *lead.decoder.TUNED}
    for trait, expected, actual in (
        ("base", lead.fingerprint[:12], info.fingerprint[:12]),
        ("decoder", shape_of(lead, tuned), shape_of(info, tuned)),
        ("bands", lead.input.bands, info.input.bands),
        ("start.kind", lead.start and lead.start.kind, info.start and info.start.kind),
    ):
        if expected != actual:
            raise InputError(
                f"{name!r} has {trait} {actual}, {parents[0].name!r} has {expected}; only alike can be merged"
            )


def shape_of(info: AdapterInfo, tuned: Sequence[str] | object) -> dict[str, object]:
    """The options of a decoder that its weights depend on."""
    return {key: value for key, value in vars(info.decoder).items() if key not in tuned}  # type: ignore[operator]


def kind_of(info: AdapterInfo, recipe: Mapping[str, Any]) -> str | None:
    """Of which scenes the decoder was pretrained that an adapter began with; a whole one by its recipe."""
    return info.start.kind if info.start else TrainOptions(start=recipe.get("train", {}).get("start")).start_kind


def updates_of(segmenter: EntitySegmenter, kind: str | None) -> tuple[Updates, Updates]:
    """What a loaded adapter adds to its base and to its pretrained decoder, which is left merged."""
    backbone, decoder = segmenter.backbone, segmenter.decoder
    merge(backbone)
    parameters = backbone.base_parameters()
    of_backbone = {name: parameters[name].detach() - original for name, original in backbone.originals.items()}
    of_backbone = {name: update for name, update in of_backbone.items() if update.any()}  # biases stay
    merge_kernels(decoder)
    begun = pretrained_like(segmenter, kind)
    of_decoder = {
        name: value.detach() - begun[name]
        for name, value in decoder.named_parameters()
        if not name.startswith("scorer")
    }
    return of_backbone, of_decoder


def pretrained_like(segmenter: EntitySegmenter, kind: str | None) -> Updates:
    """The tensors of the pretrained decoder of the same shape. Raises InputError where the base has none."""
    backbone, options = segmenter.backbone, segmenter.decoder.options
    decoder = options.build(backbone.dim, len(backbone.taps), backbone.stride)
    if not warm_start(decoder, folder_of(backbone.name), kind):
        raise InputError(f"{backbone.name} has no pretrained decoder of this shape, to tell updates from")
    return decoder.state_dict()


def child_of(
    parents: Sequence[Parent], weights: Sequence[float], how: str, rank: int | None, backbone: Backbone
) -> tuple[EntitySegmenter, Method]:
    """The network of the merged adapter, and its method."""
    lead, combine = parents[0], METHODS[how]
    method = build_method(child_options([parent.info.method for parent in parents], rank))
    method.attach(backbone)
    options = decoder_options(lead.info.decoder)
    decoder: Any = options.build(backbone.dim, len(backbone.taps), backbone.stride)
    warm_start(decoder, folder_of(backbone.name), lead.kind)
    method.adapt_decoder(decoder)
    write_backbone(backbone, method, combined([parent.backbone for parent in parents], weights, combine))
    write_decoder(decoder, combined([parent.decoder for parent in parents], weights, combine))
    if decoder.scorer is not None:
        decoder.scorer.load_state_dict(lead.scorer)
    segmenter = EntitySegmenter(backbone, decoder)
    round_learnt(segmenter)
    return segmenter.eval(), method


def child_options(methods: Sequence[MethodOptions], rank: int | None) -> MethodOptions:
    """LoRA of a rank that holds all updates, or of the given one. Raises InputError for parents of other layers."""
    lora = [method for method in methods if isinstance(method, Lora)]
    if not lora:
        return methods[0]
    places = {(method.roles, method.layers, method.scope) for method in methods if isinstance(method, Lora)}
    if len(places) > 1 or len(lora) < len(methods):
        raise InputError("adapters of other layers, roles or scopes than each other cannot be merged")
    summed = sum(method.rank for method in lora)
    rank = min(rank or summed, MOST_RANK)
    return Lora(rank=rank, roles=lora[0].roles, layers=lora[0].layers, scope=lora[0].scope)


def combined(updates: Sequence[Updates], weights: Sequence[float], combine: Combine) -> Updates:
    """The updates of all parents, tensor by tensor; one that a parent has not counts as zero there."""
    shapes = {name: tensor for update in updates for name, tensor in update.items()}
    return {
        name: combine([update.get(name, torch.zeros_like(like)) for update in updates], weights)
        for name, like in shapes.items()
    }


@torch.no_grad()
def write_backbone(backbone: Backbone, method: Method, updates: Updates) -> None:
    """Updates of the base's linear layers into the fresh layers of LoRA."""
    if not isinstance(method, Lora):
        return
    for name, update in updates.items():
        layer: Any = backbone.model.get_submodule(name.removesuffix(".weight"))
        a, b = low_rank(update / method.scale, method.rank)
        layer.lora_A["default"].weight[: len(a)].copy_(a)
        layer.lora_A["default"].weight[len(a) :].zero_()
        layer.lora_B["default"].weight[:, : b.shape[1]].copy_(b)


@torch.no_grad()
def write_decoder(decoder: nn.Module, updates: Updates) -> None:
    """Updates of the pretrained decoder's tensors: into low-rank updates where its kernels are frozen, else added."""
    state = dict(decoder.named_parameters())
    for name, update in updates.items():
        path, _, kind = name.rpartition(".")
        module: Any = decoder.get_submodule(path)
        if isinstance(module, LowRankConv2d) and kind == "weight":
            a, b = low_rank(update / module.scale, len(module.lora_A))
            module.lora_A.zero_()
            module.lora_A[: len(a)].copy_(a)
            module.lora_B[:, : b.shape[1]].copy_(b[..., None, None])
        elif isinstance(module, QuantisedConv2d) and kind == "weight":
            module.update.copy_(update)
        elif isinstance(module, UpdatedConv2d):
            state[f"{path}.base_layer.{kind}"].add_(update)
        else:
            state[name].add_(update)


def interference_line(parent: Parent, against: Parent) -> str:
    """How far two parents are in each other's way, in backbone and decoder together."""
    sides = [{**{f"b.{k}": v for k, v in side.backbone.items()}, **side.decoder} for side in (parent, against)]
    cosine, conflict = interference(*sides)
    opposed = f"{conflict:.0%} of what both move goes against the other"
    return f"{parent.name} and {against.name}: cosine {cosine:+.3f}, {opposed}"
