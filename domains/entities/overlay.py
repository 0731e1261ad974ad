"""Pictures for people: entities in colour over their image, and sheets of such pictures."""

from __future__ import annotations

import colorsys
from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from domains.entities import UNKNOWN, EntityMap
from domains.scenes.images import as_rgb

GOLDEN = 0.618034  # of the hues, from one id to the next: neighbours in number look different
FIRST_HUE, HUES = 0.9, 0.75  # from pink round to blue; violet drowns in haematoxylin
OPACITY = 0.4
STRIP_PX = 2**20
MARGIN_PX = 6
LINE_PX = 18
PAPER = (255, 255, 255)
INK = (20, 20, 20)
GREY = (128, 128, 128)


def overlay(image: np.ndarray, entities: EntityMap, classes: Sequence[str] = ()) -> np.ndarray:
    """(H, W, 3) uint8: each entity tinted, its outermost pixels in full colour; unlabelled pixels darkened.

    Of an image of other channels `as_rgb` is shown. classes: the vocabulary, where entities are tinted by their class.
    """
    colours, edge = palette(entities.count), outermost(entities.ids)
    if classes:
        assert entities.labels is not None
        colours[1:] = class_colours(classes)[entities.labels]
    picture = np.empty((*entities.shape, 3), np.uint8)
    rows = max(1, STRIP_PX // entities.shape[1])
    for y in range(0, len(picture), rows):
        strip = slice(y, y + rows)
        picture[strip] = _tinted(as_rgb(image[strip]), entities.ids[strip], edge[strip], colours)
    return picture


def thumbnail(image: np.ndarray, entities: EntityMap, side_px: int = 240) -> np.ndarray:
    """(h, w, 3) uint8, at most side_px long: the image shrunk, with outlines one pixel wide in full colour."""
    small, ids = resized(image, side_px), resized_ids(entities.ids, side_px)
    edge = outermost(ids)
    small[edge] = palette(entities.count)[ids[edge]]
    return small


def resized(image: np.ndarray, side_px: int, enlarge: bool = False) -> np.ndarray:
    """(h, w, 3) uint8: the image shrunk to at most side_px; enlarge: or made as large as that."""
    image = as_rgb(image)
    height, width = resized_shape(image.shape[:2], side_px, enlarge)
    filtering = Image.Resampling.BOX if height <= image.shape[0] else Image.Resampling.BICUBIC
    return np.array(Image.fromarray(image).resize((width, height), filtering))


def resized_ids(ids: np.ndarray, side_px: int, enlarge: bool = False) -> np.ndarray:
    """(h, w): the id at the middle of each pixel that `resized` makes."""
    height, width = resized_shape(ids.shape, side_px, enlarge)
    rows = ((np.arange(height) + 0.5) * ids.shape[0] / height).astype(int)
    columns = ((np.arange(width) + 0.5) * ids.shape[1] / width).astype(int)
    return ids[rows[:, None], columns]


def resized_shape(shape: tuple[int, ...], side_px: int, enlarge: bool = False) -> tuple[int, int]:
    """(height, width) of what `resized` makes, at least a pixel each."""
    scale = side_px / max(shape) if enlarge else min(1.0, side_px / max(shape))
    return max(1, round(shape[0] * scale)), max(1, round(shape[1] * scale))


def palette(count: int) -> np.ndarray:
    """(count + 1, 3) uint8: black, then a colour per id, the same for an id in every picture."""
    return np.array([(0, 0, 0), *(colour_of(number) for number in range(1, count + 1))], np.uint8)


@lru_cache(maxsize=2**16)
def colour_of(number: int) -> tuple[int, int, int]:
    """The colour of an id from 1 on."""
    i = number - 1
    hue = (FIRST_HUE + HUES * (i * GOLDEN % 1.0)) % 1.0
    red, green, blue = colorsys.hsv_to_rgb(hue, (1.0, 0.75, 0.55)[i % 3], (1.0, 0.85)[i % 2])
    return round(255 * red), round(255 * green), round(255 * blue)


def tracked_overlay(
    image: np.ndarray, ids: np.ndarray, tracks: np.ndarray, colours_of_tracks: np.ndarray | None = None
) -> np.ndarray:
    """(H, W, 3) uint8: as `overlay`, of a frame whose ids (H, W) are few of a clip's tracks. tracks: (N,) those;
    colours_of_tracks: (N, 3) uint8, in place of those of their ids.
    """
    order = np.argsort(np.asarray(tracks, np.int64))
    present = np.asarray(tracks, np.int64)[order]
    if colours_of_tracks is None:
        colours_of_tracks = np.array([colour_of(number) for number in np.asarray(tracks).tolist()], np.uint8)
    colours = np.concatenate([np.zeros((1, 3), np.uint8), colours_of_tracks.reshape(-1, 3)[order]])
    dense = np.where(ids > 0, np.searchsorted(present, ids) + 1, np.minimum(ids, 0)).astype(np.int32)
    return _tinted(as_rgb(image), dense, outermost(ids), colours)


def class_colours(classes: Sequence[str]) -> np.ndarray:
    """(K, 3) uint8: a colour per class, the same for a vocabulary in every picture; grey for what is unknown."""
    count = len(classes)
    colours = [colorsys.hsv_to_rgb(i / max(count, 1), (1.0, 0.7)[i % 2], (1.0, 0.8)[i % 2]) for i in range(count)]
    rows = np.round(255 * np.array(colours).reshape(count, 3)).astype(np.uint8)
    rows[[name == UNKNOWN for name in classes]] = GREY
    return rows


def with_legend(picture: np.ndarray, classes: Sequence[str]) -> Image.Image:
    """A picture (H, W, 3) uint8 above the names of classes in their colours, as many a row as have room."""
    font = ImageFont.load_default(LINE_PX - 6)
    widths = [LINE_PX + MARGIN_PX + int(font.getlength(name)) + MARGIN_PX for name in classes]
    places, x, y = [], MARGIN_PX, 0
    for width in widths:
        if x > MARGIN_PX and x + width > picture.shape[1]:
            x, y = MARGIN_PX, y + LINE_PX
        places.append((x, y))
        x += width
    sheet = Image.new("RGB", (picture.shape[1], picture.shape[0] + y + LINE_PX + MARGIN_PX), PAPER)
    sheet.paste(Image.fromarray(picture))
    draw = ImageDraw.Draw(sheet)
    for name, (x, y), colour in zip(classes, places, class_colours(classes).tolist(), strict=True):
        top = picture.shape[0] + MARGIN_PX // 2 + y
        draw.rectangle((x, top + 3, x + LINE_PX - 6, top + LINE_PX - 3), fill=tuple(colour))
        draw.text((x + LINE_PX, top + 2), name, INK, font)
    return sheet


def contact_sheet(rows: Sequence[Sequence[tuple[str, np.ndarray]]], panel_px: int = 256) -> Image.Image:
    """Rows of (caption, (H, W, 3) uint8) in one picture, each fitted into panel_px squared under its caption."""
    panels = [[(caption, _fitted(image, panel_px)) for caption, image in row] for row in rows]
    heights = [LINE_PX + max(panel.height for _, panel in row) + MARGIN_PX for row in panels]
    cell = panel_px + MARGIN_PX
    width = max(len(row) for row in panels) * cell + MARGIN_PX
    sheet = Image.new("RGB", (width, sum(heights) + MARGIN_PX), PAPER)
    draw = ImageDraw.Draw(sheet)
    font = ImageFont.load_default(LINE_PX - 6)
    for i, row in enumerate(panels):
        y = MARGIN_PX + sum(heights[:i])
        for j, (caption, panel) in enumerate(row):
            x = MARGIN_PX + j * cell
            draw.text((x, y), _shortened(caption, font, panel_px), INK, font)
            sheet.paste(panel, (x, y + LINE_PX))
    return sheet


def _tinted(image: np.ndarray, ids: np.ndarray, edge: np.ndarray, colours: np.ndarray) -> np.ndarray:
    """(h, w, 3) uint8: pixels of no entity are as they were."""
    picture, at = image.reshape(-1, 3).copy(), np.flatnonzero(ids)
    number, pixels = ids.ravel()[at], picture[at].astype(np.float32)
    share = np.where(number > 0, np.float32(OPACITY), np.float32(0.5))  # of -1 towards black
    share[edge.ravel()[at]] = 1.0
    tint = colours[np.maximum(number, 0)].astype(np.float32)
    picture[at] = np.round(pixels + share[:, None] * (tint - pixels))
    return picture.reshape(image.shape)


def outermost(ids: np.ndarray) -> np.ndarray:
    """(H, W) bool: pixels of an entity with a 4-neighbour that is not of it."""
    edge = np.zeros(ids.shape, bool)
    down, across = ids[1:] != ids[:-1], ids[:, 1:] != ids[:, :-1]
    edge[1:] |= down
    edge[:-1] |= down
    edge[:, 1:] |= across
    edge[:, :-1] |= across
    return edge & (ids > 0)


def _fitted(image: np.ndarray, panel_px: int) -> Image.Image:
    """Small images grow with sharp pixels, large ones shrink smoothly."""
    image = as_rgb(image)
    height, width = image.shape[:2]
    scale = panel_px / max(height, width)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    return Image.fromarray(image).resize(size, Image.Resampling.NEAREST if scale >= 1 else Image.Resampling.LANCZOS)


def _shortened(caption: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont, width_px: int) -> str:
    if font.getlength(caption) <= width_px:
        return caption
    while caption and font.getlength(caption + "...") > width_px:
        caption = caption[:-1]
    return caption + "..."
