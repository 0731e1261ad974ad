"""Results to look at."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from PIL import Image

from domains.entities.overlay import overlay
from domains.exports.destination import Destination
from domains.scenes.results import signed
from domains.tiling.grid import Window
from domains.tiling.prediction import Prediction


@dataclass(frozen=True)
class OverlayPng:
    """`<name>.overlay.png`: the image with its entities in colour, to look at."""

    destination: Destination
    any_size: ClassVar[bool] = False

    def files(self, name: str) -> tuple[str, ...]:
        """The picture of an image."""
        return (f"{name}.overlay.png",)

    def stream(self, prediction: Prediction) -> None:
        """Draw the entities of an image over it."""
        assert prediction.image is not None
        image = prediction.image(Window(0, 0, *prediction.shape))
        with self.destination.writing(*self.files(prediction.name)) as path:
            Image.fromarray(overlay(image, prediction.whole_map)).save(path, pnginfo=signed())

    def close(self) -> None:
        """All is written."""
