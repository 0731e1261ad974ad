"""The decoder that was pretrained together with a base, and where it fits.

An adapter starts from it when the base's folder holds one and its decoder has the same shape; otherwise from random
weights. It lies beside the base: `entity_decoder.safetensors` in half precision, `entity_decoder.json` its options.
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
from domains.errors import InputError

WEIGHTS = "entity_decoder.safetensors"
OPTIONS = "entity_decoder.json"


def save_pretrained_decoder(folder: Path, decoder: Decoder) -> None:
    state = {name: value.detach().to("cpu", torch.float16).contiguous() for name, value in decoder.state_dict().items()}
    with atomic_path(folder / WEIGHTS) as path:
        save_file(state, path)
    with atomic_path(folder / OPTIONS) as path:
        path.write_text(json.dumps(asdict(decoder.options), indent=2) + "\n", encoding="utf-8")


def warm_start(decoder: Decoder, folder: Path) -> bool:
    """Pretrained weights into a decoder of the same shape; False, and nothing done, where it has another shape."""
    if not (folder / WEIGHTS).is_file():
        return False
    try:
        state = {name: value.float() for name, value in load_file(folder / WEIGHTS).items()}
    except SafetensorError as error:
        raise InputError(f"{folder / WEIGHTS} cannot be read: {error}; fetch it again, or delete it") from error
    shapes = {name: value.shape for name, value in decoder.state_dict().items()}
    if {name: value.shape for name, value in state.items()} != shapes:
        return False
    decoder.load_state_dict(state)
    return True
