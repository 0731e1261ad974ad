"""`cli.py pretrain`: a base from nothing, on generated scenes with exact entities.

The ViT and its dense decoders, the general one and one for each kind of scene, learn together; the result is a
transformers folder (config.json, model.safetensors in half precision) with the decoders beside it, which is what
`adapters/backbones/entity-small` holds. RUN/ holds recipe.yaml, checkpoints/ and history.csv too; a run that was killed
goes on with --resume from its last round.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import lightning as L
from transformers import Dinov2Config

from adapters.backbones import BackboneOptions
from adapters.backbones.backbone import Backbone
from adapters.backbones.build import build_backbone
from adapters.backbones.dinov2 import Dinov2Backbone
from adapters.backbones.folders import save_base
from adapters.backbones.sources import locate
from adapters.decoders import decoder_options
from adapters.decoders.pretrained import kinds_of, save_pretrained_decoder, warm_start
from adapters.inference.segment import InputContract
from adapters.joint_network import JointSegmenter
from adapters.network import EntitySegmenter
from adapters.runtime import CPU, Runtime
from adapters.training.joint import JointData
from adapters.training.region_fit import fit_regions
from adapters.training.trainer import keep_best, make_trainer, was_interrupted
from domains.atomic import atomic_path
from domains.errors import InputError
from domains.procedural.dataset import ProceduralScenes
from recipes import set_up
from recipes.plan import joint_module_of
from recipes.reading.command import command, following
from recipes.reading.compose import load_recipe, resolved_yaml
from recipes.reading.pretrain_schema import GENERAL, PretrainRecipe
from recipes.runtime import of_training
from recipes.sides import crops_on_patches
from recipes.verbs.pretrain_work import Work, check_architecture, data_of, memory_work, prompts_work
from recipes.verbs.training_progress import TrainingProgress

REGION_SEED, REGION_SCENES, REGION_SCENE_PX = 2_000_003, 64, 256  # that the scorers of regions learn from
FITTED = "pathology"  # the recipe that the line at the end goes on with


def pretrain(recipe: PretrainRecipe, out: Path | None = None, resume: bool = False) -> Path:
    """Train, keep the round of lowest validation loss, and write OUT/base; returns that folder. Raises InputError for a
    run that won't do, and KeyboardInterrupt, when what was learnt is saved, where Ctrl-C ended the training.
    """
    set_up()
    runtime = of_training(replace(recipe.train, devices=1))
    run = Path(out or "runs/pretrain")
    check_run(run, recipe, resume)
    asked, recipe = recipe, crops_on_patches(recipe)
    train = recipe.train
    L.seed_everything(train.seed, verbose=False)
    work = work_of(recipe, runtime)
    segmenter, module, data = work.segmenter.to(runtime.device), work.module, work.data
    checkpoint = open_run(run, asked)  # not before: a mistake in the recipe leaves no folder
    weights = sum(parameter.numel() for parameter in segmenter.parameters()) / 1e6
    print(f"pretrain: {work.learners}: {weights:.2f} M weights on generated scenes, {train.steps} steps")
    print(f"results: {run / 'base'}; a checkpoint each {train.validate_every} steps, for --resume", flush=True)
    trainer = make_trainer(
        run,
        train.steps,
        train.validate_every,
        runtime,
        train.clip,
        [TrainingProgress("pretrain", train.steps, train.seconds)],
    )
    trainer.fit(module, data, ckpt_path=checkpoint, weights_only=True)
    interrupted = was_interrupted(trainer)
    best = keep_best(trainer, module, data)
    base = run / "base"
    work.save(base)
    size = sum(file.stat().st_size for file in base.iterdir()) / 1e6
    print(f"base: {base} ({size:.1f} MB), of the round of lowest val/loss, {best:.4g}   history: {run / 'history.csv'}")
    if interrupted:
        print(f"stopped after {module.steps_done} steps")
        print(following("pretrain", "--recipe", run / "recipe.yaml", "--out", run, "--resume"), flush=True)
        raise KeyboardInterrupt
    print(f"next: {work.following(base)}")
    return base


def work_of(recipe: PretrainRecipe, runtime: Runtime) -> Work:
    """What of a base a recipe trains."""
    if recipe.memory is not None:
        return memory_work(recipe)
    return prompts_work(recipe, FITTED) if recipe.prompts is not None else dense_work(recipe, runtime)


def dense_work(recipe: PretrainRecipe, runtime: Runtime) -> Work:
    """A base and its dense decoders, which learn together."""
    segmenter = build(recipe)

    def save(base: Path) -> None:
        learn_regions(recipe, segmenter, runtime)
        save_all(segmenter.cpu(), base)

    return Work(
        segmenter,
        ", ".join(segmenter.decoder),
        joint_module_of(recipe, segmenter),
        JointData({kind: data_of(recipe, families) for kind, families in kinds(recipe).items()}),
        save,
        lambda base: fit_line(base, recipe, segmenter.backbone),
    )


def check_run(run: Path, recipe: PretrainRecipe, resume: bool) -> None:
    """Raises InputError where RUN may not be begun, or gone on with: what it learnt is never overwritten."""
    described = run / "recipe.yaml"
    if not (run / "checkpoints" / "last.ckpt").exists():
        return
    if not resume:
        raise InputError(f"{run} already holds a pretraining; add --resume to go on with it, or name another --out")
    if not described.exists() or described.read_text(encoding="utf-8") != resolved_yaml(recipe):
        base = run / "base"
        advice = f"; to go on from its base in another --out: vit.start={base}" if base.exists() else ""
        raise InputError(f"{str(run)!r} was started with another recipe; resume with --recipe {described}{advice}")


def open_run(run: Path, recipe: PretrainRecipe) -> Path | None:
    """Make RUN, which `check_run` has passed, or go on with it; returns the checkpoint to go on from."""
    checkpoint = run / "checkpoints" / "last.ckpt"
    try:
        run.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"cannot make {str(run)!r}: {error.strerror}; name another --out") from error
    with atomic_path(run / "recipe.yaml") as path:
        path.write_text(resolved_yaml(recipe), encoding="utf-8")
    return checkpoint if checkpoint.exists() else None


def fit_line(base: Path, recipe: PretrainRecipe, backbone: Backbone) -> str:
    """The command that fits an adapter to the base, whose decoders are of its own taps and width."""
    fitted = load_recipe(FITTED)
    words = [] if fitted.train.start in recipe.scenes.kinds else ["train.start=null"]
    if backbone.taps != backbone.default_taps():
        words.append(f"backbone.taps={list(backbone.taps)}")
    for name in ("name", "width", "detail"):
        value = getattr(recipe.decoder, name, None)
        if value not in (None, getattr(fitted.decoder, name)):
            words.append(f"decoder.{name}={json.dumps(value)}".replace('"', ""))
    return command("fit", "--recipe", FITTED, f"backbone.name={base}", *words)


def learn_regions(recipe: PretrainRecipe, segmenter: JointSegmenter, runtime: Runtime = CPU) -> None:
    """Where `decoder.regions` is true, each decoder's scorer of regions learns from generated scenes of its kind, so
    that the base goes by regions before anything is fitted to it."""
    for kind, families in kinds(recipe).items():
        scenes = ProceduralScenes(families, REGION_SCENES, REGION_SEED, REGION_SCENE_PX)
        network = EntitySegmenter(segmenter.backbone, segmenter.decoder[kind]).place(runtime)  # type: ignore[arg-type]
        contract = InputContract(tile_px=REGION_SCENE_PX, overlap_px=0)
        count = fit_regions(network, scenes, contract, tiles=REGION_SCENES, seed=recipe.train.seed)
        if count:
            print(f"{kind}: regions: learnt from {count} candidates of generated scenes")


def save_all(segmenter: JointSegmenter, base: Path) -> None:
    """The base and its decoders, as `adapters/backbones/entity-small` has them."""
    save_base(segmenter.backbone, base)
    for kind, decoder in segmenter.decoder.items():
        save_pretrained_decoder(base, decoder, None if kind == GENERAL else kind)  # type: ignore[arg-type]
    for file in base.iterdir():
        file.chmod(0o644)  # safetensors writes for its owner alone


def kinds(recipe: PretrainRecipe) -> dict[str, dict[str, float]]:
    """Decoder -> weights of the families that it sees."""
    return {GENERAL: recipe.scenes.families, **recipe.scenes.kinds}


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
    options = decoder_options(recipe.decoder)
    decoders = {kind: options.build(backbone.dim, len(backbone.taps), backbone.stride) for kind in kinds(recipe)}
    if vit.start is not None:
        folder = locate(vit.start, None)[0]
        for kind, decoder in decoders.items():
            warm_start(decoder, folder, kind if kind in kinds_of(folder) else recipe.train.start)
    return JointSegmenter(backbone, decoders)


def config_of(recipe: PretrainRecipe) -> Dinov2Config:
    """The configuration of a DINOv2 of the recipe's size."""
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
