"""What each shortcut is worth, and what each part costs: ratios of CPU-seconds, turn by turn in one run.

    python benchmarks/speed.py            one thread, generated scenes, the default recipe; two minutes

A ratio above 1 says how many times as fast the second side is. Absolute times depend on the machine and on what else
runs.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from statistics import median

import numpy as np
import torch
from skimage.measure import label
from skimage.morphology import local_maxima, reconstruction
from skimage.segmentation import watershed
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention

from adapters.backbones.learning_attention import attend
from adapters.decoders.group_norm import GroupNorm
from adapters.methods import merge
from adapters.network import ONE_VIEW, EntitySegmenter, Views
from adapters.proposals.basins import basins, merge_shallow
from adapters.runtime import best_precision
from adapters.training.fitting import Plan, learn_regions
from benchmarks.accuracy.unet import UNetSegmenter
from benchmarks.speed.turns import TURNS, turn_by_turn
from recipes.build import backbone_of, domain_of, method_of, segmenter_of
from recipes.plan import plan_of, splits_of
from recipes.reading.compose import load_recipe
from recipes.reading.schema import Recipe

BF16 = best_precision("bf16")


def main() -> None:
    torch.set_num_threads(1)
    recipe = load_recipe("pathology", ["domain.sample_count=16"])
    print(f"torch {torch.__version__}, one thread; ratio of the medians of {TURNS} turns")
    for method in ("lora", "decoder_only"):
        flushed, plain = denormals(load_recipe("pathology", ["domain.sample_count=16", f"method.name={method}"]))
        show(f"training step of {method}, denormal numbers flushed", plain, flushed)
    for side in (128, 256):
        merged, beside = merging(load_recipe("pathology", ["method.name=lora"]), side)
        show(f"backbone at {side} px, LoRA merged", beside, merged)
    ours, torchs = norms(recipe)
    show("training step, group norm's gradient vectorised channels-last rather than torch's", torchs, ours)
    blocked, whole = attending()
    show("attention of 8 crops with its gradient in bf16, in blocks rather than torch's", whole, blocked)
    fast, slow = decoding(recipe)
    show("entities of a 256 px tile, basins merged rather than flooded from h-maxima", slow, fast)
    print("what parts cost, in the precision that fit takes here, decoder only")
    for name, networks in comparisons().items():
        show(f"training step, {name}", *turn_by_turn(*(training_step(recipe, segmenter) for segmenter in networks)))
        show(f"prediction of four images, {name}", *turn_by_turn(*map(prediction, networks)))
    once, twice = (prediction(network(recipe), Views(symmetries)) for symmetries in (1, 2))
    show("prediction of four images, two views rather than one", *turn_by_turn(twice, once))
    cut, chosen = network(load_recipe("pathology", ["decoder.regions=false"])), by_regions(recipe)
    show("prediction of four images, the watershed rather than regions", *turn_by_turn(*map(prediction, (chosen, cut))))
    if best_precision() == BF16:
        segmenter = network(recipe)
        full, half = (training_step(recipe, segmenter, kind) for kind in ("fp32", "auto"))
        show("training step, bf16 rather than fp32", *turn_by_turn(full, half))


def comparisons() -> dict[str, tuple[EntitySegmenter, EntitySegmenter]]:
    """Comparison -> (pathology's network, another one)."""
    recipe, bare = load_recipe("pathology"), load_recipe("pathology", ["decoder.detail=false"])
    return {
        "the decoder without convolutions on the image rather than with them": (network(recipe), network(bare)),
        "MONAI's U-Net rather than ours": (network(recipe), UNetSegmenter()),
    }


def plan(recipe: Recipe, segmenter: EntitySegmenter | None = None) -> Plan:
    """What a fit of the recipe to its generated scenes would do, to another network where one is given."""
    domain = domain_of(recipe)
    network = None if segmenter is None else lambda recipe: segmenter
    return plan_of(recipe, domain, splits_of(domain), network=network).plan


def training_step(recipe: Recipe, segmenter: EntitySegmenter, precision: str = "auto") -> Callable[[], None]:
    """Loss and gradients of one batch of the recipe's crops."""
    fitted = plan(recipe, segmenter)
    module, crops = fitted.module(), fitted.crops(fitted.train, None, 1)
    batch = next(iter(crops.train_dataloader()))

    def run() -> None:
        with torch.autocast("cpu", torch.bfloat16, enabled=best_precision(precision) == BF16):
            loss = torch.stack(list(module.loss(module(batch.images), batch).values())).sum()
        loss.backward()
        module.zero_grad()

    return run


def prediction(segmenter: EntitySegmenter, views: Views = ONE_VIEW) -> Callable[[], object]:
    """Four generated images to entities; prediction is in fp32."""
    scenes = domain_of(load_recipe("pathology", ["domain.sample_count=16"])).dataset("all")
    images = [scenes[i].image for i in range(4)]
    segmenter.eval()
    return lambda: segmenter.entities(images, views)


def denormals(recipe: Recipe) -> tuple[list[float], ...]:
    """Seconds of training steps on one batch, denormal numbers flushed and not."""
    step = training_step(recipe, network(recipe), "fp32")

    def flushing(flush: bool) -> Callable[[], None]:
        def run() -> None:
            torch.set_flush_denormal(flush)
            step()

        return run

    return turn_by_turn(flushing(True), flushing(False))


def merging(recipe: Recipe, side: int) -> tuple[list[float], ...]:
    """Seconds of the backbone on four images, LoRA merged and not."""
    merged, beside = network(recipe).eval(), network(recipe).eval()
    merge(merged.backbone)
    images = torch.rand(4, 3, side, side)
    with torch.inference_mode():
        return turn_by_turn(lambda: merged.backbone(images), lambda: beside.backbone(images))


def norms(recipe: Recipe) -> tuple[list[float], ...]:
    """Seconds of training steps with our group norm and with torch's."""
    ours, torchs = network(recipe), network(recipe)
    for module in torchs.decoder.modules():
        if isinstance(module, GroupNorm):
            module.forward = partial(nn.GroupNorm.forward, module)
    for norm in torchs.decoder.norms:  # type: ignore[union-attr]
        norm.register_forward_pre_hook(contiguous)  # channels-last, torch's crashes where its input does not learn
    return turn_by_turn(training_step(recipe, ours), training_step(recipe, torchs))


def contiguous(module: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    """The inputs channel by channel."""
    return tuple(x.contiguous() for x in inputs)


def attending() -> tuple[list[float], ...]:
    """Seconds of attention and its gradient over the tokens of a batch of the embedded base, ours and torch's."""
    states = [torch.randn(24, 257, 64, dtype=torch.bfloat16, requires_grad=True) for _ in range(3)]

    def learning(attention: Callable[..., Tensor]) -> Callable[[], None]:
        return lambda: attention(*states).sum().backward()

    return turn_by_turn(learning(attend), learning(scaled_dot_product_attention))


def decoding(recipe: Recipe) -> tuple[list[float], ...]:
    """Seconds from core fields to regions, ours and skimage's."""
    segmenter = network(recipe).eval()
    test = domain_of(recipe).dataset("test")
    fields = []
    for output in segmenter.outputs([test[i].image for i in range(len(test))]):  # type: ignore[arg-type]
        found = {name: logits[output.index, 0].sigmoid().numpy() for name, logits in output.outputs.items()}
        level = np.round((found["boundary_distance"] + 1 - found["boundary"]) * 500).astype(np.int32)
        fields.append((level, found["foreground"] > 0.5))

    def ours() -> None:
        for level, mask in fields:
            merge_shallow(*basins(level, mask), level, 200)

    def flooded() -> None:
        for level, mask in fields:
            level = np.where(mask, level, 0)
            cut = reconstruction(level - 200, level)
            watershed(-level, label(local_maxima(cut) & mask, connectivity=2), mask=mask)

    return turn_by_turn(ours, flooded)


def network(recipe: Recipe) -> EntitySegmenter:
    return segmenter_of(recipe, backbone_of(recipe), method_of(recipe))


def by_regions(recipe: Recipe) -> EntitySegmenter:
    """As it is after a fit: with a scorer of regions, which without fitting leaves the watershed."""
    fitted = plan(recipe)
    if not learn_regions(fitted):
        raise RuntimeError("too few candidates in the sample for a scorer of regions")
    return fitted.network


def show(what: str, before: list[float], after: list[float]) -> None:
    print(f"{median(before) / median(after):5.2f}  {what}: {median(before):.3f} s -> {median(after):.3f} s")
