"""Divisions and merges: an entity becomes two, or two are seen as one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from adapters.options.tracking import Motion
from adapters.tracking.moving import Moving, Pairs
from adapters.tracking.tracker import FrameEntities

DAUGHTER_INSIDE = 0.5
"""Share of a daughter's pixels that lie where her mother is expected."""
MOTHER_COVERED = 0.5
"""Share of a mother's pixels that her daughters take over together."""
STRANGERS = 0.1
"""Most of a mother's pixels that third entities may cover: else something passes in front of her."""
STILL_ONE = 0.7
"""Intersection over union with one entity from which on a mother is still there."""
LEAST_AGE = 2
"""Frames in which a mother was visible."""
MERGED_INSIDE, GROWN, ALIKE = 0.6, 0.5, 0.2
"""A track was taken in where that share of its pixels lies in an entity that has grown by that share of its area, and
it had that share of the other's: a large entity's border moves by as much as a small one has."""


def divisions(
    tracks: Sequence[Moving], frame: FrameEntities, pairs: Pairs, options: Motion, at: int
) -> dict[int, tuple[int, int]]:
    """Index of each mother to the indices of her two daughters, in frame number `at`.

    A mother was visible whole in the frame before, no one entity shows her, and two of plausible size lie where she is
    expected, which are nobody else's. One that had taken in another track gives that one back, which is no division.
    """
    hosts = {track.into for track in tracks if track.into}
    most = np.zeros(frame.count)
    np.maximum.at(most, pairs.entities, pairs.pixels)
    daughters: dict[int, tuple[int, int]] = {}
    for index, rows in enumerate(pairs.of_each(len(tracks))):
        mother, entities, pixels = tracks[index], pairs.entities[rows], pairs.pixels[rows]
        if mother.latest != at - 1 or mother.shrunk or mother.visible < LEAST_AGE or mother.id in hosts:
            continue
        areas = frame.areas[entities]
        if len(entities) < 2 or (pixels / (mother.area + areas - pixels)).max() >= STILL_ONE:
            continue
        inside = (pixels >= DAUGHTER_INSIDE * areas) & (pixels >= most[entities])
        order = np.argsort(-np.where(inside, pixels, -1), kind="stable")[:2]
        if not inside[order].all():
            continue
        covered = pixels[order].sum()
        plausible = options.least_daughter * mother.area <= areas[order].min() and areas[order].max() <= mother.area
        is_free = pixels.sum() - covered <= STRANGERS * mother.area
        if plausible and is_free and covered >= MOTHER_COVERED * mother.area:
            smaller, larger = sorted(entities[order].tolist())
            daughters[index] = smaller, larger
    return daughters


def taken_in(tracks: Sequence[Moving], frame: FrameEntities, pairs: Pairs, matched: Mapping[int, int], at: int) -> None:
    """Tracks that are not seen in frame number `at`, for the first time, though an entity of another one has grown over
    them are marked as merged into it.

    matched: index of a track to its entity. Such a track moves on with the one that took it in, and is found again
    where they part.
    """
    of_entity = {entity: index for index, entity in matched.items()}
    rows = zip(pairs.tracks.tolist(), pairs.entities.tolist(), pairs.pixels.tolist(), strict=True)
    for index, entity, pixels in rows:
        host = of_entity.get(entity)
        if host is None or index in matched or tracks[index].latest != at - 1:
            continue
        gone, larger = tracks[index], tracks[host]
        if gone.area < ALIKE * larger.area:
            continue
        if has_grown(frame, entity, larger, [gone]) and pixels >= MERGED_INSIDE * gone.area:
            gone.into = larger.id


def has_grown(frame: FrameEntities, entity: int, host: Moving, guests: Sequence[Moving]) -> bool:
    """Whether an entity is a track with those that it took in."""
    return bool(frame.areas[entity] >= host.area + GROWN * sum(guest.area for guest in guests))
