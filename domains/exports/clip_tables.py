"""Clips as tables: boxes as MOTChallenge has them, and a row per track."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from math import hypot
from typing import Any

import numpy as np

from domains.exports.destination import Destination
from domains.exports.tracked import TrackedClip, Visible, visible
from domains.scenes.pixel_size import unit_of


class MotText:
    """`<name>.mot.txt`: frame, id, left, top, width, height, confidence, class, -1, -1 a line, counted from 1
    (https://motchallenge.net/instructions/). The confidence is the entity's score, 1 where it has none; the class is
    the line of `<name>.mot.labels.txt` (as CVAT has it), -1 and no such file where the adapter knows no classes.
    """

    def files(self, name: str) -> tuple[str, ...]:
        """The file, and that of the classes."""
        return f"{name}.mot.txt", f"{name}.mot.labels.txt"

    def write(self, clip: TrackedClip, destination: Destination) -> None:
        """Write it frame by frame."""
        rows_file, names_file = self.files(clip.name)
        classes = clip.classes
        if classes is None:
            destination.clear(names_file)
        else:
            with destination.writing(names_file) as path:
                path.write_text("".join(f"{name}\n" for name in classes.names), encoding="utf-8")
        with destination.writing(rows_file) as path, path.open("w", encoding="utf-8") as file:
            for frame in clip.frames():
                for entity in visible(frame):
                    rows, columns = entity.box
                    place = columns.start + 1, rows.start + 1, columns.stop - columns.start, rows.stop - rows.start
                    score = 1 if np.isnan(entity.score) else round(entity.score, 6)
                    label = -1 if classes is None else classes.label(entity.track) + 1
                    row = frame.number + 1, entity.track, *place, score, label, -1, -1
                    file.write(",".join(map(str, row)) + "\n")


@dataclass
class Course:
    """What a track did so far: frames in which it was visible, sums of areas and scores, its way in pixels, in how many
    ticks, and where and when it was last.
    """

    visible: int = 0
    area: int = 0
    score: float = 0.0
    way: float = 0.0
    ticks: float = 0.0
    centre: tuple[float, float] | None = None
    tick: float = 0.0

    def go_on(self, entity: Visible, tick: float) -> None:
        """It is visible in a frame."""
        y, x = entity.centre
        if self.centre is not None:
            self.way += hypot(y - self.centre[0], x - self.centre[1])
            self.ticks += tick - self.tick
        self.centre, self.tick = (y, x), tick
        self.visible, self.area = self.visible + 1, self.area + int(entity.mask.sum())
        self.score += entity.score


class TrackTable:
    """`<name>.tracks.csv`: a row per track. birth and last: frames from 0; exit: how it ended; parent, into: tracks, 0
    for none; length: from birth to last, in frames; visible: in how many of these; area: the mean; path: what its
    centre went; speed: the mean along that. In micrometres (metres where a pixel is a millimetre or more) and seconds
    too where the size of a pixel and the rate are known. label, label_score: its class, where the adapter knows any.
    persistent_id: where a registry was named.
    """

    def files(self, name: str) -> tuple[str, ...]:
        """The file."""
        return (f"{name}.tracks.csv",)

    def write(self, clip: TrackedClip, destination: Destination) -> None:
        """Write it, after one look at all frames."""
        courses = {track.id: Course() for track in clip.tracks.tracks}
        for frame in clip.frames():
            for entity in visible(frame):
                courses[entity.track].go_on(entity, frame.tick)
        size, rate = clip.pixel_size_m, clip.rate
        is_small = size is None or unit_of(size) == "um"
        unit, scale = ("um", (size or 0) * 1e6) if is_small else ("m", size or 0)
        columns = ["track", "parent", "birth_frame", "last_frame", "exit", "into", "length_frames", "visible_frames",
                   "mean_area_px", "path_px", "speed_px_per_frame"]  # fmt: skip
        columns += [f"mean_area_{unit}2", f"path_{unit}", f"speed_{unit}_per_frame"] if size else []
        columns += ["length_s"] if rate else []
        columns += [f"speed_{unit}_per_s"] if size and rate else []
        columns += ["mean_score"] + (["label", "label_score"] if clip.classes is not None else [])
        columns += ["persistent_id"] if clip.persistent_ids is not None else []
        with destination.writing(*self.files(clip.name)) as path, path.open("w", encoding="utf-8", newline="") as file:
            table = csv.writer(file, lineterminator="\n")
            table.writerow(columns)
            for track in clip.tracks.tracks:
                course = courses[track.id]
                speed = course.way / course.ticks if course.ticks else 0.0
                area = course.area / max(course.visible, 1)
                length = track.last - track.first + 1
                row: list[Any] = [track.id, track.parent or "", track.first, track.last, track.exit, track.into or "",
                                  length, course.visible, short(area), short(course.way), short(speed)]  # fmt: skip
                row += [short(area * scale**2), short(course.way * scale), short(speed * scale)] if size else []
                row += [short(length / rate)] if rate else []
                row += [short(speed * scale * rate)] if size and rate else []
                score = course.score / max(course.visible, 1)
                row.append("" if np.isnan(score) else short(score))
                row += (
                    [] if clip.classes is None else [clip.classes.name(track.id), short(clip.classes.score(track.id))]
                )
                table.writerow(row if clip.persistent_ids is None else [*row, clip.persistent_ids.get(track.id, "")])


def short(value: float) -> str:
    """Six digits."""
    return f"{value:.6g}"
