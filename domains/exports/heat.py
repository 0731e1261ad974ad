"""How sure every pixel is to lie in an entity, as inspection lines want it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import tifffile

from domains.errors import InputError
from domains.exports.destination import Destination
from domains.scenes.results import SOFTWARE
from domains.tiling.prediction import Prediction


@dataclass(frozen=True)
class HeatTiff:
    """`<name>.heat.tif`: float16 in [0, 1], the form in which MVTec AD 2 takes its anomaly images. Of all
    pixels, also of those of entities that are left out.
    """

    destination: Destination
    any_size: ClassVar[bool] = False

    def files(self, name: str) -> tuple[str, ...]:
        """The heat map of an image."""
        return (f"{name}.heat.tif",)

    def stream(self, prediction: Prediction) -> None:
        """Write the heat map of an image. Raises InputError for a prediction without scores of pixels."""
        pixel_scores = prediction.whole_map.pixel_scores
        if pixel_scores is None:
            raise InputError(
                f"{prediction.place.scene!r}: a heat map wants scores of pixels, which the dense decoder alone gives; "
                "leave --format heat"
            )
        with self.destination.writing(*self.files(prediction.name)) as path:
            scores = np.asarray(pixel_scores, np.float16)
            tifffile.imwrite(path, scores, compression="zlib", photometric="minisblack", software=SOFTWARE)

    def close(self) -> None:
        """All is written."""
