"""The slots of a memory decoder: what is remembered of each entity, in tensors whose size no number of frames changes.

A slot keeps what its entity looked like in the last few frames in which it was seen, pooled over its mask (a ring
buffer), where it was and how it was shaped then, and its last mask. After EntitySAM (CVPR 2025), whose memory bank
keeps whole feature maps of seven frames of fifty slots; here there are as many slots as there are entities.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import torch
import torch.nn.functional as F
from torch import Tensor

STRIDE = 4
"""Of masks."""
SHAPE = 7
"""Numbers that say where a mask lies and how it is shaped: see `shapes`."""
NEVER = -1e6
"""The frame of an empty place in a ring."""
SHOWN, INSIDE, PATIENCE = 0.8, 0.7, 12
"""An entity that shows less than that share of its area, that share of which lies where it is expected, is partly
hidden: for so many frames at most it is taken to be where it is expected, as large as it was."""


@dataclass(frozen=True)
class Look:
    """A frame as slots see it. cells: (C, h, w) of the base at stride 8; pixels: (P, 2 h, 2 w) at stride 4, of which
    the first `LIKE` are unit features that tell entities apart, and the last three the colours.
    """

    cells: Tensor
    pixels: Tensor

    def pooled(self, shares: Tensor) -> Tensor:
        """(M, P + C) means over masks, shares (M, 2 h, 2 w)."""
        flat = shares.flatten(1)
        weights = flat / flat.sum(1, keepdim=True).clamp_min(1e-4)
        coarse = F.avg_pool2d(shares[:, None], 2)[:, 0].flatten(1)
        coarse = coarse / coarse.sum(1, keepdim=True).clamp_min(1e-4)
        return torch.cat([weights @ self.pixels.flatten(1).mT, coarse @ self.cells.flatten(1).mT], 1)


LIKE = 32
"""Channels of unit features in `Look.pixels`."""
PIXELS = LIKE + 3
"""Channels of `Look.pixels`: these and the colours."""


GOES_ON = 150.0
"""Frames after which what is hidden has lost most of its velocity, as far as one can tell."""
WHOLE = 0.85
"""Share of the largest area in a ring from which on an entity counts as wholly seen, in frames that tell its
velocity."""


def shares_of(ids: Tensor, count: int, size: tuple[int, int] | None = None) -> Tensor:
    """(count, h, w) the share of each cell of stride 4 that entities 1 to count of ids (H, W) cover.

    size: (height, width) in pixels at which the frame was looked at, where that is not the size of ids; an entity that
    is smaller than a cell then still has its share of it.
    """
    rows, columns = ids.shape
    high, wide = size or (rows, columns)
    height, width = -(-high // 8) * 2, -(-wide // 8) * 2
    y = ((torch.arange(rows, device=ids.device) + 0.5) * high / rows / STRIDE).long()
    x = ((torch.arange(columns, device=ids.device) + 0.5) * wide / columns / STRIDE).long()
    flat = ids.clamp_min(0).long() * (height * width) + y[:, None] * width + x
    counts = torch.bincount(flat.flatten(), minlength=(count + 1) * height * width)
    pixels = STRIDE**2 * rows * columns / high / wide  # of a cell
    return counts.view(count + 1, height, width)[1:].float() / pixels


def shapes(shares: Tensor) -> Tensor:
    """(M, 7) of masks (M, h, w): y and x of the middle and the variances of both in pixels, their covariance, area, and
    the share of the border that it touches.
    """
    height, width = shares.shape[-2:]
    area = shares.sum((1, 2)).clamp_min(1e-4)
    y = STRIDE * (torch.arange(height, device=shares.device) + 0.5)
    x = STRIDE * (torch.arange(width, device=shares.device) + 0.5)
    rows, columns = shares.sum(2) / area[:, None], shares.sum(1) / area[:, None]
    middle_y, middle_x = rows @ y, columns @ x
    off_y, off_x = y - middle_y[:, None], x - middle_x[:, None]
    covariance = torch.einsum("mhw,mh,mw->m", shares, off_y, off_x) / area
    border = shares[:, [0, -1]].sum((1, 2)) + shares[:, :, [0, -1]].sum((1, 2))
    variances = (rows * off_y**2).sum(1) + 2, (columns * off_x**2).sum(1) + 2  # a cell has some
    touched = border / area.sqrt()
    return torch.stack([middle_y, middle_x, *variances, covariance, area * STRIDE**2, touched], 1)


@dataclass(frozen=True)
class Slots:
    """N slots. ids: (N,); tokens: (N, C) what the decoder carries; ring: (N, R, D) pooled looks; placed: (N, R, 7)
    their `shapes`; seen: (N, R) when, in frames, `NEVER` where there is none yet; masks: (N, h, w) uint8, the last one
    of each, of 255; partly: (N,) in how many of the latest frames it was partly hidden; born: (N,) frames. The newest
    of a ring stands last.
    """

    ids: Tensor
    tokens: Tensor
    ring: Tensor
    placed: Tensor
    seen: Tensor
    masks: Tensor
    partly: Tensor
    born: Tensor

    def __len__(self) -> int:
        return len(self.ids)

    @classmethod
    def empty(cls, width: int, frames: int, look: Look) -> Slots:
        """No slot yet, on frames like this one."""
        device, dim = look.cells.device, len(look.cells) + len(look.pixels)
        return cls(
            ids=torch.zeros(0, dtype=torch.int64, device=device),
            tokens=torch.zeros(0, width, device=device),
            ring=torch.zeros(0, frames, dim, device=device),
            placed=torch.zeros(0, frames, SHAPE, device=device),
            seen=torch.zeros(0, frames, dtype=torch.float64, device=device),
            masks=torch.zeros(0, *look.pixels.shape[-2:], dtype=torch.uint8, device=device),
            partly=torch.zeros(0, dtype=torch.int64, device=device),
            born=torch.zeros(0, dtype=torch.float64, device=device),
        )

    def of(self, rows: Tensor) -> Slots:
        """These slots alone, in this order."""
        return Slots(*(getattr(self, field.name)[rows] for field in fields(self)))

    def with_tokens(self, tokens: Tensor) -> Slots:
        """The slots with what the decoder carries on."""
        return Slots(**{**self.tensors(), "tokens": tokens})

    def tensors(self) -> dict[str, Tensor]:
        """By name; what a state on disk holds."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    @property
    def bytes(self) -> int:
        """Of all tensors together."""
        return sum(tensor.nbytes for tensor in self.tensors().values())

    def observed(self, rows: Tensor, frame: float, pooled: Tensor, shares: Tensor) -> Slots:
        """The slots, of which those of `rows` (K,) were seen in a frame: pooled (K, D), shares (K, h, w)."""
        before, fresh = self.of(rows), shapes(shares)
        moved, former = before.moved(frame), before.placed[:, -1]
        inside = (shares * moved).sum((1, 2)) / shares.sum((1, 2)).clamp_min(1e-4)
        partly = (fresh[:, 5] < SHOWN * former[:, 5]) & (inside >= INSIDE) & (before.partly < PATIENCE)
        kept = torch.cat([before.expected(frame), former[:, 2:]], 1)
        changed = {name: tensor.clone() for name, tensor in self.tensors().items()}
        new = {
            "ring": pooled,
            "placed": torch.where(partly[:, None], kept, fresh),
            "seen": torch.full((len(rows),), frame, dtype=self.seen.dtype, device=rows.device),
        }
        for name, values in new.items():
            changed[name][rows] = torch.cat([getattr(before, name)[:, 1:], values[:, None]], 1)
        masks = torch.where(partly[:, None, None], moved, shares)
        changed["masks"][rows] = (255 * masks.clamp(0, 1)).round().to(torch.uint8)
        changed["partly"][rows] = torch.where(partly, before.partly + 1, 0)
        return Slots(**changed)

    def joined(self, ids: Tensor, frame: float, pooled: Tensor, shares: Tensor) -> Slots:
        """The slots and new ones, of ids (K,), born in a frame."""
        count = len(ids)
        fresh = Slots(
            ids=ids,
            tokens=self.tokens.new_zeros(count, self.tokens.shape[1]),
            ring=self.ring.new_zeros(count, *self.ring.shape[1:]),
            placed=self.placed.new_zeros(count, *self.placed.shape[1:]),
            seen=self.seen.new_full((count, self.seen.shape[1]), NEVER),
            masks=self.masks.new_zeros(count, *shares.shape[-2:]),
            partly=self.partly.new_zeros(count),
            born=self.born.new_full((count,), frame),
        ).observed(torch.arange(count, device=ids.device), frame, pooled, shares)
        new = fresh.tensors()
        return Slots(**{name: torch.cat([old, new[name]]) for name, old in self.tensors().items()})

    def missed(self, frame: float) -> Tensor:
        """(N,) frames since each was seen last; 1 in the next frame."""
        return (frame - self.seen[:, -1]).float()

    def radius(self) -> Tensor:
        """(N,) of a disc of the last area, in pixels."""
        return (self.placed[:, -1, 5] / torch.pi).sqrt().clamp_min(2)

    def velocity(self) -> Tensor:
        """(N, 2) pixels a frame along y and x: the median of the slopes between all pairs of frames of the ring (Theil,
        1950; Sen, 1968), of those in which the entity was wholly seen where there are two: where it goes behind
        something the middle of what shows goes half as fast. 0 where it was seen but once.
        """
        if not len(self):
            return self.placed[:, -1, :2]
        ring = self.placed.shape[1]
        earlier, later = torch.triu_indices(ring, ring, 1, device=self.seen.device)
        lasted = (self.seen[:, later] - self.seen[:, earlier]).float().clamp_min(0.5)
        slopes = (self.placed[:, later, :2] - self.placed[:, earlier, :2]) / lasted[..., None]  # (N, R (R - 1) / 2, 2)
        was_seen = self.seen != NEVER
        areas = self.placed[..., 5].masked_fill(~was_seen, 0)
        is_whole = was_seen & (areas >= WHOLE * areas.amax(1, keepdim=True))
        among_whole = is_whole[:, earlier] & is_whole[:, later]
        among_seen = was_seen[:, earlier] & was_seen[:, later]
        counts = torch.where(among_whole.any(1, keepdim=True), among_whole, among_seen)
        slopes = slopes.masked_fill(~counts[..., None], float("nan"))
        return slopes.nanmedian(1).values.nan_to_num(0.0)

    def expected(self, frame: float) -> Tensor:
        """(N, 2) y and x in pixels where each would be, had it gone on as it went; long hidden ones slow down."""
        lasting = GOES_ON * (1 - torch.exp(-self.missed(frame) / GOES_ON))
        return self.placed[:, -1, :2] + self.velocity() * lasting[:, None]

    def moved(self, frame: float) -> Tensor:
        """(N, h, w) last masks, as shares, where they are expected in a frame."""
        shift = (self.expected(frame) - self.placed[:, -1, :2]) / STRIDE  # cells
        count, height, width = self.masks.shape
        if not count:
            return self.masks.float()
        theta = torch.zeros(count, 2, 3, device=shift.device)
        theta[:, 0, 0] = theta[:, 1, 1] = 1
        theta[:, 0, 2], theta[:, 1, 2] = -2 * shift[:, 1] / width, -2 * shift[:, 0] / height
        grid = F.affine_grid(theta, [count, 1, height, width], align_corners=False)
        return F.grid_sample(self.masks[:, None].float() / 255, grid, align_corners=False)[:, 0]
