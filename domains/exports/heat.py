"""How sure every pixel is to lie in an entity, as inspection lines want it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import tifffile

from domains.entities import EntityMap, Place
from domains.errors import InputError
from domains.exports.destination import Destination
from domains.scenes.results import SOFTWARE


@dataclass(frozen=True)
class HeatTiff:
    """`<name>.heat.tif`: float16 in [0, 1], the form in which MVTec AD 2 takes its anomaly images."""

    destination: Destination

    def files(self, name: str) -> tuple[str, ...]:
        return (f"{name}.heat.tif",)

    def add(self, name: str, image: np.ndarray, prediction: EntityMap, place: Place) -> None:
        """Raises InputError for a prediction without scores of pixels."""
        if prediction.pixel_scores is None:
            raise InputError(
                f"{place.scene!r}: a heat map wants scores of pixels, which the dense decoder alone gives; leave "
                "--format heat"
            )
        with self.destination.writing(*self.files(name)) as path:
            scores = np.asarray(prediction.pixel_scores, np.float16)
            tifffile.imwrite(path, scores, compression="zlib", photometric="minisblack", software=SOFTWARE)

    def close(self) -> None:
        """All is written."""
