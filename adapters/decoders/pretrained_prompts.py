"""The prompt decoder that lies beside a base: `prompt_decoder.safetensors` in half precision, and its options.

It was trained on what one dense decoder makes of an image, the base's general one, so `prompt_decoder.json` names that
by the SHA-256 of its file: beside another one it is refused.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import nn

from adapters.backbones.backbone import Backbone
from adapters.decoders.dense import Dense, DenseDecoder
from adapters.decoders.pretrained import OPTIONS as DENSE_OPTIONS
from adapters.decoders.pretrained import warm_start, weights_file
from adapters.decoders.prompts import PromptDecoder
from adapters.options.prompts import PromptOptions
from adapters.options.section import checked, values_of
from domains.atomic import atomic_path
from domains.errors import InputError

WEIGHTS = "prompt_decoder.safetensors"
OPTIONS = "prompt_decoder.json"
STORED = "F16"


class PromptParts(NamedTuple):
    """What answers prompts beside a backbone: the dense decoder whose pyramid is looked at, and the prompt decoder."""

    trunk: DenseDecoder
    decoder: PromptDecoder


def has_prompts(folder: Path) -> bool:
    """Whether a base has a prompt decoder."""
    return (folder / WEIGHTS).is_file()


def same_shape(folder: Path, options: PromptOptions) -> bool:
    """Whether the prompt decoder of a base is of the size that options say. Raises InputError for a damaged file."""
    stored = described_by(folder / OPTIONS)["prompts"]
    return all(stored.get(name) == getattr(options, name) for name in ("width", "layers", "heads"))


def fresh_parts(folder: Path, backbone: Backbone, options: PromptOptions) -> PromptParts:
    """The general dense decoder of a base, and a prompt decoder of random weights on it. Raises InputError for a base
    that has no dense decoder of its taps.
    """
    trunk = trunk_of(folder, backbone)
    return PromptParts(trunk, PromptDecoder(options, backbone.dim, len(backbone.taps), trunk.options))


def trunk_of(folder: Path, backbone: Backbone) -> DenseDecoder:
    """The general dense decoder of a base. Raises InputError where there is none, or of another shape."""
    try:
        options = json.loads((folder / DENSE_OPTIONS).read_text("utf-8"))
        trunk = Dense(**{name: options[name] for name in ("width", "detail")}).build(
            backbone.dim, len(backbone.taps), backbone.stride
        )
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise InputError(f"{folder} has no general dense decoder, on which prompts are answered") from error
    if not warm_start(trunk, folder):
        raise InputError(f"{weights_file(folder)} is of another shape than {DENSE_OPTIONS} and the taps say")
    trunk.eval().requires_grad_(False)
    return trunk


def save_prompts(folder: Path, decoder: PromptDecoder, taps: Sequence[int]) -> None:
    """Write a prompt decoder beside its base and the dense decoder that it was trained on."""
    state = {name: value.detach().to("cpu", torch.float16).contiguous() for name, value in decoder.state_dict().items()}
    with atomic_path(folder / WEIGHTS) as path:
        save_file(state, path)
    described = {"prompts": values_of(decoder.options), "taps": list(taps), "dense": digest_of(weights_file(folder))}
    with atomic_path(folder / OPTIONS) as path:
        path.write_text(json.dumps(described, indent=2) + "\n", encoding="utf-8")


def load_prompts(folder: Path, backbone: Backbone) -> PromptParts:
    """What answers prompts on a base, in evaluation mode. Raises InputError for files that are damaged or do not belong
    together, and for a backbone of other taps; nothing of another type or size than the options say is read.
    """
    described = described_by(folder / OPTIONS)
    options = checked(PromptOptions, described["prompts"], f"{folder / OPTIONS}: prompts.")
    if described["taps"] != list(backbone.taps):
        raise InputError(
            f"prompts of {folder.name} want backbone.taps={described['taps']}, which they learnt on; they are "
            f"{list(backbone.taps)}"
        )
    if described["dense"] != digest_of(weights_file(folder)):
        raise InputError(f"{folder / WEIGHTS} learnt beside another dense decoder than {weights_file(folder).name}")
    decoders = fresh_parts(folder, backbone, options)
    read_into(decoders.decoder, folder / WEIGHTS)
    decoders.decoder.eval().requires_grad_(False)
    return decoders


def described_by(path: Path) -> dict:
    """What a file of options says. Raises InputError."""
    try:
        described = json.loads(path.read_text("utf-8"))
        if isinstance(described["prompts"], dict) and isinstance(described["taps"], list) and described["dense"]:
            return described
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise InputError(f"{path} does not describe a prompt decoder; fetch it again, or delete it") from error
    raise InputError(f"{path} does not describe a prompt decoder; fetch it again, or delete it")


def read_into(decoder: nn.Module, path: Path) -> None:
    """The weights of a file into a decoder, once names, types and shapes are seen to be its own. Raises InputError."""
    expected = {name: (STORED, list(value.shape)) for name, value in decoder.state_dict().items()}
    try:
        with safe_open(path, "pt") as file:
            views = {name: file.get_slice(name) for name in file.keys()}  # noqa: SIM118  # no mapping
            stored = {name: (view.get_dtype(), list(view.get_shape())) for name, view in views.items()}
        if stored != expected:
            strange = sorted(name for name in stored | expected if stored.get(name) != expected.get(name))
            raise InputError(
                f"{path}: {len(strange)} tensors are not what {OPTIONS} says, such as {strange[0]}: "
                f"{stored.get(strange[0])}, wanted {expected.get(strange[0])}"
            )
        decoder.load_state_dict({name: value.float() for name, value in load_file(path).items()})
    except (SafetensorError, OSError) as error:
        raise InputError(f"{path} cannot be read: {error}; fetch it again, or delete it") from error


def digest_of(path: Path) -> str:
    """SHA-256 of a file; of none that of nothing."""
    return sha256(path.read_bytes() if path.is_file() else b"").hexdigest()
