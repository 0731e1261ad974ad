"""Which of several adapters an image is for, by how it looks beside the images that each was fitted on.

Every adapter's images have a centre, and all of them together one covariance about their centres: a new image is of the
nearest centre by that measure (linear discriminants), and of none where it is further out than nearly all validation
images of that adapter are.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from adapters.sharing.appearances import MOST_TRAIN, MOST_VAL, NUMBERS, Appearances, evenly, rows_text
from domains.entities import Samples
from domains.errors import InputError
from domains.scenes.appearance import SIZE, appearance

WITHIN = 0.95
"""Share of an adapter's own images, not among those that its centre was taken from, that are near enough."""
FOLDS = 5
FEW = 8  # validation images below this are joined by training images, each left out in turn

assert SIZE == NUMBERS


@dataclass(frozen=True)
class Route:
    """adapter: the nearest one's name, None where it is too far. distance, limit: to the nearest, and its utmost.

    margin: how many times as far the second is; infinite without a second.
    """

    adapter: str | None
    nearest: str
    distance: float
    limit: float
    margin: float


class Centres:
    """Groups of rows (N, SIZE) by their centres, and one covariance of all rows about them."""

    def __init__(self, groups: Sequence[np.ndarray]) -> None:
        together = np.concatenate(groups)
        self.middle, self.spread = together.mean(0), together.std(0) + 1e-6
        self.centres = np.stack([self.scaled(rows).mean(0) for rows in groups])
        apart = np.concatenate([self.scaled(rows) - centre for rows, centre in zip(groups, self.centres, strict=True)])
        covariance = apart.T @ apart / len(apart)
        even = max(float(np.trace(covariance)) / SIZE, 1e-6) * np.eye(SIZE)
        share = SIZE / (SIZE + len(apart))  # of what few rows cannot say
        self.precision = np.linalg.inv((1 - share) * covariance + share * even)

    def scaled(self, rows: np.ndarray) -> np.ndarray:
        """Rows (N, SIZE) with every number about 0, of spread 1."""
        return (rows - self.middle) / self.spread

    def distances(self, rows: np.ndarray) -> np.ndarray:
        """(N, groups) squared distances of rows (N, SIZE) to each centre."""
        apart = self.scaled(rows)[:, None] - self.centres  # (N, groups, SIZE)
        return np.einsum("nai,ij,naj->na", apart, self.precision, apart)


class Router:
    """Adapters by the appearances of the images that they were fitted on."""

    def __init__(self, appearances: Mapping[str, Appearances]) -> None:
        """Raises InputError without an adapter."""
        if not appearances:
            raise InputError("there is no adapter to choose from; wanted some that were fitted on images")
        self.names = list(appearances)
        groups = [images.rows("train") for images in appearances.values()]
        self.centres = Centres(groups)
        vals = [images.rows("val") for images in appearances.values()]
        self.limits = [
            float(
                np.quantile(
                    [*self.centres.distances(val)[:, i], *(left_out(groups, i) if len(val) < FEW else ())], WITHIN
                )
            )
            for i, val in enumerate(vals)
        ]

    def choose(self, look: np.ndarray) -> Route:
        """The adapter of an image, by its `appearance` (SIZE,)."""
        distances = self.centres.distances(look[None].astype(np.float64))[0]
        order = np.argsort(distances, kind="stable")
        nearest, distance = int(order[0]), float(distances[order[0]])
        margin = float(distances[order[1]] / max(distance, 1e-9)) if len(order) > 1 else np.inf
        fits = distance <= self.limits[nearest]
        name = self.names[nearest]
        return Route(name if fits else None, name, distance, self.limits[nearest], margin)


def left_out(groups: Sequence[np.ndarray], index: int) -> Iterator[float]:
    """The distance of each row of a group to the centre of those of its group that are not in its fold."""
    rows = groups[index]
    for fold in range(min(FOLDS, len(rows) - 1)):
        out = np.arange(len(rows)) % FOLDS == fold
        reduced = [*groups[:index], rows[~out], *groups[index + 1 :]]
        yield from Centres(reduced).distances(rows[out])[:, index]


def appearances_of(train: Samples, val: Samples) -> Appearances:
    """Of images of a fit, spread evenly over each split."""
    return Appearances(rows_text(looks(train, MOST_TRAIN)), rows_text(looks(val, MOST_VAL)))


def looks(samples: Samples, limit: int) -> np.ndarray:
    """(N, SIZE) of at most so many samples."""
    chosen = evenly(len(samples), limit)
    return np.array([appearance(samples[int(i)].image) for i in chosen]).reshape(-1, SIZE)
