"""Which entities of a prediction are written: none that is too unsure, too small or too large."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from domains.errors import InputError
from domains.exports.areas import areas_m2
from domains.scenes.area import Area
from domains.scenes.georeference import Georeference
from domains.scenes.ground import ground_of
from domains.tiling.prediction import Prediction

EXACT = 1e-6  # areas that differ by less than this share are one: they come from sizes of pixels that were rounded


@dataclass(frozen=True)
class Limits:
    """Entities from `least_score` and `least_area` on and up to `most_area` are written; None for no limit."""

    least_score: float | None = None
    least_area: Area | None = None
    most_area: Area | None = None

    def check(self, pixel_size_m: float | None, georeference: Georeference | None) -> None:
        """Raises InputError for a limit that a scene cannot have, since its pixels are of no known size."""
        if pixel_size_m is not None or ground_of(georeference) is not None:
            return
        for option, area in (("--least-area", self.least_area), ("--most-area", self.most_area)):
            if area is not None and area.unit_m2 is not None:
                raise InputError(
                    f"{option} is {str(area)!r}, and the image does not say the size of a pixel; say it by "
                    "--pixel-size, or the area in px"
                )

    def applied(self, prediction: Prediction) -> Prediction:
        """The prediction without the entities beyond the limits, the others numbered anew.

        Raises InputError for a limit of scores where there are none, and as `check` does.
        """
        self.check(prediction.place.pixel_size_m, prediction.place.georeference)
        kept = np.ones(prediction.count, bool)
        if self.least_score is not None and prediction.count:
            kept &= self._sure(prediction)
        if self.least_area is not None:
            kept &= areas_in(prediction, self.least_area) >= self.least_area.value * (1 - EXACT)
        if self.most_area is not None:
            kept &= areas_in(prediction, self.most_area) <= self.most_area.value * (1 + EXACT)
        return prediction.only(kept)

    def _sure(self, prediction: Prediction) -> np.ndarray:
        """(N,) bool, compared in the 32 bits that scores have: a score of 0.7 is not below 0.7."""
        scores = prediction.entities.scores
        if scores is None:
            raise InputError(
                f"{prediction.place.scene!r}: its entities have no scores, which --least-score wants; leave it out"
            )
        return np.asarray(scores, np.float32) >= np.float32(self.least_score)


def areas_in(prediction: Prediction, like: Area) -> np.ndarray:
    """(N,) areas in the unit of an area."""
    if like.unit_m2 is None:
        return prediction.entities.area_px
    return areas_m2(prediction) / like.unit_m2
