"""`cli.py pretrain`: a base from nothing, on generated scenes with exact entities.

The ViT and its dense decoders, the general one and one for each kind of scene, learn together; the result is a
transformers folder (config.json, model.safetensors in half precision) with the decoders beside it, which is what
`adapters/backbones/entity-small` holds.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import lightning as L
from lightning.pytorch.callbacks import Callback
from transformers import Dinov2Config

from adapters.backbones.backbone import Backbone
from adapters.backbones.build import build_backbone
from adapters.backbones.dinov2 import Dinov2Backbone
from adapters.backbones.folders import save_base
from adapters.backbones.options import BackboneOptions
from adapters.backbones.sources import locate
from adapters.data import EntityDataModule
from adapters.decoders import DECODERS
from adapters.embedded import kinds_of, save_pretrained_decoder, warm_start
from adapters.joint import JointData, JointModule, JointSegmenter
from adapters.losses import build_loss
from adapters.module import TrainOptions, best_precision
from adapters.trainer import keep_best, make_trainer
from domains.augment import Photometric, compose, eight_symmetries
from domains.errors import InputError
from domains.procedural.dataset import ProceduralScenes
from domains.procedural.recolour import Recolour
from recipes import set_up
from recipes.compose import resolved_yaml
from recipes.pretrain_schema import GENERAL, PretrainRecipe
from recipes.sides import crops_on_patches

VALIDATION_SEED = 1_000_003  # scenes that no training seed below a million draws


def pretrain(
    recipe: PretrainRecipe, out: Path | None = None, resume: bool = False, bars: list[Callback] | None = None
) -> Path:
    """Train, keep the round of lowest validation loss, and write OUT/base; returns that folder."""
    set_up()
    run = Path(out or "runs/pretrain")
    last = run / "checkpoints" / "last.ckpt"
    if last.exists() and not resume:
        raise InputError(f"{run} already holds a pretraining; add --resume to go on with it, or name another --out")
    run.mkdir(parents=True, exist_ok=True)
    (run / "recipe.yaml").write_text(resolved_yaml(recipe), encoding="utf-8")
    recipe = crops_on_patches(recipe)
    train = recipe.train
    L.seed_everything(train.seed, verbose=False)
    segmenter = build(recipe)
    options = TrainOptions(
        train.steps, train.seconds, train.lr, train.backbone_lr, train.weight_decay, train.betas, train.warmup_steps
    )
    module = JointModule(segmenter, build_loss(recipe.losses.options()), options)
    data = JointData({kind: data_of(recipe, families) for kind, families in kinds(recipe).items()})
    trainer = make_trainer(
        run, train.steps, train.validate_every, best_precision(train.precision), train.device, train.clip, bars or ()
    )
    trainer.fit(module, data, ckpt_path=str(last) if resume and last.exists() else None)
    keep_best(trainer, module, data)
    base = run / "base"
    save_base(segmenter.backbone, base)
    for kind, decoder in segmenter.decoder.items():
        save_pretrained_decoder(base, decoder, None if kind == GENERAL else kind)  # type: ignore[arg-type]
    for file in base.iterdir():
        file.chmod(0o644)  # safetensors writes for its owner alone
    return base


def kinds(recipe: PretrainRecipe) -> dict[str, dict[str, float]]:
    """Decoder -> weights of the families that it sees."""
    return {GENERAL: recipe.scenes.families, **recipe.scenes.kinds}


def data_of(recipe: PretrainRecipe, families: Mapping[str, float]) -> EntityDataModule:
    scenes, train = recipe.scenes, recipe.train
    return EntityDataModule(
        ProceduralScenes(families, scenes.count, train.seed, scenes.size_px),
        ProceduralScenes(families, scenes.val_count, VALIDATION_SEED, scenes.size_px),
        compose(eight_symmetries(), Photometric(Recolour(), p=scenes.recolour)),
        scenes.crop_px,
        train.batch_size,
        train.validate_every,
        train.seed,
        workers=train.workers,
        val_crops=scenes.val_count,
    )


def build(recipe: PretrainRecipe) -> JointSegmenter:
    """The network of a recipe; a kind of scene that the base to go on from has no decoder for starts from another."""
    vit = recipe.vit
    if vit.start is None:
        backbone = Dinov2Backbone(Dinov2Backbone.randomised(config_of(recipe)), name="pretraining", taps=vit.taps)
    else:
        backbone = build_backbone(BackboneOptions(vit.start, taps=vit.taps))
        check_architecture(recipe, backbone)
        for parameter in backbone.used_parameters().values():
            parameter.requires_grad_(vit.learns)
    options = DECODERS[recipe.decoder.name](**recipe.decoder.options())
    decoders = {kind: options.build(backbone.dim, len(backbone.taps), backbone.stride) for kind in kinds(recipe)}
    if vit.start is not None:
        folder = locate(vit.start, None)[0]
        for kind, decoder in decoders.items():
            warm_start(decoder, folder, kind if kind in kinds_of(folder) else recipe.train.start)
    return JointSegmenter(backbone, decoders)


def check_architecture(recipe: PretrainRecipe, backbone: Backbone) -> None:
    """Raises InputError where the base to go on from is not what the recipe says."""
    vit = recipe.vit
    found = {"width": backbone.dim, "layers": backbone.depth, "patch_px": backbone.stride}
    for name, value in found.items():
        if value != getattr(vit, name):
            raise InputError(
                f"vit.start {vit.start!r} has {name} {value}; vit.{name} is {getattr(vit, name)}: set it to {value}"
            )


def config_of(recipe: PretrainRecipe) -> Dinov2Config:
    vit = recipe.vit
    return Dinov2Config(
        hidden_size=vit.width,
        num_hidden_layers=vit.layers,
        num_attention_heads=vit.heads,
        mlp_ratio=4,
        patch_size=vit.patch_px,
        image_size=recipe.scenes.crop_px,
        drop_path_rate=0.0,
        use_mask_token=False,
    )
