"""Objects on the ground from above: any orientation, many sizes, seen through air."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

import numpy as np

from domains.datasets.domain import DomainSpec
from domains.remote_sensing.options import RemoteSensingOptions
from domains.remote_sensing.spacenet import SpaceNet
from domains.remote_sensing.xview2 import XView2

if TYPE_CHECKING:
    import albumentations as A


def augmentation() -> A.Compose:
    """Training transforms: all eight symmetries, turns, the hour's light, haze and focus."""
    from domains.crops.augment import Photometric, Turn, compose, defocus, eight_symmetries
    from domains.remote_sensing.atmosphere import Haze, Sunlight

    return compose(
        eight_symmetries(),
        Turn(limit_deg=45, p=0.3),
        Photometric(Sunlight(), p=0.8),
        Photometric(Haze(), p=0.3),
        defocus(p=0.1),
    )


def seasons(on: bool, images: Callable[[], Iterable[np.ndarray]]) -> list[A.BasicTransform]:
    """Plants brown or lush, and the shadows of clouds and hills."""
    from domains.crops.augment import Photometric
    from domains.remote_sensing.season import Season
    from domains.remote_sensing.shade import Shade

    return [Photometric(Season(), p=0.2), Photometric(Shade(), p=0.2, every_channel=True)]


DOMAIN = DomainSpec(
    name="remote_sensing",
    headline="ap50",
    metric_keys=(
        "ap",
        "ap50",
        "ap_small",
        "ap_medium",
        "ap_large",
        "ap_small_m2",
        "ap_medium_m2",
        "ap_large_m2",
        "ar100",
        "f1",
        "pq",
        "iou",
        "boundary_ap",
        "boundary_iou",
        "boundary_f",
        "polis_px",
        "polis_m",
    ),  # fmt: skip
    families=("aerial",),
    augmentation=augmentation,
    options=RemoteSensingOptions,
    changes={"seasons": seasons},
    layouts=(SpaceNet(), XView2()),
    cards=(
        "nwpu_vhr10",
        "spacenet_atlanta",
        "spacenet",
        "xview2",
        "inria",
        "massachusetts_buildings",
        "landcover_ai",
        "isaid",
        "whu_buildings",
    ),
)
