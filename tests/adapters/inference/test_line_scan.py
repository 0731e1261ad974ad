"""What line cameras give: grey or colour, 8, 12 or 16 bits, strips twenty times as long as wide."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile
from imagecodecs import png_encode

from adapters.inference.segment import InputContract, measure, segment
from domains.crops.crops import CropOptions
from domains.crops.train_crops import TrainCrops
from domains.datasets.dataset import open_folder
from domains.datasets.domain import build_domain
from domains.entities import collate
from domains.metrics import MetricSet
from domains.scenes import Photograph
from domains.scenes.images import read_image

STRIP = (32, 640)


def strip(bits: int, channels: int) -> np.ndarray:
    """A slope of light with a dark scratch, from 1/8 to 7/8 of what `bits` hold."""
    ramp = np.linspace(1 / 8, 7 / 8, STRIP[1])[None].repeat(STRIP[0], 0)
    ramp[14:17, 300:400] = 1 / 8
    values = np.round(ramp * (2**bits - 1)).astype(np.uint8 if bits == 8 else np.uint16)
    return values if channels == 1 else np.repeat(values[..., None], channels, 2)


def save(path: Path, values: np.ndarray) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".tif":
        tifffile.imwrite(path, values, photometric="rgb" if values.ndim == 3 else "minisblack")
    else:
        path.write_bytes(png_encode(values))
    return path


@pytest.mark.parametrize("suffix", [".png", ".tif"])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("bits", [8, 12, 16])
def test_every_depth_shows_the_same_picture(tmp_path: Path, bits: int, channels: int, suffix: str) -> None:
    image = read_image(save(tmp_path / f"a{suffix}", strip(bits, channels)))
    assert image.shape == (*STRIP, 3) and image.dtype == np.uint8
    whole = image[..., 0].astype(float)
    low, high = np.percentile(whole, (1, 99))
    seen = (whole - low) / (high - low)  # 8 bits stay as they are, deeper ones are stretched
    wanted = read_image(save(tmp_path / f"b{suffix}", strip(8, 1)))[..., 0].astype(float)
    low, high = np.percentile(wanted, (1, 99))
    np.testing.assert_allclose(seen, (wanted - low) / (high - low), atol=0.02)


@pytest.mark.parametrize("bits, upright", [(8, False), (12, True), (16, False)])
def test_strips_of_one_to_twenty_are_trained_on_predicted_and_measured(
    tmp_path: Path, tiny_segmenter, bits: int, upright: bool
) -> None:
    mask = np.zeros(STRIP, np.uint8)
    mask[14:17, 300:400] = 255
    for i in range(4):
        image, label = strip(bits, 1 if i % 2 else 3), mask if i else np.zeros_like(mask)
        if upright:
            image, label = image.swapaxes(0, 1).copy(), label.T.copy()
        save(tmp_path / "images" / f"{i}.png", image)
        save(tmp_path / "masks" / f"{i}.png", label)
    folder = open_folder(tmp_path)
    dataset = folder.dataset("all")
    shape = STRIP[::-1] if upright else STRIP
    assert [sample.truth.areas.tolist() for sample in dataset] == [[], [300], [300], [300]]

    domain = build_domain("industrial")
    crops = TrainCrops(dataset, CropOptions(crop_px=64, balance=0.5), domain.augmentation(), length=12)
    batch = collate(crops)
    assert batch.images.shape == (12, 3, 64, 64) and (batch.ids > 0).flatten(1).any(1).sum() >= 4
    assert (batch.ids == -1).float().mean() > 0.3  # beside the strip nobody knows

    segmenter, _ = tiny_segmenter()
    contract = InputContract(tile_px=64, overlap_px=16)
    assert segment(segmenter, Photograph(dataset[0].image), contract).shape == shape
    values = measure(segmenter, dataset, MetricSet(domain.metrics()), contract).compute()
    assert 0 <= values["iou"] <= 1 and 0 <= values["pixel_auroc"] <= 1 and np.isnan(values["recall_large"])
