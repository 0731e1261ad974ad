"""What a pretraining trains, saves, and says at its end; here that of a prompt decoder, whose base stays as it is."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

import lightning as L
from torch import nn

from adapters.backbones import BackboneOptions
from adapters.backbones.backbone import Backbone
from adapters.backbones.build import build_backbone
from adapters.backbones.sources import locate
from adapters.decoders import pretrained_memory
from adapters.decoders import pretrained_prompts as stored
from adapters.training.clip_bank import TURNS, ClipBank, ClipData
from adapters.training.data import BatchOptions, EntityDataModule
from adapters.training.module import EntityModule
from adapters.training.prompting import PromptModule, PromptSegmenter
from adapters.training.remembering import MemoryModule, MemorySegmenter
from domains.crops.augment import Photometric, compose, eight_symmetries
from domains.crops.crops import CropOptions
from domains.errors import InputError
from domains.procedural.dataset import ProceduralScenes
from domains.procedural.recolour import Recolour
from recipes.reading.command import command
from recipes.reading.pretrain_schema import PretrainRecipe
from recipes.verbs.pretrain_clips import clips_of

VALIDATION_SEED = 1_000_003  # scenes that no training seed below a million draws


class Work(NamedTuple):
    """A network and its training. learners: what of it learns, by name; save: writes the base with the best weights;
    following: the command to go on with.
    """

    segmenter: nn.Module
    learners: str
    module: EntityModule
    data: L.LightningDataModule
    save: Callable[[Path], None]
    following: Callable[[Path], str]


def prompts_work(recipe: PretrainRecipe, fitted: str) -> Work:
    """A prompt decoder beside the base of `vit.start`, going on from its own where that has one of this shape. fitted:
    the recipe of the line at the end.
    """
    assert recipe.vit.start is not None and recipe.prompts is not None
    backbone = build_backbone(BackboneOptions(recipe.vit.start, taps=recipe.vit.taps))
    check_architecture(recipe, backbone)
    folder = locate(recipe.vit.start, None)[0]
    decoders = stored.fresh_parts(folder, backbone, recipe.prompts)
    if stored.has_prompts(folder) and stored.same_shape(folder, recipe.prompts):
        stored.read_into(decoders.decoder, folder / stored.WEIGHTS)
    segmenter = PromptSegmenter(backbone, *decoders)

    def save(base: Path) -> None:
        shutil.copytree(folder, base, dirs_exist_ok=True, ignore=shutil.ignore_patterns("*.md", "prompt_decoder.*"))
        stored.save_prompts(base, decoders.decoder.cpu(), backbone.taps)
        for file in base.iterdir():
            file.chmod(0o644)  # safetensors writes for its owner alone

    def following(base: Path) -> str:
        words = ("--adapter", "base", "--recipe", fitted, "--backbone", base, "--points", "POINTS.csv")
        return command("predict", "IMAGE", *words, "--out", "OUT")

    data = data_of(recipe, recipe.scenes.families)
    return Work(segmenter, "prompts", PromptModule(segmenter, recipe.train), data, save, following)


def memory_work(recipe: PretrainRecipe) -> Work:
    """A memory decoder beside the base of `vit.start`, going on from its own where that has one of this shape."""
    assert recipe.vit.start is not None and recipe.memory is not None
    backbone = build_backbone(BackboneOptions(recipe.vit.start, taps=recipe.vit.taps))
    check_architecture(recipe, backbone)
    folder = locate(recipe.vit.start, None)[0]
    parts = pretrained_memory.fresh_parts(folder, backbone, recipe.memory)
    if pretrained_memory.has_memory(folder) and pretrained_memory.same_shape(folder, recipe.memory):
        stored.read_into(parts.decoder, folder / pretrained_memory.WEIGHTS)
    looking = pretrained_memory.Looking(backbone, parts.trunk, parts.prompts)
    segmenter = MemorySegmenter(looking, parts.decoder)

    def save(base: Path) -> None:
        shutil.copytree(folder, base, dirs_exist_ok=True, ignore=shutil.ignore_patterns("*.md", "memory_decoder.*"))
        pretrained_memory.save_memory(base, parts.decoder.cpu())
        for file in base.iterdir():
            file.chmod(0o644)  # safetensors writes for its owner alone

    def following(base: Path) -> str:
        words = ("--adapter", "base", "--recipe", "base", "--track", "name=memory", "--track", f"base={base}")
        return command("predict", "CLIP.mp4", *words, "--out", "OUT")

    train = recipe.train
    banks = [
        ClipBank(clips_of(recipe, seed), looking, count, turns)
        for seed, count, turns in (
            (train.seed, train.validate_every * train.batch_size, TURNS),
            (VALIDATION_SEED, recipe.scenes.val_count, 1),
        )
    ]
    return Work(
        segmenter,
        "memory",
        MemoryModule(segmenter, train),
        ClipData(*banks, batch_size=train.batch_size),
        save,
        following,
    )


def data_of(recipe: PretrainRecipe, families: Mapping[str, float]) -> EntityDataModule:
    """Crops of generated scenes of these families, by weight; those of validation have a seed of their own."""
    scenes, train = recipe.scenes, recipe.train
    batches = BatchOptions(
        batch_size=train.batch_size,
        round_steps=train.validate_every,
        seed=train.seed,
        workers=train.workers,
        val_crops=scenes.val_count,
    )
    return EntityDataModule(
        ProceduralScenes(families, scenes.count, train.seed, scenes.size_px),
        ProceduralScenes(families, scenes.val_count, VALIDATION_SEED, scenes.size_px),
        compose(eight_symmetries(), Photometric(Recolour(), p=scenes.recolour)),
        CropOptions(crop_px=scenes.crop_px),
        batches,
    )


def check_architecture(recipe: PretrainRecipe, backbone: Backbone) -> None:
    """Raises InputError where the base to go on from is not what the recipe says."""
    vit = recipe.vit
    shape = {"width": backbone.dim, "layers": backbone.depth, "patch_px": backbone.stride}
    for name, value in shape.items():
        if value != getattr(vit, name):
            raise InputError(
                f"vit.start {vit.start!r} has {name} {value}; vit.{name} is {getattr(vit, name)}: set it to {value}"
            )
