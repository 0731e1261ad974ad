"""Photographs cut into regions, everything included: gravity gives them an up, so only left and right may swap."""

from __future__ import annotations

from typing import TYPE_CHECKING

from domains.datasets.domain import DomainSpec
from domains.natural.bsds500 import Bsds500

if TYPE_CHECKING:
    import albumentations as A


def augmentation() -> A.Compose:
    """Training transforms: left and right, another camera, focus and noise."""
    from domains.crops.augment import Photometric, compose, defocus, left_right, sensor_noise
    from domains.natural.photometry import OtherCamera

    return compose(
        left_right(p=0.5),
        Photometric(OtherCamera(), p=0.8),
        defocus(p=0.1),
        sensor_noise(p=0.1),
    )


DOMAIN = DomainSpec(
    name="natural",
    headline="covering",
    metric_keys=("ap", "ap50", "ar100", "pq", "covering", "boundary_f"),
    families=("leaves", "mosaic"),
    augmentation=augmentation,
    layouts=(Bsds500(),),
    cards=("bsds500",),
)
