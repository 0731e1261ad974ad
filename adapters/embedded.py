"""The decoders that were pretrained with a base, and where they fit.

An adapter starts from one when the base's folder holds it and its decoder has the same shape; otherwise from random
weights. They lie beside the base in half precision: `entity_decoder.safetensors` saw every kind of scene,
`entity_decoder.<kind>.safetensors` one kind only, since what counts as an entity is another thing on each;
`entity_decoder.json` has their options.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from adapters.decoders import Decoder
from domains.atomic import atomic_path
from domains.errors import InputError, suggest

WEIGHTS = "entity_decoder.safetensors"
OPTIONS = "entity_decoder.json"


def save_pretrained_decoder(folder: Path, decoder: Decoder) -> None:
    state = {name: value.detach().to("cpu", torch.float16).contiguous() for name, value in decoder.state_dict().items()}
    with atomic_path(folder / WEIGHTS) as path:
        save_file(state, path)
    with atomic_path(folder / OPTIONS) as path:
        path.write_text(json.dumps(asdict(decoder.options), indent=2) + "\n", encoding="utf-8")


def warm_start(decoder: Decoder, folder: Path, kind: str | None = None) -> bool:
    """Pretrained weights into a decoder of the same shape; False, and nothing done, where it has another shape.

    kind: of scenes that the weights saw, None for all kinds. Raises InputError where a folder has decoders, but none
    of that kind.
    """
    if not (folder / WEIGHTS).is_file():
        return False
    path = folder / WEIGHTS
    if kind is not None:
        path = folder / f"entity_decoder.{kind}.safetensors"
        if not path.is_file():
            known = sorted(file.name.split(".")[1] for file in folder.glob("entity_decoder.*.safetensors"))
            raise InputError(
                f"train.start is {kind!r}; of {folder.name} {suggest(kind, known)}; null for the general one"
            )
    try:
        state = {name: value.float() for name, value in load_file(path).items()}
    except SafetensorError as error:
        raise InputError(f"{path} cannot be read: {error}; fetch it again, or delete it") from error
    shapes = {name: value.shape for name, value in decoder.state_dict().items()}
    if {name: value.shape for name, value in state.items()} != shapes:
        return False
    decoder.load_state_dict(state)
    return True
