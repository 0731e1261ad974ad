"""Nuclei in stained tissue and fluorescence: many, small, touching; no up and no left."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

import numpy as np

from domains.datasets.domain import DomainSpec
from domains.errors import InputError
from domains.pathology.dsb2018 import Dsb2018
from domains.pathology.hovernet_mat import CoNSeP, Lizard
from domains.pathology.monuseg import MoNuSeg
from domains.pathology.normalise import Macenko, Reinhard
from domains.pathology.options import PathologyOptions
from domains.pathology.organ_masks import CryoNuSeg, NuInsSeg
from domains.pathology.pannuke import PanNuke
from domains.scenes import Scene

if TYPE_CHECKING:
    import albumentations as A

    from domains.pathology.tissue import TissueMask


def augmentation() -> A.Compose:
    """Training transforms: all eight symmetries, small turns, focus and noise."""
    from domains.crops.augment import Turn, compose, defocus, eight_symmetries, sensor_noise

    return compose(eight_symmetries(), Turn(limit_deg=45, p=0.3), defocus(p=0.15), sensor_noise(p=0.15))


def stains(kind: str, images: Callable[[], Iterable[np.ndarray]]) -> list[A.BasicTransform]:
    """Stains drawn freely ("jitter"), like those of `images` ("styles"), one or the other ("both"), or nuclei of one
    dye shown in sections of two ("section").

    Raises InputError where styles are wanted and the images show none.
    """
    from domains.crops.augment import Photometric
    from domains.pathology.counterstain import Counterstain
    from domains.pathology.in_section import InSection
    from domains.pathology.stain import StainJitter
    from domains.pathology.stain_styles import StainStyles

    if kind == "section":
        return [Photometric(InSection(), p=0.6), Photometric(StainJitter(), p=0.3)]
    if kind == "jitter":
        return [Photometric(StainJitter(), p=0.8), Photometric(Counterstain(), p=0.3)]
    styles = StainStyles.of(images())
    if styles is None:
        raise InputError(
            "domain.stain_augmentation wants training images of stained tissue, got fewer than two; try jitter"
        )
    if kind == "styles":
        return [Photometric(styles, p=0.8)]
    return [Photometric(styles, p=0.5), Photometric(StainJitter(), p=0.5)]


def dyed(share: float, images: Callable[[], Iterable[np.ndarray]]) -> list[A.BasicTransform]:
    """That share of crops of fluorescence shown as stained tissue."""
    from domains.crops.augment import Photometric
    from domains.pathology.as_dye import AsDye

    return [Photometric(AsDye(), p=share)]


def worth(scene: Scene, smallest_um2: float | None = None) -> TissueMask | None:
    """The tissue of a slide, pieces of `smallest_um2` at least; None for a scene that is no slide."""
    from domains.pathology.tissue import SMALLEST_UM2, tissue_of

    return tissue_of(scene, SMALLEST_UM2 if smallest_um2 is None else smallest_um2)


def describe(ids: np.ndarray, image: np.ndarray, pixel_size_m: float | None) -> dict[int, dict[str, float]]:
    """Shape and stain of each entity, see `domains.pathology.morphology`."""
    from domains.pathology.morphology import morphology

    return morphology(ids, image, pixel_size_m)


DOMAIN = DomainSpec(
    name="pathology",
    headline="aji",
    metric_keys=("ap", "ap50", "ar100", "f1", "sa", "pq", "aji", "aji_plus", "dice"),
    families=("nuclei_he",),
    rehearsed=("tissue", "nuclei_he", "nuclei_fluo"),
    augmentation=augmentation,
    options=PathologyOptions,
    changes={"stain_augmentation": stains, "fluorescence_as_dye": dyed},
    normalisers={normaliser.name: normaliser for normaliser in (Macenko, Reinhard)},
    layouts=(
        MoNuSeg(),
        PanNuke(),  # before DSB2018, for its folds have folders images and masks too
        NuInsSeg(),
        CryoNuSeg(),
        CoNSeP(),
        Lizard(),
        Dsb2018(),
    ),
    flavour="qupath",
    worth=worth,
    describe=describe,
    seen_pixel_size_m=0.35e-6,
    cards=("dsb2018_he", "dsb2018_fluo", "monuseg", "pannuke", "nuinsseg", "cryonuseg", "consep", "lizard"),
)
