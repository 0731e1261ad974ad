"""Nuclei in stained tissue and fluorescence: many, small, touching; no up and no left."""

from __future__ import annotations

from typing import TYPE_CHECKING

from domains.domain import DomainSpec

if TYPE_CHECKING:
    import albumentations as A


def augmentation() -> A.Compose:
    from domains.augment import Photometric, Turn, compose, defocus, eight_symmetries, sensor_noise
    from domains.pathology.stain import StainJitter

    return compose(
        eight_symmetries(),
        Turn(limit_deg=45, p=0.3),
        Photometric(StainJitter(), p=0.8),
        defocus(p=0.15),
        sensor_noise(p=0.15),
    )


DOMAIN = DomainSpec(
    name="pathology",
    headline="aji",
    metric_keys=("ap", "ap50", "ar100", "f1", "sa", "pq", "aji", "aji_plus", "dice"),
    families=("nuclei_he",),
    augmentation=augmentation,
    cards=("dsb2018_he", "dsb2018_fluo", "monuseg", "pannuke", "nuinsseg", "cryonuseg", "consep", "lizard"),
)
