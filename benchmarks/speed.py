"""What each shortcut is worth, and what each part costs: ratios of CPU-seconds, turn by turn in one run.

    python benchmarks/speed.py            one thread, generated scenes, the default recipe; two minutes

A ratio above 1 says how many times as fast the second side is. Absolute times depend on the machine and on what else
runs.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch
sys.path[:0] = [] if "benchmarks" in sys.modules else [str(Path(__file__).resolve().parents[1])]

import numpy as np  # noqa: E402
import torch  # noqa: E402
from skimage.measure import label  # noqa: E402
from skimage.morphology import local_maxima, reconstruction  # noqa: E402
from skimage.segmentation import watershed  # noqa: E402

from adapters.methods import merge  # noqa: E402
from adapters.network import ONE_VIEW, EntitySegmenter, Views  # noqa: E402
from adapters.proposals.basins import basins, merge_shallow  # noqa: E402
from adapters.training.module import best_precision  # noqa: E402
from adapters.training.region_fit import fit_regions  # noqa: E402
from benchmarks.unet import UNetSegmenter  # noqa: E402
from recipes.build import backbone_of, contract_of, domain_of, method_of, module_of, segmenter_of  # noqa: E402
from recipes.reading.compose import load_recipe  # noqa: E402
from recipes.reading.schema import Recipe  # noqa: E402
from recipes.scale import pixel_size  # noqa: E402
from recipes.verbs.fit import data_of  # noqa: E402

TURNS = 7
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
    fast, slow = decoding(recipe)
    show("entities of a 256 px tile, basins merged rather than flooded from h-maxima", slow, fast)
    print("what parts cost, in the precision that fit takes here, decoder only")
    for name, networks in others().items():
        show(f"training step, {name}", *turn_by_turn(*(training_step(recipe, one) for one in networks)))
        show(f"prediction of four images, {name}", *turn_by_turn(*map(prediction, networks)))
    once, twice = (prediction(network(recipe), Views(symmetries)) for symmetries in (1, 2))
    show("prediction of four images, two views rather than one", *turn_by_turn(twice, once))
    cut, chosen = network(load_recipe("pathology", ["decoder.regions=false"])), by_regions(recipe)
    show("prediction of four images, the watershed rather than regions", *turn_by_turn(*map(prediction, (chosen, cut))))
    if best_precision() == BF16:
        one = network(recipe)
        full, half = (training_step(recipe, one, kind) for kind in ("fp32", "auto"))
        show("training step, bf16 rather than fp32", *turn_by_turn(full, half))


def others() -> dict[str, tuple[EntitySegmenter, EntitySegmenter]]:
    """Comparison -> (pathology's network, another one)."""
    own, plain = load_recipe("pathology"), load_recipe("pathology", ["decoder.detail=false"])
    return {
        "the decoder without convolutions on the image rather than with them": (network(own), network(plain)),
        "MONAI's U-Net rather than ours": (network(own), UNetSegmenter()),
    }


def training_step(recipe: Recipe, segmenter: EntitySegmenter, precision: str = "auto") -> Callable[[], None]:
    """Loss and gradients of one batch of the recipe's crops."""
    module = module_of(recipe, segmenter)
    domain = domain_of(recipe)
    batch = next(iter(data_of(recipe, domain, domain.dataset("train"), None).train_dataloader()))

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


def denormals(recipe: Recipe) -> tuple[list[float], list[float]]:
    """Seconds of training steps on one batch, denormal numbers flushed and not."""
    module = module_of(recipe, network(recipe))
    domain = domain_of(recipe)
    batch = next(iter(data_of(recipe, domain, domain.dataset("train"), None).train_dataloader()))

    def step(flush: bool) -> Callable[[], None]:
        def run() -> None:
            torch.set_flush_denormal(flush)
            torch.stack(list(module.loss(module(batch.images), batch).values())).sum().backward()
            module.zero_grad()

        return run

    return turn_by_turn(step(True), step(False))


def merging(recipe: Recipe, side: int) -> tuple[list[float], list[float]]:
    """Seconds of the backbone on four images, LoRA merged and not."""
    merged, beside = network(recipe).eval(), network(recipe).eval()
    merge(merged.backbone)
    images = torch.rand(4, 3, side, side)
    with torch.inference_mode():
        return turn_by_turn(lambda: merged.backbone(images), lambda: beside.backbone(images))


def decoding(recipe: Recipe) -> tuple[list[float], list[float]]:
    """Seconds from core fields to regions, ours and skimage's."""
    segmenter = network(recipe).eval()
    test = domain_of(recipe).dataset("test")
    fields = []
    for output in segmenter.outputs([test[i].image for i in range(len(test))]):
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
    segmenter, train = network(recipe), domain_of(recipe).dataset("train")
    if not fit_regions(segmenter, train, contract_of(recipe, pixel_size(train))):
        raise RuntimeError("too few candidates in the sample for a scorer of regions")
    return segmenter


def turn_by_turn(*runs: Callable[[], object]) -> tuple[list[float], list[float]]:
    """CPU-seconds of two functions, called one after the other; the first call of each is not counted."""
    took: tuple[list[float], list[float]] = ([], [])
    for turn in range(TURNS + 1):
        for run, times in zip(runs, took, strict=True):
            start = time.process_time()
            run()
            if turn:
                times.append(time.process_time() - start)
    return took


def show(what: str, before: list[float], after: list[float]) -> None:
    print(f"{median(before) / median(after):5.2f}  {what}: {median(before):.3f} s -> {median(after):.3f} s")


if __name__ == "__main__":
    main()
