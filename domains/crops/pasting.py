"""Entities of the training set put onto images that have none: CutPaste with labels, blended so that no seam tells.

After Li et al., CutPaste, CVPR 2021, https://arxiv.org/abs/2104.04015, and Ghiasi et al., Simple Copy-Paste, CVPR 2021,
https://arxiv.org/abs/2012.07177. Unlike there what is pasted is a labelled entity, and it is blended by Poisson's
equation (Perez, Gangnet, Blake, Poisson image editing, SIGGRAPH 2003; OpenCV's `seamlessClone`): its gradients are
kept, its light is that of the place. For training only.
"""

from __future__ import annotations

import cv2
import numpy as np
from scipy.ndimage import binary_dilation

from domains.entities import EntityMap

MEET_PX = 4  # of the donor's surroundings that are pasted along, so that the images meet outside the entity
ERODED_PX = 3  # that OpenCV takes off a mask before it solves: without them the entity's own rim would be smoothed away
MARGIN_PX = MEET_PX + ERODED_PX
FRAME_PX = 2  # kept free at the frame of the receiving image, which the equation needs as its border
TRIES = 8


def paste(
    image: np.ndarray,
    truth: EntityMap,
    donor: np.ndarray,
    donor_truth: EntityMap,
    boxes: np.ndarray,
    rng: np.random.Generator,
) -> tuple[np.ndarray, EntityMap]:
    """(image, truth) with an entity of the donor at a random place, flipped and turned; as they were if none fits.

    image, donor: (H, W, 3) uint8; truth: (H, W), and the entity only lands where its ids are 0. boxes: (N, 5) of the
    donor's entities, see `entity_boxes`. The new entity has the next free number and brings its label and score.
    """
    fitting = pasteable(boxes, donor_truth.shape, min(image.shape[:2]))
    if not len(fitting):
        return image, truth
    box = boxes[rng.choice(fitting)]
    patch, mask = cut_out(donor, donor_truth.ids, box, rng)
    height, width = mask.shape
    for _ in range(TRIES):
        y = int(rng.integers(FRAME_PX, max(FRAME_PX, image.shape[0] - FRAME_PX - height) + 1))
        x = int(rng.integers(FRAME_PX, max(FRAME_PX, image.shape[1] - FRAME_PX - width) + 1))
        place = (slice(y, y + height), slice(x, x + width))
        under = truth.ids[place]
        if under.shape == mask.shape and not under[mask].any():
            pasted = np.zeros(truth.shape, bool)
            pasted[place] = mask
            return blend(image, patch, mask, place), truth.with_entity(pasted, donor_truth, int(box[0]))
    return image, truth


def pasteable(boxes: np.ndarray, donor_shape: tuple[int, ...], side_px: int) -> np.ndarray:
    """Indices of the entities that fit a square of that side with their margin, less those that their image's frame
    cuts: pasted, the cut would be an edge."""
    _, y0, y1, x0, x1 = boxes.T
    uncut = (y0 > 0) & (x0 > 0) & (y1 < donor_shape[0]) & (x1 < donor_shape[1])
    return np.flatnonzero(uncut & (np.maximum(y1 - y0, x1 - x0) <= side_px - 2 * (FRAME_PX + MARGIN_PX)))


def cut_out(
    donor: np.ndarray, donor_ids: np.ndarray, box: np.ndarray, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """(patch, mask) of one entity with `MARGIN_PX` around it, edge pixels repeated; flipped and turned."""
    entity, y0, y1, x0, x1 = box
    mask = np.pad(donor_ids[y0:y1, x0:x1] == entity, MARGIN_PX)
    rows = np.arange(y0 - MARGIN_PX, y1 + MARGIN_PX)
    columns = np.arange(x0 - MARGIN_PX, x1 + MARGIN_PX)
    patch = donor[np.ix_(rows.clip(0, donor.shape[0] - 1), columns.clip(0, donor.shape[1] - 1))]
    turns, flip = int(rng.integers(4)), bool(rng.integers(2))
    patch, mask = np.rot90(patch, turns), np.rot90(mask, turns)
    return (patch[:, ::-1], mask[:, ::-1]) if flip else (patch, mask)


def blend(image: np.ndarray, patch: np.ndarray, mask: np.ndarray, place: tuple[slice, slice]) -> np.ndarray:
    """The image with the patch's gradients inside the mask, widened by the margin, and its own light around it."""
    source, region = image.copy(), np.zeros(image.shape[:2], np.uint8)
    source[place] = patch
    region[place] = np.where(binary_dilation(mask, np.ones((3, 3), bool), MARGIN_PX), 255, 0)
    x, y, width, height = cv2.boundingRect(region)
    centre = (x + width // 2, y + height // 2)  # of the mask's bounding box, which is what OpenCV moves there
    return cv2.seamlessClone(source, np.ascontiguousarray(image), region, centre, cv2.NORMAL_CLONE)
