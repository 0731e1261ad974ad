#!/usr/bin/env bash
# transformers 5.23.0, torch 2.13.0: Sam2VideoModel.from_pretrained says nothing of memory tensors in a file that its model
# has not, where it names those of any other part: a configuration with fewer layers of memory attention than the weights
# loads "completely". The patterns that let the image model pass over a video model's memory are handed from the vision
# encoder, a class of the image family, to the whole. A guess from memory: output_loading_info names all unexpected keys.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q torch==2.13.0 transformers==5.23.0 numpy==2.4.6
"$work/venv/bin/python" -W ignore - "$work" <<'PY'
import sys

import transformers
from safetensors import safe_open
from transformers import Sam2VideoConfig, Sam2VideoModel

transformers.logging.set_verbosity_error()
transformers.logging.disable_progress_bar()
hiera = dict(
    model_type="sam2_hiera_det_model", hidden_size=8, embed_dim_per_stage=[8, 16, 32, 64], blocks_per_stage=[1, 1, 2, 1],
    num_attention_heads_per_stage=[1, 1, 2, 2], window_size_per_stage=[8, 4, 4, 2], global_attention_blocks=[3],
)
values = dict(
    vision_config=dict(backbone_config=hiera, backbone_channel_list=[64, 32, 16, 8]), memory_attention_num_layers=2,
    memory_fuser_num_layers=1,
)
folder = sys.argv[1] + "/model"
Sam2VideoModel(Sam2VideoConfig(**values)).save_pretrained(folder)


def unexpected(part, **changes):
    """How many tensors of a part the file has and the model has not, and how many of them are told."""
    config = Sam2VideoConfig(**(values | changes))
    model, report = Sam2VideoModel.from_pretrained(folder, config=config, output_loading_info=True)
    with safe_open(folder + "/model.safetensors", "pt") as file:
        left_out = {name for name in file.keys() if name not in model.state_dict()}
    assert left_out and all(name.startswith(part) for name in left_out)
    told = left_out & set(report["unexpected_keys"])
    print(f"{part}: {len(left_out)} tensors of the file are not in the model, {len(told)} are told")
    return len(left_out), len(told)


count, told = unexpected("memory_attention", memory_attention_num_layers=1)
assert count > 10 and told == 0
decoder = dict(num_multimask_outputs=3, iou_head_depth=2)
count, told = unexpected("mask_decoder", mask_decoder_config=decoder)
assert count == told
PY
