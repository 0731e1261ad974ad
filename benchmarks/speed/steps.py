"""What a training step of LoRA takes: CPU-seconds and memory, with gradient checkpointing and without.

    python -m benchmarks.speed.steps [--base NAME ...] [--turns 3]      writes benchmarks/steps.md

Bases have random weights, through which a signal passes; the decoder is the dense one, crops are of generated scenes,
one thread, in the precision that `fit` takes here. Every step is of a process of its own, whose peak is what the kernel
says (VmHWM), so this works on Linux only.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import median
from typing import NamedTuple

import torch
from transformers import Dinov2Config, PreTrainedConfig, SamConfig

from adapters.runtime import best_precision
from benchmarks.speed.child import peak_kib
from benchmarks.speed.shortcuts import network, training_step
from benchmarks.speed.turns import parser_with_turns, turn_by_turn
from recipes import set_up
from recipes.reading.compose import load_recipe

HERE = Path(__file__).resolve().parents[2]
PAGE = HERE / "benchmarks" / "steps.md"
CROPS = 2


class Base(NamedTuple):
    """A base of random weights, None for the embedded one, and the side of the crops of its steps."""

    config: PreTrainedConfig | None
    crop_px: int


def dinov2(width: int, heads: int) -> PreTrainedConfig:
    """The published DINOv2 of that width."""
    return Dinov2Config(hidden_size=width, num_attention_heads=heads, image_size=518, patch_size=14)


BASES = {  # 504: of the multiples of 14 and of the decoder's 8 the nearest to DINOv2's 518
    "entity-small": Base(None, 128),
    "DINOv2 ViT-S/14": Base(dinov2(384, 6), 504),
    "DINOv2 ViT-B/14": Base(dinov2(768, 12), 504),
    "SAM ViT-B/16": Base(SamConfig(), 512),
}


class Cost(NamedTuple):
    """Of a step: CPU-seconds, and what its process held at most, weights and libraries included."""

    seconds: float
    peak_mib: float


def cost(base: Base, checkpointing: bool, turns: int) -> Cost:
    """The median of so many steps of this process, after a first one that is not counted."""
    with tempfile.TemporaryDirectory() as folder:
        words = ["method.name=lora", f"domain.crop_px={base.crop_px}", f"train.batch_size={CROPS}"]
        words += [
            "domain.sample_count=8",
            "domain.window_px=null",
            f"backbone.gradient_checkpointing={str(checkpointing).lower()}",
        ]
        if base.config is not None:
            base.config.save_pretrained(folder)
            words += [f"backbone.name={folder}", "backbone.random=true"]
        recipe = load_recipe("pathology", words)
        step = training_step(recipe, network(recipe))
    durations, *_ = turn_by_turn(step, turns=turns)
    return Cost(median(durations), peak_kib(os.getpid()) / 1024)


def cost_in_process(name: str, checkpointing: bool, turns: int) -> Cost:
    """`cost` of one of `BASES`, in a process of its own."""
    words = ["--alone", name, str(int(checkpointing)), "--turns", str(turns)]
    command = [sys.executable, "-W", "ignore", "-m", "benchmarks.speed.steps", *words]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    answer = subprocess.run(command, cwd=HERE, env=environment, check=True, stdout=subprocess.PIPE, text=True)
    return Cost(*json.loads(answer.stdout.splitlines()[-1]))


def page(costs: dict[str, tuple[Cost, Cost]], turns: int) -> Iterator[str]:
    """The lines of `benchmarks/steps.md`. costs: by base, without gradient checkpointing and with it."""
    precision = "bf16 autocast" if best_precision().startswith("bf16") else "fp32"
    yield "# A training step"
    yield ""
    counted = "a step" if turns == 1 else f"the median of {turns} steps"
    yield f"`python -m benchmarks.speed.steps --turns {turns}`: LoRA on the default roles with the dense decoder,"
    yield f"{precision}, {CROPS} crops, one thread, torch {torch.__version__}, random weights; {counted} after a first."
    yield "Memory is the peak of the process, libraries included. `backbone.gradient_checkpointing=true` computes the"
    yield "blocks again in the backward pass."
    yield ""
    yield "| base | crop | CPU-s | CPU-s, checkpointing | MiB | MiB, checkpointing |"
    yield "|---|---|---|---|---|---|"
    for name, (plain, again) in costs.items():
        seconds = f"{plain.seconds:.2f} | {again.seconds:.2f}"
        yield f"| {name} | {BASES[name].crop_px} px | {seconds} | {plain.peak_mib:,.0f} | {again.peak_mib:,.0f} |"


def main(words: Sequence[str] | None = None) -> None:
    """Measure the bases, and write the page."""
    parser = parser_with_turns(__doc__, 3, "steps that are counted")
    parser.add_argument("--base", action="append", choices=list(BASES), help="all by default")
    parser.add_argument("--alone", nargs=2, metavar=("BASE", "CHECKPOINTING"), help=argparse.SUPPRESS)
    chosen = parser.parse_args(words)
    if chosen.alone:
        torch.set_num_threads(1)
        set_up()
        name, checkpointing = chosen.alone
        print(json.dumps(cost(BASES[name], checkpointing == "1", chosen.turns)))
        return
    costs: dict[str, tuple[Cost, Cost]] = {}
    for name in chosen.base or BASES:
        plain, again = (cost_in_process(name, checkpointing, chosen.turns) for checkpointing in (False, True))
        costs[name] = plain, again
        print(f"{name}: {plain}, with gradient checkpointing {again}", flush=True)
    PAGE.write_text("\n".join(page(costs, chosen.turns)) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
