"""Sections of tissue in haematoxylin and eosin: epithelium, glands, stroma, clear cells, lymphocytes, on one another.

A scene has a size of a pixel, in micrometres, and everything in it has its size in micrometres too. One or two
`Tissue`s share the picture; each says where nuclei lie, of which kind, and what eosin and basophilic cytoplasm lie
between them (`domains.procedural.grounds`). What nuclei look like: `domains.procedural.chromatin`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import cv2
import numpy as np

from domains.procedural.camera import Camera
from domains.procedural.chromatin import DARK, PALE, SPINDLE, Nuclei, nuclear_density
from domains.procedural.grounds import (
    Ground,
    cells_between,
    clear_cells,
    collagen,
    red_cells,
    retraction,
    section_stains,
    uneven,
    wisps,
)
from domains.procedural.nuclei import spread
from domains.procedural.paint import smooth_field
from domains.procedural.shapes import fill, radial_outlines
from domains.procedural.truth import visible_truth

CAMERA = Camera(blur_px=1.5, noise=5, light=0.06, gamma=0.2, cast=0.04, grey=0.03, jpeg=0.6)
MPP = (0.25, 0.5)
"""Micrometres per pixel of objectives of 40 and 20 times, about which scenes lie."""


@dataclass(frozen=True)
class Site:
    """Where a tissue is drawn: the size of the picture, and of a pixel."""

    height: int
    width: int
    px_per_um: float

    def lattice(self, rng: np.random.Generator, spacing_um: float, jitter: float = 0.35) -> np.ndarray:
        """(N, 2) of x, y in px: a shaken hexagonal lattice that covers the picture and a little more."""
        step = spacing_um * self.px_per_um
        rows, columns = int(self.height / (step * 0.87)) + 4, int(self.width / step) + 4
        y, x = np.mgrid[:rows, :columns].astype(np.float64)
        points = np.stack([(x + 0.5 * (y % 2)) * step, y * step * 0.87], 2).reshape(-1, 2)
        return points - rng.uniform(1, 2, 2) * step + rng.normal(0, jitter * step, points.shape)


def tissue(rng: np.random.Generator, height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """Image (H, W, 3) uint8 and ids (H, W) int32 of nuclei, 0 between them."""
    site = Site(height, width, px_per_um_of(rng))
    owner, contents = shared_out(rng, site)
    groups = []
    for index, (nuclei, _) in enumerate(contents):
        x, y = np.floor(nuclei.centres).astype(int).T
        groups.append(nuclei.where(owner[y.clip(0, height - 1), x.clip(0, width - 1)] == index))
    nuclei = Nuclei.joined(groups)
    nuclei = nuclei.where(spread(nuclei.centres, nuclei.reach, len(nuclei.radii), rng.uniform(0.7, 1.0)))
    ids = drawn(rng, nuclei, height, width)
    ground = uneven(
        rng, Ground.by_owner([ground for _, ground in contents], owner, rng.uniform(0.5, 3)), site.px_per_um
    )
    if rng.random() < 0.3:
        ground = retraction(rng, ground, ids, site.px_per_um)
    return photographed(rng, nuclei, ids, ground, site), visible_truth(ids)


def draw_ground(rng: np.random.Generator, height: int, width: int) -> tuple[Ground, float]:
    """What lies between the nuclei of a section, without these, and its pixels per micrometre."""
    site = Site(height, width, px_per_um_of(rng))
    owner, contents = shared_out(rng, site)
    return Ground.by_owner([ground for _, ground in contents], owner, rng.uniform(0.5, 3)), site.px_per_um


def px_per_um_of(rng: np.random.Generator) -> float:
    """Pixels per micrometre of a scanner: one over one of `MPP`, about 15 % more or less."""
    return float(np.exp(rng.normal(0, 0.15)) / rng.choice(MPP))


def shared_out(rng: np.random.Generator, site: Site) -> tuple[np.ndarray, list[tuple[Nuclei, Ground]]]:
    """(H, W) int: which of the tissues a pixel belongs to, and the nuclei and the ground of each."""
    names = rng.choice(list(TISSUES), size=1 if rng.random() < 0.4 else 2, p=SHARES)
    return compartments(rng, site, len(names)), [TISSUES[name](rng, site) for name in names]


def compartments(rng: np.random.Generator, site: Site, count: int) -> np.ndarray:
    """(H, W) int: which of the tissues a pixel belongs to; borders are smooth."""
    cells = int(rng.integers(2, 5))
    return np.stack([smooth_field(rng, site.height, site.width, cells) for _ in range(count)]).argmax(0)


def drawn(rng: np.random.Generator, nuclei: Nuclei, height: int, width: int) -> np.ndarray:
    """(H, W) int32: nucleus i of `nuclei` as i + 1, later ones over earlier ones."""
    ids = np.zeros((height, width), np.int32)
    roughness = np.where(nuclei.kinds == SPINDLE, 0.06, rng.uniform(0.03, 0.16))
    outlines = radial_outlines(rng, nuclei.centres, nuclei.radii, nuclei.aspects, nuclei.turns, roughness, 24)
    for i, outline in enumerate(outlines):
        fill(ids, outline, i + 1)
    return ids


def photographed(rng: np.random.Generator, nuclei: Nuclei, ids: np.ndarray, ground: Ground, site: Site) -> np.ndarray:
    """(H, W, 3) uint8: light through both dyes, and through what has colours of its own."""
    haematoxylin, eosin = section_stains(rng)
    level = rng.uniform(0.45, 1.5)  # of a dark nucleus in this section
    nuclear = nuclear_density(rng, ids, nuclei.kinds, site.px_per_um) * level
    under = rng.uniform(0.1, 0.7)  # how much of the cytoplasm lies above and below a nucleus
    covered = cv2.GaussianBlur((ids > 0).astype(np.float32), (0, 0), 0.7)
    uncovered = 1 - (1 - under) * covered
    blue = nuclear + ground.basophilic * level * uncovered
    density = blue[..., None] * haematoxylin + (ground.eosin * uncovered)[..., None] * eosin
    if rng.random() < 0.4:
        density = density + red_cells(rng, ids, site.px_per_um)
    if rng.random() < 0.3:
        density = density + specks(rng, ids)
    lamp = np.array([246, 244, 246]) + rng.normal(0, 4, 3)
    return CAMERA.photograph(rng, (lamp.clip(228, 255) * np.exp(-density)).astype(np.float32))


def specks(rng: np.random.Generator, ids: np.ndarray) -> np.ndarray:
    """(H, W, 3) optical density of pigment, debris and crumbs of chromatin: too small for nuclei."""
    height, width = ids.shape
    cover = np.zeros((height, width, 3), np.float32)
    tone = tuple(float(value) for value in rng.uniform(0.3, 1.0) * np.array([0.6, 0.8, 0.6]) + rng.normal(0, 0.1, 3))
    for x, y in rng.integers(0, [width, height], (int(rng.integers(1, 12)), 2)).tolist():
        cv2.circle(cover, (x, y), int(rng.integers(1, 3)), tone, -1)
    return cv2.GaussianBlur(cover, (0, 0), 0.7) * (ids == 0)[..., None]


# What a picture may show: nuclei and what lies between them


def epithelium(rng: np.random.Generator, site: Site) -> tuple[Nuclei, Ground]:
    """Sheets of cells side by side, with large, often pale nuclei; tumours too."""
    radius_um = np.exp(rng.uniform(np.log(2.6), np.log(6.0)))
    centres = site.lattice(rng, 2 * radius_um * rng.uniform(1.0, 2.1), rng.uniform(0.15, 0.4))
    pale = rng.choice([0.0, 0.3, 0.8, 1.0])
    nuclei = Nuclei.strewn(rng, centres, radius_um * site.px_per_um, rng.uniform(0.1, 0.35), rng.uniform(0.1, 0.6))
    nuclei = replace(nuclei, kinds=np.where(rng.random(len(centres)) < pale, PALE, DARK))
    missing = rng.random(len(centres)) < rng.choice([0.03, 0.25])  # the section misses some nuclei of its cells
    return nuclei.where(~missing), cells_between(rng, site.height, site.width, centres, site.px_per_um)


def clear(rng: np.random.Generator, site: Site) -> tuple[Nuclei, Ground]:
    """Cells whose content was washed out: white, with pink membranes, a small nucleus in the middle or at the rim."""
    radius_um = rng.uniform(2.0, 3.6)
    centres = site.lattice(rng, 2 * radius_um * rng.uniform(2.0, 3.6), 0.3)
    aside = rng.normal(0, rng.uniform(0, 2.5) * site.px_per_um, centres.shape)
    nuclei = Nuclei.strewn(rng, centres + aside, radius_um * site.px_per_um, 0.2, rng.uniform(0.05, 0.4))
    nuclei = replace(nuclei, kinds=np.where(rng.random(len(centres)) < rng.choice([0.0, 0.5]), PALE, DARK))
    kept = rng.random(len(centres)) < rng.uniform(0.5, 1)
    return nuclei.where(kept), clear_cells(rng, site.height, site.width, centres, site.px_per_um)


def lymphoid(rng: np.random.Generator, site: Site) -> tuple[Nuclei, Ground]:
    """Crowded lymphocytes: small, round, dark, with next to no cytoplasm."""
    radius_um = rng.uniform(2.2, 3.4)
    centres = site.lattice(rng, 2 * radius_um * rng.uniform(1.0, 1.6), 0.4)
    nuclei = Nuclei.strewn(rng, centres, radius_um * site.px_per_um, 0.12, 0.12)
    nuclei = replace(nuclei, kinds=np.where(rng.random(len(centres)) < 0.15, PALE, DARK))
    crowd = smooth_field(rng, site.height, site.width, int(rng.integers(2, 6)))
    x, y = centres.astype(int).T
    dense = crowd[y.clip(0, site.height - 1), x.clip(0, site.width - 1)] > rng.uniform(-2, 0.5)
    return nuclei.where(dense), collagen(rng, site.height, site.width, rng.uniform(0, 6.3), site.px_per_um)


def stroma(rng: np.random.Generator, site: Site) -> tuple[Nuclei, Ground]:
    """Wavy bundles of collagen with spindle nuclei along them, a lymphocyte here and there, smooth muscle too."""
    grain = rng.uniform(0, 2 * np.pi)
    centres = site.lattice(rng, rng.uniform(6, 18), 0.5)
    nuclei = Nuclei.strewn(rng, centres, rng.uniform(1.7, 2.9) * site.px_per_um, 0.25, 0.0)
    spindle = rng.random(len(centres)) < rng.uniform(0.5, 1)
    nuclei = replace(
        nuclei,
        aspects=np.where(spindle, 1.6 + rng.exponential(1.3, len(centres)).clip(0, 5), 1.1),
        turns=rng.normal(grain, rng.uniform(0.1, 0.5), len(centres)),
        kinds=np.where(spindle, SPINDLE, DARK),
    )
    return nuclei, collagen(rng, site.height, site.width, grain, site.px_per_um)


def glands(rng: np.random.Generator, site: Site) -> tuple[Nuclei, Ground]:
    """Rings of columnar cells around a lumen, in stroma."""
    around, ground = stroma(rng, site)
    extent = np.array([site.width, site.height])
    scale, radius_um = site.px_per_um, rng.uniform(2.3, 4.2)
    groups, rings = [], []
    eosin, basophilic = ground.eosin.copy(), ground.basophilic.copy()
    for centre in rng.uniform(-0.2, 1.2, (int(rng.integers(1, 5)), 2)) * extent:
        lumen_um, height_um = rng.uniform(4, 45), rng.uniform(2.2, 6) * radius_um
        outline = radial_outlines(
            rng, centre[None], np.array([lumen_um * scale]), np.array([rng.uniform(1, 2.2)]), rng.uniform(0, 6.3, 1),
            rng.uniform(0.05, 0.3), 64,
        )[0]  # fmt: skip
        away = distance_from(outline, site)  # px, negative in the lumen
        ring = away < height_um * scale
        cytoplasm, secretion = rng.uniform(0.05, 0.6), rng.choice([0.0, 0.0, 0.15, 0.5])
        shaded = np.clip(1 + 0.25 * smooth_field(rng, site.height, site.width, 6), 0, 2)
        eosin = np.where(ring, np.where(away < 0, secretion, cytoplasm) * shaded, eosin)
        basophilic = np.where(ring, np.where(away < 0, 0, rng.choice([0.0, 0.1, 0.25])), basophilic)
        rings.append(ring)
        for layer in range(int(rng.integers(1, 3))):
            depth = (rng.uniform(0.55, 0.8) + 0.12 * layer) * height_um * scale
            groups.append(columnar(rng, outline, centre, depth, radius_um * scale))
    inside = np.any(rings, axis=0)
    x, y = np.floor(around.centres).astype(int).T
    free = ~inside[y.clip(0, site.height - 1), x.clip(0, site.width - 1)]
    ground = Ground(eosin.astype(np.float32), basophilic.astype(np.float32))
    return Nuclei.joined([*groups, around.where(free)]), ground


def columnar(rng: np.random.Generator, outline: np.ndarray, centre: np.ndarray, depth: float, radius: float) -> Nuclei:
    """Nuclei side by side along an outline (P, 2), `depth` px outside of it, standing across."""
    direction = outline - centre
    length = np.linalg.norm(direction, axis=1, keepdims=True)
    ring = np.vstack([outline + direction / np.maximum(length, 1e-6) * depth] * 2)[: len(outline) + 1]
    steps = np.linalg.norm(np.diff(ring, axis=0), axis=1)
    travelled = np.concatenate([[0], np.cumsum(steps)])
    aspect = rng.uniform(1.0, 2.4)
    count = max(3, int(travelled[-1] / (2 * radius / np.sqrt(aspect) * rng.uniform(1.0, 1.7))))
    at = np.linspace(0, travelled[-1], count, endpoint=False) + rng.normal(0, 0.3 * radius, count)
    centres = np.stack([np.interp(at % travelled[-1], travelled, ring[:, axis]) for axis in (0, 1)], 1)
    turns = np.arctan2(*(centres - centre).T[::-1]) + rng.normal(0, 0.25, count)
    centres = centres + rng.normal(0, 0.35 * radius, centres.shape)
    nuclei = Nuclei.strewn(rng, centres, radius, 0.15, 0.0)
    kind = PALE if rng.random() < 0.5 else DARK
    return replace(nuclei, aspects=np.full(count, aspect), turns=turns, kinds=np.full(count, kind))


def distance_from(outline: np.ndarray, site: Site) -> np.ndarray:
    """(H, W) float32: px to an outline (P, 2), negative inside it."""
    inside = np.zeros((site.height, site.width), np.uint8)
    fill(inside, outline, 1)
    if not inside.any():
        return np.full(inside.shape, np.inf, np.float32)  # the lumen lies outside the picture
    return cv2.distanceTransform(1 - inside, cv2.DIST_L2, 3) - cv2.distanceTransform(inside, cv2.DIST_L2, 3)


def mucin(rng: np.random.Generator, site: Site) -> tuple[Nuclei, Ground]:
    """Pools of pale blue mucus or oedema with few cells in them."""
    centres = site.lattice(rng, rng.uniform(12, 30), 0.5)
    nuclei = Nuclei.strewn(rng, centres, rng.uniform(2.2, 4) * site.px_per_um, 0.25, 0.5)
    return nuclei, wisps(rng, site.height, site.width)


TISSUES: dict[str, Callable[[np.random.Generator, Site], tuple[Nuclei, Ground]]] = {
    "epithelium": epithelium,
    "stroma": stroma,
    "glands": glands,
    "clear": clear,
    "lymphoid": lymphoid,
    "mucin": mucin,
}
SHARES = (0.38, 0.2, 0.16, 0.12, 0.09, 0.05)
