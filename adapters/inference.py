"""From a scene to its entities, and from a data set to its metrics: the same path for both."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from adapters.segmenter import EntitySegmenter
from domains.entities import EntityMap
from domains.errors import InputError
from domains.metrics import MetricSet
from domains.normalisers import build_normaliser, normalised
from domains.resize import resize_image, resize_map
from domains.scenes import Photograph, Scene
from domains.tiling import predict_tiled

TILES_AT_ONCE = 8
LIMITS = {
    "scale": (1 / 64, 16),
    "tile_px": (16, 8192),
    "overlap_px": (0, 8191),
    "channels": (3, 3),
    "symmetries": (1, 8),
}


@dataclass(frozen=True)
class InputContract:
    """How the network wants to see a scene; stored with an adapter, since its weights depend on it."""

    scale: float = 1.0
    """Images are resized by this before the network, and entities mapped back."""
    tile_px: int = 256
    """Side of a tile, after scaling."""
    overlap_px: int = 64
    """Overlap of neighbouring tiles, after scaling."""
    pixel_size_m: float | None = None
    """Size of a pixel in the training images, in metres."""
    channels: int = 3
    symmetries: int = 1
    """Flips and turns, 1 to 8, over which the decoder's fields are averaged; the time goes up by as much."""
    stain: dict[str, Any] | None = None
    """Stain normalisation, its name and target, for `domains.normalisers`; None for none."""

    def __post_init__(self) -> None:
        """Raises InputError: an adapter comes from anybody, and its numbers decide how much memory is taken."""
        for name, (least, most) in LIMITS.items():
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, (int, float)) or not least <= value <= most:
                raise InputError(f"input {name} is {value!r}; wanted a number from {least:g} to {most:g}")
        if self.overlap_px >= self.tile_px:
            raise InputError(f"input overlap_px is {self.overlap_px}; wanted less than tile_px, {self.tile_px}")
        if self.stain is not None:
            if not isinstance(self.stain, dict):
                raise InputError(f"input stain is {self.stain!r}; wanted a name and a target")
            build_normaliser(self.stain)


def segment(segmenter: EntitySegmenter, scene: Scene, contract: InputContract) -> EntityMap:
    """The entities of a scene, at the scene's own size."""
    segmenter.eval()
    scene = normalised(scene, contract.stain)
    height, width = scene.shape
    if contract.scale == 1:
        scaled, shape = scene, (height, width)
    else:
        shape = (max(1, round(height * contract.scale)), max(1, round(width * contract.scale)))
        scaled = Photograph(resize_image(scene.read(0, 0, height, width), shape))

    def read(window: tuple[int, int, int, int]) -> np.ndarray:
        return scaled.read(*window)

    def predict(images: list[np.ndarray]) -> list[EntityMap]:
        return segmenter.entities(images, contract.symmetries)

    tiles = (contract.tile_px, contract.overlap_px, TILES_AT_ONCE)
    return resize_map(predict_tiled(read, shape, predict, *tiles), (height, width))


def measure(
    segmenter: EntitySegmenter,
    samples: Iterable,
    metrics: Iterable[str] | MetricSet,
    contract: InputContract,
    on_image: Callable[[], None] = lambda: None,
) -> MetricSet:
    """Metrics of a segmenter over the samples of a data set; images without a record are groups of their own."""
    found = metrics if isinstance(metrics, MetricSet) else MetricSet(metrics)
    records = getattr(samples, "records", None)
    for i, sample in enumerate(samples):
        record = records[i] if records else None
        prediction = segment(segmenter, Photograph(sample.image), contract)
        group = record.group if record else sample.place.scene
        stratum = record.stratum if record else ""
        found.update(prediction, sample.truths, group, stratum, sample.place.pixel_size_m)
        on_image()
    return found
