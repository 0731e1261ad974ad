"""A scene at another pixel size."""

from __future__ import annotations

from functools import lru_cache
from itertools import product

import numpy as np
from scipy.sparse import csr_array

from domains.scenes.georeference import Georeference
from domains.scenes.scene import Scene, clipped

SAME = 0.002  # a level is of the wanted size when it differs by less; rounded shapes differ by as much


class Resampled:
    """A scene of uint8 or float values whose every side is `factor` times as long; read from the level that fits best.

    That is the coarsest level which is not coarser than what is wanted. Shrinking takes the mean over the area of each
    new pixel, so that nothing is aliased, growing is linear, and a window is what it would be if the whole scene had
    been resized (`resize_image` does the same to whole images). One level: factor 1 reads through.
    Where a level lies over the scene is what its pixels say (`steps`): what is seen is in its place at any level.
    """

    def __init__(self, scene: Scene, factor: float) -> None:
        self.scene, self.factor = scene, factor
        self.shape: tuple[int, int] = scene.shape
        if factor != 1:
            self.shape = max(1, round(scene.shape[0] * factor)), max(1, round(scene.shape[1] * factor))
        self.levels = (self.shape,)
        fine = [i for i, level in enumerate(scene.levels) if level[0] >= self.shape[0] * (1 - SAME)]
        self.level = fine[-1] if fine else 0
        self.source = scene.levels[self.level]
        ratios = [full / new for full, new in zip(scene.shape, self.shape, strict=True)]
        self.scales = tuple(ratio / step for ratio, step in zip(ratios, steps(scene, self.level), strict=True))
        self.direct = self.source == self.shape and self.scales == (1, 1)

    @property
    def dtype(self) -> np.dtype:
        """That of the scene; integers are rounded to it."""
        return self.scene.dtype

    @property
    def channels(self) -> tuple[str, ...]:
        """Those of the scene, none is mixed with another."""
        return self.scene.channels

    @property
    def nodata(self) -> float | None:
        """That of the scene; pixels outside of it are filled with it."""
        return self.scene.nodata

    @property
    def pixel_size_m(self) -> float | None:
        """Metres of a pixel after the change of size, None where the scene has none."""
        size = self.scene.pixel_size_m
        return None if size is None else size / self.factor

    @property
    def georeference(self) -> Georeference | None:
        """The scene's, its steps along rows and columns scaled to the new shape; None where it has none."""
        georeference = self.scene.georeference
        if georeference is None:
            return None
        (a, b, c, d, e, f), (height, width) = georeference.transform, self.shape
        across, down = self.scene.shape[1] / width, self.scene.shape[0] / height
        return Georeference(georeference.crs, (a * across, b * down, c, d * across, e * down, f))

    @property
    def descriptions(self) -> tuple[str, ...]:
        """What the scene's file calls each channel."""
        return self.scene.descriptions

    @property
    def remarks(self) -> tuple[str, ...]:
        """Those of the scene; the change of size adds none."""
        return self.scene.remarks

    @property
    def format(self) -> str:
        """The kind of the scene's file, for people."""
        return self.scene.format

    def read(self, y: int, x: int, height: int, width: int, level: int = 0) -> np.ndarray:
        """As `Scene.read`, y, x and size in new pixels; read from the one level that fits best."""
        if self.direct:
            return self.scene.read(y, x, height, width, self.level)
        inside, (rows, columns) = clipped(y, x, height, width, self.shape)
        result = np.full((height, width, len(self.channels)), self.nodata or 0, self.dtype)
        if rows.start < rows.stop:
            result[inside] = self._resampled(rows, columns)
        return result

    def _resampled(self, rows: slice, columns: slice) -> np.ndarray:
        top, tall, down = weights(self.source[0], self.scales[0], rows.start, rows.stop)
        left, wide, across = weights(self.source[1], self.scales[1], columns.start, columns.stop)
        h, w = rows.stop - rows.start, columns.stop - columns.start
        values = self.scene.read(top, left, tall, wide, self.level)
        values = down @ values.reshape(tall, -1).astype(np.float32)  # (h, wide * C)
        values = values.reshape(h, wide, -1).swapaxes(0, 1).reshape(wide, -1)  # (wide, h * C)
        values = (across @ values).reshape(w, h, -1).swapaxes(0, 1)  # (h, w, C)
        return np.round(values).astype(self.dtype) if self.dtype.kind in "ui" else values.astype(self.dtype)

    def close(self) -> None:
        """Closes the scene below."""
        self.scene.close()


SPOT_PX, LEAST_PX = 64, 8  # side of a spot, on the level
BELOW_PX = 2048  # of a spot, on the scene
CLEARLY = 0.8  # of the squared difference, by which a step must be the better one


def steps(scene: Scene, level: int) -> tuple[float, float]:
    """Pixels of the scene for each pixel of a level, down and across.

    Of 1001 pixels a writer of pyramids makes 500 in pairs, and drops the last (libvips, the scanners), or 2.002 at a
    time (GDAL, whatever resizes); it does not say which. By the end of a large slide that is a pixel of the level.
    Where its size allows both, the most contrasted of some spots of the level is compared with the scene below it.
    """
    lengths = list(zip(scene.shape, scene.levels[level], strict=True))
    ratios = scene.shape[0] / lengths[0][1], scene.shape[1] / lengths[1][1]
    choices = [list(dict.fromkeys((full / reduced, _in_wholes(full, reduced)))) for full, reduced in lengths]
    height, width = (min(SPOT_PX, reduced, int(BELOW_PX / ratios[0])) for _, reduced in lengths)
    if all(len(choice) == 1 for choice in choices) or min(height, width) < LEAST_PX:
        return ratios
    rows, columns = ([int((reduced - SPOT_PX) * share) for share in (1, 0.8, 0.6)] for _, reduced in lengths)
    rows, columns = ([max(0, place) for place in places] for places in (rows, columns))
    spots = {(y, x): _grey(scene.read(y, x, height, width, level)) for y in rows for x in columns}
    (y, x), seen = max(spots.items(), key=lambda spot: float(spot[1].std()))
    differences = {}
    for step in product(choices[0], choices[1]):
        top, tall, down = weights(scene.shape[0], step[0], y, y + height)
        left, wide, across = weights(scene.shape[1], step[1], x, x + width)
        below = _grey(scene.read(top, left, tall, wide))
        differences[step] = float(np.square(down @ below @ across.T - seen).mean())
    best = min(differences, key=lambda step: differences[step])
    return best if differences[best] < CLEARLY * differences[ratios] else ratios


def _in_wholes(full: int, reduced: int) -> float:
    """The whole step by which `reduced` pixels are made of `full`, the rest dropped or filled up; else the ratio."""
    step = round(full / reduced)
    return float(step) if reduced in (full // step, -(-full // step)) else full / reduced


def _grey(values: np.ndarray) -> np.ndarray:
    return np.nan_to_num(values.astype(np.float32)).mean(axis=2)


@lru_cache(maxsize=512)
def weights(source: int, scale: float, start: int, stop: int) -> tuple[int, int, csr_array]:
    """(offset, n, (stop - start, n)): of a line of `source` pixels in new ones of `scale` each, pixels start..stop as
    weights of the source's pixels from `offset` on. Each row sums to 1.
    """
    new = np.arange(start, stop)
    if scale > 1:  # the share of each old pixel that lies under the new one
        low, high = new * scale, (new + 1) * scale
        offset, reach = np.floor(low).astype(int), int(np.ceil(scale)) + 1
        old = offset[:, None] + np.arange(reach)
        share = np.minimum(old + 1, high[:, None]) - np.maximum(old, low[:, None])
    else:  # between the two nearest centres, the border repeated
        centre = (new + 0.5) * scale - 0.5
        offset = np.floor(centre).astype(int)
        old = offset[:, None] + np.arange(2)
        share = 1 - np.abs(centre[:, None] - old)
    old, share = np.clip(old, 0, source - 1), np.maximum(share, 0)
    share /= share.sum(axis=1, keepdims=True)
    top = int(old.min())
    row = np.repeat(np.arange(len(new)), old.shape[1])
    count = int(old.max()) + 1 - top
    shape = len(new), count
    return top, count, csr_array((share.ravel().astype(np.float32), (row, (old - top).ravel())), shape=shape)
