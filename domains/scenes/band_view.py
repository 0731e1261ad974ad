"""The bands that a recipe names (`domains.bands`) as a view of a scene."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from domains.bands import parse_bands
from domains.errors import InputError, suggest
from domains.scenes.scene import Scene
from domains.scenes.stretch import apply_stretch, stretch_limits
from domains.scenes.validity import Validity
from domains.scenes.view import UNDECLARED, sample_values, undeclared_nodata


@dataclass(frozen=True)
class BandView:
    """A view (see `View`) of bands by index: single ones stretched `low..high` to 0..255, differences -1..1 likewise.

    indices: per band one index, or two of a normalised difference. limits: per band (low, high), None for uint8 as it
    is and for differences. Of other types what is not finite or is nodata, in any of the two, becomes 0.
    """

    indices: tuple[tuple[int, ...], ...]
    limits: tuple[tuple[float, float] | None, ...]
    channels: tuple[str, ...]
    validity: Validity = Validity()
    remarks: tuple[str, ...] = ()

    def __call__(self, values: np.ndarray) -> np.ndarray:
        channels = [self._shown(values, *band) for band in zip(self.indices, self.limits, strict=True)]
        return np.stack(channels * (3 if len(channels) == 1 else 1), axis=-1)

    def _shown(self, values: np.ndarray, indices: tuple[int, ...], limits: tuple[float, float] | None) -> np.ndarray:
        if len(indices) == 2:
            return difference(values[..., indices[0]], values[..., indices[1]], self.validity.nodata)
        if limits is None:
            return values[..., indices[0]]
        return apply_stretch(values[..., indices[0]], *limits, self.validity.nodata)


def difference(minuend: np.ndarray, subtrahend: np.ndarray, nodata: float | None = None) -> np.ndarray:
    """(minuend - subtrahend) / (minuend + subtrahend) as uint8: -1 to 1 becomes 0 to 255, what is undefined 0."""
    a, b = minuend.astype(np.float32), subtrahend.astype(np.float32)
    valid = np.isfinite(a) & np.isfinite(b) & (a + b != 0)
    if nodata is not None:
        valid &= (minuend != nodata) & (subtrahend != nodata)
    share = np.divide(a - b, a + b, out=np.full(a.shape, -1, np.float32), where=valid)
    return np.where(valid, np.round((share.clip(-1, 1) + 1) * 127.5), 0).astype(np.uint8)


def band_view(scene: Scene, bands: Sequence[str | int], band_names: Sequence[str] = ()) -> BandView:
    """The view of these bands of a scene, each stretched by its own 0.1 to 99.9 percentiles over the whole scene.

    band_names: of the file's bands in their order, in place of the file's own. Raises InputError: a band that the
    scene lacks, nothing valid in one.
    """
    names = tuple(band_names) or scene.channels
    if len(names) > len(scene.channels):
        raise InputError(f"wanted {len(names)} bands ({', '.join(names)}), the image has {len(scene.channels)}")
    chosen = parse_bands(bands)
    described = () if band_names else scene.descriptions
    indices = tuple(
        tuple(_index(term, names, described, len(scene.channels)) for term in band.parts) for band in chosen
    )
    limits: list[tuple[float, float] | None] = [None] * len(indices)
    validity = Validity.of(scene.dtype, scene.nodata, (*names, *scene.channels[len(names) :]))
    remarks: tuple[str, ...] = ()
    if scene.dtype != np.uint8:
        values = sample_values(scene)
        values = values if validity.alpha is None else values[validity.pixels(values)]
        undeclared = None if validity.nodata is not None else undeclared_nodata(values)
        if undeclared is not None:
            validity, remarks = validity._replace(nodata=undeclared), (UNDECLARED,)
        for i, terms in enumerate(indices):
            if len(terms) == 1:
                try:
                    limits[i] = stretch_limits(values[..., terms[0]], validity.nodata)
                except ValueError as error:
                    raise InputError(f"band {bands[i]!r} of {scene.dtype}: {error}; leave the file out") from error
    channels = tuple(str(band) for band in bands) * (3 if len(bands) == 1 else 1)
    return BandView(indices, tuple(limits), channels, validity, remarks)


def _index(term: str, names: Sequence[str], described: Sequence[str], count: int) -> int:
    """Index of a band from its number (from 1), its name, or what the file calls it."""
    if term.isdecimal():
        if 1 <= int(term) <= count:
            return int(term) - 1
        raise InputError(f"band {term} is wanted, the image has {count}")
    for words in (names, described):
        lower = [word.lower() for word in words]
        if lower.count(term.lower()) == 1:
            return lower.index(term.lower())
    candidates = [name for name in (*names, *described) if name]
    hint = (
        suggest(term, candidates) if candidates else "the file names none, so name them in order by domain.band_names"
    )
    raise InputError(f"band {term!r} is wanted, the image has {count} bands; {hint}")
