"""From a backbone to what takes prompts on it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from adapters.backbones.backbone import Backbone
from adapters.backbones.embedded_bases import folder_of
from adapters.backbones.sam import SamBackbone
from adapters.decoders.base_prompts import BasePrompts
from adapters.decoders.pretrained_prompts import PromptParts, has_prompts, load_prompts
from adapters.decoders.promptable import Promptable
from adapters.decoders.sam import SamPrompts
from domains.errors import InputError


def build_promptable(
    backbone: Backbone, autocast: Callable[[], AbstractContextManager[Any]] = nullcontext
) -> Promptable:
    """A SAM's own prompts, or those of a base that has a prompt decoder beside it; on the backbone's device.

    Raises InputError for any other backbone, and for files that are damaged or incomplete.
    """
    if isinstance(backbone, SamBackbone):
        return SamPrompts(backbone, autocast)
    return BasePrompts(backbone, prompt_parts(backbone), autocast)


def prompt_parts(backbone: Backbone) -> PromptParts:
    """What answers prompts beside a base that is no SAM, on the backbone's device. Raises InputError where nothing
    does, and for files that are damaged or incomplete.
    """
    folder = folder_of(backbone.name)
    if not has_prompts(folder):
        raise InputError(
            "prompts want a SAM, such as facebook/sam-vit-base, or a base with a prompt decoder, such as entity-small; "
            f"{backbone.name} is of the family {backbone.family} and has none"
        )
    device = backbone.mean.device
    trunk, decoder = load_prompts(folder, backbone)
    return PromptParts(trunk.to(device), decoder.to(device))
