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
import os
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import torch
from pydantic import BaseModel, ConfigDict, ValidationError
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from adapters.backbones import Backbone, BackboneOptions, build_backbone
from adapters.card import card_text
from adapters.decoders import DECODERS
from adapters.inference import InputContract
from adapters.methods import METHODS, Method, adapter_state, detach, load_adapter_state, peft_config
from adapters.probe import probe, probe_differs
from adapters.projection import BandProjection, build_projection
from adapters.segmenter import EntitySegmenter
from domains.errors import InputError, suggest

SCHEMA = 1
INFO, CARD, RECIPE, PEFT = "entity.json", "README.md", "recipe.yaml", "adapter_config.json"
BACKBONE_WEIGHTS, DECODER_WEIGHTS = "adapter_model.safetensors", "entity_decoder.safetensors"
PROJECTION_WEIGHTS = "band_projection.safetensors"
FILES = (INFO, CARD, RECIPE, PEFT, BACKBONE_WEIGHTS, DECODER_WEIGHTS, PROJECTION_WEIGHTS)
MAX_INFO_BYTES = 2**20


class AdapterInfo(BaseModel):
    """`entity.json`: what an adapter is, short of its weights."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    schema_version: int = SCHEMA
    backbone: dict[str, Any]
    fingerprint: str
    method: dict[str, Any]
    decoder: dict[str, Any]
    input: dict[str, Any]
    domain: str
    data: str
    card_digest: str | None = None
    metrics: dict[str, dict[str, float | None]] = {}
    """Split and state ("before", "after") -> metric -> value; None where undefined."""
    probe: list[float]

    @property
    def contract(self) -> InputContract:
        return from_options(InputContract, self.input, "input")


def describe(
    segmenter: EntitySegmenter,
    method: Method,
    contract: InputContract,
    domain: str,
    data: str,
    card_digest: str | None = None,
    metrics: Mapping[str, Mapping[str, float | None]] | None = None,
) -> AdapterInfo:
    """The info of a segmenter as it stands, its probe included."""
    return AdapterInfo(
        backbone=segmenter.backbone.config(),
        fingerprint=segmenter.backbone.fingerprint(),
        method=as_json(asdict(method)),
        decoder=as_json(asdict(segmenter.decoder.options)),
        input=asdict(contract),
        domain=domain,
        data=data,
        card_digest=card_digest,
        metrics={state: dict(values) for state, values in (metrics or {}).items()},
        probe=probe(segmenter),
    )


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
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".adapter-") as parent:
        temporary = Path(parent) / "adapter"
        temporary.mkdir()
        save_file(adapter_state(backbone, method), temporary / BACKBONE_WEIGHTS, metadata={"format": "pt"})
        save_file(compact_state(segmenter.decoder), temporary / DECODER_WEIGHTS)
        if segmenter.projection is not None:
            save_file(plain_state(segmenter.projection), temporary / PROJECTION_WEIGHTS)
        config = peft_config(backbone, method, backbone.name)
        if config is not None:
            config.save_pretrained(str(temporary))
        (temporary / INFO).write_text(info.model_dump_json(indent=2) + "\n", encoding="utf-8")
        (temporary / RECIPE).write_text(recipe_yaml, encoding="utf-8")
        (temporary / CARD).write_text(
            card_text(info, peft=config is not None), encoding="utf-8"
        )  # last: peft rewrites it
        for file in temporary.iterdir():
            file.chmod(0o644)
        old = Path(parent) / "old"
        if folder.exists():
            os.rename(folder, old)
        os.rename(temporary, folder)


def read_info(folder: Path) -> AdapterInfo:
    """`entity.json`, checked. Raises InputError: not there, not JSON, of a newer schema, or not as it should be."""
    path = folder / INFO
    if not path.is_file():
        raise InputError(
            f"{str(folder)!r} is no adapter: it has no {INFO}; wanted a folder that `fit` wrote (RUN/adapter)"
        )
    if path.stat().st_size > MAX_INFO_BYTES:
        raise InputError(f"{str(path)!r} has {path.stat().st_size} bytes; wanted at most {MAX_INFO_BYTES}")
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
        version = raw["schema_version"]
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"{str(path)!r} is damaged ({type(error).__name__}: {error}); get the adapter again"
        ) from error
    if version != SCHEMA:
        raise InputError(f"{str(path)!r} has schema {version!r}, this version reads {SCHEMA}; update entity-adapters")
    try:
        return AdapterInfo.model_validate(raw)
    except ValidationError as error:
        fault = error.errors()[0]
        place = ".".join(str(part) for part in fault["loc"])
        raise InputError(f"{str(path)!r}: {place}: {fault['msg']}; get the adapter again") from error


def load_adapter(
    folder: Path, backbone: Backbone | None = None, backbone_name: str | None = None
) -> tuple[EntitySegmenter, AdapterInfo]:
    """A segmenter with the adapter's weights, checked against its probe.

    backbone: one that is loaded already, whose adapter is swapped for this one; else it is loaded by the name in the
    adapter, or by `backbone_name` where the base lies elsewhere on this machine.
    """
    info = read_info(folder)
    method = from_options(named(METHODS, info.method, "method"), info.method, "method")
    options = from_options(named(DECODERS, info.decoder, "decoder"), info.decoder, "decoder")
    if backbone is None:
        name = backbone_name or info.backbone["name"]
        backbone = build_backbone(BackboneOptions(name, info.backbone.get("revision"), tuple(info.backbone["taps"])))
    detach(backbone)
    if backbone.fingerprint() != info.fingerprint:
        raise InputError(
            f"{str(folder)!r} was made for the base {info.backbone['name']!r}, fingerprint {info.fingerprint[:12]}; "
            f"{backbone.name!r} has {backbone.fingerprint()[:12]}: give the right base by backbone.name=..."
        )
    check_rank(folder / BACKBONE_WEIGHTS, method)
    with torch.device("meta"):
        plan = options.build(backbone.dim, len(backbone.taps), backbone.stride)
    check_shapes(folder / DECODER_WEIGHTS, {name: tuple(value.shape) for name, value in plan.state_dict().items()})
    decoder = options.build(backbone.dim, len(backbone.taps), backbone.stride)
    decoder.load_state_dict(load_file(folder / DECODER_WEIGHTS))
    method.attach(backbone)
    check_shapes(
        folder / BACKBONE_WEIGHTS, {name: tuple(value.shape) for name, value in method.state(backbone).items()}
    )
    load_adapter_state(backbone, method, load_file(folder / BACKBONE_WEIGHTS))
    projection = load_projection(folder / PROJECTION_WEIGHTS, info.contract)
    segmenter = EntitySegmenter(backbone, decoder, projection).eval()
    if difference := probe_differs(probe(segmenter), info.probe):
        raise InputError(
            f"{str(folder)!r} does not give the output it was saved with ({difference}): its weights or options were "
            "changed; get the adapter again"
        )
    return segmenter, info


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
    projection.load_state_dict(load_file(path))
    return projection


def check_shapes(path: Path, wanted: Mapping[str, tuple[int, ...]]) -> None:
    """Names and shapes in a safetensors file, from its header alone."""
    found = header(path)
    for fault, names in {
        "missing": wanted.keys() - found.keys(),
        "unexpected": found.keys() - wanted.keys(),
        "of another shape": {name for name in wanted.keys() & found.keys() if wanted[name] != found[name]},
    }.items():
        if names:
            some = ", ".join(sorted(names)[:3])
            raise InputError(
                f"{str(path)!r}: {len(names)} of {len(wanted)} tensors {fault}, such as {some}; get the adapter again"
            )


def check_rank(path: Path, method: Method) -> None:
    """The rank that the options claim is the file's, before layers of that rank are made."""
    rank = getattr(method, "rank", None)
    ranks = {shape[0] for name, shape in header(path).items() if ".lora_A." in name}
    if rank is not None and ranks != {rank}:
        raise InputError(f"{str(path)!r} has ranks {sorted(ranks)}, {INFO} says {rank}; get the adapter again")


def header(path: Path) -> dict[str, tuple[int, ...]]:
    if not path.is_file():
        raise InputError(f"{str(path)!r} is missing; get the adapter again")
    try:
        with safe_open(path, "pt") as file:
            return {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118
    except SafetensorError as error:
        raise InputError(f"{str(path)!r} is damaged ({error}); get the adapter again") from error


def plain_state(module: nn.Module) -> dict[str, Tensor]:
    return {name: value.detach().to("cpu").contiguous() for name, value in module.state_dict().items()}


def round_to_half(module: nn.Module) -> None:
    """Every weight to the nearest that half precision holds: half the file, and what is measured is what is shared."""
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.copy_(parameter.to(torch.float16))


def compact_state(module: nn.Module) -> dict[str, Tensor]:
    """The state in half precision where every value survives it, else as it is."""
    state = plain_state(module)
    halves = {name: value.to(torch.float16) for name, value in state.items()}
    lossless = all(torch.equal(halves[name].to(value.dtype), value) for name, value in state.items())
    return halves if lossless else state


def as_json(options: Mapping[str, Any]) -> dict[str, Any]:
    return json.loads(json.dumps(options))


def named(table: Mapping[str, Any], options: Mapping[str, Any], part: str) -> Any:
    name = str(options.get("name"))
    if name not in table:
        raise InputError(f"the adapter's {part} is {name!r}; {suggest(name, table)}")
    return table[name]


def from_options(kind: type, options: Mapping[str, Any], part: str) -> Any:
    """A frozen dataclass from its JSON: lists are tuples again, unknown options refused."""
    known = {field.name for field in fields(kind)}
    for key in options:
        if key not in known:
            raise InputError(
                f"the adapter's {part} has {key!r}; {suggest(key, known)}; it needs a newer version of entity-adapters"
            )
    return kind(**{key: tuple(value) if isinstance(value, list) else value for key, value in options.items()})
