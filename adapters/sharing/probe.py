"""A fixed input and what the network made of it: the check that weights, options and base belong together.

The input is computed from sines, so that no file and no random generator stands behind it. The output is kept as a
few dozen averages, not as a hash: processors differ in the last digits.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from adapters.inference.segment import InputContract, segment
from adapters.network import EntitySegmenter

TOLERANCE = 5e-3  # of the probe's own spread; other threads or instruction sets moved it by less than 1e-5


EXERCISE_PX, MOST_EXERCISE_PX = 64, 1024  # after scaling, and before
WAVES = ((3, 1, 0), (-2, 5, 1), (7, 4, 2))


def probe_image(side: int, channels: int = 3) -> Tensor:
    """(1, channels, side, side) float32 in [0, 1]; the first three are the same for any number of channels."""
    y, x = torch.meshgrid(torch.arange(side) / side, torch.arange(side) / side, indexing="ij")
    extra = [(1 + i % 5, 3 - i % 7, i) for i in range(3, channels)]
    waves = [torch.sin(2 * math.pi * (a * x + b * y) + c) for a, b, c in [*WAVES, *extra][:channels]]
    return (torch.stack(waves)[None] + 1) / 2


@torch.inference_mode()
def probe(segmenter: EntitySegmenter, names: Collection[str] | None = None) -> list[float]:
    """Averages of every output, or of those of these names, on the probe image, rounded to 6 digits."""
    was_training = segmenter.training
    segmenter.eval()
    side = math.lcm(segmenter.backbone.stride, 8)
    side *= max(1, 64 // side)
    outputs = segmenter(probe_image(side, segmenter.channels).to(next(segmenter.parameters()).device))
    outputs = segmenter.decoder.probed(outputs, (side, side))
    segmenter.train(was_training)
    values: list[float] = []
    for name in sorted(outputs if names is None else names):
        if isinstance(outputs[name], Tensor):
            values += summary(outputs[name].float().cpu())
    return [round(value, 6) for value in values]


def summary(output: Tensor) -> list[float]:
    """(1, C, H, W) -> averages of a 4 x 4 grid of the first 4 channels; (1, Q) -> its first 16 values."""
    if output.ndim == 4:
        output = F.adaptive_avg_pool2d(output[:, :4], 4)
    return output.flatten()[:64].tolist()


def probe_differs(computed: Sequence[float], saved: Sequence[float]) -> str:
    """'' when two probes agree within the tolerance, else by how much they do not."""
    if len(computed) != len(saved):
        return f"{len(computed)} values, {len(saved)} were saved"
    a, b = torch.tensor(computed, dtype=torch.float64), torch.tensor(saved, dtype=torch.float64)
    if not torch.isfinite(a).all() or not torch.isfinite(b).all():
        return "values that are not finite"
    spread = float(b.std()) if len(b) > 1 else 1.0
    error = float((a - b).abs().max()) if len(b) else 0.0
    return f"off by {error:.2g}, {TOLERANCE * spread:.2g} is allowed" if error > TOLERANCE * spread else ""


def exercise(segmenter: EntitySegmenter, contract: InputContract) -> None:
    """All that prediction does, from one view of a scene of a few patches: the ranges of the options bound its time.

    Raises InputError for what cannot be decoded.
    """
    side = min(max(4, round(min(EXERCISE_PX, contract.tile_px) / contract.scale)), MOST_EXERCISE_PX)
    picture = probe_image(side, contract.channels)[0].permute(1, 2, 0).mul(255).round().to(torch.uint8).numpy()
    segment(segmenter, contract.scene_of(picture), contract.changed(symmetries=1, test_scales=(1.0,)))
