"""Pictures of a report: an image with its truth and its prediction, as `data:` addresses that together stay small.

The image is a JPEG; truth and prediction are each a PNG of few colours to lie over it, clear but for the outlines, so
that a slider can uncover one and cover the other. What matches, at an IoU of 1/2 or more, has one colour in both; what
was missed or is wrong has another.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from PIL import Image
from scipy.ndimage import binary_dilation

from domains.entities import EntityMap
from domains.entities.overlay import outermost, resized, resized_ids
from domains.metrics import MetricSet
from domains.metrics.matching import Comparison, compare

MOST_BYTES = 3_000_000
"""Of all pictures of a page, before base64 makes them a third larger."""
SIDES_PX, LEAST_SIDE_PX = (720, 560, 420, 320), 240
"""Longest sides that are tried, the first that fits into the bytes is taken; the last one always fits."""
QUALITY = 86
LINE_PER_PX = 240
"""A line is a pixel wide for so many of the side."""
MATCHED, ALONE, UNLABELLED, MATCHED_WITHIN, ALONE_WITHIN = range(1, 6)
COLOURS = (
    (0, 0, 0, 0),
    (0, 196, 232, 255),
    (255, 122, 26, 255),
    (20, 20, 20, 120),
    (0, 196, 232, 34),
    (255, 122, 26, 72),
)
"""Red, green, blue and opacity of each number of a layer; `page.css` has those of its legend by the same values."""
MANY_IMAGES = 60
"""From which on there are two images of each kind: to predict six more is then a tenth of the measurement at most."""


class Chosen(NamedTuple):
    """A test image to show: its place among the samples, why, and the metric of it alone."""

    index: int
    kind: str
    key: str
    value: float


@dataclass(frozen=True)
class Picture:
    """An image, truth and prediction on it, and the words under it."""

    kind: str
    """best, median or worst."""
    name: str
    value: str
    """The metric and its value on this image alone."""
    counts: str
    width: int
    height: int
    image: str
    """A `data:` address, like the two that follow."""
    truth: str
    prediction: str


def chosen_images(metrics: MetricSet, headline: str) -> list[Chosen]:
    """The best, the middle and the worst images, by the headline where that is a number of each image, else by `pq`;
    two of each of many images. Images of which the metric says nothing are left out.
    """
    by_key = {key: metrics.of_each_image(key) for key in (headline, "pq") if key in metrics.metrics}
    key, values = next(((key, values) for key, values in by_key.items() if values is not None), ("", np.zeros(0)))
    order = np.flatnonzero(np.isfinite(values))
    order = order[np.argsort(-values[order], kind="stable")].tolist()
    per_kind, middle = 2 if len(order) >= MANY_IMAGES else 1, len(order) // 2
    kinds = {"best": order[:per_kind], "worst": order[-per_kind:], "median": order[middle : middle + per_kind]}
    kind_of: dict[int, str] = {}
    for kind, indices in kinds.items():
        for index in indices:
            kind_of.setdefault(index, kind)
    return [Chosen(index, kind_of[index], key, float(values[index])) for index in order if index in kind_of]


def picture_of(
    image: np.ndarray,
    truth: EntityMap,
    prediction: EntityMap,
    chosen: Chosen,
    name: str,
    most_bytes: int = MOST_BYTES,
) -> Picture:
    """The picture of an image (H, W, C) uint8, its truth and its prediction, in at most so many bytes of files."""
    comparison = compare(prediction, truth)
    right, wrong, missed = counts_of(comparison)
    side_px, files = LEAST_SIDE_PX, []
    for side_px in (*SIDES_PX, LEAST_SIDE_PX):
        files = [jpeg(resized(image, side_px, enlarge=True)), *(png(ids) for ids in layers(comparison, side_px))]
        if sum(map(len, files)) <= most_bytes:
            break
    with Image.open(io.BytesIO(files[0])) as opened:
        width, height = opened.size
    kinds = ("image/jpeg", "image/png", "image/png")
    plain, truths, predictions = (address(kind, data) for kind, data in zip(kinds, files, strict=True))
    return Picture(
        *(chosen.kind, name, f"{chosen.key} {chosen.value:.3f}", f"{right} right, {wrong} wrong, {missed} missed"),
        *(width, height, plain),
        truth=truths,
        prediction=predictions,
    )


def counts_of(comparison: Comparison) -> tuple[int, int, int]:
    """Entities that are right, wrong and missed, at an IoU of 1/2."""
    right = len(comparison.matches)
    return right, len(comparison.predicted_areas) - right, len(comparison.true_areas) - right


def layers(comparison: Comparison, side_px: int) -> list[np.ndarray]:
    """Numbers of `COLOURS` (h, w) uint8 of truth and of prediction."""
    unlabelled = ~resized_ids(comparison.labelled, side_px, enlarge=True)
    sides = ((comparison.true, comparison.pair_true), (comparison.predicted, comparison.pair_predicted))
    drawn = []
    for ids, pairs in sides:
        layer = outlined(resized_ids(ids, side_px, enlarge=True), pairs[comparison.matches] + 1, side_px)
        layer[unlabelled] = UNLABELLED
        drawn.append(layer)
    return drawn


def outlined(ids: np.ndarray, matched: Sequence[int] | np.ndarray, side_px: int) -> np.ndarray:
    """Numbers of `COLOURS` (h, w) uint8: entities filled faintly, their outermost pixels in full, by whether they are
    among `matched`.
    """
    is_matched = np.zeros(int(ids.max(initial=0)) + 1, bool)
    is_matched[np.asarray(matched, int)] = True
    edge = outermost(ids)
    for _ in range(round(side_px / LINE_PER_PX) - 1):
        edge = np.asarray(binary_dilation(edge), bool) & (ids > 0)
    layer = np.where(is_matched, MATCHED_WITHIN, ALONE_WITHIN).astype(np.uint8)[ids]
    layer[edge] = np.where(is_matched, MATCHED, ALONE).astype(np.uint8)[ids[edge]]
    layer[ids == 0] = 0
    return layer


def jpeg(picture: np.ndarray) -> bytes:
    """The (h, w, 3) uint8 picture as JPEG."""
    file = io.BytesIO()
    Image.fromarray(picture).save(file, "JPEG", quality=QUALITY, optimize=True)
    return file.getvalue()


def png(layer: np.ndarray) -> bytes:
    """Numbers of `COLOURS` (h, w) uint8 as PNG."""
    picture = Image.fromarray(layer)
    picture = picture.convert("P") if picture.mode != "P" else picture
    picture.putpalette([value for colour in COLOURS for value in colour[:3]])
    file = io.BytesIO()
    picture.save(file, "PNG", bits=3, optimize=True, transparency=bytes(colour[3] for colour in COLOURS))
    return file.getvalue()


def address(kind: str, data: bytes) -> str:
    """A file as a `data:` address. kind: its media type."""
    return f"data:{kind};base64,{base64.b64encode(data).decode('ascii')}"
