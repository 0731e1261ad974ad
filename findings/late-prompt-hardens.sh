#!/usr/bin/env bash
# transformers 5.23.0, torch 2.13.0: in a session of Sam2VideoModel an entity's masks change when another entity is prompted
# in a later frame. Memories of a frame are encoded for all entities together, and where any of them was prompted there, the
# masks of all are made hard (0 or 1) in place of their sigmoids; prompted in one frame together, they do not touch each other.
# A guess from memory: entities are independent, as the paper says and as the model answers them one by one.
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
frames = torch.randn(1, 3, SIDE, SIDE) + 0.4 * torch.randn(6, 1, 3, SIDE, SIDE)
masks = torch.zeros(2, 1, 1, SIDE, SIDE)
masks[0, ..., 10:30, 8:40] = masks[1, ..., 40:56, 40:56] = 1


def first_entity(births):
    """Logits (F, h, w) of entity 1. births: the frame in which each entity is prompted."""
    session = Sam2VideoInferenceSession(video_height=SIDE, video_width=SIDE, dtype=torch.float32)
    logits = []
    for at, frame in enumerate(frames):
        for number, birth in enumerate(births, 1):
            if birth == at:
                session.add_mask_inputs(session.obj_id_to_idx(number), at, masks[number - 1])
                session.obj_with_new_inputs.append(number)
        logits.append(model(inference_session=session, frame=frame).pred_masks[0, 0])
    return torch.stack(logits)


alone = first_entity([0])
for birth in (0, 3):
    change = (first_entity([0, birth]) - alone).abs().amax((1, 2))
    print(f"another entity prompted in frame {birth}: logits of the first change by", [round(c, 4) for c in change.tolist()])
    if birth == 0:
        assert change.max() < 2e-3
    else:
        assert change[:4].max() < 2e-3 and change[4:].min() > 2e-2
PY
