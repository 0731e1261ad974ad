"""The decoders that were pretrained with a base, and where they fit.

An adapter starts from one when the base's folder holds it and its decoder has the same shape; otherwise from random
weights. They lie beside the base: `entity_decoder.safetensors` saw every kind of scene,
`entity_decoder.<kind>.safetensors` one kind only, since what counts as an entity is another thing on each;
`entity_decoder.json` has their options. Kernels are stored in 8 bits with a scale per output channel, all else in half
precision; a file that has everything in half precision is read as well. A file may hold a scorer of regions that learnt
from generated scenes: with it nothing fitted goes by regions too.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from hashlib import sha256
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from adapters.decoders import Decoder
from adapters.decoders.decoder import Start
from domains.atomic import atomic_path
from domains.errors import InputError, suggest

WEIGHTS = "entity_decoder.safetensors"
OPTIONS = "entity_decoder.json"
SCORER = "scorer."  # of regions: it learns after a fit, and starts from nothing then
HEAD = ("head.weight", "head.bias")  # a row per field, then those of an embedding, which is never pretrained
SCALE = ".scale"  # after the name of a tensor in 8 bits


def weights_file(folder: Path, kind: str | None = None) -> Path:
    """Of the decoder of one kind of scene; None: of the general one."""
    return folder / (WEIGHTS if kind is None else f"entity_decoder.{kind}.safetensors")


def save_pretrained_decoder(folder: Path, decoder: Decoder, kind: str | None = None) -> None:
    """Write a decoder's weights, compressed, and its options. kind: of scenes that it saw, None for all of them."""
    with atomic_path(weights_file(folder, kind)) as path:
        state = decoder.state_dict()
        if not getattr(decoder, "by_regions", False):
            state = {name: value for name, value in state.items() if not name.startswith(SCORER)}
        save_file(compressed(state), path)
    with atomic_path(folder / OPTIONS) as path:
        path.write_text(json.dumps(asdict(decoder.options), indent=2) + "\n", encoding="utf-8")


def kinds_of(folder: Path) -> list[str]:
    """The kinds of scene that a base has a decoder of its own for."""
    return sorted(file.name.split(".")[1] for file in folder.glob("entity_decoder.*.safetensors"))


def warm_start(decoder: Decoder, folder: Path, kind: str | None = None) -> bool:
    """Pretrained weights into a decoder of the same shape; False, and nothing done, where it has another shape. An
    embedding beside the fields, which was not pretrained, keeps its random weights, and so does a scorer of regions
    where the file has none.

    kind: of scenes that the weights saw, None for all kinds. Raises InputError where a folder has decoders, but none
    of that kind.
    """
    if not (folder / WEIGHTS).is_file():
        return False
    path = weights_file(folder, kind)
    if not path.is_file():
        kinds = suggest(str(kind), kinds_of(folder))
        raise InputError(f"train.start is {kind!r}; of {folder.name} {kinds}; null for the general one")
    try:
        state = expanded(load_file(path))
    except (SafetensorError, KeyError, RuntimeError) as error:  # RuntimeError: a scale of another length
        raise InputError(f"{path} cannot be read: {error}; fetch it again, or delete it") from error
    scored = f"{SCORER}fitted" in state
    fresh = {name: value for name, value in decoder.state_dict().items() if scored or not name.startswith(SCORER)}
    if not any(name.startswith(SCORER) for name in fresh):
        state = {name: value for name, value in state.items() if not name.startswith(SCORER)}
    for name in HEAD:
        if name in state and name in fresh and state[name].shape[1:] == fresh[name].shape[1:]:
            state[name] = torch.cat([state[name], fresh[name][len(state[name]) :]])
    if {name: value.shape for name, value in state.items()} != {name: value.shape for name, value in fresh.items()}:
        return False
    decoder.load_state_dict(state, strict=False)
    decoder.start = Start(kind, sha256(path.read_bytes()).hexdigest())
    return True


def compressed(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """For `save_file`: kernels (C, ...) as int8 in -127..127 with `NAME.scale` (C,), what has one axis in float16.

    A weight is off by at most half of a scale, 1/254 of the largest of its channel.
    """
    small: dict[str, Tensor] = {}
    for name, value in state.items():
        value = value.detach().to("cpu", torch.float32)
        if value.ndim < 2 or name.startswith(SCORER):
            small[name] = value.half().contiguous()
            continue
        scale = (value.flatten(1).abs().amax(1) / 127).clamp_min(1e-12)
        small[name] = (value / along(scale, value)).round().to(torch.int8).contiguous()
        small[name + SCALE] = scale
    return small


def expanded(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """What was `compressed`, in float32. Raises KeyError for 8 bits without a scale, RuntimeError for
    a scale that does not fit."""
    return {
        name: value.float() * along(state[name + SCALE], value) if value.dtype == torch.int8 else value.float()
        for name, value in state.items()
        if not (name.endswith(SCALE) and state.get(name.removesuffix(SCALE), value).dtype == torch.int8)
    }


def along(scale: Tensor, kernel: Tensor) -> Tensor:
    """The scale (C,) in a shape that multiplies the kernel (C, ...) along its first axis."""
    return scale.view(-1, *[1] * (kernel.ndim - 1))
