"""What lies between the nuclei of a section: cytoplasm, membranes, collagen, mucus, red cells; in optical density."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from domains.procedural.paint import edges, smooth_field
from domains.procedural.shapes import fill, radial_outlines
from domains.procedural.textures import crop_kind

HAEMATOXYLIN = np.array([[0.65, 0.70, 0.29], [0.72, 0.66, 0.20], [0.58, 0.75, 0.32]])
"""Optical density of red, green and blue: Ruifrok and Johnston's, and a bluer and a redder one."""
EOSIN = np.array([[0.07, 0.92, 0.35], [0.12, 0.85, 0.50], [0.25, 0.90, 0.35]])
RED_CELL = np.array([0.08, 0.62, 0.60])


@dataclass(frozen=True)
class Ground:
    """Amounts of the dyes between and under nuclei: (H, W) float32 each; basophilic in parts of a dark nucleus."""

    eosin: np.ndarray
    basophilic: np.ndarray

    @classmethod
    def by_owner(cls, grounds: Sequence[Ground], owner: np.ndarray, blur_px: float) -> Ground:
        """Ground i where `owner` (H, W) is i, the borders between them soft."""
        soft = [cv2.GaussianBlur((owner == i).astype(np.float32), (0, 0), blur_px) for i in range(len(grounds))]
        eosin = sum(share * ground.eosin for share, ground in zip(soft, grounds, strict=True))
        basophilic = sum(share * ground.basophilic for share, ground in zip(soft, grounds, strict=True))
        return cls(np.asarray(eosin), np.asarray(basophilic))


def section_stains(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Unit vectors (3,) of haematoxylin and eosin, mixed and shaken as laboratories and scanners differ."""
    vectors = []
    for table, shake in ((HAEMATOXYLIN, 0.05), (EOSIN, 0.06)):
        vector = rng.dirichlet(np.ones(len(table))) @ table + rng.normal(0, shake, 3)
        vectors.append(np.clip(vector, 0.02, None) / np.linalg.norm(np.clip(vector, 0.02, None)))
    return vectors[0], vectors[1]


def cells_between(rng: np.random.Generator, height: int, width: int, centres: np.ndarray, px_per_um: float) -> Ground:
    """Cytoplasm of cells about these centres, each of its own shade, with membranes, gaps or nothing between."""
    cell, _ = territories(centres, height, width)
    count = int(cell.max()) + 1
    amount, blue = rng.uniform(0.03, 0.75), rng.choice([0.0, 0.08, 0.2, 0.4]) * rng.uniform(0.5, 1.4)
    shade = np.exp(rng.normal(0, rng.uniform(0.02, 0.3), count)).take(cell)
    texture = crop_kind(str(rng.choice(["grain", "clouds", "speckle"])), rng, height, width, 0.2 * px_per_um)
    inside = np.clip(shade * (1 + rng.uniform(0, 0.35) * texture), 0, 3)
    eosin, basophilic = amount * inside, blue * inside
    line = cv2.GaussianBlur(edges(cell).astype(np.float32), (0, 0), max(0.6, rng.uniform(0.15, 0.5) * px_per_um))
    line = np.clip(line / max(float(line.max()), 1e-3), 0, 1)
    kind = rng.random()
    if kind < 0.25:  # membranes
        eosin = eosin + line * rng.uniform(0.1, 0.4)
    elif kind < 0.5:  # shrunk apart
        eosin, basophilic = eosin * (1 - line), basophilic * (1 - line)
    if rng.random() < 0.4:  # vacuoles
        holes = crop_kind("speckle", rng, height, width, px_per_um * rng.uniform(0.3, 0.9)) > rng.uniform(0.5, 1.0)
        open_ = cv2.GaussianBlur(holes.astype(np.float32), (0, 0), 0.8)
        eosin, basophilic = eosin * (1 - 0.9 * open_), basophilic * (1 - 0.9 * open_)
    return Ground(eosin.astype(np.float32), basophilic.astype(np.float32))


def clear_cells(rng: np.random.Generator, height: int, width: int, centres: np.ndarray, px_per_um: float) -> Ground:
    """Next to empty cells, their membranes and what lies between them pink."""
    cell, _ = territories(centres, height, width)
    line = cv2.GaussianBlur(edges(cell).astype(np.float32), (0, 0), max(0.6, rng.uniform(0.2, 0.7) * px_per_um))
    line = np.clip(line / max(float(np.percentile(line, 99)), 1e-3), 0, 1.3)
    wispy = np.clip(0.4 + 0.5 * crop_kind("marble", rng, height, width, px_per_um * 0.4), 0, 2)
    share = smooth_field(rng, height, width, 5)
    eosin = line * rng.uniform(0.2, 0.9) + wispy * rng.uniform(0, 0.25) * np.clip(0.5 + share, 0, 2)
    return Ground(eosin.astype(np.float32), np.zeros((height, width), np.float32))


def territories(centres: np.ndarray, height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """(H, W) int of the nearest centre, and (H, W) float32 of px to it. Centres outside count at the rim."""
    seeds = np.ones((height, width), np.uint8)
    x, y = np.round(centres).astype(int).T
    inside = (x >= 0) & (x < width) & (y >= 0) & (y < height)
    seeds[y[inside], x[inside]] = 0
    if not inside.any():
        return np.zeros((height, width), int), np.zeros((height, width), np.float32)
    away, nearest = cv2.distanceTransformWithLabels(seeds, cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL)
    return nearest - 1, away


def collagen(rng: np.random.Generator, height: int, width: int, grain: float, px_per_um: float) -> Ground:
    """Fibres along `grain` (radians), wavy, in bundles with gaps; loose to dense."""
    amount = rng.choice([0.06, 0.2, 0.45, 0.8]) * rng.uniform(0.7, 1.3)
    stretch = px_per_um * np.exp(rng.uniform(np.log(0.15), np.log(0.9)))
    kind = str(rng.choice(["fibres", "brushed"]))
    fibre = crop_kind(kind, rng, height, width, stretch, grain + np.pi / 2)  # the bank's run along y
    bend = rng.uniform(0, 5) * px_per_um
    y, x = np.mgrid[:height, :width].astype(np.float32)
    wave = smooth_field(rng, height, width, int(rng.integers(3, 8))) * np.float32(bend)
    across = x - wave * np.float32(np.sin(grain)), y + wave * np.float32(np.cos(grain))
    fibre = cv2.remap(fibre, *across, cv2.INTER_LINEAR, None, cv2.BORDER_REFLECT_101)
    bundles = np.clip(1 + rng.uniform(0, 0.7) * smooth_field(rng, height, width, int(rng.integers(3, 8))), 0.05, 2)
    eosin = amount * bundles * np.clip(1 + rng.uniform(0.1, 0.9) * fibre, 0, 2.5)
    if rng.random() < 0.4:  # loose: gaps between bundles
        gap = cv2.GaussianBlur((fibre > rng.uniform(0.1, 0.8)).astype(np.float32), (0, 0), 0.8)
        eosin = eosin * (1 - gap)
    blue = rng.choice([0.0, 0.0, 0.12]) * bundles
    return Ground(eosin.astype(np.float32), blue.astype(np.float32))


def wisps(rng: np.random.Generator, height: int, width: int) -> Ground:
    """Pale blue threads of mucus, or next to nothing."""
    threads = np.clip(crop_kind("marble", rng, height, width, None, rng.uniform(0, 6.3)), 0, 2)
    blue = rng.uniform(0, 0.15) + rng.uniform(0, 0.2) * threads
    pink = rng.uniform(0, 0.12) * np.clip(1 + smooth_field(rng, height, width, 4), 0, 2)
    return Ground(pink.astype(np.float32), blue.astype(np.float32))


def uneven(rng: np.random.Generator, ground: Ground, px_per_um: float) -> Ground:
    """The ground mottled at the scale of organelles and at that of cells, as sections are everywhere; what is blue more
    than what is pink, so that its clumps look like chromatin without an outline.
    """

    def mottle(strength: float) -> np.ndarray:
        height, width = ground.eosin.shape
        kinds = rng.choice(["clouds", "speckle", "marble", "grain"], 2)
        scales = px_per_um * rng.uniform([0.08, 0.25], [0.4, 1.0])
        fine, coarse = (
            crop_kind(str(kind), rng, height, width, float(scale), rng.uniform(0, 6.3))
            for kind, scale in zip(kinds, scales, strict=True)
        )
        return np.clip(1 + strength * (rng.uniform(0, 1) * fine + rng.uniform(0, 1) * coarse), 0.05, 3)

    pink, blue = mottle(0.6), mottle(rng.choice([0.5, 1.3]))
    return Ground((ground.eosin * pink).astype(np.float32), (ground.basophilic * blue).astype(np.float32))


def retraction(rng: np.random.Generator, ground: Ground, ids: np.ndarray, px_per_um: float) -> Ground:
    """The ground with a clear rim about nuclei, as fixation leaves."""
    if not ids.any():
        return ground
    away = cv2.distanceTransform((ids == 0).astype(np.uint8), cv2.DIST_L2, 3)
    clear = np.exp(-away / (rng.uniform(0.3, 1.2) * px_per_um)) * rng.uniform(0.3, 0.9) * (ids == 0)
    return Ground((ground.eosin * (1 - clear)).astype(np.float32), (ground.basophilic * (1 - clear)).astype(np.float32))


def red_cells(rng: np.random.Generator, ids: np.ndarray, px_per_um: float) -> np.ndarray:
    """(H, W, 3) optical density of red blood cells, alone and in heaps, under no nucleus."""
    height, width = ids.shape
    count = int(rng.integers(1, 25))
    heap = rng.uniform(0, 1, 2) + rng.normal(0, rng.choice([0.05, 0.15, 0.6]), (count, 2))
    radii = px_per_um * rng.uniform(2.4, 3.8, count)
    cover = np.zeros((height, width, 3), np.float32)
    tone = RED_CELL * rng.uniform(0.4, 1.6) + rng.normal(0, 0.06, 3)
    outlines = radial_outlines(
        rng, heap * [width, height], radii, rng.uniform(1, 1.6, count), rng.uniform(0, 6.3, count), 0.06
    )
    for outline in outlines:
        layer = np.zeros((height, width), np.uint8)
        fill(layer, outline, 1)
        middle = cv2.distanceTransform(layer, cv2.DIST_L2, 3) / (2.5 * px_per_um)
        cover[layer > 0] = (tone.clip(0, None) * (1 - 0.4 * middle[layer > 0, None].clip(0, 1))).astype(np.float32)
    return cv2.GaussianBlur(cover, (0, 0), 0.7) * (ids == 0)[..., None]
