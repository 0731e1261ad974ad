"""What the accuracy benchmark compares: data sets, methods, budgets, and the jobs that they make."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Set:
    """A data set: the recipe that it is fitted with, the classical method for it, and its budgets."""

    recipe: str
    classical: str
    """Key of `benchmarks.accuracy.classical.METHODS`."""
    columns: tuple[str, ...]
    """Metrics of the table."""
    seeds: tuple[int, ...] = (0,)
    seconds: float = 30
    """CPU-seconds of fitting, at the same time for every method."""
    steps: int = 30
    """Optimiser steps, at the same number for every method."""
    elsewhere: tuple[tuple[str, Literal["test", "all"]], ...] = ()
    """Other sets that what was fitted here is measured on too, as it is, and which of their images."""


MINUTES = 600.0
"""CPU-seconds of the budget `minutes`: five minutes on two cores."""
BUDGETS = ("time", "steps", "minutes")

NUCLEI = ("f1", "aji", "pq", "ap50", "sa")
DEFECTS = ("iou", "class_iou", "f1", "pq", "boundary_f", "f1_2px", "image_auroc")
SETS: dict[str, Set] = {
    "dsb2018_he": Set("pathology", "otsu_watershed", NUCLEI, (0, 1, 2), 40, 40, (("monuseg", "all"),)),
    "monuseg": Set("pathology", "otsu_watershed", NUCLEI, (0, 1, 2), 40, 40, (("dsb2018_he", "test"),)),
    "magnetic_tile": Set("industrial", "black_tophat", DEFECTS, (0, 1, 2), 40, 40),
    "dsb2018_fluo": Set("pathology", "otsu_watershed", NUCLEI),
    "crackforest": Set("industrial", "black_tophat", DEFECTS),
    "nwpu_vhr10": Set("remote_sensing", "black_tophat", ("ap50", "ap", "ar100", "pq")),
    "bsds500": Set("natural", "felzenszwalb", ("covering", "covering_ois", "boundary_f")),
}

IN_SECTIONS = ("domain.stain_augmentation=section", "train.rehearsal=0.3")
"""What somebody says whose images have one dye, and who wants to go on to sections of two."""
METHODS: dict[str, tuple[str, ...]] = {
    "base": ("method.name=decoder_only",),  # as it comes: nothing is fitted
    "shipped": (),  # what `cli.py fit --recipe` does with nothing said
    "shipped_fresh": ("train.cache=none",),  # every crop is seen once
    "decoder_only": ("method.name=decoder_only",),
    "decoder_only_fresh": ("method.name=decoder_only", "train.cache=none"),
    "decoder_only_sections": ("method.name=decoder_only", *IN_SECTIONS),
    "lora": ("method.name=lora", "method.layers=all"),
    "lora_last": ("method.name=lora", "method.layers=last:2"),
    "full": ("method.name=full",),
    "scratch": ("method.name=full", "backbone.random=true"),
    "random_lora": ("method.name=lora", "backbone.random=true"),
    "unet": ("backbone.random=true",),
    "unet_regions": ("backbone.random=true",),
    "unet_sections": ("backbone.random=true", *IN_SECTIONS),
    "instanseg": (
        "backbone.random=true",
        "domain.tile_px=512",
        "domain.window_px=null",
        "domain.symmetries=1",
        "decoder.regions=false",
        "train.batch_size=3",
    ),
    "classical": (),
}
"""Method -> the recipe's overrides. The decoder starts pretrained where the backbone does."""
PACKAGES = {"instanseg": ("instanseg", "pip install -c constraints.txt instanseg-torch==0.1.2 edt pandas seaborn")}
"""Method -> the module that it wants beside ours, and the line that installs it; only run by name."""


@dataclass(frozen=True)
class Job:
    """One method on one set within one budget of `BUDGETS`, or `none` where nothing is fitted.

    `time` and `steps` are short, and every decode has its default thresholds. In `minutes` thresholds are calibrated
    on the validation split after fitting, those of the base as it comes too.
    """

    set: str
    method: str
    budget: str
    seed: int
    seconds: float
    steps: int
    images: int | None = None
    """Training images, the first of each group before the second of any; None for all."""

    @property
    def name(self) -> str:
        few = "" if self.images is None else f"-{self.images}img"
        return f"{self.set}-{self.method}-{self.budget}-{self.seed}{few}"


def jobs(
    sets: Sequence[str],
    methods: Sequence[str],
    seeds: Sequence[int] | None = None,
    budgets: Sequence[str] = ("time", "steps"),
    seconds: float | None = None,
    steps: int | None = None,
    images: int | None = None,
) -> Iterator[Job]:
    """Those that give a table early first: seed 0 of everything, then the others."""
    for seed in seeds or range(max(len(SETS[name].seeds) for name in sets)):
        for budget in budgets:
            for name in sets:
                if seeds is None and seed not in SETS[name].seeds:
                    continue
                for method in methods:
                    shared = budget_of(method, budget)
                    if shared is None or (method == "base" and seed):
                        continue
                    limit = MINUTES if shared == "minutes" else SETS[name].seconds
                    few = None if method == "base" else images  # which learns from none
                    yield Job(name, method, shared, seed, seconds or limit, steps or SETS[name].steps, few)


def budget_of(method: str, budget: str) -> str | None:
    """The base has no budget where thresholds stay, and classical methods no steps: the short budgets share one job."""
    if method in ("base", "classical") and budget == "steps":
        return None
    return "none" if method == "base" and budget == "time" else budget
