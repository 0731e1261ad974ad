"""Backbones in 8 bits beside fp32 and bf16: CPU-seconds, bytes of weights, and how far the features are off.

    python -m benchmarks.speed.int8 [--turns 7]

Random weights through which a signal passes, but for the embedded base; one thread, one process, turn by turn; medians.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from functools import partial
from statistics import median

import torch
from torch import Tensor
from transformers import SamConfig

from adapters.backbones import Backbone, BackboneOptions, build_backbone
from adapters.backbones.dinov2 import Dinov2Backbone
from adapters.backbones.sam import SamBackbone
from benchmarks.speed.steps import dinov2
from benchmarks.speed.turns import paired_ratio, parser_with_turns, turn_by_turn
from recipes import set_up

BASES: dict[str, tuple[Callable[[], Backbone], tuple[int, int]]] = {  # images, their side
    "entity-small": (lambda: build_backbone(BackboneOptions()), (8, 128)),
    "DINOv2 ViT-S/14": (lambda: Dinov2Backbone(Dinov2Backbone.randomised(dinov2(384, 6)), name="S"), (1, 518)),
    "DINOv2 ViT-B/14": (lambda: Dinov2Backbone(Dinov2Backbone.randomised(dinov2(768, 12)), name="B"), (1, 518)),
    "SAM ViT-B/16": (lambda: SamBackbone(SamBackbone.randomised(SamConfig()), name="SAM"), (1, 512)),
}
SIDES = {"fp32": False, "bf16": True, "int8": True}
"""Precision -> whether the rest is autocast to bf16."""


def measured(build: Callable[[], Backbone], size: tuple[int, int], turns: int) -> str:
    """A row of the table: ratios of fp32 and bf16 to int8."""
    torch.manual_seed(0)
    full = build().eval()
    small = copy.deepcopy(full)
    small.to_int8()
    networks = {"fp32": full, "bf16": full, "int8": small}
    images = torch.rand(size[0], 3, size[1], size[1])
    features: dict[str, list[Tensor]] = {}

    def run(side: str, network: Backbone) -> None:
        with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16, enabled=SIDES[side]):
            features[side] = network(images)

    runs = [partial(run, side, network) for side, network in networks.items()]
    took = dict(zip(networks, turn_by_turn(*runs, turns=turns), strict=True))
    seconds = {side: median(times) for side, times in took.items()}
    ratios = [paired_ratio(took[side], took["int8"]) for side in ("fp32", "bf16")]
    off = [
        max(float((x.float() - y).norm() / y.norm()) for x, y in zip(features[side], features["fp32"], strict=True))
        for side in ("bf16", "int8")
    ]
    mib = [sum(x.nbytes for x in network.state_dict().values()) / 2**20 for network in (full, small)]
    cells = [*(f"{value:.2f}" for value in seconds.values()), *(f"{ratio:.2f}" for ratio in ratios)]
    cells += [f"{mib[0]:.0f} -> {mib[1]:.0f}", *(f"{value:.3f}" for value in off)]
    return " | ".join(cells)


def main(words: Sequence[str] | None = None) -> None:
    """Measure, and print a table in Markdown."""
    turns = parser_with_turns(__doc__).parse_args(words).turns
    torch.set_num_threads(1)
    set_up()
    print("| base | fp32 s | bf16 s | int8 s | fp32 / int8 | bf16 / int8 | MiB | bf16 off | int8 off |")
    print("|---|---|---|---|---|---|---|---|---|")
    for name, (build, size) in BASES.items():
        print(f"| {name}, {size[0]} x {size[1]} px | {measured(build, size, turns)} |", flush=True)


if __name__ == "__main__":
    main()
