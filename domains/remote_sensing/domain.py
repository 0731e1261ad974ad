"""Objects on the ground from above: any orientation, many sizes, seen through air."""

from __future__ import annotations

from typing import TYPE_CHECKING

from domains.domain import DomainSpec

if TYPE_CHECKING:
    import albumentations as A


def augmentation() -> A.Compose:
    from domains.augment import Photometric, Turn, compose, defocus, eight_symmetries
    from domains.remote_sensing.atmosphere import Haze, Sunlight

    return compose(
        eight_symmetries(),
        Turn(limit_deg=45, p=0.3),
        Photometric(Sunlight(), p=0.8),
        Photometric(Haze(), p=0.3),
        defocus(p=0.1),
    )


DOMAIN = DomainSpec(
    name="remote_sensing",
    headline="ap50",
    metric_keys=("ap", "ap50", "ar100", "f1", "pq", "iou", "boundary_f"),
    families=("aerial",),
    augmentation=augmentation,
    cards=("nwpu_vhr10",),
)
