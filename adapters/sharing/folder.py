"""The adapter folder: the few megabytes that people share.

    README.md                    card with the Hub's front matter
    adapter_config.json          for plain peft (methods that peft has)
    adapter_model.safetensors    what learnt inside the backbone
    entity_decoder.safetensors   the decoder
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
import tempfile
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from adapters.backbones import EMBEDDED, Backbone, BackboneOptions, build_backbone
from adapters.backbones.projection import BandProjection, build_projection
from adapters.decoders import decoder_options
from adapters.inference.segment import InputContract, segment
from adapters.methods import Method, adapter_state, build_method, detach, load_adapter_state, peft_config
from adapters.network import ONE_VIEW, EntitySegmenter
from adapters.options.section import checked
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
    AdapterInfo,
    Base,
    present,
    read_text,
)
from adapters.sharing.learnt import LearntFrom
from adapters.sharing.probe import probe, probe_differs, probe_image
from adapters.sharing.texts import parse_json
from domains.atomic import remove_left, temporary_prefix
from domains.errors import InputError, printable

EXERCISE_PX, MOST_EXERCISE_PX = 64, 1024  # after scaling, and before
NUMBERS = ("F16", "BF16", "F32")


def describe(
    segmenter: EntitySegmenter,
    method: Method,
    contract: InputContract,
    domain: str,
    data: str,
    *,
    card_digest: str | None = None,
    metrics: Mapping[str, Mapping[str, float | None]] | None = None,
    learnt_from: LearntFrom | None = None,
) -> AdapterInfo:
    """The info of a segmenter as it stands, its probe included."""
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
        "learnt_from": learnt_from,
        "probe": probe(segmenter),
    }
    return checked(AdapterInfo, values)


def save_adapter(
    folder: Path,
    segmenter: EntitySegmenter,
    method: Method,
    info: AdapterInfo,
    recipe_yaml: str,
    overwrite: bool = False,
) -> None:
    """Write the folder beside its place, then move it there: it is whole or absent."""
    if folder.exists() and not overwrite:
        raise InputError(f"{str(folder)!r} exists; name another folder")
    folder.parent.mkdir(parents=True, exist_ok=True)
    backbone = segmenter.backbone
    remove_left(folder.parent)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=temporary_prefix()) as parent:
        temporary = Path(parent) / "adapter"
        temporary.mkdir()
        save_file(adapter_state(backbone, method), temporary / BACKBONE_WEIGHTS, metadata={"format": "pt"})
        save_file(compact_state(segmenter.decoder), temporary / DECODER_WEIGHTS)
        if segmenter.projection is not None:
            save_file(plain_state(segmenter.projection), temporary / PROJECTION_WEIGHTS)
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
        old = Path(parent) / "old"
        if folder.exists():
            os.rename(folder, old)
        os.rename(temporary, folder)


def load_adapter(
    folder: Path, backbone: Backbone | None = None, backbone_name: str | None = None, info: AdapterInfo | None = None
) -> tuple[EntitySegmenter, AdapterInfo]:
    """A segmenter with the adapter's weights, checked against its probe.

    backbone: one that is loaded already, whose adapter is swapped for this one; else it is loaded by the name in the
    adapter, or by `backbone_name` where the base lies elsewhere on this machine. info: as `read_info` has it, where the
    folder was read already.
    """
    info = info or read_info(folder)
    method = build_method(info.method)
    options = decoder_options(info.decoder)
    contract = info.contract
    if backbone is None:
        base = info.backbone
        backbone = build_backbone(BackboneOptions(backbone_name or name_of(base, folder), base.revision, base.taps))
    detach(backbone)
    check_base(folder, info, backbone)
    check_contract(contract, options, backbone)
    check_rank(folder / BACKBONE_WEIGHTS, method)
    with torch.device("meta"):
        plan = options.build(backbone.dim, len(backbone.taps), backbone.stride)
    check_shapes(folder / DECODER_WEIGHTS, {name: tuple(value.shape) for name, value in plan.state_dict().items()})
    decoder = options.build(backbone.dim, len(backbone.taps), backbone.stride)
    decoder.load_state_dict(tensors(folder / DECODER_WEIGHTS))
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


def exercise(segmenter: EntitySegmenter, contract: InputContract) -> None:
    """All that prediction does, from one view of a scene of a few patches: the ranges of the options bound its time.

    Raises InputError for what cannot be decoded.
    """
    side = min(max(4, round(min(EXERCISE_PX, contract.tile_px) / contract.scale)), MOST_EXERCISE_PX)
    picture = probe_image(side, contract.channels)[0].permute(1, 2, 0).mul(255).round().to(torch.uint8).numpy()
    segment(segmenter, contract.scene_of(picture), contract.changed(symmetries=1, test_scales=(1.0,)))


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


def check_shapes(path: Path, expected: Mapping[str, tuple[int, ...]]) -> None:
    """Names and shapes in a safetensors file, from its header alone."""
    stored = header(path)
    for fault, names in {
        "missing": expected.keys() - stored.keys(),
        "unexpected": stored.keys() - expected.keys(),
        "of another shape": {name for name in expected.keys() & stored.keys() if expected[name] != stored[name]},
    }.items():
        if names:
            examples = ", ".join(sorted(names)[:3])
            raise InputError(
                f"{str(path)!r}: {len(names)} of {len(expected)} tensors {fault}, such as {examples}; "
                "get the adapter again"
            )


def check_rank(path: Path, method: Method) -> None:
    """The rank that the options claim is the file's, before layers of that rank are made."""
    rank = getattr(method, "rank", None)
    ranks = {shape[0] for name, shape in header(path).items() if ".lora_A." in name}
    if rank is not None and ranks != {rank}:
        raise InputError(f"{str(path)!r} has ranks {sorted(ranks)}, {INFO} says {rank}; get the adapter again")


def header(path: Path) -> dict[str, tuple[int, ...]]:
    """Names and shapes in a safetensors file. Raises InputError for one that is missing, damaged or not of numbers."""
    if not present(path.parent, path.name):
        raise InputError(f"{str(path)!r} is missing; get the adapter again")
    try:
        with safe_open(path, "pt") as file:
            slices = {name: file.get_slice(name) for name in file.keys()}  # noqa: SIM118
            for name, tensor in slices.items():
                if tensor.get_dtype() not in NUMBERS:
                    raise InputError(
                        f"{str(path)!r}: {name!r:.80} is of {tensor.get_dtype()}; wanted one of {', '.join(NUMBERS)}; "
                        "get the adapter again"
                    )
            return {name: tuple(tensor.get_shape()) for name, tensor in slices.items()}
    except SafetensorError as error:
        raise InputError(f"{str(path)!r} is damaged ({error}); get the adapter again") from error


def tensors(path: Path) -> dict[str, Tensor]:
    """A file whose header is checked. Raises InputError for a number that is none."""
    state = load_file(path)
    for name, value in state.items():
        if not value.isfinite().all():
            raise InputError(f"{str(path)!r}: {name!r:.80} has values that are not finite; get the adapter again")
    return state


def plain_state(module: nn.Module) -> dict[str, Tensor]:
    """A module's tensors on the CPU, contiguous, as safetensors writes them."""
    return {name: value.detach().to("cpu").contiguous() for name, value in module.state_dict().items()}


def compact_state(module: nn.Module) -> dict[str, Tensor]:
    """The state in half precision where every value survives it, else as it is."""
    state = plain_state(module)
    halves = {name: value.to(torch.float16) for name, value in state.items()}
    lossless = all(torch.equal(halves[name].to(value.dtype), value) for name, value in state.items())
    return halves if lossless else state


def as_json(options: Mapping[str, Any]) -> dict[str, Any]:
    """The options as JSON gives them back: tuples become lists."""
    return json.loads(json.dumps(options))
