"""Which parts of a domain are measured against its plain version, and on what."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

SECONDS = 120.0
"""CPU-seconds of every fit."""
SEEDS = (0, 1, 2)


@dataclass(frozen=True)
class Arm:
    """One way to fit: overrides of the set's recipe."""

    overrides: tuple[str, ...] = ()
    unlabelled_share: float = 0.0
    """Of the crops, those that are of the fitted folds' other images, without their labels."""


@dataclass(frozen=True)
class Part:
    """An experiment: arms on one set, the first of them plain."""

    set: str
    """Key of `benchmarks.accuracy.plan.SETS`."""
    arms: Mapping[str, Arm]
    columns: tuple[str, ...]
    """Metrics of the table, more is better unless in `LESS`."""
    images: tuple[int | None, ...] = (None,)
    """Sizes of the training set; None for all."""
    held_out: str | None = None
    """A stratum that is tested on and not fitted to; None: a third of the groups."""
    left_out: tuple[str, ...] = ()
    """Strata that are neither, where one is held out."""
    seconds: float = SECONDS
    """CPU-seconds of a fit."""
    paired: bool = False
    """Whether differences have an interval over the held-out groups of all folds, resampled alike for every arm; then
    nothing is measured but the columns, and what thresholds are chosen for.
    """


LESS = ("false_alarms",)
NUCLEI = ("f1", "aji", "pq")
CRACKS = ("f1_2px", "iou", "cldice", "line_recall_2px")
DEFECTS = ("class_iou", "f1", "pixel_ap", "image_auroc", "false_alarms")
ABOVE = ("f1", "pq", "ap50", "ar100")
BALANCED = "domain.balance=0.7"
BY_IOU_ALONE = ("decoder.regions=true", "decoder.sure_foreground=1")
REGIONS = ("decoder.regions=true",)
DIFFERENCES = "(green-red)/(green+red),(blue-red)/(blue+red)"

PARTS: dict[str, Part] = {
    "stain": Part(
        "dsb2018_he",
        {
            "none": Arm(),
            "jitter": Arm(("domain.stain_augmentation=jitter",)),
            "styles": Arm(("domain.stain_augmentation=styles",)),
            "both": Arm(("domain.stain_augmentation=both",)),
        },
        NUCLEI,
        held_out="white_bg",  # so purple_bg is fitted
        left_out=("brightfield",),
    ),
    "normalisation": Part(
        "dsb2018_he",
        {
            "none": Arm(),
            "macenko": Arm(("domain.stain=macenko",)),
            "reinhard": Arm(("domain.stain=reinhard",)),
        },
        NUCLEI,
        held_out="white_bg",
        left_out=("brightfield",),
    ),
    "method": Part(
        "dsb2018_he",
        {"decoder only": Arm(), "LoRA": Arm(("method.name=lora", "method.layers=all"))},
        NUCLEI,
        images=(5, 10, 25, None),
    ),
    "regions": Part(
        "dsb2018_he",
        {"watershed": Arm(), "regions": Arm(("decoder.regions=true",))},
        NUCLEI,
    ),
    "regions_of_defects": Part(
        "magnetic_tile",
        {"watershed": Arm(), "regions": Arm(BY_IOU_ALONE)},
        DEFECTS,
    ),
    "regions_of_cracks": Part(
        "crackforest",
        {"watershed": Arm(), "regions": Arm(BY_IOU_ALONE)},
        (*CRACKS, "f1"),
    ),
    "native_resolution": Part(
        "crackforest",
        {"half the size": Arm((BALANCED, "domain.scale=0.5")), "native": Arm((BALANCED, "domain.scale=1"))},
        CRACKS,
    ),
    "defect_aware_sampling": Part(
        "magnetic_tile",
        {"crops anywhere": Arm(("domain.balance=null",)), "7 of 10 hold a defect": Arm((BALANCED,))},
        DEFECTS,
        images=(None, 5),
    ),
    "pasting": Part(
        "magnetic_tile",
        {"none": Arm((BALANCED,)), "half": Arm((BALANCED, "domain.paste_share=0.5"))},
        DEFECTS,
        images=(5, 10, 20),
    ),
    "drawn_defects": Part(
        "magnetic_tile",
        {"none": Arm(REGIONS), "half": Arm((*REGIONS, "domain.drawn_defects=0.5"))},
        DEFECTS,
        images=(5, 20),
    ),
    "bands": Part(
        "nwpu_vhr10",
        {
            "RGB": Arm(),
            "RGB and two differences": Arm((f"domain.bands=[red,green,blue,{DIFFERENCES}]",)),
        },
        ABOVE,
    ),
    "hard_negatives": Part(
        "magnetic_tile",
        {"none": Arm((BALANCED,)), "half": Arm((BALANCED, "domain.hard_negatives=0.5"))},
        DEFECTS,
    ),
    "topology": Part(
        "crackforest",
        {
            "none": Arm((BALANCED, "domain.scale=1")),
            "soft clDice": Arm((BALANCED, "domain.scale=1", "losses.topology={}")),
        },
        CRACKS,
    ),
    "air": Part(
        "nwpu_vhr10",
        {"neither": Arm(), "season and shadows": Arm(("domain.seasons=true",))},
        ABOVE,
    ),
}

STILL = ("train.steps=1", "train.lr=1e-9", "train.backbone_lr=1e-9")
"""The base as it comes, but for what is chosen by the labelled images after a fit."""

PARTS |= {
    f"unlabelled_{kind}": Part(
        name,
        {
            "five labelled images": Arm((*words, *REGIONS)),
            "and the others without labels": Arm((*words, *REGIONS), unlabelled_share=0.4),
            "thresholds of the five, no weights": Arm((*words, *REGIONS, *STILL)),
        },
        columns,
        images=(5,),
        seconds=60.0,
        paired=True,
    )
    for kind, name, columns, words in (
        ("nuclei", "dsb2018_he", NUCLEI, ("method.name=lora", "method.scope=decoder")),
        ("cracks", "crackforest", ("f1_2px", "iou", "f1"), ()),
        ("photographs", "bsds500", ("covering", "boundary_f", "pq"), ("method.name=lora", "domain.test_scales=[1]")),
    )
}
"""The last ones: what a mean teacher makes of images without labels, by the shipped recipes' methods, by regions."""


@dataclass(frozen=True)
class PartJob:
    part: str
    arm: str
    seed: int
    images: int | None

    @property
    def key(self) -> tuple[str, Arm, str | None, int, int | None, float]:
        """Jobs of one key are the same fit, and measured once."""
        part = PARTS[self.part]
        return part.set, part.arms[self.arm], part.held_out, self.seed, self.images, part.seconds

    @property
    def name(self) -> str:
        few = "" if self.images is None else f"-{self.images}img"
        return f"{self.part}-{self.arm.replace(' ', '_').replace(',', '')}-{self.seed}{few}"


def part_jobs(parts: Mapping[str, Part]) -> Iterator[PartJob]:
    """All of a part before the next one; of jobs that are the same fit the first alone."""
    seen = set()
    for name, part in parts.items():
        for images in part.images:
            for seed in SEEDS:
                for arm in part.arms:
                    job = PartJob(name, arm, seed, images)
                    if job.key not in seen:
                        seen.add(job.key)
                        yield job
