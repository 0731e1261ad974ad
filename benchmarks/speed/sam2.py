"""SAM 2's propagation in batches beside transformers' session, at equal masks: CPU-seconds and bytes remembered.

    python -m benchmarks.speed.sam2 [--side 512] [--slots 8] [--frames 10]

A SAM 2 of the tiny size (`Sam2VideoConfig()`, as facebook/sam2.1-hiera-tiny) with random weights that carry signal,
which sees frames of noise at `side` px; every slot is prompted in the first. Both run in one process, frame by frame in
turn, and their logits are compared; what is remembered is told at the middle and at the end. Random weights say nothing
of how well anything is followed.
"""

from __future__ import annotations

import argparse
import time
from typing import Any

import torch
from torch import Tensor
from transformers import Sam2VideoConfig, Sam2VideoModel
from transformers.models.sam2_video.modeling_sam2_video import Sam2VideoInferenceSession

from adapters.backbones.backbone import IMAGENET_MEAN, IMAGENET_STD
from adapters.decoders.pretrained_sam2 import see_at
from adapters.decoders.sam2_memory import MemoryBank
from adapters.decoders.sam2_video import Sam2Propagation


def random_sam2(side_px: int) -> Sam2VideoModel:
    """Of the tiny size, whose entities are all there."""
    config: Any = Sam2VideoConfig()
    see_at(config, side_px)
    torch.manual_seed(0)
    model = Sam2VideoModel(config).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.05 * torch.randn_like(parameter)
        model.mask_decoder.pred_obj_score_head.proj_out.bias.add_(10)
    return model


def remembered(session: Sam2VideoInferenceSession) -> int:
    """Bytes of the tensors that a session keeps of frames and entities."""
    frames = list((session.processed_frames or {}).values())
    kinds = (output.values() for output in session.output_dict_per_obj.values())
    tensors = [tensor for kind in kinds for frame in kind for output in frame.values() for tensor in output.values()]
    storages = {
        tensor.untyped_storage().data_ptr(): tensor.untyped_storage().nbytes() for tensor in [*frames, *tensors]
    }
    return sum(storages.values())


@torch.no_grad()
def compare(side_px: int, slots: int, frames: int) -> None:
    """Print times, bytes and the largest difference."""
    model = random_sam2(side_px)
    ours = Sam2Propagation(model, IMAGENET_MEAN, IMAGENET_STD)
    session = Sam2VideoInferenceSession(video_height=side_px, video_width=side_px, dtype=torch.float32)
    masks = (torch.rand(slots, 1, 8, 8) > 0.7).float().repeat_interleave(side_px // 8, 2)
    masks = masks.repeat_interleave(side_px // 8, 3)
    seconds, largest, bank = {"ours": 0.0, "transformers": 0.0}, 0.0, None
    for at in range(frames):
        frame = torch.randn(1, 3, side_px, side_px)
        begin = time.process_time()
        bank, logits = stepped(ours, frame, masks, bank, at)
        middle = time.process_time()
        if at == 0:
            for number in range(slots):
                session.add_mask_inputs(session.obj_id_to_idx(number), 0, masks[number][None])
                session.obj_with_new_inputs.append(number)
        plain = model(inference_session=session, frame=frame).pred_masks[:, 0]
        if at:
            seconds["ours"] += middle - begin
            seconds["transformers"] += time.process_time() - middle
        largest = max(largest, float((plain - logits).abs().max()))
        if at in (frames // 2, frames - 1):
            print(f"frame {at + 1}: ours {bank.bytes / 2**20:.1f} MiB, session {remembered(session) / 2**20:.1f} MiB")
    for name, total in seconds.items():
        print(f"{name:12} {total / max(frames - 1, 1):.2f} CPU-seconds a frame of {side_px} px with {slots} slots")
    print(f"logits differ by {largest:.1e} at most, of a spread of {float(logits.std()):.2f}")


def stepped(
    ours: Sam2Propagation, frame: Tensor, masks: Tensor, bank: MemoryBank | None, at: int
) -> tuple[MemoryBank, Tensor]:
    """The bank behind a frame, and the logits (N, h, w) in it."""
    seen = ours.look(frame)
    if bank is None:
        answer = ours.prompted(seen, masks)
        return MemoryBank.opened(at, answer.memorised, *ours.rings), answer.logits
    answer = ours.propagated(seen, bank, at)
    bank.remember(at, answer.memorised)
    return bank, answer.logits


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--side", type=int, default=512)
    parser.add_argument("--slots", type=int, default=8)
    parser.add_argument("--frames", type=int, default=10)
    arguments = parser.parse_args()
    compare(arguments.side, arguments.slots, arguments.frames)
