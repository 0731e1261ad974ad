"""The memory decoder that lies beside a base: `memory_decoder.safetensors` in half precision, and its options.

It stands on what the base's prompt decoder sees, which stands on its general dense decoder; `memory_decoder.json` names
both by the SHA-256 of their files: beside others it is refused.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import NamedTuple

import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import Tensor, nn

from adapters.backbones import BackboneOptions
from adapters.backbones.backbone import Backbone
from adapters.backbones.build import build_backbone
from adapters.backbones.embedded_bases import folder_of
from adapters.decoders.dense import DenseDecoder
from adapters.decoders.pretrained import weights_file
from adapters.decoders.pretrained_prompts import WEIGHTS as PROMPTS
from adapters.decoders.pretrained_prompts import digest_of, has_prompts, load_prompts, read_into
from adapters.decoders.prompts import PromptDecoder
from adapters.decoders.slot_decoder import FittedMemory, MemoryDecoder
from adapters.decoders.slots import PIXELS, Look
from adapters.options.memory_decoder import MemoryOptions
from adapters.options.section import checked, values_of
from domains.atomic import atomic_path
from domains.errors import InputError

WEIGHTS = "memory_decoder.safetensors"
OPTIONS = "memory_decoder.json"


class MemoryParts(NamedTuple):
    """What carries entities beside a backbone: the dense decoder and the prompt decoder, whose view of a frame it has,
    and the memory decoder.
    """

    trunk: DenseDecoder
    prompts: PromptDecoder
    decoder: MemoryDecoder


class Looking(nn.Module):
    """A base and its decoders as they are: images to `Look`s."""

    def __init__(self, backbone: Backbone, trunk: DenseDecoder, prompts: PromptDecoder) -> None:
        super().__init__()
        self.backbone = backbone.eval().requires_grad_(False)
        self.trunk = trunk.eval().requires_grad_(False)
        self.prompts = prompts.eval().requires_grad_(False)

    @torch.no_grad()
    def forward(self, images: Tensor) -> list[Look]:
        """What is seen of images (B, 3, H, W) in [0, 1], whose sides are multiples of 8 and of the base's stride."""
        return self.looks(self.backbone(images), images)

    @torch.no_grad()
    def looks(self, taps: list[Tensor], images: Tensor) -> list[Look]:
        """What is seen of images, of which the base's features are at hand."""
        pyramid = [level.float() for level in self.trunk.pyramid(taps, images)]
        cells, _, features = self.prompts.described([tap.float() for tap in taps], pyramid)
        alike = F.normalize(F.avg_pool2d(features, 2), dim=1)
        colours = (F.avg_pool2d(images, 4) - 0.5) / 0.25
        return [Look(cells[b], torch.cat([alike[b], colours[b]])) for b in range(len(images))]


def has_memory(folder: Path) -> bool:
    """Whether a base has a memory decoder."""
    return (folder / WEIGHTS).is_file()


def same_shape(folder: Path, options: MemoryOptions) -> bool:
    """Whether the memory decoder of a base is of the size that options say. Raises InputError for a damaged file."""
    stored = described_by(folder / OPTIONS)["memory"]
    return all(stored.get(name) == getattr(options, name) for name in ("width", "layers", "heads"))


def fresh_parts(folder: Path, backbone: Backbone, options: MemoryOptions) -> MemoryParts:
    """The decoders of a base, and a memory decoder of random weights on them. Raises InputError for a base that has no
    prompt decoder.
    """
    if not has_prompts(folder):
        raise InputError(f"{folder} has no prompt decoder, on which a memory decoder stands; pretrain one first")
    trunk, prompts = load_prompts(folder, backbone)
    return MemoryParts(trunk, prompts, MemoryDecoder(options, prompts.options.width, PIXELS))


def save_memory(folder: Path, decoder: MemoryDecoder) -> None:
    """Write a memory decoder beside its base and the decoders that it was trained on."""
    state = {name: value.detach().to("cpu", torch.float16).contiguous() for name, value in decoder.state_dict().items()}
    with atomic_path(folder / WEIGHTS) as path:
        save_file(state, path)
    described = {
        "memory": values_of(decoder.options),
        "dense": digest_of(weights_file(folder)),
        "prompts": digest_of(folder / PROMPTS),
    }
    with atomic_path(folder / OPTIONS) as path:
        path.write_text(json.dumps(described, indent=2) + "\n", encoding="utf-8")


def load_memory(folder: Path, backbone: Backbone) -> MemoryParts:
    """What carries entities on a base, in evaluation mode. Raises InputError for files that are damaged or do not
    belong together; nothing of another type or size than the options say is read.
    """
    described = described_by(folder / OPTIONS)
    options = checked(MemoryOptions, described["memory"], f"{folder / OPTIONS}: memory.")
    for name, file in decoders_below(folder).items():
        if described[name] != digest_of(file):
            raise InputError(f"{folder / WEIGHTS} learnt beside another {name} decoder than {file.name}")
    decoders = fresh_parts(folder, backbone, options)
    read_into(decoders.decoder, folder / WEIGHTS)
    decoders.decoder.eval().requires_grad_(False)
    return decoders


def decoders_below(folder: Path) -> dict[str, Path]:
    """The files of the decoders of a base on which a memory decoder stands."""
    return {"dense": weights_file(folder), "prompts": folder / PROMPTS}


def loaded(base: str, fitted: FittedMemory | None = None) -> tuple[Looking, MemoryDecoder]:
    """What looks, and the memory decoder, of a base. fitted: the decoder of an adapter, in place of the base's. Raises
    InputError for a base that has none, or other decoders than those that the adapter's learnt with.
    """
    backbone = build_backbone(BackboneOptions(base))
    folder = folder_of(backbone.name)
    if fitted is not None:
        check_below(folder, base, fitted)
        return Looking(backbone, *load_prompts(folder, backbone)), fitted.decoder
    if not has_memory(folder):
        raise InputError(
            f"--tracker memory wants a base with a memory decoder, such as entity-small; {base} has none: train one by "
            f"pretrain --recipe pretrain_video vit.start={base}, or take --tracker motion"
        )
    trunk, prompts, decoder = load_memory(folder, backbone)
    return Looking(backbone, trunk, prompts), decoder


def fitted_memory(base: str, decoder: MemoryDecoder) -> FittedMemory:
    """A memory decoder that was fitted on a base that has one, as an adapter keeps it."""
    below = decoders_below(folder_of(base))
    return FittedMemory(decoder, *(digest_of(file) for file in below.values()))


def check_below(folder: Path, base: str, fitted: FittedMemory) -> None:
    """Raises InputError for a base that has other decoders than those that an adapter's memory decoder learnt with."""
    if not has_prompts(folder):
        raise InputError(f"tracking.base is {base!r}, which has no prompt decoder, on which a memory decoder stands")
    for name, file in decoders_below(folder).items():
        if getattr(fitted, name) != digest_of(file):
            raise InputError(
                f"the adapter's memory decoder learnt beside another {name} decoder than that of the base {base!r}; "
                "name the base that it was fitted on by --track base=..., or take the base's by --track fitted=false"
            )


def described_by(path: Path) -> dict:
    """What a file of options says. Raises InputError."""
    try:
        described = json.loads(path.read_text("utf-8"))
        if isinstance(described["memory"], dict) and described["dense"] and described["prompts"]:
            return described
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise InputError(f"{path} does not describe a memory decoder; fetch it again, or delete it") from error
    raise InputError(f"{path} does not describe a memory decoder; fetch it again, or delete it")
