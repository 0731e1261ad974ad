"""Regions by features alone: along the image's edges, nested, the flat map first, small ones looked at again."""

from __future__ import annotations

import cv2
import numpy as np

from adapters.proposals.explored import FLAT, Exploration, explored, flattened, to_edges
from domains.entities.forest import NEVER, EntityForest, Nodes

CELL = 8


def colours(image: np.ndarray) -> np.ndarray:
    """Cells of 8 px by their mean colour, from mid-grey on."""
    size = tuple(max(1, round(side / CELL)) for side in image.shape[1::-1])
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA).astype(np.float32) - 128


def scene() -> tuple[np.ndarray, np.ndarray]:
    """An image whose left and right side differ, with a square across cells on the left."""
    image = np.zeros((96, 128, 3), np.uint8)
    image[:], truth = (40, 40, 200), np.ones((96, 128), int)
    image[:, 68:], truth[:, 68:] = (220, 220, 30), 2
    image[20:58, 12:50], truth[20:58, 12:50] = (40, 150, 230), 3
    return image, truth


def test_regions_end_at_the_edges_of_the_image_not_of_cells() -> None:
    image, truth = scene()
    flat = explored(image, colours, Exploration((0.99, 0.95, 0.9))).cut(FLAT)
    for region in (1, 2, 3):
        mask = truth == region
        ids, counts = np.unique(flat.ids[mask], return_counts=True)
        best = flat.ids == ids[counts.argmax()]
        assert (best & mask).sum() / (best | mask).sum() > 0.9


def test_a_refined_map_keeps_its_regions_and_has_no_hole() -> None:
    image, _ = scene()
    region = np.array([[1, 1, 2, 0], [1, 3, 2, 2], [1, 1, 2, 2]], np.int32)
    refined = to_edges(region, image)
    assert refined.shape == image.shape[:2] and set(np.unique(refined)) == {1, 2, 3}
    assert not to_edges(np.zeros((3, 4), np.int32), image).any()


def test_cuts_are_nested_and_the_flat_map_is_the_first_nodes() -> None:
    rng = np.random.default_rng(0)
    blocks = rng.integers(0, 255, (12, 16, 3), np.uint8)
    image = cv2.resize(blocks, (128, 96), interpolation=cv2.INTER_CUBIC)
    forest = explored(image, colours, Exploration((0.999, 0.99, 0.9, 0.5, 0.0), least_cells=2))
    flat = forest.cut(FLAT)
    assert flat.count > 1 and (forest.areas > 0).all()
    entities = np.unique(forest.nodes.lookup(FLAT)[1:-1])
    assert entities[entities > 0].tolist() == list(range(1, flat.count + 1))
    for fine, coarse in ((1.0, 0.7), (0.7, FLAT), (FLAT, 0.2), (0.2, 0.0)):
        finer, coarser = forest.cut(fine).ids, forest.cut(coarse).ids
        held = finer > 0
        pairs = {*zip(finer[held].tolist(), coarser[held].tolist(), strict=True)}
        assert len(pairs) == len(np.unique(finer[held]))


def test_what_persists_most_is_the_flat_map() -> None:
    leaves = np.repeat(np.array([[1, 2, 3, 4]], np.int32), 6, 1)
    parents = np.array([5, 5, 0, 0, 0], np.int32)
    g, never = np.array([1, 1, 1, 1, 0.5], np.float32), np.full(5, NEVER, np.float32)
    joined = flattened(EntityForest(leaves, Nodes(parents, g, never, np.array([0.2, 0.2, 0.5, 0.5, 0.8], np.float32))))
    assert joined.cut(FLAT).ids.tolist() == np.repeat([[3, 3, 1, 2]], 6, 1).tolist()
    apart = flattened(EntityForest(leaves, Nodes(parents, g, never, np.array([0.8, 0.8, 0.5, 0.5, 0.2], np.float32))))
    assert apart.cut(FLAT).ids.tolist() == leaves.tolist() and apart.cut(0.0).count == 3


def test_a_small_region_has_the_parts_that_a_magnified_crop_shows() -> None:
    image = np.full((128, 128, 3), (40, 40, 200), np.uint8)
    image[48:80, 48:80] = (230, 230, 40)
    image[58:68, 58:74] = (230, 120, 40)
    once = explored(image, colours, Exploration((0.999, 0.9), most_crops=0))
    again = explored(image, colours, Exploration((0.999, 0.9), small=0.2))
    part = np.zeros((128, 128), bool)
    part[58:68, 58:74] = True

    def best(forest: EntityForest) -> float:
        ids = forest.cut(1.0).ids
        values = [float(((ids == n) & part).sum() / ((ids == n) | part).sum()) for n in range(1, ids.max() + 1)]
        return max(values, default=0.0)

    assert again.count > once.count and best(again) > max(0.5, best(once))
