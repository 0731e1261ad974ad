"""The tracker by motion, looks and size, with a memory for what is hidden.

What ByteTrack (Zhang et al., ECCV 2022, https://arxiv.org/abs/2110.06864) does with boxes is done with masks: tracks
are moved on at constant velocity, and pairs that are near enough are assigned at the least cost, lost tracks among
them. Costs join overlap and looks as in DeepSORT (Wojke et al., 2017, https://arxiv.org/abs/1703.07402). A departure:
an entity that shows a part of itself, where it is expected, keeps its whole mask and its velocity, so that it is found
again where it comes out, by its looks more than by its place the longer it was hidden.
"""

from __future__ import annotations

import numpy as np
from scipy.spatial import KDTree

from adapters.options.tracking import Motion
from adapters.tracking.events import divisions, has_grown, taken_in
from adapters.tracking.moving import Moving, Pairs, packed, unpacked
from adapters.tracking.tracker import Counting, FrameEntities, State, Step
from domains.entities.linking import assigned
from domains.entities.tracks import Track

NEAR, FAR = 0.4, 0.75
"""Cost of the position of an entity that lies exactly where it is expected, and at the end of its reach, as far as its
overlap does not say less."""
SHOWS = 0.85
"""What an entity that lies wholly inside of where a larger one is expected, or around a smaller one, counts as
overlap."""
TOGETHER = 0.6
"""Share of a track's pixels in an entity by which that shows what it took in too."""
WIDENS, WIDEST = 0.1, 2.0
"""By so much of itself the reach grows with each tick that an entity is hidden, up to this many times,"""
VEERS = 0.4
"""and by that share of the way that it is expected to have gone meanwhile."""
FADES = 0.3
"""With each tick that an entity is hidden its place weighs less: after ten it is down to a quarter."""
YOUNG = 2
"""A track that was visible in fewer frames gives its entity up to a hidden one that this resembles more."""
MOST_GROWTH = 4.0
"""An entity of more than so many times a track's area is not where that is expected, though it holds it."""
OLD = 5
"""A track is remembered for at most so many times the frames in which it was visible."""
MOST_LOST = 20_000
"""Tracks that are remembered though they are not visible."""


class MotionTracker:
    """See `Tracker`; the state is the tracks that are visible or remembered."""

    def __init__(self, options: Motion | None = None) -> None:
        self.options = options or Motion()
        self.counting = Counting()
        self.tracks: list[Moving] = []

    def step(self, frame: FrameEntities) -> Step:
        """The tracks of the next frame's entities."""
        at, pairs = self.counting.frames, self.pairs(frame)
        ids, ended = np.zeros(frame.count, np.int64), []
        split: dict[int, tuple[int, int]] = {}
        if self.options.divisions:
            split = divisions(self.tracks, frame, pairs, self.options, at)
            pairs = pairs.without(set(split), {entity for daughters in split.values() for entity in daughters})
        matched = self.matched(frame, pairs, at)
        taken_in(self.tracks, frame, pairs, matched, at)
        guests = self.guests()
        for index, entity in matched.items():
            track = self.tracks[index]
            ids[entity] = track.id
            if track.id in guests and has_grown(frame, entity, track, guests[track.id]):
                track.see_merged(frame, entity, at, guests[track.id])
            else:
                track.see(frame, entity, at)
        for index, daughters in split.items():
            for entity in daughters:
                ids[entity] = self._begin(frame, entity, at, self.tracks[index])
            ended.append(self.tracks[index].ended("divided"))
        ended += self._forget(frame.tick, at, set(split))
        for entity in np.flatnonzero(ids == 0).tolist():
            ids[entity] = self._begin(frame, entity, at)
        self.counting.frames += 1
        return Step(ids, ended)

    def matched(self, frame: FrameEntities, pairs: Pairs, at: int) -> dict[int, int]:
        """Index of each track that is seen to its entity.

        Tracks of the frame before come first, and with them those that they took in, where what shows is not one
        entity still; hidden ones choose among what is left, beside tracks so young that each may be one of them.
        """
        guests, hosts = self.guests(), {track.id: index for index, track in enumerate(self.tracks)}
        costs = self.costs(frame, pairs)
        is_here = np.array([track.latest == at - 1 and track.visible >= YOUNG for track in self.tracks], bool)
        for track_guests in guests.values():
            host = hosts.get(track_guests[0].into)
            if host is None or not is_here[host]:
                continue
            of_host = dict(zip(*(column[pairs.tracks == host].tolist() for column in (pairs.entities, pairs.pixels)),
                               strict=True))  # fmt: skip
            for guest in track_guests:
                index = hosts[guest.id]
                is_here[index] = True
                for row in np.flatnonzero(pairs.tracks == index).tolist():
                    if of_host.get(int(pairs.entities[row]), 0) >= TOGETHER * self.tracks[host].area:
                        costs[row] = 1.0
        matched: dict[int, int] = {}
        free = np.ones(frame.count, bool)
        for stage in (is_here, ~is_here):
            rows = np.flatnonzero(stage[pairs.tracks] & free[pairs.entities]) if len(pairs.tracks) else []
            table = np.stack([pairs.tracks[rows], pairs.entities[rows]], 1)
            for row in np.asarray(rows)[assigned(table, costs[rows], self.options.most_cost)].tolist():
                entity = int(pairs.entities[row])
                matched[int(pairs.tracks[row])] = entity
                free[entity] = False
        return matched

    def guests(self) -> dict[int, list[Moving]]:
        """The tracks that each id took in."""
        guests: dict[int, list[Moving]] = {}
        for track in self.tracks:
            if track.into:
                guests.setdefault(track.into, []).append(track)
        return guests

    def pairs(self, frame: FrameEntities) -> Pairs:
        """What may be the same: an entity shares a pixel with where a track is expected, or lies within its reach."""
        rows: list[np.ndarray] = []
        tree = KDTree(frame.centres) if frame.count else None
        for index, track in enumerate(self.tracks):
            entities, pixels = track.covered(frame)
            shared = dict(zip(entities.tolist(), pixels.tolist(), strict=True))
            centre = track.centre + track.shift(frame.tick)
            reach = self.reach(track, frame.tick)
            near = tree.query_ball_point(centre, reach) if tree is not None else []
            possible = np.array(sorted(shared.keys() | set(near)), np.int64)
            distances = np.linalg.norm(frame.centres[possible] - centre, axis=1) / reach
            counts = np.array([shared.get(entity, 0) for entity in possible.tolist()], float)
            rows.append(np.stack([np.full(len(possible), index), possible, counts, distances]))
        table = np.concatenate([np.zeros((4, 0)), *rows], axis=1)
        tracks, entities = table[:2].astype(np.int64)
        return Pairs(tracks, entities, table[2], table[3])

    def reach(self, track: Moving, tick: float) -> float:
        """Pixels that an entity may be from where it is expected."""
        widened = min(WIDEST, 1 + WIDENS * max(0.0, track.gap(tick) - 1))
        veered = VEERS * float(np.linalg.norm(track.shift(tick))) * (track.gap(tick) > 1)
        return self.options.reach * (widened * max(1.0, float(np.sqrt(track.area))) + veered)

    def costs(self, frame: FrameEntities, pairs: Pairs) -> np.ndarray:
        """(P,) in [0, 1], the weighted mean of what differs."""
        options = self.options
        area = np.array([track.area for track in self.tracks], float)[pairs.tracks]
        seen = frame.areas[pairs.entities].astype(float)
        iou = pairs.pixels / np.maximum(area + seen - pairs.pixels, 1)
        iou = np.minimum(iou, 1)  # the mask of a hidden one is widened, and covers more than its area
        shows = SHOWS * np.minimum(pairs.pixels / np.maximum(np.minimum(area, seen), 1), 1)
        near = np.where(pairs.distances <= 1, NEAR + (FAR - NEAR) * pairs.distances, 1)
        position = np.minimum(1 - np.maximum(iou, shows), near)
        size = 1 - np.sqrt(np.minimum(area, seen) / np.maximum(area, seen))
        behind = np.array([track.shrunk > 0 for track in self.tracks], bool)[pairs.tracks]
        size[behind & (seen < area)] = 0  # it was going behind something, and may show a part of itself
        position = np.where(seen > MOST_GROWTH * area, 1, position)
        gaps = np.array([track.gap(frame.tick) for track in self.tracks], float)[pairs.tracks]
        weight = options.position / (1 + FADES * np.maximum(gaps - 1, 0))
        total, weights = weight * position + options.size * size, weight + options.size
        if frame.looks is not None and len(pairs.tracks):
            width = frame.looks.shape[1]
            comparable = np.array([track.looks is not None and len(track.looks) == width for track in self.tracks])
            knows = comparable[pairs.tracks]
            looks = np.zeros((len(self.tracks), width), np.float32)
            for index in np.flatnonzero(comparable).tolist():
                looks[index] = self.tracks[index].looks
            cosine = (looks[pairs.tracks] * frame.looks[pairs.entities]).sum(1)
            total += np.where(knows, options.likeness * (1 - cosine) / 2, 0)
            weights += np.where(knows, options.likeness, 0)
        return total / np.maximum(weights, 1e-9)

    def _begin(self, frame: FrameEntities, entity: int, at: int, parent: Moving | None = None) -> int:
        track = Moving.begun(self.counting.born(), frame, entity, at, parent)
        self.tracks.append(track)
        return track.id

    def _forget(self, tick: float, at: int, divided: set[int]) -> list[Track]:
        """Tracks that were hidden for too long, and the longest hidden ones of too many, are over."""
        memory = self.options.memory_frames
        kept, ended = [], []
        for index, track in enumerate(self.tracks):
            if index in divided:
                continue
            is_over = track.latest < at and track.gap(tick) > min(memory, OLD * track.visible)
            ended += [track.ended()] if is_over else []
            kept += [] if is_over else [track]
        lost = sorted((track for track in kept if track.latest < at), key=lambda track: (track.latest, track.id))
        over = {track.id for track in lost[: max(0, len(lost) - MOST_LOST)]}
        ended += [track.ended() for track in kept if track.id in over]
        self.tracks = [track for track in kept if track.id not in over]
        return ended

    def close(self) -> list[Track]:
        """The tracks that did not end before the clip did."""
        final = self.counting.frames - 1
        ended = [track.ended("end" if track.latest == final else None) for track in self.tracks]
        self.tracks = []
        return ended

    def state(self) -> State:
        """What to go on from."""
        return {"counts": np.array([self.counting.frames, self.counting.next_id], np.int64), **packed(self.tracks)}

    def restore(self, state: State) -> None:
        """Go on from a state."""
        frames, next_id = state["counts"].tolist()
        self.counting, self.tracks = Counting(frames, next_id), unpacked(state)
