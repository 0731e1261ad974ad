"""The adapter folder: the few megabytes that people share.

    README.md                    card with the Hub's front matter
    adapter_config.json          for plain peft (methods that peft has)
    adapter_model.safetensors    what learnt inside the backbone
    entity_decoder.safetensors   the decoder
    student.safetensors          the small network that predicts in its place by `--fast`, where there is one
    labels.safetensors           what gives entities their class, where it has one (`labels_file.set_labeller`)
    memory_decoder.safetensors   what follows entities through a clip, where it has one (`memory_file.set_memory`)
    band_projection.safetensors  two bands, or more than three, to three, where the network sees so many
    entity.json                  base and its fingerprint, options, input contract, metrics, probe
    recipe.yaml                  the resolved recipe

Loading is strict. A wrong base, a missing or additional weight, an output that differs from the one at saving, a newer
schema: each is an error in one line. Nothing is ever unpickled, and shapes are compared before memory is taken.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import nn

from adapters.backbones import EMBEDDED, Backbone, BackboneOptions, build_backbone
from adapters.backbones.embedded_bases import folder_of
from adapters.backbones.projection import BandProjection, build_projection
from adapters.decoders import Decoder, decoder_options
from adapters.decoders.branches import weights_prefix
from adapters.decoders.build import build_decoder
from adapters.decoders.pretrained import warm_start
from adapters.inference.segment import InputContract
from adapters.methods import Method, adapter_state, build_method, detach, load_adapter_state, peft_config
from adapters.methods.decoder_update import learnt_state, load_learnt
from adapters.network import ONE_VIEW, EntitySegmenter
from adapters.options.section import checked
from adapters.sharing.appearances import Appearances
from adapters.sharing.card import card_text
from adapters.sharing.door import name_of, read_info, sealed
from adapters.sharing.info import (
    BACKBONE_WEIGHTS,
    CARD,
    DECODER_WEIGHTS,
    INFO,
    PEFT,
    PROJECTION_WEIGHTS,
    RECIPE,
    STUDENT_WEIGHTS,
    AdapterInfo,
    Base,
    StudentInfo,
    read_text,
)
from adapters.sharing.learnt import LearntFrom
from adapters.sharing.probe import exercise, probe, probe_differs
from adapters.sharing.texts import parse_json
from adapters.sharing.weights import check_shapes, compact, header, plain_state, tensors
from domains.atomic import atomic_folder
from domains.errors import InputError, printable


def describe(
    segmenter: EntitySegmenter,
    method: Method,
    contract: InputContract,
    domain: str,
    data: str,
    *,
    card_digest: str | None = None,
    metrics: Mapping[str, Mapping[str, float | None]] | None = None,
    intervals: Mapping[str, Mapping[str, tuple[float, float] | None]] | None = None,
    data_licence: str | None = None,
    learnt_from: LearntFrom | None = None,
    appearances: Appearances | None = None,
    student: StudentInfo | None = None,
) -> AdapterInfo:
    """The info of a segmenter as it stands, its probe included.

    intervals: of the metrics, state by state. student: as `describe_student` has it.
    """
    base = segmenter.backbone.config()
    if base["revision"] is None and base["name"] not in EMBEDDED and Path(base["name"]).expanduser().exists():
        base["name"] = os.path.abspath(os.path.expanduser(base["name"]))  # so that it is found from any folder
    values = {
        "backbone": base,
        "fingerprint": segmenter.backbone.fingerprint(),
        "method": asdict(method),
        "decoder": asdict(segmenter.decoder.options),
        "input": asdict(contract),
        "domain": domain,
        "data": printable(data),
        "card_digest": card_digest,
        "metrics": {state: dict(values) for state, values in (metrics or {}).items()},
        "intervals": intervals and {state: dict(values) for state, values in intervals.items()},
        "data_licence": data_licence,
        "learnt_from": learnt_from,
        "appearances": appearances,
        "student": student,
        "probe": probe(segmenter),
        "start": vars(segmenter.decoder.start) if method.in_decoder else None,
    }
    return checked(AdapterInfo, values)


def save_adapter(
    folder: Path,
    segmenter: EntitySegmenter,
    method: Method,
    info: AdapterInfo,
    recipe_yaml: str,
    overwrite: bool = False,
    student: nn.Module | None = None,
) -> None:
    """Write the folder beside its place, then move it there: it is whole or absent.

    student: the decoder of the student that the info tells of.
    """
    if folder.exists() and not overwrite:
        raise InputError(f"{str(folder)!r} exists; name another folder")
    backbone = segmenter.backbone
    with atomic_folder(folder, overwrite=overwrite) as temporary:
        save_file(compact(adapter_state(backbone, method)), temporary / BACKBONE_WEIGHTS, metadata={"format": "pt"})
        save_file(compact(learnt_state(segmenter.decoder)), temporary / DECODER_WEIGHTS)
        if segmenter.projection is not None:
            save_file(plain_state(segmenter.projection), temporary / PROJECTION_WEIGHTS)
        if student is not None:
            save_file(compact(student.state_dict()), temporary / STUDENT_WEIGHTS)
        config = peft_config(backbone, method, backbone.name)
        if config is not None:
            config.save_pretrained(str(temporary))
        (temporary / RECIPE).write_text(recipe_yaml, encoding="utf-8")
        (temporary / CARD).write_text(
            card_text(info, peft=config is not None), encoding="utf-8"
        )  # after peft, which rewrites it
        (temporary / INFO).write_text(sealed(temporary, info).json_text(), encoding="utf-8")
        for file in temporary.iterdir():
            file.chmod(0o644)


def load_adapter(
    folder: Path,
    backbone: Backbone | None = None,
    backbone_name: str | None = None,
    info: AdapterInfo | None = None,
    *,
    member: str | None = None,
) -> tuple[EntitySegmenter, AdapterInfo]:
    """A segmenter with the adapter's weights, checked against its probe, and what it says of itself.

    backbone: one that is loaded already, whose adapter is swapped for this one; else it is loaded by the name in the
    adapter, or by `backbone_name` where the base lies elsewhere on this machine. info: as `read_info` has it, where the
    folder was read already. member: of a mixture whose domains have decoders of their own, as which it is loaded; the
    first by default.
    """
    info = info or read_info(folder)
    branch = None
    if info.is_branched and info.mixture is not None:
        member = member or next(iter(info.mixture))
        check_branches(folder, info)
        branch, info = info.mixture[member].branch, info.of_member(member)
    method = build_method(info.method)
    options = decoder_options(info.decoder)
    contract = info.contract
    if backbone is None:
        base = info.backbone
        backbone = build_backbone(BackboneOptions(backbone_name or name_of(base, folder), base.revision, base.taps))
    detach(backbone)
    backbone.answer_prompts(options.name == "sam")
    check_base(folder, info, backbone)
    check_contract(contract, options, backbone)
    check_rank(folder / BACKBONE_WEIGHTS, method)
    decoder = load_decoder(folder, info, method, options, backbone, branch)
    method.attach(backbone)
    check_shapes(
        folder / BACKBONE_WEIGHTS, {name: tuple(value.shape) for name, value in method.state(backbone).items()}
    )
    load_adapter_state(backbone, method, tensors(folder / BACKBONE_WEIGHTS))
    check_targets(folder, method, backbone)
    projection = load_projection(folder / PROJECTION_WEIGHTS, contract)
    segmenter = EntitySegmenter(backbone, decoder, projection).eval()
    if difference := probe_differs(probe(segmenter), info.probe):
        raise InputError(
            f"{str(folder)!r} does not give the output it was saved with ({difference}): its weights or options were "
            "changed; get the adapter again"
        )
    exercise(segmenter, contract)
    return segmenter, info


def load_decoder(
    folder: Path, info: AdapterInfo, method: Method, options: Any, backbone: Backbone, branch: str | None = None
) -> Decoder:
    """The decoder of an adapter: all of it from its file, or the base's pretrained one with the file's updates.

    branch: of several decoders in the file.

    Raises InputError for weights that do not fit, and for a base whose decoder is not the one that they belong to.
    """
    with nullcontext() if options.name == "sam" else torch.device("meta"):  # sam's are read from the base's files
        plan: Any = build_decoder(options, backbone)
        plan.start = info.start
        method.adapt_decoder(plan)
    prefix = "" if branch is None else weights_prefix(branch)
    shapes = {name: tuple(value.shape) for name, value in learnt_state(plan).items()}
    check_shapes(folder / DECODER_WEIGHTS, shapes, prefix)
    decoder: Any = build_decoder(options, backbone)
    if info.start is not None:
        place = folder_of(backbone.name)
        if not warm_start(decoder, place, info.start.kind) or decoder.start.digest != info.start.digest:
            raise InputError(
                f"{str(folder)!r} holds updates of a pretrained decoder (start.kind {info.start.kind!r}, digest "
                f"{info.start.digest[:12]}), which {str(place)!r} has not: get the base that the adapter was made for"
            )
    method.adapt_decoder(decoder)
    load_learnt(decoder, tensors(folder / DECODER_WEIGHTS, prefix))
    return decoder


def check_branches(folder: Path, info: AdapterInfo) -> None:
    """Raises InputError for weights of a decoder that is no branch of the adapter."""
    path = folder / DECODER_WEIGHTS
    prefixes = tuple(weights_prefix(branch) for branch in info.branches if branch is not None)
    strange = sorted(name for name in header(path) if not name.startswith(prefixes))
    if strange:
        raise InputError(f"{str(path)!r} has {strange[0]!r:.80}, which is of no branch; get the adapter again")


def check_base(folder: Path, info: AdapterInfo, backbone: Backbone) -> None:
    """Raises InputError for another base than the adapter's, or one that the adapter describes wrongly."""
    if backbone.fingerprint() != info.fingerprint:
        raise InputError(
            f"{str(folder)!r} was made for the base {info.backbone.name!r}, fingerprint {info.fingerprint[:12]}; "
            f"{backbone.name!r} has {backbone.fingerprint()[:12]}: give the right base by backbone.name=..."
        )
    stated, actual = info.backbone.options(), checked(Base, backbone.config()).options()
    for name in stated.keys() - {"revision"}:
        if stated[name] != actual[name]:
            raise InputError(
                f"{str(folder / INFO)!r}: backbone.{name} is {stated[name]!r}; that of {backbone.name!r} is "
                f"{actual[name]!r}; get the adapter again"
            )


def check_contract(contract: InputContract, options: Any, backbone: Backbone) -> None:
    """Raises InputError for views and windows that the network cannot give."""
    side = math.lcm(8, backbone.stride)
    if contract.window_px is not None and contract.window_px % side:
        raise InputError(
            f"input window_px is {contract.window_px}; {backbone.name} has a stride of {backbone.stride} px and wants "
            f"a multiple of {side}"
        )
    averaged = contract.views != ONE_VIEW or contract.window_px is not None or contract.context is not None
    if options.name != "dense" and averaged:
        raise InputError(
            "input symmetries, test_scales, window_px and context want decoder.name=dense; the adapter has "
            f"{options.name!r}"
        )


def check_targets(folder: Path, method: Method, backbone: Backbone) -> None:
    """What plain peft would adapt is what we adapt. Raises InputError."""
    config = peft_config(backbone, method, backbone.name)
    if config is None:
        return
    stated = parse_json(read_text(folder, PEFT), repr(str(folder / PEFT)))
    expected = as_json({k: sorted(v) if isinstance(v, set) else v for k, v in config.to_dict().items()})
    for name in stated.keys() - {"base_model_name_or_path", "auto_mapping", "peft_version", "revision"}:
        value = stated[name]
        if value != expected[name] if name in expected else value:
            raise InputError(
                f"{str(folder / PEFT)!r}: {name} is {value!r:.80}; by {INFO} it is {expected.get(name)!r:.80}; "
                "get the adapter again"
            )


def load_projection(path: Path, contract: InputContract) -> BandProjection | None:
    """None for RGB. Raises InputError for a file that is missing, damaged, or there without need."""
    projection = build_projection(contract.bands)
    if projection is None:
        if path.exists():
            raise InputError(
                f"{str(path)!r} is for other than three channels, {INFO} names no such; get the adapter again"
            )
        return None
    check_shapes(path, {name: tuple(value.shape) for name, value in projection.state_dict().items()})
    projection.load_state_dict(tensors(path))
    return projection


def check_rank(path: Path, method: Method) -> None:
    """LoRA's rank that the options claim is the file's, before layers of that rank are made."""
    rank = getattr(method, "rank", None) if method.name == "lora" and method.in_backbone else None
    ranks = {shape[0] for name, shape in header(path).items() if ".lora_A." in name}
    if rank is not None and ranks != {rank}:
        raise InputError(f"{str(path)!r} has ranks {sorted(ranks)}, {INFO} says {rank}; get the adapter again")


def as_json(options: Mapping[str, Any]) -> dict[str, Any]:
    """The options as JSON gives them back: tuples become lists."""
    return json.loads(json.dumps(options))
