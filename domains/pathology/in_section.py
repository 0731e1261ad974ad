"""Nuclei of one dye, shown in a section of tissue: cytoplasm, collagen, glands and red cells drawn around them.

Training images that were dyed with haematoxylin alone, or with one purple dye, teach that what is dark is a nucleus. In
a section eosin is dark too, pale nuclei stand on blue cytoplasm, and their ground has texture. Optical densities add
up (Beer-Lambert, see `stain.py`): what lies above the ground of a picture is taken for the amount of one dye, which is
dyed anew and laid over a ground of `domains.procedural.tissue`. Shapes and chromatin stay real, and so do the labels.
For training, where the images have one dye: neither the share of density that one dye leaves unexplained nor the angle
between faint and dark pixels tells DSB2018's stained images (one dye) from MoNuSeg's sections, so the user says it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from domains.pathology.as_dye import DARK
from domains.pathology.normalise import LEAST_TISSUE_PX, tissue
from domains.pathology.stain import DENSITY, is_grey, transmitted
from domains.procedural.grounds import red_cells, section_stains, uneven
from domains.procedural.tissue import draw_ground


@dataclass(frozen=True)
class InSection:
    """`in_section(image, rng)`: (H, W, 3) uint8 to the same; what glows, and what is bare, stays as it is."""

    ground: float = 40.0
    """Percentile of optical density, above which a picture's ground is left behind."""
    gain: tuple[float, float] = (0.6, 1.4)
    """Factor on the amount of dye."""
    kept: tuple[float, float] = (0.0, 1.0)
    """How much of the unevenness of the picture's own ground stays."""
    basophilia: float = 0.35
    """Largest amount of haematoxylin in cytoplasm, in parts of that of the darker nuclei."""

    def __call__(self, image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        amount = one_dye(image)
        if amount is None:
            return image
        ground, px_per_um = draw_ground(rng, *amount.shape)
        ground = uneven(rng, ground, px_per_um)
        above = amount - np.percentile(amount, rng.uniform(0.5, 1.5) * self.ground)
        amount = np.where(above > 0, above, rng.uniform(*self.kept) * above).clip(-0.1)
        dark = max(float(np.percentile(amount, 95)), 0.1)
        cover = np.clip(amount / dark, 0, 1)
        uncovered = 1 - rng.uniform(0.3, 0.9) * cover
        haematoxylin, eosin = section_stains(rng)
        blue = rng.uniform(*self.gain) * amount + rng.uniform(0, self.basophilia) * dark * ground.basophilic * uncovered
        density = blue[..., None] * haematoxylin + (ground.eosin * uncovered)[..., None] * eosin
        if rng.random() < 0.3:
            density = density + red_cells(rng, (cover > 0.5).astype(np.int32), px_per_um)
        return transmitted(np.clip(density, 0, None))


def one_dye(image: np.ndarray) -> np.ndarray | None:
    """(H, W) float32 optical density along the colour of most of a picture; None for fluorescence and bare glass."""
    if is_grey(image):
        return DENSITY[image[..., 0]] * np.float32(np.sqrt(3)) if image.mean() > DARK else None
    pixels = tissue(image)
    if len(pixels) < LEAST_TISSUE_PX:
        return None
    direction = np.abs(np.linalg.eigh(np.cov(DENSITY[pixels].T))[1][:, 2])
    return (DENSITY[image] @ direction).astype(np.float32)
