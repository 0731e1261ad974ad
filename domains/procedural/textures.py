"""A bank of grey textures, built once per process from a fixed seed, and cheap random crops of it.

Textures are (256, 256) uint8 around a mean of 128 with equal contrast, so that whoever paints with one chooses the
colours and the strength. Noise is made in Fourier space and therefore wraps: crops may leave the tile.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import cv2
import numpy as np

TILE_PX = 256
COUNT_PER_KIND = 24
BANK_SEED = 20240229


def crop_texture(rng: np.random.Generator, height: int, width: int, scale: float | None = None) -> np.ndarray:
    """(height, width) float32, mean near 0, standard deviation near 1/2: a random texture, turned and scaled.

    scale: size of the texture's features, 1 as built; drawn from 0.5 to 2 where None.
    """
    return relief(raw_crop(None, rng, height, width, scale, rng.uniform(0, 2 * np.pi)))


def crop_kind(
    kind: str, rng: np.random.Generator, height: int, width: int, scale: float | None = None, turn: float = 0.0
) -> np.ndarray:
    """Like `crop_texture`, of one kind of `KINDS`, turned by `turn` radians."""
    return relief(raw_crop(kind, rng, height, width, scale, turn))


def relief(crop: np.ndarray) -> np.ndarray:
    """Grey levels of the bank to float32 around 0."""
    return (crop.astype(np.float32) - 128.0) * (1 / 64)


def raw_crop(
    kind: str | None, rng: np.random.Generator, height: int, width: int, scale: float | None, turn: float
) -> np.ndarray:
    """(height, width) uint8 of the bank: of a kind, or of any where None."""
    offset, choices = (0, len(KINDS)) if kind is None else (list(KINDS).index(kind), 1)
    texture = texture_bank()[offset * COUNT_PER_KIND + rng.integers(choices * COUNT_PER_KIND)]
    scale = float(np.exp(rng.uniform(-0.7, 0.7))) if scale is None else scale
    cosine, sine = np.cos(turn) / scale, np.sin(turn) / scale
    y, x = rng.uniform(0, TILE_PX, 2)
    step = np.array([[cosine, -sine, x], [sine, cosine, y]])  # output pixel -> texture pixel
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return cv2.warpAffine(texture, step, (width, height), flags=flags, borderMode=cv2.BORDER_WRAP)


@cache
def texture_bank() -> np.ndarray:
    """(240, 256, 256) uint8; about a second to build, 16 MB, the same in every process."""
    rng = np.random.default_rng(BANK_SEED)
    return np.stack([equalise(make(rng)) for make in KINDS.values() for _ in range(COUNT_PER_KIND)])


def equalise(values: np.ndarray) -> np.ndarray:
    """uint8 of mean 128 and standard deviation 32, clipped: every texture equally strong."""
    spread = float(values.std()) or 1.0
    return np.clip((values - values.mean()) * (32 / spread) + 128, 0, 255).astype(np.uint8)


def noise(rng: np.random.Generator, slope: float, stretch: float = 1.0, low: float = 0.0) -> np.ndarray:
    """(256, 256) Gaussian noise with spectrum 1 / f^slope, features `stretch` times longer along y."""
    fy, fx = np.fft.fftfreq(TILE_PX)[:, None] * stretch, np.fft.rfftfreq(TILE_PX)[None]
    frequency = np.hypot(fy, fx) + 1 / TILE_PX
    spectrum = np.fft.rfft2(rng.standard_normal((TILE_PX, TILE_PX))) * frequency**-slope * (frequency >= low)
    values = np.fft.irfft2(spectrum, s=(TILE_PX, TILE_PX))
    return values / values.std()


def clouds(rng: np.random.Generator) -> np.ndarray:
    """(256, 256) coarse noise without a direction."""
    return noise(rng, rng.uniform(1.2, 2.2))


def grain(rng: np.random.Generator) -> np.ndarray:
    """(256, 256) fine noise without a direction."""
    return noise(rng, rng.uniform(0.0, 0.9))


def brushed(rng: np.random.Generator) -> np.ndarray:
    """(256, 256) noise in long streaks along y, as brushes and rollers leave it."""
    return noise(rng, rng.uniform(0.6, 1.1), stretch=rng.uniform(12, 50)) + 0.4 * noise(rng, 0.3)


def fibres(rng: np.random.Generator) -> np.ndarray:
    """(256, 256) soft noise in short streaks along y, as hair, straw and muscle have it."""
    return noise(rng, rng.uniform(1.0, 1.6), stretch=rng.uniform(3, 8), low=0.01)


def stripes(rng: np.random.Generator) -> np.ndarray:
    """(256, 256) wavy stripes across x, from soft to sharp."""
    waves, (_, x) = rng.integers(6, 40), np.mgrid[:TILE_PX, :TILE_PX] / TILE_PX
    wobble = noise(rng, 2.0) * rng.uniform(0, 0.25)
    return np.clip(rng.uniform(1, 6) * np.sin(2 * np.pi * waves * x + wobble), -1, 1) + 0.15 * noise(rng, 0.5)


def weave(rng: np.random.Generator) -> np.ndarray:
    """(256, 256) threads along x and y, woven over or into each other."""
    waves, (y, x) = rng.integers(8, 36), np.mgrid[:TILE_PX, :TILE_PX] / TILE_PX
    across, along = np.sin(2 * np.pi * waves * x), np.sin(2 * np.pi * rng.integers(8, 36) * y)
    woven = np.maximum(across, along) if rng.random() < 0.5 else across * along
    return woven + rng.uniform(0.1, 0.5) * noise(rng, 0.8)


def dots(rng: np.random.Generator) -> np.ndarray:
    """Discs of one size on a jittered grid, as on cloth, gravel or skin."""
    pitch = int(rng.choice([8, 16, 32]))
    tile = np.zeros((TILE_PX, TILE_PX), np.uint8)
    for centre in np.argwhere(np.ones((TILE_PX // pitch,) * 2)) * pitch + pitch // 2:
        y, x = centre + rng.uniform(-0.3, 0.3, 2) * pitch
        cv2.circle(tile, (int(x * 16), int(y * 16)), int(pitch * rng.uniform(3, 6)), 255, -1, cv2.LINE_AA, shift=4)
    return tile / 128.0 + rng.uniform(0.05, 0.3) * noise(rng, 1.0)


def wood(rng: np.random.Generator) -> np.ndarray:
    """(256, 256) growth rings, drawn out along y, with fine grain."""
    rings = noise(rng, 2.0, stretch=rng.uniform(2, 6)) * rng.uniform(1.5, 5)
    return np.sin(2 * np.pi * rings) + 0.3 * noise(rng, 0.8, stretch=10)


def marble(rng: np.random.Generator) -> np.ndarray:
    """(256, 256) bright veins where coarse noise crosses 0."""
    return -(np.abs(noise(rng, rng.uniform(1.5, 2.0))) ** rng.uniform(0.3, 0.8)) + 0.1 * noise(rng, 0.5)


def speckle(rng: np.random.Generator) -> np.ndarray:
    """Pebbles: smoothed noise cut at a level, bright or dark on the other."""
    pebbles = noise(rng, rng.uniform(0.8, 1.6), low=rng.uniform(0.02, 0.06))
    return np.tanh(rng.choice([-1, 1]) * 3 * (pebbles - rng.uniform(0.3, 1.2))) + 0.2 * noise(rng, 0.3)


KINDS: dict[str, Callable[[np.random.Generator], np.ndarray]] = {
    "clouds": clouds,
    "grain": grain,
    "brushed": brushed,
    "fibres": fibres,
    "stripes": stripes,
    "weave": weave,
    "dots": dots,
    "wood": wood,
    "marble": marble,
    "speckle": speckle,
}
