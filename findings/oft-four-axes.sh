#!/usr/bin/env bash
# peft 0.21.2, torch 2.13.0: OFT beside a linear layer refuses tokens that lie in a grid (batch, rows, columns, channels).
# It takes any input of four axes for a convolution's and unfolds it, and of a linear layer's tokens nothing is left; so it
# cannot adapt the encoders that keep windows as grids, such as SAM's. A guess from memory: as LoRA, any axes before the last.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q torch==2.13.0 peft==0.21.2 transformers==5.23.0 numpy==2.4.6
"$work/venv/bin/python" -W ignore - <<'PY'
import torch
from peft import LoraConfig, OFTConfig, inject_adapter_in_model
from torch import nn


def adapted(config):
    return inject_adapter_in_model(config, nn.Sequential(nn.Linear(16, 16)))


tokens, grid = torch.rand(2, 25, 16), torch.rand(2, 5, 5, 16)
lora, oft = adapted(LoraConfig(target_modules=["0"], r=2)), adapted(OFTConfig(target_modules=["0"], oft_block_size=4))
print("LoRA:", tuple(lora(tokens).shape), tuple(lora(grid).shape), "| OFT:", tuple(oft(tokens).shape))
assert lora(grid).shape == grid.shape and oft(tokens).shape == tokens.shape
try:
    oft(grid)
except RuntimeError as error:
    print("OFT of the grid:", str(error).splitlines()[0])
    assert "is invalid for input of size 0" in str(error)
else:
    raise AssertionError("OFT takes a grid now")
PY
