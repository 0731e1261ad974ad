from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from transformers.models.sam.image_processing_pil_sam import SamImageProcessorPil
from transformers.models.sam.processing_sam import SamProcessor

from adapters.backbones import BackboneOptions, build_backbone
from adapters.backbones.folders import save_base
from adapters.decoders.build_promptable import build_promptable
from adapters.decoders.promptable import PromptableImage
from adapters.decoders.sam import SamPrompts
from adapters.proposals.automatic import stability
from domains.errors import InputError
from tests.adapters.backbones.test_checkpoints import sam_shapes, write
from tests.adapters.backbones.tiny_models import tiny_backbone, tiny_folder

SIDE = 64  # of the tiny SAM


def picture(height: int, width: int, seed: int = 0) -> np.ndarray:
    """(height, width, 3) uint8: blocks of colours with noise."""
    rng = np.random.default_rng(seed)
    blocks = rng.integers(0, 255, (-(-height // 12), -(-width // 12), 3))
    image = np.kron(blocks, np.ones((12, 12, 1)))[:height, :width] + rng.normal(0, 10, (height, width, 3))
    return image.clip(0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def promptable() -> SamPrompts:
    return SamPrompts(tiny_backbone("sam"))


def expected(promptable: SamPrompts, image: np.ndarray, several: bool = True, **prompts: Any) -> tuple:
    """Masks (P, K, H, W) bool, their logits, and predicted IoUs (P, K) by transformers' own processor and model."""
    size: Any = {"size": {"longest_edge": SIDE}, "pad_size": {"height": SIDE, "width": SIDE}}
    processor: Any = SamProcessor(SamImageProcessorPil(**size))
    nested = {name: [table] for name, table in prompts.items()}
    inputs = processor(image, return_tensors="pt", **nested)
    sizes = inputs.pop("original_sizes"), inputs.pop("reshaped_input_sizes")
    with torch.no_grad():
        model: Any = promptable.backbone.model
        output = model(**inputs, multimask_output=several)
    logits = processor.image_processor.post_process_masks(output.pred_masks, *sizes, binarize=False)[0]
    return logits.numpy() > 0, logits.numpy(), output.iou_scores[0].numpy()


def assert_equal(image: PromptableImage, masks: tuple, **prompts: Any) -> None:
    """That our masks are transformers', their predicted IoUs and stability too."""
    predicted, (pixels, logits, ious) = image.predict(**prompts), masks
    several = ious.shape[1]
    assert len(predicted) == pixels.shape[0] * several
    assert 0.02 < pixels.mean() < 0.98  # the weights say something
    assert np.array_equal(np.stack([*predicted]), pixels.reshape(-1, *pixels.shape[2:]))
    np.testing.assert_allclose(predicted.scores, ious.ravel(), atol=1e-4)
    fields = torch.from_numpy(logits).flatten(0, 1)
    np.testing.assert_allclose(predicted.stability, [stability(field) for field in fields], atol=1e-4)
    assert predicted.prompts.tolist() == np.repeat(np.arange(len(pixels)), several).tolist()
    assert predicted.levels.tolist() == [*range(several)] * len(pixels)


POINTS = [[[10.0, 20.0], [30.5, 4.0]], [[1.0, 1.0], [40.0, 30.0]], [[25.0, 25.0], [2.0, 38.0]]]
LABELS = [[1, 1], [1, 0], [0, 1]]
BOXES = [[2.0, 3.0, 30.0, 28.0], [10.0, 0.0, 50.0, 39.0], [5.0, 5.0, 12.5, 20.0]]


@pytest.mark.parametrize("height, width", [(40, 51), (150, 90), (64, 64)])
@pytest.mark.parametrize("kind", ["points", "boxes", "both"])
def test_masks_scores_and_stability_equal_transformers(promptable, height, width, kind) -> None:
    image = picture(height, width)
    points: Any = {"input_points": POINTS, "input_labels": LABELS} if kind != "boxes" else {}
    boxes: Any = {"input_boxes": BOXES} if kind != "points" else {}
    ours: Any = {name.removeprefix("input_"): np.array(table) for name, table in {**points, **boxes}.items()}
    assert_equal(promptable.set_image(image), expected(promptable, image, **points, **boxes), **ours)


def test_the_single_mask_of_a_box_equals_transformers(promptable) -> None:
    image = picture(40, 51)
    masks = expected(promptable, image, several=False, input_boxes=BOXES)
    assert masks[2].shape == (3, 1)
    assert_equal(promptable.set_image(image), masks, boxes=np.array(BOXES), several=False)


def test_many_prompts_on_one_embedding_equal_each_by_itself(promptable) -> None:
    embedded, rng = promptable.set_image(picture(48, 64)), np.random.default_rng(0)
    points = rng.uniform(0, 48, (11, 1, 2))
    together = embedded.predict(points)
    for i, point in enumerate(points):
        alone = embedded.predict(point[None])
        assert np.array_equal(np.stack([*alone]), np.stack([together[3 * i + k] for k in range(3)]))
        np.testing.assert_allclose(alone.scores, together.scores[3 * i : 3 * i + 3], atol=1e-5)


def test_candidates_below_the_least_iou_are_not_made(promptable) -> None:
    embedded, rng = promptable.set_image(picture(48, 64)), np.random.default_rng(0)
    points = rng.uniform(0, 48, (9, 1, 2))
    scores = embedded.predict(points).scores
    least = float(np.median(scores))
    decoded = [*embedded.candidates(points, least_iou=least)]
    rows = np.concatenate([3 * batch.prompts + batch.levels for batch in decoded])
    assert rows.tolist() == np.flatnonzero(scores > least).tolist()
    every = np.concatenate([batch.logits for batch in embedded.candidates(points)])
    kept = np.concatenate([batch.logits for batch in decoded])
    np.testing.assert_allclose(kept, every[rows], atol=1e-5)


def test_a_folder_gives_what_the_model_in_memory_gives(promptable, tmp_path) -> None:
    read = SamPrompts(build_backbone(BackboneOptions(name=str(tiny_folder("sam", tmp_path)))))
    points, image = np.array(POINTS), picture(40, 51)
    ours, theirs = (each.set_image(image).predict(points) for each in (read, promptable))
    assert np.array_equal(np.stack([*ours]), np.stack([*theirs]))


def test_an_original_checkpoint_takes_prompts_as_its_folder_does(tmp_path) -> None:
    write(tmp_path / "sam.pth", sam_shapes(64, 2, 2, (1,), grid=4, window=3))
    original = build_backbone(BackboneOptions(name=str(tmp_path / "sam.pth")))
    save_base(original, tmp_path / "folder", torch.float32)
    folder = build_backbone(BackboneOptions(name=str(tmp_path / "folder")))
    image, points = picture(40, 51), np.array(POINTS)
    ours, theirs = (SamPrompts(each).set_image(image).predict(points) for each in (original, folder))
    assert np.array_equal(np.stack([*ours]), np.stack([*theirs])) and 0.02 < ours.areas.mean() / (40 * 51) < 0.98
    np.testing.assert_allclose(ours.scores, theirs.scores, atol=1e-4)


def test_a_folder_of_the_encoder_alone_is_refused(tmp_path) -> None:
    model = tiny_backbone("sam").model
    state = {name: value for name, value in model.state_dict().items() if not name.startswith("mask_decoder")}
    model.save_pretrained(tmp_path, state_dict=state)
    backbone = build_backbone(BackboneOptions(name=str(tmp_path)))
    with pytest.raises(InputError, match=r"lacks \d+ tensors of SAM's prompt encoder and mask decoder, such as mask_d"):
        SamPrompts(backbone)


def test_another_family_takes_no_prompts() -> None:
    with pytest.raises(InputError, match="prompts want a SAM, such as facebook/sam-vit-base, .*tiny-vit is of the"):
        build_promptable(tiny_backbone("vit"))


def test_a_sam_knows_no_granularity(promptable) -> None:
    assert not promptable.takes_granularity
    with pytest.raises(InputError, match="has no granularity among its prompts; leave out --granularity, or take"):
        promptable.set_image(picture(16, 16)).predict(np.array([[[3.0, 3.0]]]), granularity=0.5)


@pytest.mark.parametrize(
    "prompts",
    [
        {},
        {"points": np.zeros((2, 2))},
        {"boxes": np.zeros((2, 3))},
        {"boxes": np.zeros((1, 4)), "points": np.zeros((2, 1, 2))},
        {"points": np.zeros((2, 1, 2)), "labels": np.zeros((2, 2))},
    ],
)
def test_prompts_of_other_shapes_are_refused(promptable, prompts) -> None:
    with pytest.raises(ValueError, match=r"wanted points \(P, n, 2\)"):
        promptable.set_image(picture(16, 16)).predict(**prompts)
