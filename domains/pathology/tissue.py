"""Where on a slide there is tissue, seen on a thumbnail, so that empty glass costs nothing.

Otsu's threshold (IEEE Trans. SMC 9(1), 62-66, 1979) on saturation, as in CLAM (Lu et al., Nature Biomedical Engineering
5, 555-570, 2021), made safe where it fails: a slide of glass alone has no two classes to part, so a pixel must be
coloured by itself too; pen marks and the black borders of a scan are coloured or dark, and no tissue. Where colour
tells nothing, since the slide is in shades of grey or its stain is too faint, all of it is looked at.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from math import ceil, floor

import cv2
import numpy as np
from skimage.filters import threshold_otsu
from skimage.morphology import disk, remove_small_holes, remove_small_objects

from domains.entities.resize import resize_image
from domains.formats.layout import Window
from domains.pathology.stain import DENSITY
from domains.scenes import Scene

THUMBNAIL_PX, FINE_THUMBNAIL_PX = 1024, 3072  # longer side: at least, and at most where cells would vanish in a pixel
FINE_UM = 4.0  # a pixel of the thumbnail that still shows a cell
USUAL_UM = 0.25  # a pixel of a slide that does not say its size: 40 times magnified
READ_PX = 2048
SLIDE_PX = 2**22  # smaller scenes are pictures that somebody cut out, tissue throughout
GRID, OUTLINE = (60, 110, 200), (0, 160, 60)
LEAST_SATURATION = 0.05  # of 1; glass and paper stay below, however white balance is
LEAST_DENSITY = 0.06  # optical density of the fainter tissue, mean of the channels
BLACK = 60  # grey level: no H&E is as dark in its brightest channel
GREY = 24  # largest spread of the channels of a black border or black ink
CLEAN_UM = 30.0  # specks and gaps narrower than this are closed
CELL_UM = 10.0  # across: a lymphocyte has 7 to 10 micrometres, most cells of a smear more
SMALLEST_CELLS = 3  # a speck below is dust; single cells of a smear have 50 micrometres, which is 25 lymphocytes
SMALLEST_UM2 = SMALLEST_CELLS * np.pi / 4 * CELL_UM**2  # 236
HOLE_UM2 = 10_000.0  # holes below are tissue, 100 x 100 micrometres
DUST_SHARE = 0.0005  # of a slide: less colour than this does not show that its stain is of a colour
INK_UM2 = 40_000.0  # a felt-tip is broader than 200 micrometres; smaller dark or blue things are nuclei, pigment
ABSORBS_SHARE = 0.002  # of the slide: grey that is less than this is none
ABSORBS, SHADE = 0.12, 0.06  # optical density, spread of the channels of 1: darker and less coloured is grey tissue
SHADES_SHARE = 0.8  # of what absorbs; stained slides have below .05, grey ones 1
FAINT, FAINT_SHARE = 0.02, 0.005  # optical density, share of the slide
GLASS_SHARE = 0.3  # of what a scanner saw of a slide that it did not see for the most part
NO_COLOUR = "it is in shades of grey, which tell no tissue from glass"
TOO_FAINT = "what is on it is too faint to be told from glass"


@dataclass(frozen=True, eq=False)
class TissueMask:
    """thumbnail: (h, w, 3) uint8 of the whole scene. mask: (h, w) bool. shape: (height, width) of level 0.

    remark: why all of the scene counts as tissue, "" where tissue was found.

    Called with a window of level 0 it says whether any tissue lies there: what tiled prediction asks of every tile.
    """

    thumbnail: np.ndarray
    mask: np.ndarray
    shape: tuple[int, int]
    remark: str = ""

    @property
    def share(self) -> float:
        """Of the scene that is tissue."""
        return float(self.mask.mean())

    def __call__(self, window: Window) -> bool:
        y0, y1 = self._span(window.y, window.height, 0)
        x0, x1 = self._span(window.x, window.width, 1)
        return bool(self.mask[y0:y1, x0:x1].any())

    def picture(self, tiles: Iterable[Window]) -> np.ndarray:
        """(h, w, 3) uint8: the thumbnail, glass dimmed, tissue outlined, and a grid of the tiles that are looked at."""
        small = self.shrunk()
        picture = small.thumbnail.copy()
        picture[~small.mask] = (picture[~small.mask] * 0.6 + 90).astype(np.uint8)
        down, across = (short / full for short, full in zip(small.mask.shape, self.shape, strict=True))
        for tile in filter(self, tiles):
            corner = int(tile.x * across), int(tile.y * down)
            end = int((tile.x + tile.width) * across) - 1, int((tile.y + tile.height) * down) - 1
            cv2.rectangle(picture, corner, end, GRID, 1)
        outline = cv2.morphologyEx(small.mask.astype(np.uint8), cv2.MORPH_GRADIENT, disk(1).astype(np.uint8))
        picture[outline.astype(bool)] = OUTLINE
        return picture

    def shrunk(self) -> TissueMask:
        """The same within `THUMBNAIL_PX`, where whatever touches a pixel is in its mask."""
        step = -(-max(self.mask.shape) // THUMBNAIL_PX)
        if step == 1:
            return self
        height, width = (-(-length // step) for length in self.mask.shape)
        mask = np.pad(self.mask, [(0, height * step - self.mask.shape[0]), (0, width * step - self.mask.shape[1])])
        mask = mask.reshape(height, step, width, step).any(axis=(1, 3))
        return replace(self, thumbnail=resize_image(self.thumbnail, (height, width)), mask=mask)

    def _span(self, start: int, length: int, axis: int) -> tuple[int, int]:
        """Rows or columns of the mask that a window touches, at least one."""
        count = self.mask.shape[axis]
        scale = count / self.shape[axis]
        start_px = min(max(floor(start * scale), 0), count - 1)
        return start_px, min(max(ceil((start + length) * scale), start_px + 1), count)


def tissue_of(scene: Scene, smallest_um2: float = SMALLEST_UM2) -> TissueMask | None:
    """The tissue of a slide, all of it where its colours don't tell; None for a scene that isn't a slide: a small
    picture, one in the dark (fluorescence). smallest_um2: area of a piece below which it is dust.
    """
    if scene.shape[0] * scene.shape[1] < SLIDE_PX:
        return None
    tissue = find_tissue(scene, smallest_um2=smallest_um2)
    small = tissue.shrunk()
    if in_the_dark(small.thumbnail, small.mask):
        return None
    remark = colourless(small.thumbnail, small.mask)
    return replace(tissue, mask=np.ones_like(tissue.mask), remark=remark) if remark else tissue


def in_the_dark(image: np.ndarray, mask: np.ndarray) -> bool:
    """Whether an image shows light on black, rather than a bright slide, be it small within black borders.

    mask: the tissue that was found by colour; without any, what is bright on black is no slide.
    """
    seen = image[~black(image)].min(axis=-1)
    if not len(seen) or np.percentile(seen, 95) < 150:
        return True
    small = len(seen) < 0.2 * mask.size
    return small and not (mask.mean() > DUST_SHARE and bool(np.mean(seen >= 200) > GLASS_SHARE))


def colourless(image: np.ndarray, mask: np.ndarray) -> str:
    """Why colour tells nothing of a slide, "" where it does. mask: the tissue that was found by colour.

    Ink and black borders count neither way, nor do the greys at their edges.
    """
    foreign = pen_marks(image) | cv2.dilate(black(image).astype(np.uint8), disk(3).astype(np.uint8)).astype(bool)
    smooth = cv2.GaussianBlur(balanced(image), (0, 0), 1.0)
    density = DENSITY[smooth.astype(np.uint8)].mean(axis=-1)
    absorbs = (density > ABSORBS) & ~foreign
    spread = np.ptp(smooth, axis=-1) / np.float32(255)
    if absorbs.any() and np.mean(spread[absorbs] < SHADE) > SHADES_SHARE and absorbs.mean() > ABSORBS_SHARE:
        return NO_COLOUR
    faint = cv2.morphologyEx(((density > FAINT) & ~foreign).astype(np.uint8), cv2.MORPH_OPEN, np.ones((3, 3), np.uint8))
    return TOO_FAINT if mask.mean() <= DUST_SHARE and faint.mean() > FAINT_SHARE else ""


def find_tissue(scene: Scene, thumbnail_px: int | None = None, smallest_um2: float = SMALLEST_UM2) -> TissueMask:
    """The tissue of an RGB uint8 scene, from a thumbnail whose longer side is up to `thumbnail_px`; by default fine
    enough for cells.
    """
    image = thumbnail(scene, thumbnail_px or cells_px(scene))
    pixel_um = None
    if scene.pixel_size_m is not None:
        pixel_um = scene.pixel_size_m * 1e6 * scene.shape[0] / image.shape[0]
    return TissueMask(image, tissue_mask(image, pixel_um, smallest_um2), scene.shape)


def cells_px(scene: Scene) -> int:
    """The longer side of a thumbnail that shows the cells of a scene."""
    pixel_um = USUAL_UM if scene.pixel_size_m is None else scene.pixel_size_m * 1e6
    return int(np.clip(max(scene.shape) * pixel_um / FINE_UM, THUMBNAIL_PX, FINE_THUMBNAIL_PX))


def thumbnail(scene: Scene, longest_px: int = THUMBNAIL_PX) -> np.ndarray:
    """(h, w, 3) uint8: all of the scene, area-averaged from the coarsest level that is fine enough, strip by strip."""
    height, width = scene.shape
    scale = min(1.0, longest_px / max(height, width))
    shape = max(1, round(height * scale)), max(1, round(width * scale))
    fine = [i for i, level in enumerate(scene.levels) if level[0] >= shape[0] and level[1] >= shape[1]]
    level = max(fine, default=0)
    tall, wide = scene.levels[level]
    rows = max(1, round(READ_PX * shape[0] / tall))  # of the thumbnail, at a time
    columns = max(1, round(READ_PX * shape[1] / wide))
    result = np.empty((*shape, 3), np.uint8)
    for row in range(0, shape[0], rows):
        for column in range(0, shape[1], columns):
            row_end, column_end = min(row + rows, shape[0]), min(column + columns, shape[1])
            y0, y1 = row * tall // shape[0], max(row_end * tall // shape[0], row * tall // shape[0] + 1)
            x0, x1 = column * wide // shape[1], max(column_end * wide // shape[1], column * wide // shape[1] + 1)
            strip = scene.read(y0, x0, y1 - y0, x1 - x0, level)
            strip = strip[..., :3] if strip.shape[2] > 2 else strip[..., [0, 0, 0]]
            result[row:row_end, column:column_end] = resize_image(
                np.ascontiguousarray(strip), (row_end - row, column_end - column)
            )
    return result


def tissue_mask(image: np.ndarray, pixel_um: float | None = None, smallest_um2: float = SMALLEST_UM2) -> np.ndarray:
    """(h, w) bool of a thumbnail (h, w, 3) uint8. pixel_um: side of its pixel, for sizes; else they are guessed.

    smallest_um2: area of a piece below which it is dust. Pen marks, black borders, dust and small holes are cleaned
    away.
    """
    pixel_um = pixel_um or 16.0  # a slide of 15 mm in 1000 pixels
    ink = max(8, round(INK_UM2 / pixel_um**2))
    foreign = remove_small_objects(pen_marks(image) | black(image), max_size=ink - 1)
    image = balanced(image)
    saturation = _saturation(image)
    usable = saturation[~foreign]
    if not usable.size:
        return np.zeros(image.shape[:2], bool)
    parted = float(threshold_otsu(usable)) if np.ptp(usable) > LEAST_SATURATION else 0.0
    threshold = np.clip(parted, LEAST_SATURATION, 0.25)  # with little glass Otsu parts pale tissue from deep
    coloured = (saturation > threshold) & (_density(image) > LEAST_DENSITY) & ~foreign
    reach = int(np.clip(round(CLEAN_UM / pixel_um), 1, 12))
    closed = cv2.morphologyEx(coloured.astype(np.uint8), cv2.MORPH_CLOSE, disk(reach).astype(np.uint8))
    if 3 * pixel_um < CELL_UM:  # coarser, a cell would go with the whiskers
        closed = cv2.morphologyEx(closed, cv2.MORPH_OPEN, disk(1).astype(np.uint8))
    smallest = max(1, round(smallest_um2 / pixel_um**2))
    hole = int(np.clip(HOLE_UM2 / pixel_um**2, 8, 0.01 * closed.size + 8))
    clean = remove_small_objects(closed.astype(bool), max_size=smallest - 1)
    return remove_small_holes(clean, max_size=hole - 1) & ~foreign


def balanced(image: np.ndarray) -> np.ndarray:
    """The image with its glass white, uint8; as it is where its brightest pixels are no glass (dark, or coloured)."""
    step = -(-max(image.shape) // THUMBNAIL_PX)
    sample = image[::step, ::step]
    brightness = sample.min(axis=-1)
    white = np.median(sample[brightness >= np.percentile(brightness, 95)], axis=0)
    if white.min() < 170 or white.max() - white.min() > 0.12 * white.max():
        return image
    return np.minimum(image * (255 / white).astype(np.float32) + np.float32(0.5), 255).astype(np.uint8)


def pen_marks(image: np.ndarray) -> np.ndarray:
    """(h, w) bool: felt-tip in green, blue or red, whose colours no mixture of haematoxylin and eosin gives.

    H&E lets through least green, so green is never its largest channel, nor are green and red together far below blue.
    Grown by two pixels, for ink fades at its edges.
    """
    red, green, blue = (image[..., i].astype(np.int16) for i in range(3))
    is_green = (green > red + 18) & (green > blue - 10) & (red < 190)
    is_blue = (blue > red + 70) & (green > red + 8) & (red < 140)
    is_red = (red > 130) & (green < 75) & (blue < 75) & (red > blue + 75)
    marks = (is_green | is_blue | is_red).astype(np.uint8)
    marks = cv2.morphologyEx(marks, cv2.MORPH_OPEN, np.ones((2, 2), np.uint8))
    return cv2.dilate(marks, disk(2).astype(np.uint8)).astype(bool)


def black(image: np.ndarray) -> np.ndarray:
    """(h, w) bool: dark without colour: what the scanner didn't see, black ink, the slide's edge."""
    low, high = image.min(axis=-1).astype(np.int16), image.max(axis=-1).astype(np.int16)
    return (high < BLACK) & (high - low < GREY)


def _saturation(image: np.ndarray) -> np.ndarray:
    """(h, w) float32 in 0..1, (max - min) / max, a little blurred."""
    smooth = cv2.GaussianBlur(image, (0, 0), 1.0)
    high, low = smooth.max(axis=-1).astype(np.float32), smooth.min(axis=-1).astype(np.float32)
    return (high - low) / np.maximum(high, 1)


def _density(image: np.ndarray) -> np.ndarray:
    """(h, w) optical density of an image (h, w, 3) uint8, mean of the channels, without three times its memory."""
    table = DENSITY.astype(np.float32) / 3
    return table[image[..., 0]] + table[image[..., 1]] + table[image[..., 2]]
