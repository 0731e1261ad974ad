"""The two results per image that are images themselves."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import tifffile
from PIL import Image

from domains.atomic import atomic_path
from domains.entities import EntityMap, Place
from domains.exports.destination import Destination
from domains.overlay import overlay


@dataclass(frozen=True)
class LabelTiff:
    """`<name>.labels.tif`: int32 ids, 0 none, -1 unlabelled; deflate, the one compression that every reader has."""

    destination: Destination

    def file(self, name: str) -> str:
        return f"{name}.labels.tif"

    def add(self, name: str, image: np.ndarray, prediction: EntityMap, place: Place) -> None:
        with atomic_path(self.destination.path(self.file(name))) as path:
            tifffile.imwrite(path, prediction.ids, compression="zlib", photometric="minisblack")

    def close(self) -> None:
        """All is written."""


@dataclass(frozen=True)
class OverlayPng:
    """`<name>.overlay.png`: the image with its entities in colour, to look at."""

    destination: Destination

    def file(self, name: str) -> str:
        return f"{name}.overlay.png"

    def add(self, name: str, image: np.ndarray, prediction: EntityMap, place: Place) -> None:
        with atomic_path(self.destination.path(self.file(name))) as path:
            Image.fromarray(overlay(image, prediction)).save(path)

    def close(self) -> None:
        """All is written."""
