#!/usr/bin/env bash
# transformers 5.23.0, torch 2.13.0: what Sam2VideoModel answers for a frame of a clip that is loaded whole depends on how
# many frames come after it, as long as the clip has fewer than max_object_pointers_in_encoder (16): the age of an object
# pointer is divided by the number of frames less 1. Streamed, the same frames are answered as in a long clip.
# A guess from memory: propagation is causal, so a clip cut short gives the same masks.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q torch==2.13.0 transformers==5.23.0 numpy==2.4.6
"$work/venv/bin/python" -W ignore - <<'PY'
import torch
from transformers import Sam2VideoConfig, Sam2VideoInferenceSession, Sam2VideoModel

SIDE, WIDTH = 64, 128
grids = [[SIDE // stride] * 2 for stride in (4, 8, 16)]
hiera = dict(
    model_type="sam2_hiera_det_model", hidden_size=8, embed_dim_per_stage=[8, 16, 32, 64], blocks_per_stage=[1, 1, 2, 1],
    num_attention_heads_per_stage=[1, 1, 2, 2], window_size_per_stage=[8, 4, 4, 2], global_attention_blocks=[3],
)
config = Sam2VideoConfig(
    vision_config=dict(
        backbone_config=hiera, backbone_channel_list=[64, 32, 16, 8], backbone_feature_sizes=grids, fpn_hidden_size=WIDTH
    ),
    prompt_encoder_config=dict(hidden_size=WIDTH, image_size=SIDE),
    mask_decoder_config=dict(hidden_size=WIDTH, mlp_dim=32, num_attention_heads=2),
    image_size=SIDE, memory_attention_hidden_size=WIDTH, memory_attention_num_layers=2,
    memory_attention_rope_feat_sizes=grids[-1], memory_encoder_hidden_size=WIDTH, mask_downsampler_embed_dim=WIDTH,
    memory_fuser_embed_dim=WIDTH, memory_fuser_intermediate_dim=32,
)
torch.manual_seed(0)
model = Sam2VideoModel(config).eval()
with torch.no_grad():
    for parameter in model.parameters():
        parameter += 0.1 * torch.randn_like(parameter)
    model.mask_decoder.pred_obj_score_head.proj_out.bias += 2  # all entities are there
frames = torch.randn(1, 3, SIDE, SIDE) + 0.4 * torch.randn(18, 1, 3, SIDE, SIDE)
mask = torch.zeros(1, 1, SIDE, SIDE)
mask[..., 10:30, 8:40] = 1


def session(video=None):
    started = Sam2VideoInferenceSession(video=video, video_height=SIDE, video_width=SIDE, dtype=torch.float32)
    started.add_mask_inputs(started.obj_id_to_idx(1), 0, mask)
    started.obj_with_new_inputs.append(1)
    return started


def loaded(count):
    """Logits (F, h, w) of a clip of so many frames."""
    outputs = model.propagate_in_video_iterator(session(frames[:count, 0]), start_frame_idx=0)
    return torch.stack([output.pred_masks[0, 0] for output in outputs])


stream, streamed = session(), []
for frame in frames:
    streamed.append(model(inference_session=stream, frame=frame).pred_masks[0, 0])
streamed = torch.stack(streamed)
for shorter, longer in ((4, 8), (16, 18)):
    change = (loaded(longer)[:shorter] - loaded(shorter)).abs().amax((1, 2))
    beside = (streamed[:shorter] - loaded(shorter)).abs().amax((1, 2))
    print(f"{shorter} frames, and {longer - shorter} more: logits change by {change[1:].max():.4f}; streamed, {beside[1:].max():.4f}")
    assert all(bool(difference.max() > 2e-3) == (shorter < 16) for difference in (change, beside))
PY
