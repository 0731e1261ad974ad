"""Distil a fitted adapter into its student: crops of the user's images, and what the adapter says of them.

Hinton et al., Distilling the Knowledge in a Neural Network, https://arxiv.org/abs/1503.02531, by pixel and field. Where
a pixel is labelled its label counts too, so images without labels serve as well. The adapter's look at a crop takes
longer than a step of the student: crops are kept in a pool and shown several times, flipped, turned and in other light.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Iterator
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from adapters.inference.calibration import OnProgress, unheard
from adapters.losses.boundary import boundary_target
from adapters.losses.dense import targets_of
from adapters.methods.decoder_update import merge_kernels
from adapters.network import SYMMETRIES, EntitySegmenter
from adapters.runtime import Runtime
from adapters.student import Student, decoder_of, glances
from domains.entities import EntityBatch

LABELS = 0.3
"""How much a label weighs beside what the adapter says of the same pixel."""
WEIGHTS = {"foreground": 1.0, "boundary_distance": 1.0, "centre_distance": 0.25, "boundary": 0.5}
"""Of the fields' errors: those of the adapter's own loss by default."""
BATCH = 8
STEPS_PER_BATCH = 6
"""Steps of the student for each batch that the adapter looks at."""
POOL_BYTES, FEWEST_BATCHES = 96 * 2**20, 4
TOKENS = 0.3
"""Weight of the mean squared error of what the student has in place of tokens, by their variance."""
LR_FITTED = 5e-4
"""Peak rate of what begins as the fitted decoder."""
LR, WEIGHT_DECAY, BETAS, CLIP, WARM_STEPS = 3e-3, 0.05, (0.9, 0.98), 1.0, 30
AVERAGED = 0.99
"""Of the mean of the weights that is kept, how much a step leaves; less in the beginning."""
LIGHT = 0.1
"""Standard deviations of contrast and, by half, of each channel's brightness."""


@dataclass(frozen=True)
class Distillation:
    """For how long a student learns."""

    seconds: float
    clock: Callable[[], float] = time.monotonic
    """`time.process_time`: the seconds are those of the processor."""
    seed: int = 0
    """Of its first weights, and of what it is shown."""


def distil(
    teacher: EntitySegmenter,
    batches: Iterable[EntityBatch],
    options: Distillation,
    runtime: Runtime,
    on_progress: OnProgress = unheard,
) -> tuple[Student, int]:
    """A student of the teacher's fields, folded and on the runtime's device, and how many steps it learnt for.

    teacher: ready to predict, with a dense decoder, whose options the student has. batches: augmented crops of one
    size, as many as are asked for, unlabelled pixels -1. on_progress: told of the seconds.
    """
    decoder = decoder_of(teacher)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(options.seed)
        student = Student(decoder.options, teacher.channels)
    plain = deepcopy(decoder)
    merge_kernels(plain)
    student.decoder.begin_as(plain)
    student.to(runtime.device)
    pool = Pool(teacher.eval(), iter(batches), torch.Generator().manual_seed(options.seed))
    mean, optimizer = deepcopy(student), optimizer_of(student)
    bf16 = torch.autocast(runtime.device.type, torch.bfloat16, enabled=runtime.training == "bf16-mixed")
    step, start = 0, options.clock()
    student.train()
    while not step or options.clock() - start < options.seconds:
        if step % STEPS_PER_BATCH == 0:
            pool.add()
        images, targets, tokens = (drawn.to(runtime.device) for drawn in pool.drawn(BATCH))
        with bf16:
            glance, details = student.decoder.seen(images)
            outputs = student.decoder.upwards(glance, details)
        optimizer.zero_grad()
        (field_loss(outputs, targets) + TOKENS * F.mse_loss(glance.float(), tokens) / tokens.var()).backward()
        nn.utils.clip_grad_norm_(student.parameters(), CLIP)
        done = min(1.0, (options.clock() - start) / options.seconds)
        rate = min(1.0, (step + 1) / WARM_STEPS) * (0.01 + 0.99 * (1 + math.cos(math.pi * done)) / 2)
        for group in optimizer.param_groups:
            group["lr"] = group["peak"] * rate
        optimizer.step()
        step += 1
        follow(mean, student, min(AVERAGED, (1 + step) / (10 + step)))
        on_progress("seconds", round(done * options.seconds), round(options.seconds))
    return mean.eval().requires_grad_(False), step


class Pool:
    """Crops with the fields that they should become, the latest of them as many as `POOL_BYTES` hold."""

    def __init__(self, teacher: EntitySegmenter, batches: Iterator[EntityBatch], generator: torch.Generator) -> None:
        self.teacher, self.batches, self.generator = teacher, batches, generator
        self.crops: list[tuple[Tensor, Tensor, Tensor]] = []
        """(C, H, W) uint8, (F, H, W) float16 in [0, 1] and (8 width, H/8, W/8) float16, each."""

    def add(self) -> None:
        """Let the teacher look at the next batch; at several, where there is none yet."""
        for _ in range(1 if self.crops else FEWEST_BATCHES):
            batch = next(self.batches)
            grid = (batch.images.shape[-2] // 8, batch.images.shape[-1] // 8)
            with glances(decoder_of(self.teacher), grid) as tokens:
                fields = blended(self.teacher.predicted(batch.images), batch)
            images = (batch.images * 255).round().byte()
            self.crops += zip(images, fields.half(), torch.cat(tokens).half(), strict=True)
        size = sum(tensor.nbytes for tensor in self.crops[0])
        del self.crops[: -max(FEWEST_BATCHES * BATCH, POOL_BYTES // size)]

    def drawn(self, count: int) -> tuple[Tensor, Tensor, Tensor]:
        """Images (count, C, H, W) and fields (count, F, H, W) in [0, 1], tokens (count, 8 width, H/8, W/8), of crops
        that are flipped and turned; images are lit anew.
        """
        pairs = []
        for crop in torch.randint(len(self.crops), (count,), generator=self.generator).tolist():
            flip, turns = SYMMETRIES[int(torch.randint(len(SYMMETRIES), (), generator=self.generator))]
            turned = (torch.rot90(x.flip(-1) if flip else x, turns, (-2, -1)) for x in self.crops[crop])
            pairs.append([x.float() for x in turned])
        images, fields, tokens = (torch.stack(column) for column in zip(*pairs, strict=True))
        return self._lit(images / 255), fields, tokens

    def _lit(self, images: Tensor) -> Tensor:
        """Images (B, C, H, W) in [0, 1] with other contrast, and other brightness of each channel."""
        contrast = 1 + LIGHT * torch.randn(len(images), 1, 1, 1, generator=self.generator)
        brightness = LIGHT / 2 * torch.randn(*images.shape[:2], 1, 1, generator=self.generator)
        return ((images - 0.5) * contrast + 0.5 + brightness).clamp(0, 1)


def blended(outputs: dict[str, Any], batch: EntityBatch) -> Tensor:
    """(B, F, H, W) in [0, 1], in the order of `WEIGHTS`: the fields that the teacher gives (logits, on the CPU), and by
    `LABELS` those of the labels where these are known.
    """
    truth, (rim, sure) = targets_of(batch), boundary_target(batch.ids)
    labels = {
        "foreground": (truth.foreground, truth.labelled),
        "boundary_distance": (truth.boundary_distance, truth.foreground),
        "centre_distance": (truth.centre_distance, truth.foreground),
        "boundary": (rim, sure),
    }
    fields = [
        torch.lerp(outputs[name][:, 0].sigmoid(), target, LABELS * where) for name, (target, where) in labels.items()
    ]
    return torch.stack(fields, 1)


def field_loss(outputs: dict[str, Tensor], targets: Tensor) -> Tensor:
    """Mean cross-entropy of the fields, each by its weight. outputs: logits (B, 1, H, W); targets: (B, F, H, W)."""
    errors = [
        weight * F.binary_cross_entropy_with_logits(outputs[name][:, 0].float(), targets[:, i])
        for i, (name, weight) in enumerate(WEIGHTS.items())
    ]
    return torch.stack(errors).sum()


def optimizer_of(student: Student) -> torch.optim.Optimizer:
    """AdamW without weight decay of biases and norms."""
    groups = []
    for new, peak in ((True, LR), (False, LR_FITTED)):
        learning = [p for name, p in student.named_parameters() if (".glance." in name) == new]
        for matrices, decay in ((True, WEIGHT_DECAY), (False, 0.0)):
            chosen = [parameter for parameter in learning if (parameter.ndim > 1) == matrices]
            groups.append({"params": chosen, "peak": peak, "weight_decay": decay})
    return torch.optim.AdamW(groups, lr=LR, betas=BETAS)


@torch.no_grad()
def follow(mean: nn.Module, module: nn.Module, kept: float) -> None:
    """Move the mean's weights and running statistics towards the module's, and keep so much of what they were."""
    for average, value in zip(mean.state_dict().values(), module.state_dict().values(), strict=True):
        if value.is_floating_point():
            average.lerp_(value, 1 - kept)
