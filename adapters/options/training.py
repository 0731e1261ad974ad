"""How the weights that learn move."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

from pydantic import Field, Strict

from adapters.options.ranges import BelowOne, Count, Natural, NotNegative, Positive, Share
from adapters.options.section import Options

Target = Literal["f1", "pq", "ap50", "ap", "aji", "dice", "iou", "covering", "boundary_f"]
"""Keys of metrics that calibration can make most of."""


@dataclass(frozen=True)
class TrainOptions(Options):
    """How the weights that learn move."""

    SOURCE: ClassVar[str] = "train."

    start: Annotated[str, Field(min_length=1)] | None = None
    """What it starts from: a pretrained decoder of the base, of which entity-small has `aerial`, `nuclei`,
    `photographs` and `surfaces`, each of one kind of scene; null: the general one; or an adapter, its folder (./mine)
    or packed file, of the same base, method and decoder."""
    steps: Count = 400
    """Optimiser steps."""
    seconds: Positive | None = None
    """Stop after this long if `steps` have not ended it; the learning rate follows whichever is nearer its end."""
    batch_size: Count = 8
    """Crops of a step."""
    lr: Positive = 1.0e-3
    """Peak learning rate of the decoder."""
    backbone_lr: Positive = 1.0e-3
    """Peak learning rate of what learns inside the backbone."""
    weight_decay: NotNegative = 0.05
    """Of matrices and kernels; biases, norms and scales have none."""
    betas: Annotated[tuple[BelowOne, BelowOne], Strict(False)] = (0.9, 0.98)
    """Momentum terms of AdamW."""
    warmup_steps: Natural = 20
    """Steps of linear warm-up; a cosine follows."""
    clip: Positive = 1.0
    """Gradients are clipped to this norm."""
    validate_every: Count = 50
    """Steps between two looks at the validation split; checkpoints are written then."""
    rehearsal: Share = 0.0
    """Share of the training crops that are generated scenes of the domain, against forgetting what the base knows."""
    strength: Annotated[float, Field(gt=0, le=1)] = 1.0
    """How much of what was learnt is kept, from 0, the pretrained decoder and bare backbone, to 1. Below 1 the adapter
    forgets less of what the base knows; does nothing where the decoder starts from nothing."""
    calibrate: bool = True
    """Choose the decode's thresholds on the validation split at the end, instead of those of `decoder`."""
    calibrate_for: Target | None = None
    """What of the domain's metrics they make most of; null: the one that the domain shows first. AP lets clutter of low
    scores through, f1 and pq do not."""
    false_alarms: Annotated[float, Field(gt=0, lt=1)] | None = None
    """Share of images without entity that may show any: when thresholds are chosen, the least score of an entity is the
    lowest by which no more of those of the validation split do. null: it makes most of `calibrate_for`."""
    cache: Literal["none", "prefix", "auto"] = "none"
    """prefix: `cached_crops` crops are drawn, kept with what the blocks before the first that learns make of them, and
    shown eight times before others take their place, so that a step runs only the later blocks; for one device, and
    methods that leave the first blocks as they are. auto: prefix for these, none for others."""
    cached_crops: Count = 512
    """Crops that `cache` keeps at a time; one of 128 px takes about half a megabyte, and all at most 1 GiB."""
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    """auto: bf16 autocast where the machine is faster with it."""
    device: Literal["auto", "cpu", "gpu"] = "auto"
    """auto: an accelerator where there is one."""
    devices: Annotated[int, Field(ge=1, le=64)] = 1
    """Processes that train side by side on this machine, one for each GPU, or on the CPU; `batch_size` is of all
    together and a multiple of them. Losses in fp32 are those of one device within 1e-5."""
    workers: Annotated[int, Field(ge=0, le=256)] = 0
    """Processes that load and augment; 0 does it in the main one."""
    student: bool = False
    """Distil the adapter, when it is fitted, into a small network that `predict --fast` takes in its place; wants
    decoder.name=dense."""
    student_seconds: Positive = 300.0
    """For how long the student learns, once the adapter is fitted."""
    unlabelled: Annotated[str, Field(min_length=1)] | None = None
    """A folder of images, or a slide, without labels, from which the student learns beside the training images, and
    with `unlabelled_share` the adapter, for which test images among them are refused as leaks are."""
    unlabelled_share: BelowOne = 0.0
    """Share of the training crops that are of images without labels, which the mean teacher labels."""
    teacher: bool = False
    """A mean teacher, the average of what learns over the steps, corrects pseudo-labels: where it is surer than they
    are its entities take their place. Labels that are certain stay."""
    teacher_decay: BelowOne = 0.98
    """How much of the average a step leaves; less in the beginning."""
    teacher_score: Share = 0.6
    """The least score of an entity of the teacher's that counts."""
    teacher_ramp: Share = 0.4
    """Share of the budget over which the weight of its labels rises from nothing to their score."""
    seed: Annotated[int, Field(ge=0, lt=2**32)] = 0
    """Of weights, crops and generated scenes."""

    @property
    def taught(self) -> bool:
        """Whether there is a mean teacher."""
        return self.teacher or self.unlabelled_share > 0

    def check_agreement(self) -> None:
        """Raises InputError for a share of images without labels where none are named, and for a rate of false alarms
        where no threshold is chosen.
        """
        if self.unlabelled_share and self.unlabelled is None:
            raise self.wrong("unlabelled_share", "train.unlabelled names no images; give a folder by --unlabelled")
        if self.false_alarms is not None and not self.calibrate:
            raise self.wrong("false_alarms", "train.calibrate is false, so no threshold is chosen; leave one out")

    @property
    def start_kind(self) -> str | None:
        """The kind of scene whose decoder it starts from; a word is a kind, all else the path of an adapter."""
        return self.start if self.start and re.fullmatch("[A-Za-z0-9_-]+", self.start) else None

    @property
    def start_adapter(self) -> str | None:
        """The adapter that it goes on from, a folder or a packed file."""
        return None if self.start_kind else self.start
