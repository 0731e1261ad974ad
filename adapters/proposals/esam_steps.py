"""The three steps of E-SAM, each a function of sets of masks and of what answers prompts; none knows a network.

After "E-SAM: Training-Free Segment Every Entity Model" (ICCV 2025). No code was released: its thresholds are used where
they are known, and what is not known is said at the option or the function.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from adapters.proposals.mask_set import Bits, MaskSet, boxes_touch, mask_nms

Predict = Callable[[np.ndarray], MaskSet]
"""Points (P, 2), x and y in pixels, to three masks each: row 3 i + k is mask k of point i."""


@dataclass(frozen=True)
class ESamOptions:
    """Thresholds of the paper, and of an independent implementation where that says none (similar, neighbours)."""

    points_per_side: int = 32
    gallery_per_side: int = 64
    most_object_overlap: float = 0.8
    """theta_O: IoU of masks above which the weaker object goes."""
    least_best_iou: float = 0.6
    """gamma_O: an object is kept where it has that IoU with the best mask of some point."""
    part_overlap: tuple[float, float] = (0.5, 0.9)
    """The same as theta_O for parts where there are no superpixels, and where they are densest."""
    small_overlap: float = 0.05
    """delta: a smaller share of the larger mask is taken from it without a question."""
    score_gap: float = 0.1
    """tau: by so much the best mask of a point must be surer than its object to speak in place of it."""
    neighbours: int = 3
    similar: float = 0.5
    """Share of the neighbours of an entity's superpixels that lie in another, for the two to be merged."""
    containment: float = 0.9
    """Share of each of the two that a mask of the gallery holds."""
    least_fill_iou: float = 0.1
    """rho: what fills a gap joins the entity with which it has more than this IoU, else it is one of its own."""


@dataclass(frozen=True)
class Levels:
    """The masks of a grid of points by their extent: the largest, middle and smallest of each, and the surest.

    What overlaps within a level is thinned out; `best` is not.
    """

    objects: MaskSet
    parts: MaskSet
    subparts: MaskSet
    best: MaskSet


@dataclass(frozen=True)
class Gallery:
    """What a finer grid of points says. points: (P, 2) x, y in pixels; guides, objects, best: a mask of each point."""

    points: np.ndarray
    objects: MaskSet
    best: MaskSet
    guides: MaskSet

    @classmethod
    def of(cls, predict: Predict, points: np.ndarray, score_gap: float) -> Gallery:
        """Ask for the masks of points (P, 2). A point's guide is its object, or its best mask where that is surer by
        the gap.
        """
        masks = predict(points)
        rows = by_extent(masks)
        objects, best = masks.take(rows[:, 0]), masks.take(surest(masks))
        surer = best.scores - objects.scores >= score_gap
        return cls(points, objects, best, masks.take(np.where(surer, surest(masks), rows[:, 0])))


def by_extent(masks: MaskSet) -> np.ndarray:
    """(P, 3) numbers of each point's masks, the largest first."""
    areas = masks.areas.reshape(-1, 3)
    return np.argsort(-areas, axis=1, kind="stable") + 3 * np.arange(len(areas))[:, None]


def surest(masks: MaskSet) -> np.ndarray:
    """(P,) number of each point's mask of the highest predicted IoU."""
    scores = masks.scores.reshape(-1, 3)
    return scores.argmax(1) + 3 * np.arange(len(scores))


def mask_generation(predict: Predict, points: np.ndarray, superpixels: np.ndarray, options: ESamOptions) -> Levels:
    """Step 1: masks at three levels from points (P, 2).

    superpixels: (H, W) ids from 0. Objects: NMS of masks, then those that some best mask confirms. Parts and subparts:
    NMS that is looser where superpixels are dense; the paper's formula is not known, here the threshold rises evenly
    with the mask's density, superpixels per pixel, from that of none to that of the densest mask.
    """
    masks = predict(points)
    largest, middle, smallest = by_extent(masks).T
    best = masks.take(surest(masks))
    objects = with_pixels(masks.take(largest))
    objects = objects.take(mask_nms(objects, options.most_object_overlap))
    objects = objects.take(objects.ious(best).max(1, initial=0) >= options.least_best_iou)
    centres = centroids(superpixels)
    finer = [with_pixels(masks.take(rows)) for rows in (middle, smallest)]
    thin = [thinned(level, centres, options.part_overlap) for level in finer]
    return Levels(objects, thin[0], thin[1], best)


def with_pixels(masks: MaskSet) -> MaskSet:
    """The masks that are not empty."""
    return masks.take(masks.areas > 0)


def thinned(masks: MaskSet, centres: np.ndarray, overlaps: tuple[float, float]) -> MaskSet:
    """Masks after an NMS whose threshold goes from the lower to the upper of `overlaps` with how dense the centres
    (S, 2), rows and columns, are in a mask.
    """
    density = np.array([holds(masks[i], centres).sum() for i in range(len(masks))]) / np.maximum(masks.areas, 1)
    share = density / max(density.max(initial=0), 1e-12)
    return masks.take(mask_nms(masks, overlaps[0] + (overlaps[1] - overlaps[0]) * share))


def centroids(superpixels: np.ndarray) -> np.ndarray:
    """(S, 2) row and column of the pixel nearest to the mean of each superpixel's, ids from 0, that is in it."""
    count, flat = int(superpixels.max()) + 1, superpixels.ravel()
    y, x = np.divmod(np.arange(flat.size), superpixels.shape[1])
    sizes = np.maximum(np.bincount(flat, minlength=count), 1)
    mean_y, mean_x = (np.bincount(flat, axis, minlength=count) / sizes for axis in (y, x))
    away = (y - mean_y[flat]) ** 2 + (x - mean_x[flat]) ** 2
    order = np.lexsort((away, flat))
    nearest = order[np.searchsorted(flat[order], np.arange(count)).clip(max=flat.size - 1)]
    return np.stack([y[nearest], x[nearest]], 1)


def holds(mask: np.ndarray, places: np.ndarray) -> np.ndarray:
    """(P,) bool: whether a mask (H, W) holds each of places (P, 2), rows and columns."""
    return mask[places[:, 0], places[:, 1]]


def cells_of(points: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """(P, 2) rows and columns of the pixels that hold points (P, 2), x and y."""
    return np.floor(points[:, ::-1]).astype(np.int64).clip(0, np.array(shape) - 1)


def resolved(entities: MaskSet, gallery: Gallery, options: ESamOptions) -> MaskSet:
    """Step 2, splitting: entities that share no pixel, the surest pairs first.

    An overlap that is small beside the larger of two masks is taken from that one. Any other is given to the mask that
    the guides of the gallery's points in it match better, summed over their IoUs; without such a point to the surer.
    """
    order = np.argsort(-entities.scores, kind="stable")
    entities = entities.take(order)
    masks = [entities[i] for i in range(len(entities))]
    places = cells_of(gallery.points, entities.shape)
    for i, j in zip(*np.nonzero(np.triu(boxes_touch(entities.boxes, entities.boxes), 1)), strict=True):
        overlap = masks[i] & masks[j]
        shared = np.count_nonzero(overlap)
        if not shared:
            continue
        areas = np.count_nonzero(masks[i]), np.count_nonzero(masks[j])
        if shared / max(areas) < options.small_overlap:
            loser = i if areas[0] > areas[1] else j
        else:
            guides = gallery.guides.take(np.flatnonzero(holds(overlap, places)))
            match = MaskSet.of([masks[i], masks[j]]).ious(guides).sum(1)
            loser = i if match[1] > match[0] else j
        masks[loser] = masks[loser] & ~overlap
    return with_pixels(MaskSet.of(masks, entities.scores, entities.shape))


def merged(
    entities: MaskSet, gallery: Gallery, superpixels: np.ndarray, features: np.ndarray, options: ESamOptions
) -> MaskSet:
    """Step 2, merging: entities of similar superpixels become one where a single mask of the gallery holds both.

    features: (S, D) of each superpixel at its centroid. Two are similar where, of the superpixels of either, the mean
    share of nearest neighbours by cosine that lie in the other is at least `options.similar`. An entity of several has
    the highest of their scores.
    """
    if not len(entities):
        return entities
    inside = np.stack([holds(mask, centroids(superpixels)) for mask in entities])
    closeness = similarity(inside, features, options.neighbours)
    masks = MaskSet.joined([gallery.objects, gallery.best])
    held = entities.intersections(masks) >= options.containment * np.maximum(entities.areas, 1)[:, None]  # (N, G)
    group = np.arange(len(entities))
    for i, j in zip(*np.nonzero(np.triu(np.maximum(closeness, closeness.T) >= options.similar, 1)), strict=True):
        if (held[i] & held[j]).any():
            group[group == group[j]] = group[i]
    numbers = [np.flatnonzero(group == name) for name in dict.fromkeys(group.tolist())]
    scores = np.array([entities.scores[members].max() for members in numbers])
    return MaskSet.of([entities.union(members) for members in numbers], scores, entities.shape)


def similarity(inside: np.ndarray, features: np.ndarray, neighbours: int) -> np.ndarray:
    """(N, N) in [0, 1]: of the superpixels of entity i, the mean share of their nearest neighbours that lie in j.

    inside: (N, S) bool, which superpixels an entity has; features: (S, D).
    """
    unit = features / np.maximum(np.linalg.norm(features, axis=1, keepdims=True), 1e-12)
    cosines = unit @ unit.T
    np.fill_diagonal(cosines, -np.inf)
    count = min(neighbours, max(len(unit) - 1, 1))
    nearest = np.argsort(-cosines, axis=1, kind="stable")[:, :count]  # (S, k)
    links = np.zeros(cosines.shape)
    np.put_along_axis(links, nearest, 1 / count, axis=1)
    members = inside.astype(float)
    return members @ links @ members.T / np.maximum(members.sum(1, keepdims=True), 1)


def repaired(
    entities: MaskSet, part_masks: MaskSet, superpixels: np.ndarray, predict: Predict, options: ESamOptions
) -> MaskSet:
    """Step 3: the superpixels of which less than half is covered are prompted for, and filled.

    Prompts are as few as a greedy choice makes them: at the centre of the part that holds the most such superpixels,
    again and again, then at the centre of each that no part holds. The pixels of a point's best mask that are not yet
    covered join the entity with which that mask has the highest IoU, if above `least_fill_iou`, else they are an entity
    with the mask's score. A point whose pixel was covered by the answer to an earlier one is passed over.
    """
    covered = entities.union(range(len(entities)))
    points = prompts_for_gaps(covered, part_masks, superpixels)
    if not len(points):
        return entities
    answers = predict(points)
    answers = answers.take(surest(answers))
    bits, scores = [*entities.bits], entities.scores.tolist()
    for i, (y, x) in enumerate(cells_of(points, entities.shape).tolist()):
        answer = answers[i]
        gap = answer & ~covered
        if covered[y, x] or not gap.any():
            continue
        ious = MaskSet.of_bits(entities.shape, bits).ious(answers.take([i]))[:, 0]
        if len(ious) and ious.max() > options.least_fill_iou:
            joined = int(ious.argmax())
            bits[joined] = Bits.of(MaskSet.of_bits(entities.shape, bits)[joined] | gap)
        else:
            bits.append(Bits.of(gap))
            scores.append(float(answers.scores[i]))
        covered |= gap
    return MaskSet.of_bits(entities.shape, bits, np.array(scores))


def prompts_for_gaps(covered: np.ndarray, part_masks: MaskSet, superpixels: np.ndarray) -> np.ndarray:
    """(P, 2) x and y of the prompts of `repaired`, in the middle of their pixels. covered: (H, W) bool."""
    count = int(superpixels.max()) + 1
    sizes = np.bincount(superpixels.ravel(), minlength=count)
    open_pixels = np.bincount(superpixels[~covered], minlength=count)
    gaps = (sizes > 0) & (2 * open_pixels > sizes)
    within = np.zeros((len(part_masks), count), bool)
    for i, mask in enumerate(part_masks):
        within[i] = 2 * np.bincount(superpixels[mask], minlength=count) >= np.maximum(sizes, 1)
    centres = []
    while len(part_masks) and (gain := (within & gaps).sum(1)).any():
        best = int(gain.argmax())
        held = within[best] & gaps
        region = part_masks[best] & held[superpixels] & ~covered
        centres.append(centroids(np.where(region, 0, 1))[0] if region.any() else centroids(superpixels)[held][0])
        gaps &= ~held
    places = np.array([*centres, *centroids(superpixels)[gaps]], np.float64).reshape(-1, 2)
    return places[:, ::-1] + 0.5


def nested_in(
    wholes: Sequence[np.ndarray], candidates: MaskSet, least_area: int
) -> list[list[tuple[np.ndarray, float]]]:
    """Of each of wholes (H, W), which share no pixel, the parts in it: (mask, score), which share none either.

    A candidate is part of the whole that holds nine tenths of it, if it is less than four fifths as large. The surer
    come before; one that loses more than a tenth to those is left out. What is left of a whole is a part as well, with
    score 1, if it is of the least area; else it goes to the largest.
    """
    painted = np.zeros(candidates.shape, bool)
    pieces: list[list[tuple[np.ndarray, float]]] = [[] for _ in wholes]
    shared = MaskSet.of(list(wholes), None, candidates.shape).intersections(candidates)
    areas = [np.count_nonzero(mask) for mask in wholes]
    for number in np.argsort(-candidates.scores, kind="stable").tolist():
        area = candidates.areas[number]
        if not len(wholes) or area < least_area:
            continue
        home = int(shared[:, number].argmax())
        if shared[home, number] < 0.9 * area or area >= 0.8 * areas[home]:
            continue
        pixels = candidates[number] & wholes[home] & ~painted
        if np.count_nonzero(pixels) >= max(0.9 * shared[home, number], least_area):
            pieces[home].append((pixels, float(candidates.scores[number])))
            painted |= pixels
    for mask, members in zip(wholes, pieces, strict=True):
        remainder = mask & ~painted
        if members and np.count_nonzero(remainder) >= least_area:
            members.append((remainder, 1.0))
        elif members:
            largest = max(range(len(members)), key=lambda i: np.count_nonzero(members[i][0]))
            members[largest] = (members[largest][0] | remainder, members[largest][1])
    return pieces
