"""Results to look at."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from PIL import Image

from domains.entities.overlay import overlay, with_legend
from domains.exports.destination import Destination
from domains.scenes.results import signed
from domains.tiling.grid import Window
from domains.tiling.prediction import Prediction


@dataclass(frozen=True)
class OverlayPng:
    """`<name>.overlay.png`: the image with its entities in colour, to look at; where they were labelled in those of
    their classes, with a legend below.
    """

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
            picture = overlay(image, prediction.whole_map, prediction.classes)
            (with_legend(picture, prediction.classes) if prediction.classes else Image.fromarray(picture)).save(
                path, pnginfo=signed()
            )

    def close(self) -> None:
        """All is written."""
