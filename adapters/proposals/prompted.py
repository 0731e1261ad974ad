"""Masks of SAM prompted where a fitted decoder has found entities, in place of a grid of points.

After micro-sam's automatic prompt generation (APG; Archit et al., Segment Anything for Microscopy, Nature Methods
2025): the entities that a dense decoder sees on SAM's features become point prompts, and of masks that overlap the
surer stays. In place of centres of the fields' components it is the innermost pixel of each entity of the flat map, so
that whatever decides on that map, a watershed or a learnt choice of regions, decides on the prompts.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from adapters.proposals.automatic import Embedded, stability
from adapters.proposals.mask_set import Bits, MaskSet, mask_nms


@dataclass(frozen=True)
class PromptedMasks:
    """How masks of points are chosen. most_overlap: IoU of masks above which the weaker goes, .9 as micro-sam has it;
    least_iou: predicted IoU below which a mask is none.
    """

    most_overlap: float = 0.9
    least_iou: float = 0.0

    def masks(self, embedded: Embedded, points: np.ndarray) -> MaskSet:
        """The surest mask of each of points (P, 2), x and y in pixels, without those of others; best first."""
        return self.apart(self.surest(embedded, points))

    def surest(self, embedded: Embedded, points: np.ndarray) -> MaskSet:
        """Of each point the mask of the greatest predicted IoU, in the order of the points."""
        bits, rows = [], []
        for batch in embedded.candidates(points[:, None], least_iou=self.least_iou or -np.inf):
            ious, prompts = batch.ious.cpu().numpy(), batch.prompts.cpu().numpy()
            order = np.lexsort((-ious, prompts))
            for i in order[np.unique(prompts[order], return_index=True)[1]].tolist():
                field = embedded.upsampled(batch.logits[i])
                bits.append(Bits.of((field > 0).cpu().numpy()))
                rows.append((ious[i], stability(field), prompts[i], int(batch.levels[i])))
        return MaskSet.of_bits(embedded.shape, bits, *np.array(rows, float).reshape(-1, 4).T)

    def apart(self, masks: MaskSet) -> MaskSet:
        """The masks without empty ones and without those that overlap a surer one too much, best first."""
        masks = masks.take(masks.areas > 0)
        return masks.take(mask_nms(masks, self.most_overlap))


def inner_points(ids: np.ndarray) -> np.ndarray:
    """(N, 2) x and y of the centre of each entity's innermost pixel: that furthest from all that is not the entity.

    ids: (H, W) of 1..N, 0 none, -1 unlabelled; all that is outside of the image is no entity either.
    """
    height, width = ids.shape
    framed = np.pad(ids, 1)
    alike = ids > 0
    for y, x in ((0, 1), (2, 1), (1, 0), (1, 2)):  # above, below, left, right
        alike &= framed[y : y + height, x : x + width] == ids
    depth = np.asarray(ndimage.distance_transform_edt(np.pad(alike, 1)))[1:-1, 1:-1]
    places = ndimage.maximum_position(depth, ids, np.arange(1, int(ids.max(initial=0)) + 1))
    return np.array(places, float).reshape(-1, 2)[:, ::-1] + 0.5
