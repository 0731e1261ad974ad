"""From the recipe's `backbone` section to a backbone with its weights."""

from __future__ import annotations

from pathlib import Path

from transformers import PreTrainedConfig, PreTrainedModel

from adapters.backbones import checkpoints, folders
from adapters.backbones.attention import use_blocked_attention
from adapters.backbones.backbone import IMAGENET_MEAN, IMAGENET_STD, Backbone
from adapters.backbones.dinov2 import Dinov2Backbone
from adapters.backbones.embedded_bases import embedded_config
from adapters.backbones.sam import SamBackbone
from adapters.backbones.sources import CHECKPOINT_SUFFIXES, locate
from adapters.options.backbone import EMBEDDED, BackboneOptions
from domains.errors import InputError, suggest

BACKBONES: dict[str, type[Backbone]] = {
    "dinov2": Dinov2Backbone,
    "sam": SamBackbone,
}

FAMILIES = {  # `model_type` of config.json -> family
    "dinov2": "dinov2",
    "dinov2_with_registers": "dinov2",
    "dinov3_vit": "dinov2",
    "vit": "dinov2",
    "sam": "sam",
}

SQUARE_PX = (16, 4096)

# What transformers does at random while it trains. A frozen base must give in training what it gives in evaluation;
# DINOv3's `pos_embed_rescale`, on by default, would stretch its positions at every step.
RANDOMNESS = {
    "hidden_dropout_prob": 0.0,
    "attention_probs_dropout_prob": 0.0,
    "attention_dropout": 0.0,
    "drop_path_rate": 0.0,
    "pos_embed_shift": None,
    "pos_embed_jitter": None,
    "pos_embed_rescale": None,
}


def build_backbone(options: BackboneOptions) -> Backbone:
    """The backbone that the options name, in float32, complete, and in evaluation mode.

    Raises InputError, one line that says what was tried, when it cannot be found, recognised, or loaded completely.
    """
    if options.random and options.name in EMBEDDED:
        return assembled(options, Dinov2Backbone.randomised(embedded_config()))
    path, revision = locate(options.name, options.revision)
    if path.suffix in CHECKPOINT_SUFFIXES:
        config, state = checkpoints.read(path)
        family = family_of(config, path)
        model = family.randomised(config) if options.random else checkpoints.load(path, family, config, state)
        return assembled(options, model)
    config = folders.read_config(path)
    family = family_of(config, path)
    mean, std = folders.read_normalisation(path)
    if options.random:
        return assembled(options, family.randomised(config), revision, mean, std)
    model, report = folders.load(path, family.architecture(config), config)
    backbone = assembled(options, model, revision, mean, std)
    folders.check_complete(path, backbone, report)
    backbone.absent = tuple(sorted(report["missing_keys"]))
    return backbone


def family_of(config: PreTrainedConfig, path: Path) -> type[Backbone]:
    """The class for a configuration, whose randomness in training it switches off."""
    if config.model_type not in FAMILIES:
        raise InputError(f"{path}: model_type is {config.model_type!r}; {suggest(str(config.model_type), FAMILIES)}")
    for level in (config, getattr(config, "vision_config", None)):
        for name, value in RANDOMNESS.items():
            if hasattr(level, name):
                setattr(level, name, value)
    return BACKBONES[FAMILIES[config.model_type]]


def assembled(
    options: BackboneOptions,
    model: PreTrainedModel,
    revision: str | None = None,
    mean: tuple[float, ...] = IMAGENET_MEAN,
    std: tuple[float, ...] = IMAGENET_STD,
) -> Backbone:
    """The backbone around a model, in evaluation mode. mean, std: (3,) by which it normalises images."""
    family = BACKBONES[FAMILIES[model.config.model_type]]
    use_blocked_attention(model)
    backbone = family(
        model,
        name=options.name,
        revision=revision,
        taps=options.taps,
        mean=mean,
        std=std,
        gradient_checkpointing=options.gradient_checkpointing,
        attends_px=squares_of(model.config, options.name),
    )
    return backbone.eval()


def squares_of(config: PreTrainedConfig, source: str) -> int | None:
    """The side in pixels of the squares within which a base's tokens attend, as its configuration says; None for all of
    an image. Raises InputError for what is no such side: a configuration comes from anybody.
    """
    side = getattr(config, "attends_px", None)
    least, most = SQUARE_PX
    if side is not None and (type(side) is not int or not least <= side <= most):
        raise InputError(f"{source}: attends_px is {side!r:.100}; wanted an integer from {least} to {most}, or none")
    return side
