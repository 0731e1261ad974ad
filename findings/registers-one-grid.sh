#!/usr/bin/env bash
# transformers 5.23.0, torch 2.13.0: an export of DINOv2 with registers, asked for open heights and widths, holds for one
# grid of patches alone, where that of DINOv2 without registers holds for all. The export says nothing: a height is still
# open, within the pixels of a patch, so that `Dim.DYNAMIC` is content; the program refuses other sizes when it is run.
# A guess from memory: both interpolate their positions alike, so both are open, or the export fails.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q torch==2.13.0 transformers==5.23.0 numpy==2.4.6
"$work/venv/bin/python" -W ignore - <<'PY'
import torch
import transformers
from torch.export import Dim, export

transformers.logging.set_verbosity_error()


class Tokens(torch.nn.Module):
    def __init__(self, family):
        super().__init__()
        config = getattr(transformers, f"{family}Config")
        size = dict(hidden_size=32, num_hidden_layers=1, num_attention_heads=2, image_size=56, patch_size=14)
        self.model = getattr(transformers, f"{family}Model")(config(**size)).eval()

    def forward(self, images):
        return self.model(images).last_hidden_state


def sizes_taken(family):
    torch.manual_seed(0)
    network = Tokens(family)
    program = export(network, (torch.rand(2, 3, 112, 168),), dynamic_shapes=({0: Dim.DYNAMIC, 2: Dim.DYNAMIC, 3: Dim.DYNAMIC},))
    taken = []
    for size in ((112, 168), (168, 112), (112, 280)):
        images = torch.rand(1, 3, *size)
        try:
            with torch.no_grad():
                same = torch.allclose(program.module()(images), network(images), atol=1e-5)
        except Exception as error:
            print(f"{family} {size}: {str(error).splitlines()[0]}")
            continue
        assert same
        taken.append(size)
    print(f"{family} takes {taken}")
    return taken


assert len(sizes_taken("Dinov2")) == 3
assert sizes_taken("Dinov2WithRegisters") == [(112, 168)]
PY
