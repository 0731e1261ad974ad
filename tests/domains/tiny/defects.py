"""Tiny folders of inspected parts and of cracks."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from scipy.io import savemat

from tests.domains.tiny.basics import HEIGHT, WIDTH, box, picture, save


def magnetic_tile(root: Path) -> Path:
    """Two tiles with a blowhole of 16 px each (and a stray pixel), one of them under two exposures; one free tile."""
    for number in (100, 130, 9000):
        stem = root / "MT_Blowhole" / "Imgs" / f"exp1_num_{number}"
        save(stem.with_suffix(".jpg"), picture(channels=1)[..., 0])
        mask = box(4, 4, 8, 8)
        mask[15, 20], mask[8, 4] = 255, 60  # a speck, and a soft edge
        save(stem.with_suffix(".png"), mask)
    stem = root / "MT_Free" / "Imgs" / "exp1_num_20000"
    save(stem.with_suffix(".jpg"), picture(channels=1)[..., 0])
    save(stem.with_suffix(".png"), box(0, 0, 0, 0))
    return root


def crackforest(root: Path, count: int = 3) -> Path:
    """Per image two cracks, road enclosed by one of them (label 3), and a piece of label 4."""
    regions = np.ones((HEIGHT, WIDTH), np.uint8)
    regions[3:8, 3:8], regions[4:7, 4:7], regions[12, 5:20], regions[16, 2:4] = 2, 3, 2, 4
    (root / "groundTruth").mkdir(parents=True)
    for i in range(1, count + 1):
        save(root / "image" / f"{i:03}.jpg", picture(i))
        truth = {"Segmentation": regions, "Boundaries": (regions == 2).astype(np.uint8)}
        savemat(root / "groundTruth" / f"{i:03}.mat", {"groundTruth": truth})
    return root


def mvtec_ad(root: Path) -> Path:
    """Two categories; per category two good images of train, one of test, and a scratch of 2 components (9 + 8 px)."""
    scratch = box(2, 2, 5, 5) + box(10, 10, 12, 14)
    for category in ("bottle", "tile"):
        for part, count in (("train", 2), ("test", 1)):
            for i in range(count):
                save(root / category / part / "good" / f"{i:03}.png", picture(i))
        for i in range(2):
            save(root / category / "test" / "scratch" / f"{i:03}.png", picture(i))
            save(root / category / "ground_truth" / "scratch" / f"{i:03}_mask.png", scratch)
    return root


def visa(root: Path) -> Path:
    """A category of two normal images and one with a defect of two kinds that touch (values 1 and 3)."""
    data = root / "candle" / "Data"
    for i in range(2):
        save(data / "Images" / "Normal" / f"{i:04}.JPG", picture(i))
    save(data / "Images" / "Anomaly" / "000.JPG", picture(7))
    save(data / "Masks" / "Anomaly" / "000.png", box(2, 2, 5, 5, 1) + box(5, 5, 7, 7, 3))
    return root


def dagm(root: Path) -> Path:
    """Two classes; per class and part a good image and a defective one."""
    for name in ("Class1", "Class10"):
        for part in ("Train", "Test"):
            for i in range(2):
                save(root / name / part / f"{i:04}.PNG", picture(i, channels=1)[..., 0])
            save(root / name / part / "Label" / "0001_label.PNG", box(3, 3, 9, 12))
    return root


def kolektor(root: Path) -> Path:
    """KolektorSDD: two items of two parts, of which the first has a defect."""
    for item in ("kos01", "kos02"):
        for k in range(2):
            save(root / item / f"Part{k}.jpg", picture(k, channels=1)[..., 0])
            save(root / item / f"Part{k}_label.bmp", box(4, 4, 6, 9) if k == 0 else box(0, 0, 0, 0))
    return root


def severstal(root: Path) -> Path:
    """Two steel strips, the first with defects of classes 1 and 3 (2 x 3 px from row 1, column 2; 1 px at 5, 5)."""
    for name in ("a.jpg", "b.jpg"):
        save(root / "train_images" / name, picture(channels=1)[..., 0])
    runs = f"{2 * HEIGHT + 2} 2 {3 * HEIGHT + 2} 2 {4 * HEIGHT + 2} 2"
    table = f"ImageId,ClassId,EncodedPixels\na.jpg,3,{runs}\na.jpg,1,{5 * HEIGHT + 6} 1\n"
    (root / "train.csv").write_text(table)
    return root


def crack_masks(root: Path) -> Path:
    """DeepCrack's arrangement: a cracked image and a sound one to train on, one to test."""
    for part, count in (("train", 2), ("test", 1)):
        for i in range(count):
            save(root / f"{part}_img" / f"{i}.jpg", picture(i))
            save(root / f"{part}_lab" / f"{i}.png", box(0, 0, 0, 0) if i else box(5, 2, 6, 25))
    return root
