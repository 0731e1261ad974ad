"""Our backbones beside transformers' and peft's own code: CPU-seconds, one thread, turn by turn.

    python -m benchmarks.speed.beside_transformers step [--width 768] [--depth 12] [--turns 5]
    python -m benchmarks.speed.beside_transformers entities [--base sam|dinov2] [--precision bf16|fp32]
                                                            [--adapter A --image IMAGE] [--turns 5]

step: forward and backward pass of two pictures of 518 px through a DINOv2 of random weights with LoRA on queries and
values, in bf16, of all blocks and of the last third; all are divided by transformers' with all blocks. Fewer blocks
than 12 give about the same ratios, sooner. entities: fields of a picture of 1,024 px by a ViT-B with the dense decoder
beside the encoder's own forward pass, neither with LoRA; the decode, of which fields of random weights say nothing, is
that of an adapter's fields of IMAGE.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import torch
from peft import LoraConfig, inject_adapter_in_model
from torch import Tensor
from transformers import Dinov2Config, Dinov2Model, PreTrainedConfig, SamConfig

from adapters.backbones import BACKBONES, FAMILIES, Backbone
from adapters.backbones.build import assembled
from adapters.decoders.dense import Dense
from adapters.methods import build_method
from adapters.network import EntitySegmenter
from adapters.options.backbone import BackboneOptions
from adapters.options.methods import Lora
from adapters.runtime import Runtime
from benchmarks.speed.turns import paired_ratio, parser_with_turns, turn_by_turn
from domains.scenes import open_scene
from domains.scenes.scene import read_whole
from recipes import set_up
from recipes.load import loaded

RANK, PICTURES, LEARN_PX, PREDICT_PX = 8, 2, 518, 1024


def dinov2(width: int, depth: int) -> Dinov2Config:
    """The published DINOv2 of that width, of so many blocks."""
    return Dinov2Config(
        hidden_size=width, num_attention_heads=width // 64, num_hidden_layers=depth, image_size=518, patch_size=14
    )


def ours(config: PreTrainedConfig, taps: tuple[int, ...] | None = None) -> Backbone:
    """Our backbone of random weights, as a recipe has it."""
    model = BACKBONES[FAMILIES[config.model_type]].randomised(config)
    return assembled(BackboneOptions(name=config.model_type, taps=taps), model)


def steps(width: int, depth: int, turns: int) -> None:
    """Print what a step takes, of all blocks and of the last third."""
    images, runs = torch.rand(PICTURES, 3, LEARN_PX, LEARN_PX), {}
    for blocks in (depth, depth // 3):
        runs["transformers and peft", blocks] = learning(*plain_step(width, depth, blocks), images)
        runs["ours", blocks] = learning(*our_step(width, depth, blocks), images)
    costs = dict(zip(runs, turn_by_turn(*runs.values(), turns=turns), strict=True))
    reference = costs["transformers and peft", depth]
    for (name, blocks), seconds in costs.items():
        ratio = paired_ratio(seconds, reference)
        print(f"{name}, LoRA on {blocks} of {depth} blocks: {median(seconds):.3f} s, {ratio:.3f} of the first")


def plain_step(width: int, depth: int, blocks: int) -> tuple[torch.nn.Module, Callable[[Tensor], Tensor]]:
    """transformers' model with peft's LoRA on its last blocks, and its last tokens."""
    config = dinov2(width, depth)
    model: Any = Dinov2Model(config)
    targets = [f"encoder.layer.{n}.attention.{r}" for n in range(depth - blocks, depth) for r in ("q_proj", "v_proj")]
    model.requires_grad_(False)
    inject_adapter_in_model(LoraConfig(r=RANK, lora_alpha=2 * RANK, target_modules=targets), model)
    return model.train(), lambda images: model(images).last_hidden_state


def our_step(width: int, depth: int, blocks: int) -> tuple[torch.nn.Module, Callable[[Tensor], Tensor]]:
    """Our backbone with LoRA on its last blocks, and the features of the last."""
    backbone = ours(dinov2(width, depth), (depth,))
    build_method(Lora(rank=RANK, roles=("q", "v"), layers=f"last:{blocks}")).attach(backbone)
    return backbone.train(), lambda images: backbone(images)[-1]


def learning(model: torch.nn.Module, features: Callable[[Tensor], Tensor], images: Tensor) -> Callable[[], None]:
    """Loss and gradients of the mean square of the features."""

    def run() -> None:
        with torch.autocast("cpu", torch.bfloat16):
            loss = features(images).float().square().mean()
        loss.backward()
        model.zero_grad()

    return run


def entities(base: str, precision: Any, adapter: str | None, picture: Path | None, turns: int) -> None:
    """Print what our fields take beside the encoder's own forward, and with the decode of an adapter's of a picture."""
    config = SamConfig() if base == "sam" else dinov2(768, 12)
    backbone = ours(config)
    network = EntitySegmenter(backbone, Dense().build(backbone.dim, len(backbone.taps), backbone.stride))
    network.eval().place(Runtime(precision=precision))
    side = PREDICT_PX if base == "sam" else 1008  # a multiple of 14 and of the decoder's 8
    images = torch.rand(1, 3, side, side)
    pixels = (images - backbone.mean) / backbone.std
    plain: Any = backbone.model.vision_encoder if base == "sam" else Dinov2Model(dinov2(768, 12)).eval()

    def forward() -> None:
        with torch.inference_mode(), network.runtime.autocast():
            plain(pixels)

    theirs, fields = turn_by_turn(forward, lambda: network.predicted(images), turns=turns)
    ratio = paired_ratio(fields, theirs)
    print(f"{base} ViT-B, {side} px, {precision}: the encoder's own forward {median(theirs):.2f} s, our fields "
          f"{median(fields):.2f} s, {ratio:.3f} of it", flush=True)  # fmt: skip
    if adapter is not None and picture is not None:
        seconds = decode_seconds(adapter, picture, side, turns)
        whole = paired_ratio([fields_s + seconds for fields_s in fields], theirs)
        print(f"entities of an adapter's fields of that size {seconds:.2f} s: with the decode {whole:.3f}")


def decode_seconds(adapter: str, picture: Path, side: int, turns: int) -> float:
    """CPU-seconds from an adapter's fields of a picture's upper left to entities."""
    with loaded(adapter) as fitted:
        segmenter = fitted.segmenter.eval()
        output = segmenter.outputs([read_whole(open_scene(picture))[:side, :side]])[0]
        durations, *_ = turn_by_turn(lambda: segmenter.decoder.proposals.entities(*output), turns=turns)
    return median(durations)


def main() -> None:
    """One of the two comparisons."""
    parser = parser_with_turns(__doc__, turns=5)
    parser.add_argument("what", choices=("step", "entities"))
    parser.add_argument("--width", type=int, default=768, help="384 is ViT-S, 768 ViT-B")
    parser.add_argument("--depth", type=int, default=12)
    parser.add_argument("--base", choices=("sam", "dinov2"), default="sam")
    parser.add_argument("--precision", choices=("bf16", "fp32"), default="bf16")
    parser.add_argument("--adapter")
    parser.add_argument("--image", type=Path)
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    set_up()
    if chosen.what == "step":
        steps(chosen.width, chosen.depth, chosen.turns)
    else:
        entities(chosen.base, chosen.precision, chosen.adapter, chosen.image, chosen.turns)


if __name__ == "__main__":
    main()
