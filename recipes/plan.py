"""From a recipe and its data to the plan of a fit, for the command line and the benchmarks alike."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import lightning as L

from adapters.joint_network import JointSegmenter
from adapters.methods import Method
from adapters.network import EntitySegmenter
from adapters.options.decoders import Memory
from adapters.options.lora import Lora
from adapters.training.data import BatchOptions, EntityDataModule
from adapters.training.fitting import Budget, Crops, Plan
from adapters.training.joint import JointModule
from adapters.training.quiet import check_good, good_of, score_option
from domains.crops.crops import CropOptions
from domains.crops.drawn_samples import WithDrawn
from domains.crops.normalisers import fit_normaliser
from domains.datasets.domain import Domain
from domains.entities import Samples
from domains.errors import InputError
from recipes.build import backbone_of, contract_of, loss_of, method_of, segmenter_of
from recipes.reading.pretrain_schema import PretrainRecipe
from recipes.reading.schema import Recipe
from recipes.runtime import of_training
from recipes.scale import at_scale, in_numbers, pixel_size, scale_line, unsized_note
from recipes.sides import on_patches

VAL_CROPS = 64
LOOKS = 8
"""At the validation split, of a fit whose steps are not known beforehand."""


class Splits(NamedTuple):
    """What a fit learns from, what it watches and calibrates on, and what it is measured on."""

    train: Samples
    val: Samples
    test: Samples


@dataclass(frozen=True)
class Prepared:
    """A plan, and the recipe that it follows in every number."""

    plan: Plan
    recipe: Recipe
    """Its sides as the backbone takes them, its scale a number."""
    method: Method | None
    """None for a network that is no adapter."""
    scaled: bool
    """Whether the scale was measured."""

    def lines(self) -> Iterator[str]:
        """What was settled, and what will learn, as lines for people."""
        plan, splits = self.plan, (self.plan.train, self.plan.val, self.plan.test)
        if self.scaled:
            yield scale_line(self.recipe, pixel_size(plan.train))
        if self.method is not None:
            yield learning_line(plan.network, self.method.name)
        if note := unsized_note(plan.contract.pixel_size_m, *splits):
            yield note


def splits_of(domain: Domain) -> Splits:
    """The domain's own splits. Raises InputError for data that are not there, or lack one."""
    return Splits(domain.dataset("train"), domain.dataset("val"), domain.dataset("test"))


def plan_of(
    recipe: Recipe,
    domain: Domain,
    splits: Splits,
    budget: Budget | None = None,
    network: Callable[[Recipe], EntitySegmenter] | None = None,
    val_crops: int = VAL_CROPS,
    shown: Sequence[int] = (),
) -> Prepared:
    """How a recipe is fitted, its first weights drawn from its seed.

    budget: instead of the recipe's own. network: builds another one from the recipe than an adapter on its backbone.
    val_crops: the validation loss is a mean over so many. shown: test images whose entities are kept. Raises InputError
    for what does not fit together.
    """
    L.seed_everything(recipe.train.seed, verbose=False)
    draw = getattr(domain, "draw", None)
    if recipe.domain.good_only and recipe.domain.drawn_share and draw is not None:
        splits = splits._replace(val=WithDrawn(splits.val, draw, recipe.train.seed))
    runtime = of_training(recipe.train)
    method = None if network is not None else method_of(recipe)
    segmenter = None if network is None else network(recipe).place(runtime)
    backbone = backbone_of(recipe) if segmenter is None else segmenter.backbone
    settled = at_scale(on_patches(recipe, backbone), splits.train)
    if segmenter is None:
        assert method is not None
        segmenter = segmenter_of(settled, backbone, method, runtime)
    stain = settled.domain.stain and fit_normaliser(settled.domain.stain, splits.train)
    contract = contract_of(settled, pixel_size(splits.train), stain)
    train, remembers = settled.train, isinstance(settled.decoder, Memory)
    if train.false_alarms is not None:
        score_option(settled.decoder)
        check_good(good_of(splits.val))
    plan = Plan(
        segmenter,
        None if remembers else loss_of(settled),
        *splits,
        crops=crops_of(settled, domain, contract.pixel_size_m, val_crops),
        contract=contract,
        metrics=domain.metrics,
        budget=Budget(steps=0) if remembers else budget or budget_of(recipe),
        options=train,
        seed=train.seed,
        runtime=runtime,
        clip=train.clip,
        hard_negatives=settled.domain.hard_negatives > 0,
        calibrate_for=calibrated_for(settled, domain) if train.calibrate and not remembers else None,
        strength=train.strength if segmenter.decoder.start or train.start_adapter else 1.0,
        init=method.init if isinstance(method, Lora) else "random",
        shown=shown,
    )
    return Prepared(plan, settled, method, settled.domain.scale != recipe.domain.scale)


def check_learning(recipe: Recipe) -> None:
    """Raises InputError where good images alone are to be learnt from by a decoder that wants entities."""
    domain = recipe.domain
    if domain.good_only and not isinstance(recipe.decoder, Memory) and not domain.drawn_share:
        raise InputError(
            "domain.good_only=true leaves nothing to learn from; say decoder.name=memory (--recipe good_parts), or "
            "domain.drawn_defects=1, by which defects are drawn on good images"
        )


def budget_of(recipe: Recipe, looks: int | None = None, clock: Callable[[], float] = time.monotonic) -> Budget:
    """The recipe's steps and seconds, by the clock. looks: at the validation split; None: every `validate_every`."""
    train = recipe.train
    if looks is None:
        return Budget(train.steps, train.seconds, clock, min(train.validate_every, train.steps))
    return Budget(train.steps, train.seconds, clock, looks=looks)


def crops_of(
    recipe: Recipe,
    domain: Domain,
    pixel_size_m: float | None = None,
    val_crops: int = VAL_CROPS,
    unlabelled: Samples | None = None,
) -> Crops:
    """What cuts samples into the batches that a recipe is fitted on, some of them from windows without labels. Raises
    InputError where the domain does not know one of its augmentations.
    """
    options, seen = recipe.train, recipe.domain
    augmentation = domain.augmentation()
    options_of_crops = CropOptions(
        crop_px=seen.crop_px,
        scale=in_numbers(seen.scale),
        pixel_size_m=pixel_size_m,
        balance=seen.balance,
        paste_share=seen.paste_share,
        drawn_share=seen.drawn_share,
        draw=getattr(domain, "draw", None),
        hard_share=seen.hard_negatives,
    )
    rehearsal = domain.rehearsal(seen.crop_px * 4 // 3) if options.rehearsal else None  # room for a crop shown smaller

    def crops(train: Samples, val: Samples | None, round_steps: int) -> EntityDataModule:
        batches = BatchOptions(
            batch_size=options.batch_size,
            round_steps=round_steps,
            seed=options.seed,
            workers=options.workers,
            val_crops=val_crops,
        )
        return EntityDataModule(
            train, val, augmentation, options_of_crops, batches, rehearsal, rehearsal_share=options.rehearsal,
            unlabelled=unlabelled, unlabelled_share=options.unlabelled_share,
        )  # fmt: skip

    return crops


def calibrated_for(recipe: Recipe, domain: Domain) -> str:
    """The metric that calibration makes most of. Raises InputError where the domain does not measure it."""
    key, measured = recipe.train.calibrate_for or domain.headline, domain.metrics()
    if key not in measured:
        raise InputError(f"train.calibrate_for is {key!r}; {domain.name} measures {', '.join(measured)}")
    return key


def learning_line(segmenter: EntitySegmenter, method: str) -> str:
    """How many weights learn in the backbone and in the decoder, of how many."""
    counts = [
        sum(weights.numel() for weights in module.parameters() if weights.requires_grad)
        for module in (segmenter.backbone, segmenter.decoder)
    ]
    total = sum(weights.numel() for weights in segmenter.parameters())
    return (
        f"{method} on {segmenter.backbone.name}: {counts[0] / 1e3:.0f} k weights learn in the backbone, "
        f"{counts[1] / 1e3:.0f} k in the decoder, of {total / 1e6:.2f} M"
    )


def joint_module_of(recipe: PretrainRecipe, segmenter: JointSegmenter) -> JointModule:
    """What trains a base and its decoders together."""
    return JointModule(segmenter, loss_of(recipe), recipe.train)
