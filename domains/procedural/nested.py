"""Things made of parts made of details, before clutter: the truth says which lies in which, whole > part > subpart.

A whole keeps pixels of its own, its body; parts are set into it or stand out from it, and details are set into parts.
So a map of ids with `parents` says the whole forest, and goes through crops and turns as any map does.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import cv2
import numpy as np

from domains.entities import EntityMap
from domains.procedural.camera import Camera
from domains.procedural.mosaic import partition
from domains.procedural.paint import cast_shadows, edges, paint_regions, palette
from domains.procedural.shapes import any_outline, fill, place, rectangle
from domains.procedural.truth import visible_nodes

CAMERA = Camera()


def nested(rng: np.random.Generator, height: int, width: int) -> tuple[np.ndarray, EntityMap]:
    """Image (H, W, 3) uint8 and its entities with their parents, 0 on the ground."""
    canvas = Canvas(np.zeros((height, width), np.int32))
    side = min(height, width)
    largest = side * rng.uniform(0.12, 0.55)
    for _ in range(int(np.exp(rng.uniform(0, np.log(14))))):
        centre = rng.uniform(0.05, 0.95, 2) * [width, height]
        draw_whole(rng, canvas, centre, largest * rng.uniform(0.4, 1))
    image = paint_nodes(rng, canvas)
    if rng.random() < 0.5:
        image = cast_shadows(rng, image, canvas.roots[canvas.ids])
    if rng.random() < 0.3:  # outlines, as in a drawing
        image = image + (rng.choice([-60, 50]) * edges(canvas.ids).astype(np.float32))[..., None]
    return CAMERA.photograph(rng, image), visible_nodes(canvas.ids, np.array(canvas.parents[1:], np.int32))


@dataclass
class Canvas:
    """Nodes as they are drawn. ids: (H, W) int32, the deepest node at each pixel; parents: of each, 0 of a whole."""

    ids: np.ndarray
    parents: list[int] = field(default_factory=lambda: [0])

    def add(self, outline: np.ndarray, parent: int, inside: np.ndarray | None = None) -> int:
        """Draw a new node of an outline (P, 2), within a mask (H, W) bool if there is one; its number."""
        self.parents.append(parent)
        number = len(self.parents) - 1
        drawn = np.zeros(self.ids.shape, np.uint8)
        fill(drawn, outline, 1)
        self.ids[(drawn > 0) if inside is None else (drawn > 0) & inside] = number
        return number

    @property
    def roots(self) -> np.ndarray:
        """(N + 1,) the whole of each node, 0 of none."""
        roots = np.arange(len(self.parents))
        for number, parent in enumerate(self.parents):
            if parent:
                roots[number] = roots[parent]
        return roots


def draw_whole(rng: np.random.Generator, canvas: Canvas, centre: np.ndarray, size: float) -> None:
    """A body with parts that stand out from behind it and parts set into it; some wholes have none."""
    canvas.parents.append(0)
    body_node, turn = len(canvas.parents) - 1, rng.uniform(0, 2 * np.pi)
    standing = [draw_standing(rng, canvas, body_node, centre, size) for _ in range(int(rng.choice([0, 0, 1, 2, 3])))]
    body = np.zeros(canvas.ids.shape, np.uint8)
    fill(body, place(any_outline(rng), centre, size, turn), 1)
    canvas.ids[body > 0] = body_node
    inlaid = draw_inlaid(rng, canvas, body_node, int(rng.choice([0, 1, 2, 3, 5])), size, turn)
    for piece in [*standing, *inlaid]:
        if rng.random() < 0.55:
            extent = np.sqrt(np.count_nonzero(canvas.ids == piece) / np.pi)
            draw_inlaid(rng, canvas, piece, int(rng.integers(1, 4)), extent, turn)


def draw_standing(rng: np.random.Generator, canvas: Canvas, body_node: int, centre: np.ndarray, size: float) -> int:
    """A part that reaches out from the centre, a limb or a head; its number. The body is drawn over its root."""
    away, reach = rng.uniform(0, 2 * np.pi), rng.uniform(0.8, 1.4)
    heading = np.array([np.cos(away), np.sin(away)])
    if rng.random() < 0.5:
        limb = place(rectangle(reach / 2, rng.uniform(0.1, 0.3)), centre + size * reach / 2 * heading, size, away)
        return canvas.add(limb, body_node)
    return canvas.add(
        place(any_outline(rng), centre + size * reach * heading, size * rng.uniform(0.3, 0.6), away), body_node
    )


def draw_inlaid(rng: np.random.Generator, canvas: Canvas, node: int, count: int, size: float, turn: float) -> list[int]:
    """Nodes set into the pixels that a node still has: a row of equal ones as windows are, or each of its own shape;
    their numbers. size: about the radius of the node.
    """
    room = canvas.ids == node
    y, x = np.nonzero(room)
    if size < 4 or not len(y):
        return []
    outline, alike = any_outline(rng), rng.random() < 0.4
    scale, start = size * rng.uniform(0.15, 0.45), rng.integers(len(y))
    step = np.array([np.cos(turn), np.sin(turn)]) * scale * rng.uniform(1.6, 2.6)
    numbers = []
    for i in range(count):
        spot = np.array([x[start], y[start]]) + i * step
        if not alike:
            pixel = rng.integers(len(y))
            spot, outline, scale = np.array([x[pixel], y[pixel]]), any_outline(rng), size * rng.uniform(0.15, 0.5)
        numbers.append(canvas.add(place(outline, spot, scale, turn), node, room))
    return numbers


def paint_nodes(rng: np.random.Generator, canvas: Canvas) -> np.ndarray:
    """(H, W, 3) float32: things before a plain ground or patches; a part's colour lies between its whole's and one of
    its own, and equal parts often share one.
    """
    ids = canvas.ids
    ground = partition(rng, *ids.shape, finest=0.15) if rng.random() < 0.7 else np.zeros_like(ids)
    count, nodes = int(ground.max()) + 1, len(canvas.parents) - 1
    tones = palette(rng, count, "one hue" if rng.random() < 0.5 else None)
    tones = tones.mean(0) + (tones - tones.mean(0)) * np.float32(rng.uniform(0.1, 0.8))
    colours, contrast = palette(rng, nodes), rng.uniform(0.3, 1)
    for number in range(1, nodes + 1):
        parent = canvas.parents[number]
        if not parent:
            continue
        twin = number - 1 if canvas.parents[number - 1] == parent and rng.random() < 0.5 else 0
        mixed = colours[parent - 1] + np.float32(contrast) * (colours[number - 1] - colours[parent - 1])
        colours[number - 1] = colours[twin - 1] if twin else mixed
    front = ids > 0
    regions = np.where(front, ids + (count - 1), ground)
    image = paint_regions(rng, regions, np.concatenate([tones, colours]), rng.uniform(5, 34), 6)
    if rng.random() < 0.4:  # the ground is out of focus
        image = np.where(front[..., None], image, cv2.GaussianBlur(image, (0, 0), rng.uniform(1, 3)))
    return image
