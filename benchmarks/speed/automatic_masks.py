"""Our automatic masks beside the plain algorithm, at equal output: CPU-seconds in one process, turn by turn.

    python -m benchmarks.speed.automatic_masks [--points-per-side 32] [--blocks 12] [--side 1024] [--turns 1]
                                               [--promising 0.3] [--prompted 10]

A SAM ViT-B of random weights that carry signal, on a picture of noise of 1,024 px. The plain algorithm is transformers'
own model, 64 points at once, all masks brought to the size of the picture and then filtered, as the authors'
generator and transformers' pipeline have it (Kirillov et al., appendix B). Which masks pass the filters decides what
ours saves, and random weights say nothing of that: the thresholds are set so that of all masks the share `promising`
passes the predicted IoU, and half of them the stability. Fewer points and fewer blocks of the encoder show it sooner;
times are also given without the encoder, whose work is the same in both.

Beside them prompts of a dense decoder on the same embedding (`predict --masks apg`), at `prompted` ** 2 entities: the
encoder, the decoder with random weights, whose fields are then drawn as so many discs, the watershed, and SAM's masks
of the discs' inner points. The plain algorithm's time for all 1,024 points is reckoned from that for the points it was
run with, as the encoder once and every point alike.
"""

from __future__ import annotations

import resource
import time
from collections.abc import Callable
from statistics import median
from typing import Any

import numpy as np
import torch
from torch import Tensor
from transformers import SamConfig
from transformers.models.sam.image_processing_pil_sam import SamImageProcessorPil

from adapters.backbones.sam import SamBackbone
from adapters.decoders.dense import Dense, DenseDecoder
from adapters.decoders.sam import SamPrompts
from adapters.proposals.automatic import AutomaticMasks, grid
from adapters.proposals.mask_set import box_nms
from adapters.proposals.prompted import PromptedMasks, inner_points
from adapters.proposals.watershed import FIELDS
from benchmarks.speed.turns import parser_with_turns, turn_by_turn

POINTS_AT_ONCE, ALL_POINTS = 64, 1024
Plain = tuple[np.ndarray, np.ndarray]
"""Masks (N, H, W) bool and predicted IoUs (N,)."""


def random_sam(blocks: int) -> SamBackbone:
    """ViT-B, or so many of its blocks, whose logits and predicted IoUs spread."""
    config: Any = SamConfig(vision_config={"num_hidden_layers": blocks, "global_attn_indexes": [blocks - 1]})
    model: Any = SamBackbone.randomised(config).eval()
    with torch.no_grad():
        for parameter in model.mask_decoder.parameters():
            parameter += 0.05 * torch.randn_like(parameter)
        model.mask_decoder.iou_prediction_head.proj_out.bias += 2
    return SamBackbone(model, name="random", taps=(blocks,))


def plain_masks(model: Any, image: np.ndarray, options: AutomaticMasks) -> Plain:
    """The masks of an image by transformers' model and processor."""
    processor: Any = SamImageProcessorPil()
    inputs = processor(images=image, return_tensors="pt")
    sizes = inputs["original_sizes"], inputs["reshaped_input_sizes"]
    points = torch.from_numpy(grid(options.points_per_side) * image.shape[1::-1] * (1024 / max(image.shape))).float()
    batches = []
    with torch.inference_mode():
        embedding = model.get_image_embeddings(inputs["pixel_values"])
        for start in range(0, len(points), POINTS_AT_ONCE):
            batch = points[None, start : start + POINTS_AT_ONCE, None]
            labels = torch.ones(batch.shape[:3], dtype=torch.int64)
            output = model(image_embeddings=embedding, input_points=batch, input_labels=labels)
            logits = processor.post_process_masks(output.pred_masks, *sizes, binarize=False)[0]
            batches.append(filtered(logits.flatten(0, 1), output.iou_scores.flatten(), options))
    masks, ious, boxes = (torch.cat(tables).numpy() for tables in zip(*batches, strict=True))
    kept = box_nms(boxes, ious, options.most_overlap)
    return masks[kept], ious[kept]


def filtered(logits: Tensor, ious: Tensor, options: AutomaticMasks) -> tuple[Tensor, Tensor, Tensor]:
    """Masks, predicted IoUs and boxes of those that pass both thresholds."""
    from transformers.models.sam.image_processing_pil_sam import _batched_mask_to_box, _compute_stability_score

    sure = (ious > options.least_iou) & (_compute_stability_score(logits, 0, 1) >= options.least_stability)
    masks = logits[sure] > 0
    return masks, ious[sure], _batched_mask_to_box(masks)


def thresholds(promptable: SamPrompts, image: np.ndarray, promising: float) -> tuple[float, float]:
    """Predicted IoU that a share of masks exceeds, and the stability that half of these reach."""
    masks = promptable.set_image(image).predict(grid(4)[:, None] * image.shape[1::-1])
    least_iou = float(np.quantile(masks.scores, 1 - promising))
    return least_iou, float(np.median(masks.stability[masks.scores > least_iou]))


def prompted_masks(promptable: SamPrompts, decoder: DenseDecoder, image: np.ndarray, per_side: int) -> int:
    """Masks of the inner points of per_side ** 2 entities, from the image on; returns how many points there were."""
    embedded = promptable.set_image(image)
    assert embedded.shown is not None
    placed, features = embedded.shown
    with torch.inference_mode():
        decoder(features, placed)
    entities = decoder.proposals.entities(discs(placed.shape[-1], per_side), 0, embedded.extent.size)
    points = inner_points(entities.ids) / embedded.scale
    PromptedMasks().masks(embedded, points)
    return len(points)


def discs(side: int, per_side: int) -> dict[str, Tensor]:
    """Fields (1, 1, side, side) of a decoder, as logits, that show per_side ** 2 discs."""
    cell = side / per_side
    away = (torch.arange(side) + 0.5) % cell - cell / 2
    field = 4 * (1 - (away[:, None] ** 2 + away**2).sqrt() / (0.4 * cell))[None, None]
    return {name: -field if name == "boundary" else field for name in FIELDS}


def seconds(work: Callable[[], object]) -> float:
    """CPU-seconds of one call."""
    start = time.process_time()
    work()
    return time.process_time() - start


def main() -> None:
    """Both ways, their times and whether they agree."""
    parser = parser_with_turns(__doc__, turns=1)
    parser.add_argument("--points-per-side", type=int, default=32)
    parser.add_argument("--blocks", type=int, default=12)
    parser.add_argument("--side", type=int, default=1024)
    parser.add_argument("--promising", type=float, default=0.3)
    parser.add_argument("--prompted", type=int, default=10)
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    backbone, rng = random_sam(chosen.blocks), np.random.default_rng(0)
    promptable, model = SamPrompts(backbone), backbone.model
    blocks = rng.integers(0, 255, (chosen.side // 32, chosen.side // 32, 3)).repeat(32, 0).repeat(32, 1)
    image = (blocks + rng.normal(0, 15, blocks.shape)).clip(0, 255).astype(np.uint8)
    least_iou, least_stability = thresholds(promptable, image, chosen.promising)
    options = AutomaticMasks(chosen.points_per_side, least_iou, least_stability, most_overlap=1.0)
    results: dict[str, Any] = {}
    ours, plain = turn_by_turn(
        lambda: results.update(ours=options.masks(promptable, image)),
        lambda: results.update(plain=plain_masks(model, image, options)),
        turns=chosen.turns,
    )
    masks, ious = results["plain"]
    ours_masks = np.stack([*results["ours"]]) if len(results["ours"]) else masks[:0]
    order = len(ours_masks) == len(masks)
    same = np.mean(ours_masks == masks, axis=(1, 2)).min(initial=1.0) if order else 0.0
    encoder = seconds(lambda: promptable.set_image(image)), seconds(lambda: plain_encoder(model))
    ratio = median(b / a for a, b in zip(ours, plain, strict=True))
    decoding = median((b - encoder[1]) / (a - encoder[0]) for a, b in zip(ours, plain, strict=True))
    print(f"{chosen.points_per_side**2} points: {len(ours_masks)} masks, of the plain algorithm {len(masks)}; "
          f"least share of equal pixels of a mask {same:.6f}")  # fmt: skip
    print(f"ours {median(ours):.1f} s, plain {median(plain):.1f} s: {ratio:.2f} times as fast; without the encoder "
          f"({encoder[0]:.1f} and {encoder[1]:.1f} s) {decoding:.2f} times")  # fmt: skip
    if order:
        print(f"predicted IoUs differ by {np.abs(results['ours'].scores - ious).max(initial=0):.2e} at most")
    decoder = DenseDecoder(Dense(regions=False), backbone.dim, 1).eval()
    counts: list[int] = []
    apg = seconds(lambda: counts.append(prompted_masks(promptable, decoder, image, chosen.prompted)))
    each = (median(plain) - encoder[1]) / chosen.points_per_side**2
    reckoned = encoder[1] + ALL_POINTS * each
    print(f"prompted at {counts[0]} entities {apg:.1f} s; the plain algorithm with {ALL_POINTS} points "
          f"{reckoned:.0f} s, reckoned from its {chosen.points_per_side**2}: {reckoned / apg:.1f} times")  # fmt: skip
    print(f"peak {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20:.2f} GiB, which is the plain algorithm's")


def plain_encoder(model: Any) -> None:
    """transformers' own encoder on a picture of the network's size."""
    with torch.inference_mode():
        model.get_image_embeddings(torch.zeros(1, 3, 1024, 1024))


if __name__ == "__main__":
    main()
