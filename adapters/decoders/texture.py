"""Patches described by their texture, each image beside itself: no network is asked.

Gradient magnitude and local variance at four scales, as filter banks describe textures (Leung and Malik, IJCV 43, 2001,
https://doi.org/10.1023/A:1011126920638), then made white by the image's own mean and covariance: what counts is how far
a patch is from the rest of its image, as in the detector of Reed and Yu (IEEE TASSP 38, 1990,
https://doi.org/10.1109/29.60107). Brightness itself is left out: it is the lamp's, as grain is the part's.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

SCALES_PX = (1.0, 2.0, 4.0, 8.0)
WIDTH = 2 * len(SCALES_PX)
"""Numbers that describe a patch."""
FAINTEST = 1e-4
"""Of a local variance, the image's own being 1."""
RIDGE = 1e-3
"""Of the mean variance, added to each."""


def textures(images: Tensor, grid: tuple[int, int]) -> Tensor:
    """(B, `WIDTH`, h, w) float32 of images (B, C, H, W): textures of cells of a grid (h, w), white within each image.

    In float32 also where the network is in half precision: a memory is filled by what its images are compared with.
    """
    with torch.autocast(images.device.type, enabled=False):
        return _textures(images, grid)


def _textures(images: Tensor, grid: tuple[int, int]) -> Tensor:
    grey = images.float().mean(1, keepdim=True)
    grey = grey - grey.mean((2, 3), keepdim=True)
    grey = grey / grey.std((2, 3), keepdim=True).clamp(min=FAINTEST)
    fields = []
    for scale in SCALES_PX:
        blurred = smoothed(grey, scale)
        variance = smoothed((grey - blurred) ** 2, 2 * scale)
        fields += [gradient(blurred) * scale, torch.log(variance + FAINTEST)]
    return whitened(without_edge(F.adaptive_avg_pool2d(torch.cat(fields, 1), grid)))


def without_edge(cells: Tensor) -> Tensor:
    """Cells (B, D, h, w), the outermost ring as the next one within: where an image is mirrored it has another texture,
    and would be the strangest part of every good one.
    """
    if min(cells.shape[-2:]) < 3:
        return cells
    return F.pad(cells[..., 1:-1, 1:-1], (1, 1, 1, 1), mode="replicate")


def gradient(field: Tensor) -> Tensor:
    """Magnitude (B, 1, H, W) of the central differences of a field of that shape, its edges repeated."""
    framed = F.pad(field, (1, 1, 1, 1), mode="replicate")
    across = framed[..., 1:-1, 2:] - framed[..., 1:-1, :-2]
    down = framed[..., 2:, 1:-1] - framed[..., :-2, 1:-1]
    return torch.sqrt(across**2 + down**2) / 2


def whitened(description: Tensor) -> Tensor:
    """Descriptions (B, D, h, w) less their mean over the image, turned and stretched so that their covariance there is
    one; in the directions that they came in, so that patches of different images compare.
    """
    rows = description.flatten(2)  # (B, D, P)
    rows = rows - rows.mean(2, keepdim=True)
    covariance = rows @ rows.transpose(1, 2) / max(1, rows.shape[2] - 1)
    spread = covariance.diagonal(dim1=1, dim2=2).mean(1)
    ridge = (RIDGE * spread + FAINTEST**2)[:, None, None] * torch.eye(rows.shape[1], device=rows.device)
    variances, directions = torch.linalg.eigh(covariance + ridge)
    inverse_root = directions @ (directions / variances.sqrt()[:, None]).transpose(1, 2)
    return (inverse_root @ rows).view_as(description)


def smoothed(field: Tensor, deviation_px: float) -> Tensor:
    """A field (B, 1, H, W) under a Gaussian of that standard deviation, mirrored at its edges; as it is at 0."""
    if not deviation_px:
        return field
    reach = min(int(3 * deviation_px + 0.5), field.shape[-2] - 1, field.shape[-1] - 1)
    at = torch.arange(-reach, reach + 1, dtype=field.dtype, device=field.device)
    kernel = torch.exp(-0.5 * (at / deviation_px) ** 2)
    kernel = kernel / kernel.sum()
    field = F.conv2d(F.pad(field, (0, 0, reach, reach), mode="reflect"), kernel.view(1, 1, -1, 1))
    return F.conv2d(F.pad(field, (reach, reach, 0, 0), mode="reflect"), kernel.view(1, 1, 1, -1))
