"""Results to look at."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image

from domains.entities import EntityMap, Place
from domains.entities.overlay import overlay
from domains.exports.destination import Destination
from domains.scenes.results import signed


@dataclass(frozen=True)
class OverlayPng:
    """`<name>.overlay.png`: the image with its entities in colour, to look at."""

    destination: Destination

    def files(self, name: str) -> tuple[str, ...]:
        return (f"{name}.overlay.png",)

    def add(self, name: str, image: np.ndarray, prediction: EntityMap, place: Place) -> None:
        with self.destination.writing(*self.files(name)) as path:
            Image.fromarray(overlay(image, prediction)).save(path, pnginfo=signed())

    def close(self) -> None:
        """All is written."""
