from __future__ import annotations

import sys
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from transformers.models.sam import image_processing_pil_sam as theirs

from adapters.decoders.promptable import PromptableImage
from adapters.decoders.sam import SamPrompts
from adapters.decoders.two_way import Decoded
from adapters.proposals.automatic import AutomaticMasks, crops_of, grid
from adapters.proposals.mask_set import MaskSet
from tests.adapters.backbones.tiny_models import tiny_backbone
from tests.adapters.decoders.test_sam import SIDE, picture
from tests.adapters.proposals.test_mask_set import slow_box_nms


@pytest.fixture(scope="module")
def promptable() -> SamPrompts:
    """A SAM of 64 px with random weights, whose predicted IoUs and logits spread."""
    backbone = tiny_backbone("sam")
    with torch.no_grad():
        decoder: Any = backbone.model.mask_decoder
        decoder.iou_prediction_head.proj_out.weight *= 8
        decoder.iou_prediction_head.proj_out.bias += 1  # a threshold below 0 is none
        for mlp in decoder.output_hypernetworks_mlps:
            mlp.proj_out.weight *= 40
            mlp.proj_out.bias *= 40
    return SamPrompts(backbone)


class Blobs:
    """A SAM whose masks are wavy blobs around the points, of three sizes, with predicted IoUs as good as random.

    Masks of random weights cover all of an image or nothing, so their boxes say nothing.
    """

    def __init__(self, promptable: SamPrompts) -> None:
        self.promptable = promptable

    def set_image(self, image: np.ndarray) -> PromptableImage:
        embedded: Any = self.promptable.set_image(image)
        scale = embedded.scale
        embedded.embedded = lambda points, labels, boxes: torch.from_numpy(points[:, 0] * scale).float()
        embedded.decoder = blobs
        return embedded


def blobs(points: torch.Tensor, several: bool, least_iou: float) -> Decoded:
    """Of points (P, 2) in pixels of the padded input."""
    level = torch.arange(3)
    ious = (torch.sin(points[:, :1] * 1.29 + points[:, 1:] * 0.782 + level * 3.1) * 4.37).frac().abs()  # (P, 3)
    y, x = torch.meshgrid(2 * torch.arange(32) + 1.0, 2 * torch.arange(32) + 1.0, indexing="ij")
    away = ((x - points[:, 0, None, None]) ** 2 + (y - points[:, 1, None, None]) ** 2).sqrt()  # (P, 32, 32)
    waves = torch.sin(x / 5 + points[:, 1, None, None]) + torch.cos(y / 4 + points[:, 0, None, None])
    steepness = 0.3 + 2 * ious.roll(1, 1)[..., None, None]
    logits = steepness * (3 + 5 * level[:, None, None] + 2 * waves[:, None] - away[:, None])
    prompts, levels = (ious > least_iou).nonzero(as_tuple=True)
    return Decoded(prompts, levels, logits[prompts, levels], ious[prompts, levels])


def all_masks(embedder: SamPrompts | Blobs, image: np.ndarray, points: np.ndarray) -> tuple[Any, Any]:
    """Logits (P, 3, 32, 32) and predicted IoUs (P, 3): transformers' own, where weights decide."""
    embedded: Any = embedder.set_image(image)
    if isinstance(embedder, Blobs):
        decoded = blobs(embedded.embedded(points[:, None], None, None), True, -1)
        return decoded.logits.unflatten(0, (-1, 3)), decoded.ious.unflatten(0, (-1, 3))
    placed = torch.from_numpy(points * embedded.scale)[None, :, None]
    labels = torch.ones(placed.shape[:3])
    with torch.no_grad():
        output = embedded.model(image_embeddings=embedded.embedding, input_points=placed, input_labels=labels)
    return output.pred_masks[0], output.iou_scores[0]


def full_size(logits: torch.Tensor, shape: tuple[int, ...]) -> torch.Tensor:
    """(P 3, H, W) of logits (P, 3, 32, 32) of the padded input."""
    scale = SIDE / max(shape)
    size = [int(side * scale + 0.5) for side in shape]
    fields = F.interpolate(logits, (SIDE, SIDE), mode="bilinear", align_corners=False)[..., : size[0], : size[1]]
    return F.interpolate(fields, list(shape), mode="bilinear", align_corners=False).flatten(0, 1)


def of_the_paper(
    embedder: SamPrompts | Blobs, image: np.ndarray, options: AutomaticMasks
) -> tuple[np.ndarray, np.ndarray]:
    """Masks (N, H, W) and predicted IoUs (N,) by the plain algorithm: everything at full size, pair by pair."""
    height, width = image.shape[:2]
    masks, ious, boxes, areas = [], [], [], []
    short = min(height, width)
    crops = [(0, 0, width, height, options.points_per_side)]
    for layer in range(1, options.crop_layers + 1):
        n = 2**layer
        overlap = int(options.crop_share * short * (2 / n))
        w, h = (int(np.ceil((overlap * (n - 1) + side) / n)) for side in (width, height))
        points = int(options.points_per_side / options.points_divisor**layer)
        for i in range(n):
            for j in range(n):
                x, y = i * (w - overlap), j * (h - overlap)
                crops.append((x, y, min(x + w, width), min(y + h, height), points))
    for x0, y0, x1, y1, count in crops:
        at = [(i + 0.5) / count for i in range(count)]
        points = np.array([(x * (x1 - x0), y * (y1 - y0)) for y in at for x in at])
        logits, scores = all_masks(embedder, image[y0:y1, x0:x1].copy(), points)
        fields, scores = full_size(logits, (y1 - y0, x1 - x0)), scores.flatten()
        chosen: list[tuple] = []
        for field, score in zip(fields, scores.tolist(), strict=True):
            steady = (field > 1).sum() / (field > -1).sum()
            if not (score > options.least_iou and steady >= options.least_stability):
                continue
            mask = np.zeros((height, width), bool)
            mask[y0:y1, x0:x1] = field.numpy() > 0
            y, x = np.nonzero(mask)
            box = np.array([x.min(), y.min(), x.max(), y.max()] if len(y) else [x0, y0, x0, y0])
            near_crop = abs(box - [x0, y0, x1, y1]) <= 20
            near_image = abs(box - [0, 0, width, height]) <= 20
            if not (near_crop & ~near_image).any():
                chosen.append((mask, score, box))
        kept = slow_box_nms(np.array([c[2] for c in chosen]), np.array([c[1] for c in chosen]), options.most_overlap)
        for i in kept:
            for table, value in zip((masks, ious, boxes), chosen[i], strict=True):
                table.append(value)
            areas.append((x1 - x0) * (y1 - y0))
    if len(crops) > 1:
        kept = slow_box_nms(np.array(boxes), -np.array(areas, float), options.most_crop_overlap)
        masks, ious = [masks[i] for i in kept], [ious[i] for i in kept]
    return np.array(masks), np.array(ious)


def assert_same(ours: MaskSet, masks: np.ndarray, ious: np.ndarray) -> None:
    assert len(ours) == len(masks) > 3
    assert np.array_equal(np.stack([*ours]), masks)
    np.testing.assert_allclose(ours.scores, ious, atol=1e-4)


def thresholds(embedder: SamPrompts | Blobs, image: np.ndarray, share: float) -> dict[str, Any]:
    """Of predicted IoU and stability, such that that share of masks goes by each."""
    logits, ious = all_masks(embedder, image, grid(6) * image.shape[1::-1])
    fields = full_size(logits, image.shape[:2])
    steady = (fields > 1).sum((1, 2)) / (fields > -1).sum((1, 2)).clamp(min=1)
    return {"least_iou": float(ious.quantile(share)), "least_stability": float(steady.quantile(share))}


@pytest.mark.parametrize("height, width", [(64, 64), (90, 70)])
def test_masks_of_random_weights_are_those_of_the_plain_algorithm(promptable, height, width) -> None:
    image = picture(height, width)
    options = AutomaticMasks(points_per_side=6, most_overlap=1.0, **thresholds(promptable, image, 0.4))
    assert_same(options.masks(promptable, image), *of_the_paper(promptable, image, options))


@pytest.mark.parametrize("height, width", [(64, 64), (90, 70), (200, 310)])
def test_masks_of_the_grid_are_those_of_the_plain_algorithm(promptable, height, width) -> None:
    embedder, image = Blobs(promptable), picture(height, width)
    options = AutomaticMasks(points_per_side=10, most_overlap=0.5, **thresholds(embedder, image, 0.3))
    assert_same(options.masks(embedder, image), *of_the_paper(embedder, image, options))


def test_masks_of_crops_are_those_of_the_plain_algorithm(promptable) -> None:
    embedder, image = Blobs(promptable), picture(220, 260)
    settings: Any = {"points_per_side": 6, "points_divisor": 2, "crop_layers": 1, "most_overlap": 0.6}
    limits = thresholds(embedder, image, 0.2)
    options = AutomaticMasks(**settings, **limits, most_crop_overlap=0.5)
    assert_same(options.masks(embedder, image), *of_the_paper(embedder, image, options))
    loose = AutomaticMasks(**settings, **limits, most_crop_overlap=1.0)
    assert len(loose.masks(embedder, image)) > len(options.masks(embedder, image))


def nms_of_torchvision(boxes: Any, scores: Any, idxs: Any, iou_threshold: float) -> torch.Tensor:
    return torch.tensor(slow_box_nms(boxes.numpy(), scores.numpy(), iou_threshold))


def test_masks_are_those_of_transformers_mask_generation(promptable, monkeypatch) -> None:
    """Its steps one by one, as its pipeline has them, which imports torchvision; nms is all that it wants of that."""
    boxes: Any = ModuleType("torchvision.ops.boxes")
    boxes.batched_nms = nms_of_torchvision
    for name, module in {"torchvision": ModuleType("torchvision"), "torchvision.ops": ModuleType("ops")}.items():
        monkeypatch.setitem(sys.modules, name, module)
    monkeypatch.setitem(sys.modules, "torchvision.ops.boxes", boxes)
    embedder, image = Blobs(promptable), picture(72, 90)
    limits = thresholds(embedder, image, 0.3)
    size: Any = {"size": {"longest_edge": SIDE}, "pad_size": {"height": SIDE, "width": SIDE}}
    processor: Any = theirs.SamImageProcessorPil(**size)
    crops, points, pixels, _ = processor.generate_crop_boxes(image, SIDE, 0, 512 / 1500, 10, 1)
    sizes = processor(images=pixels, return_tensors="pt")
    sizes = sizes["original_sizes"], sizes["reshaped_input_sizes"]
    unscaled = points[0, :, 0].numpy() / sizes[1][0].numpy()[::-1] * image.shape[1::-1]
    logits, ious = all_masks(embedder, image, unscaled)
    logits = processor.post_process_masks(logits[None], *sizes, binarize=False)[0]
    masks: Any = processor.filter_masks(
        logits, ious, image.shape[:2], crops[0], limits["least_iou"], limits["least_stability"]
    )
    expected, ious, *_ = theirs._post_process_for_mask_generation(*masks, 0.5)
    ours = AutomaticMasks(points_per_side=10, most_overlap=0.5, **limits).masks(embedder, image)
    assert_same(ours, np.array(expected), ious.numpy())


def test_crops_and_points_are_those_of_transformers() -> None:
    boxes, layers = theirs._generate_per_layer_crops(2, 512 / 1500, (333, 517))
    assert [[*crop] for crop in crops_of((333, 517), 2, 512 / 1500)] == [
        [*box, layer] for box, layer in zip(boxes, layers, strict=True)
    ]
    np.testing.assert_allclose(grid(7), theirs._build_point_grid(7))


def test_an_image_without_sure_masks_has_none(promptable) -> None:
    assert len(AutomaticMasks(points_per_side=3, least_iou=1e6).masks(promptable, picture(40, 40))) == 0
    assert len(AutomaticMasks(points_per_side=2, least_iou=1e6, crop_layers=1).masks(promptable, picture(40, 40))) == 0
