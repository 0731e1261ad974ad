"""SAM 2's propagation in batches, with a memory of fixed size, against transformers' own sessions."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor
from transformers import Sam2VideoModel
from transformers.models.sam2_video.modeling_sam2_video import Sam2VideoInferenceSession

from adapters.decoders.sam2_memory import MemoryBank
from adapters.decoders.sam2_video import Propagated, Sam2Propagation
from tests.adapters.decoders.tiny_sam2 import SIDE_PX, tiny_sam2

FRAMES = 9


def pixels(seed: int = 1) -> Tensor:
    """(F, 1, 3, S, S) a picture that changes with noise."""
    torch.manual_seed(seed)
    return torch.randn(1, 1, 3, SIDE_PX, SIDE_PX) + 0.4 * torch.randn(FRAMES, 1, 3, SIDE_PX, SIDE_PX)


def rectangle(top: int, left: int, height: int, width: int) -> Tensor:
    mask = torch.zeros(1, 1, SIDE_PX, SIDE_PX)
    mask[..., top : top + height, left : left + width] = 1
    return mask


def of_transformers(model: Sam2VideoModel, frames: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """Logits (F, 4 h, 4 w) and whether the entity is there (F,), of transformers' session of one entity, streamed."""
    session = Sam2VideoInferenceSession(video_height=SIDE_PX, video_width=SIDE_PX, dtype=torch.float32)
    session.add_mask_inputs(session.obj_id_to_idx(1), 0, mask)
    session.obj_with_new_inputs.append(1)
    outputs = [model(inference_session=session, frame=frame) for frame in frames]
    return (torch.stack([output.pred_masks[0, 0] for output in outputs]),
            torch.stack([output.object_score_logits.flatten()[0] for output in outputs]))  # fmt: skip


def propagation(model: Sam2VideoModel) -> Sam2Propagation:
    return Sam2Propagation(model, (0.0,) * 3, (1.0,) * 3)


@torch.no_grad()
def followed(model: Sam2Propagation, frames: Tensor, births: list[tuple[int, Tensor]]) -> list[Propagated]:
    """Of each frame the answer for the entities that were born before it or in it, in this order."""
    bank, answers = None, []
    for at, frame in enumerate(frames):
        seen, batches = model.look(frame), []
        if bank is not None:
            batches.append(model.propagated(seen, bank, at))
            bank.remember(at, batches[0].memorised)
        masks = [mask for birth, mask in births if birth == at]
        if masks:
            batches.append(model.prompted(seen, torch.cat(masks)))
            opened = MemoryBank.opened(at, batches[-1].memorised, *model.rings)
            bank = opened if bank is None else bank.joined(opened)
        answers.append(Propagated.joined(batches))
    return answers


@pytest.mark.parametrize(("seed", "exists"), [(0, 2.0), (3, -13.6)], ids=["there", "hidden at times"])
def test_logits_are_those_of_transformers_own_propagation(seed: int, exists: float) -> None:
    """Nine frames: the rings of three and of four have gone round."""
    model, mask, frames = tiny_sam2(0, exists), rectangle(10, 8, 20, 32), pixels(seed)
    logits, there = of_transformers(model, frames, mask)
    answers = followed(propagation(model), frames, [(0, mask)])
    ours = torch.cat([answer.logits for answer in answers])
    assert torch.allclose(ours, logits, atol=1e-4) and torch.equal(ours > 0, logits > 0)
    assert torch.allclose(torch.cat([answer.exists for answer in answers]), there, atol=1e-4)
    share = (logits[1:] > 0).float().mean((1, 2))
    assert (there[1:] > 0).any() and ((share > 0.05) & (share < 0.95)).any()
    assert (exists > 0) == bool((there > 0).all())


@torch.no_grad()
@pytest.mark.parametrize(("seed", "exists"), [(0, 2.0), (3, -13.0)], ids=["there", "hidden at times"])
def test_a_box_is_answered_and_propagated_as_transformers_does(seed: int, exists: float) -> None:
    model, frames = tiny_sam2(0, exists), pixels(seed)[:6]
    ours, box = propagation(model), torch.tensor([[8.0, 10.0, 40.0, 30.0]])
    session = Sam2VideoInferenceSession(video_height=SIDE_PX, video_width=SIDE_PX, dtype=torch.float32)
    corners = {"point_coords": box.view(1, 1, 2, 2), "point_labels": torch.tensor([[[2, 3]]], dtype=torch.int32)}
    session.add_point_inputs(session.obj_id_to_idx(1), 0, corners)
    session.obj_with_new_inputs.append(1)
    expected = [model(inference_session=session, frame=frame) for frame in frames]
    seen = ours.look(frames[0])
    answers = [ours.boxed(seen, torch.cat([box, box + 3]))]
    bank = MemoryBank.opened(0, answers[0].memorised, *ours.rings)
    for at, frame in enumerate(frames[1:], start=1):
        answers.append(ours.propagated(ours.look(frame), bank, at))
        bank.remember(at, answers[-1].memorised)
    for answer, output in zip(answers, expected, strict=True):
        assert torch.allclose(answer.logits[0], output.pred_masks[0, 0], atol=3e-3)  # beside another, in bfloat16
        assert torch.allclose(answer.exists[0], output.object_score_logits.flatten()[0], atol=3e-3)
    assert torch.allclose(answers[0].logits[0], expected[0].pred_masks[0, 0], atol=1e-4)
    assert not torch.allclose(answers[0].logits[0], answers[0].logits[1], atol=1e-2) or exists < 0
    masks = np.zeros((2, 128, 32), bool)
    masks[0, 20:60, 4:20], masks[1, 127:, 31:] = True, True
    assert ours.boxes(masks).tolist() == [[8, 10, 40, 30], [62, 63.5, 64, 64]]


@torch.no_grad()
def test_entities_in_a_batch_are_answered_as_each_alone() -> None:
    """Of three ages, one prompted while others are propagated; transformers' session hardens the memories of those."""
    model, frames = propagation(tiny_sam2(exists=2.0)), pixels()[:7]
    births = [(0, rectangle(10, 8, 20, 32)), (0, rectangle(40, 40, 16, 16)), (2, rectangle(0, 30, 9, 30))]
    together = followed(model, frames, births)
    for row in (0, 2):
        birth, mask = births[row]
        alone = followed(model, frames[birth:], [(0, mask)])
        for answer, single in zip(together[birth:], alone, strict=True):
            # memories are bfloat16: what rounds the other way is seen in the next frames
            assert torch.allclose(answer.logits[row], single.logits[0], atol=3e-3)
            clear = single.logits[0].abs() > 3e-3
            assert torch.equal((answer.logits[row] > 0) & clear, (single.logits[0] > 0) & clear)
    seen = model.look(frames[0])
    bank = MemoryBank.opened(0, model.prompted(seen, torch.cat([mask for _, mask in births])).memorised, *model.rings)
    for answer in together[2:5]:
        bank.remember(len(births), answer.memorised)
    bank.born[1] = 3
    answer = model.propagated(seen, bank, 6)
    for row in range(3):
        single = model.propagated(seen, bank.of(torch.tensor([row])), 6)
        assert torch.allclose(answer.logits[row], single.logits[0], atol=1e-4)
        assert torch.allclose(answer.memorised.pointers[row], single.memorised.pointers[0], atol=1e-4)


@torch.no_grad()
def test_every_memory_matters_and_none_is_kept_beyond_the_rings() -> None:
    model, frames = propagation(tiny_sam2(exists=2.0)), pixels()
    seen = model.look(frames[0])
    bank = MemoryBank.opened(0, model.prompted(seen, rectangle(10, 8, 20, 32)).memorised, *model.rings)
    size = bank.bytes
    for at in range(1, 8):
        bank.remember(at, model.propagated(model.look(frames[at]), bank, at).memorised)
        assert bank.bytes == size
    logits = model.propagated(seen, bank, 8).logits
    for name, tensor in bank.tensors().items():
        if name != "born":
            for place in range(tensor.shape[1]) if name in ("recent", "pointers") else [slice(None)]:
                changed = tensor.clone()
                changed[:, place] = 0
                without = MemoryBank(**{**bank.tensors(), name: changed})
                assert not torch.allclose(model.propagated(seen, without, 8).logits, logits, atol=1e-4), name


def test_a_mask_finer_than_the_network_s_pixels_keeps_one() -> None:
    model = propagation(tiny_sam2())
    masks = np.zeros((2, 640, 320), bool)
    masks[0, 305:308, 101:102] = True
    masks[1, 320:, :] = True
    prompts = model.prompts(masks)
    assert prompts.shape == (2, 1, SIDE_PX, SIDE_PX) and set(prompts.unique().tolist()) == {0.0, 1.0}
    assert prompts[0].nonzero().tolist() == [[0, 30, 20]]
    assert torch.equal(prompts[1, 0], rectangle(32, 0, 32, 64)[0, 0])
    image = np.full((50, 90, 3), (255, 0, 51), np.uint8)
    assert torch.allclose(model.pixels(image).mean((0, 2, 3)), torch.tensor([1.0, 0.0, 0.2]), atol=1e-5)
