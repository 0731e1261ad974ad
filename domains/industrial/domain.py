"""Defects of inspected surfaces: few, of any size, often faint; the light is the line's, not nature's."""

from __future__ import annotations

from typing import TYPE_CHECKING

from domains.datasets.domain import DomainSpec
from domains.industrial.crack_masks import CrackMasks
from domains.industrial.crackforest import CrackForest
from domains.industrial.dagm import Dagm
from domains.industrial.drawn import draw_defect
from domains.industrial.kolektor import Kolektor
from domains.industrial.magnetic_tile import MagneticTile
from domains.industrial.mvtec_ad import MvtecAd
from domains.industrial.options import IndustrialOptions
from domains.industrial.severstal import Severstal
from domains.industrial.visa import Visa

if TYPE_CHECKING:
    import albumentations as A


def augmentation() -> A.Compose:
    """Training transforms: all eight symmetries, small turns, uneven light, focus, motion and noise."""
    from domains.crops.augment import Photometric, Turn, compose, defocus, eight_symmetries, motion, sensor_noise
    from domains.industrial.light import UnevenLight

    return compose(
        eight_symmetries(),
        Turn(limit_deg=10, p=0.3),
        Photometric(UnevenLight(), p=0.8),
        defocus(p=0.15),
        motion(p=0.1),
        sensor_noise(p=0.2),
    )


DOMAIN = DomainSpec(
    name="industrial",
    headline="class_iou",
    metric_keys=(
        *("ap", "ap50", "f1", "pq", "iou", "class_iou", "dice", "boundary_f"),
        *("f1_2px", "cldice", "line_recall_2px"),
        *("image_auroc", "image_f1", "image_f1_max", "false_alarms"),
        *("pixel_auroc", "pixel_ap", "aupro", "aupro_05"),
        *("region_recall", "recall_tiny", "recall_small", "recall_medium", "recall_large"),
        *("f1_tiny", "f1_small", "f1_medium", "f1_large"),
    ),
    families=("surfaces",),
    augmentation=augmentation,
    options=IndustrialOptions,
    draw=draw_defect,
    layouts=(MagneticTile(), CrackForest(), MvtecAd(), Visa(), Dagm(), Kolektor(), Severstal(), CrackMasks()),
    cards=("magnetic_tile", "crackforest", "deepcrack", "crack500"),
)
