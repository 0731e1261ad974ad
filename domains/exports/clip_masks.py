"""Clips as masks: of the Cell Tracking Challenge, YouTube-VIS and SA-V; and as outlines, GeoJSON a frame."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import tifffile
from pycocotools import mask as rle

from domains.entities.outlines import outlines
from domains.errors import InputError
from domains.exports.coco import UNNAMED, run_lengths
from domains.exports.destination import Destination
from domains.exports.track_classes import TrackClasses
from domains.exports.tracked import TrackedClip, Visible, visible, writing_folder
from domains.tiling.clip_journal import TrackedFrame

MOST_LABELS = 2**16 - 1


@dataclass
class Labels:
    """Tracks as the Cell Tracking Challenge has them: one label lasts as long as its entity is visible without a gap;
    what comes back is a daughter of what it was (https://celltrackingchallenge.net/datasets/, Annotations).

    rows: of each label (label, first frame, last frame, parent).
    """

    rows: list[list[int]] = field(default_factory=list)
    current: dict[int, int] = field(default_factory=dict)

    def label(self, track: int, frame: int, mother: int) -> int:
        """The label of a track in a frame, as the frames come. mother: the track that divided into it, 0 for none."""
        label = self.current.get(track, 0)
        if label and self.rows[label - 1][2] == frame - 1:
            self.rows[label - 1][2] = frame
            return label
        parent = label or self.current.get(mother, 0)
        self.rows.append([len(self.rows) + 1, frame, frame, parent])
        self.current[track] = len(self.rows)
        return len(self.rows)


class CtcMasks:
    """`<name>_RES/`: `mask0000.tif`, ... uint16 with a label per pixel, and `res_track.txt` with L B E P a label."""

    def files(self, name: str) -> tuple[str, ...]:
        """The folder."""
        return (f"{name}_RES",)

    def write(self, clip: TrackedClip, destination: Destination) -> None:
        """Write it frame by frame. Raises InputError for more labels than 16 bits have."""
        labels, parents = Labels(), {track.id: track.parent for track in clip.tracks.tracks}
        digits = max(4, len(str(max(clip.tracks.frames - 1, 0))))
        with writing_folder(destination, *self.files(clip.name)) as folder:
            for frame in clip.frames():
                present = np.sort(frame.tracks)
                numbers = [labels.label(track, frame.number, parents.get(track, 0)) for track in present.tolist()]
                if len(labels.rows) > MOST_LABELS:
                    raise InputError(
                        f"{clip.scene!r} has more than {MOST_LABELS} labels, which masks of 16 bits cannot hold; leave "
                        "out --format ctc"
                    )
                lookup = np.array([0, *numbers], np.uint16)
                mask = lookup[np.where(frame.ids > 0, np.searchsorted(present, frame.ids) + 1, 0)]
                tifffile.imwrite(folder / f"mask{frame.number:0{digits}}.tif", mask, compression="zlib")
            lines = "".join(f"{' '.join(map(str, row))}\n" for row in labels.rows)
            (folder / "res_track.txt").write_text(lines, encoding="utf-8")


class YoutubeVis:
    """`<name>.ytvis.json`: COCO of clips as YouTube-VIS has it (https://youtube-vos.org/dataset/vis/): an annotation a
    track, with compressed RLE, box and area of every frame, null where it is hidden.
    """

    def files(self, name: str) -> tuple[str, ...]:
        """The file."""
        return (f"{name}.ytvis.json",)

    def write(self, clip: TrackedClip, destination: Destination) -> None:
        """Write it track by track; masks wait on the disk, as frames come in another order."""
        height, width = clip.shape
        count = clip.tracks.frames
        video = {"id": 1, "width": width, "height": height, "length": count, "name": clip.name}
        video["file_names"] = [f"{clip.name}/{number:05}.jpg" for number in range(count)]
        names = (UNNAMED,) if clip.classes is None else clip.classes.names
        opening = {"videos": [video], "categories": [{"id": k, "name": name} for k, name in enumerate(names, start=1)]}
        with (
            destination.writing(*self.files(clip.name)) as path,
            path.open("w", encoding="utf-8") as file,
        ):
            file.write(json.dumps(opening)[:-1] + ', "annotations": [')
            separator = "\n"
            for annotation in of_tracks(clip):
                file.write(separator + json.dumps(annotation))
                separator = ",\n"
            file.write("\n]}\n")


def of_tracks(clip: TrackedClip) -> Iterator[dict[str, Any]]:
    """Of each track what YouTube-VIS says of it."""
    height, width = clip.shape
    database = sqlite3.connect("")  # a file that the system removes
    try:
        database.execute("CREATE TABLE masks (track, frame, content, PRIMARY KEY (track, frame)) WITHOUT ROWID")
        for frame in clip.frames():
            rows = [(entity.track, frame.number, json.dumps(about(entity, clip.shape))) for entity in visible(frame)]
            database.executemany("INSERT INTO masks VALUES (?, ?, ?)", rows)
        for track in clip.tracks.tracks:
            empty: list[Any] = [None] * clip.tracks.frames
            annotation: dict[str, Any] = {
                "id": track.id, "video_id": 1, "category_id": 1, "iscrowd": 0, "height": height, "width": width,
                "length": 0, "segmentations": [*empty], "bboxes": [*empty], "areas": [*empty],
            }  # fmt: skip
            if clip.classes is not None:
                annotation["category_id"] = clip.classes.label(track.id) + 1
                annotation["category_score"] = round(clip.classes.score(track.id), 6)
            if clip.persistent_ids is not None:
                annotation["persistent_id"] = clip.persistent_ids.get(track.id)
            scores = []
            for number, content in database.execute("SELECT frame, content FROM masks WHERE track = ?", (track.id,)):
                mask = json.loads(content)
                annotation["segmentations"][number], annotation["bboxes"][number] = mask["rle"], mask["box"]
                annotation["areas"][number] = mask["area"]
                scores += [] if mask["score"] is None else [mask["score"]]
                annotation["length"] += 1
            yield annotation | ({"score": round(sum(scores) / len(scores), 6)} if scores else {})
    finally:
        database.close()


def about(entity: Visible, shape: tuple[int, int]) -> dict[str, Any]:
    """RLE, box (x, y, width, height), area and score of an entity of a frame."""
    (rows, columns), score = entity.box, entity.score
    return {
        "rle": run_lengths(entity.mask, rows.start, columns.start, shape),
        "box": [columns.start, rows.start, columns.stop - columns.start, rows.stop - rows.start],
        "area": int(entity.mask.sum()),
        "score": None if np.isnan(score) else round(score, 6),
    }


class SegmentAnythingVideo:
    """`<name>_auto.json`: masklets as SA-V has them (https://ai.meta.com/datasets/segment-anything-video/): of every
    frame a list with the RLE of every masklet, empty where it is hidden.
    """

    def files(self, name: str) -> tuple[str, ...]:
        """The file."""
        return (f"{name}_auto.json",)

    def write(self, clip: TrackedClip, destination: Destination) -> None:
        """Write it frame by frame."""
        height, width = clip.shape
        tracks, count = clip.tracks.tracks, clip.tracks.frames
        empty = {"size": [height, width], "counts": empty_counts(height * width)}
        order = {track.id: place for place, track in enumerate(tracks)}
        with destination.writing(*self.files(clip.name)) as path, path.open("w", encoding="utf-8") as file:
            opening = {
                "video_id": clip.name,
                "video_duration": None if clip.rate is None else round(count / clip.rate, 4),
                "video_frame_count": float(count),
                "video_height": float(height),
                "video_width": float(width),
                "video_resolution": float(height * width),
                "masklet_id": list(range(len(tracks))),
                "masklet_track": [track.id for track in tracks],
                "masklet_first_appeared_frame": [float(track.first) for track in tracks],
                "masklet_type": ["auto"] * len(tracks),
                "masklet_num": len(tracks),
            }
            file.write(json.dumps(opening)[:-1] + ', "masklet": [')
            frames_of = [0] * len(tracks)
            separator = "\n"
            for frame in clip.frames():
                row: list[Any] = [empty] * len(tracks)
                for entity in visible(frame):
                    place, (rows, columns) = order[entity.track], entity.box
                    row[place] = run_lengths(entity.mask, rows.start, columns.start, clip.shape)
                    frames_of[place] += 1
                file.write(separator + json.dumps(row))
                separator = ",\n"
            file.write('\n], "masklet_frame_count": ' + json.dumps([float(number) for number in frames_of]) + "}\n")


def empty_counts(pixels: int) -> str:
    """Compressed RLE of a mask without a pixel."""
    uncompressed: Any = {"counts": [pixels], "size": [pixels, 1]}
    runs: Any = rle.frPyObjects(uncompressed, pixels, 1)
    return runs["counts"].decode("ascii")


class GeoJsonFrames:
    """`<name>_geojson/`: `000000.geojson`, ... a Feature per entity of a frame with its `track`, in pixels as `GeoJson`
    of pictures has them.
    """

    def files(self, name: str) -> tuple[str, ...]:
        """The folder."""
        return (f"{name}_geojson",)

    def write(self, clip: TrackedClip, destination: Destination) -> None:
        """Write it frame by frame."""
        with writing_folder(destination, *self.files(clip.name)) as folder:
            for frame in clip.frames():
                content = {
                    "type": "FeatureCollection",
                    "features": list(features(frame, clip.persistent_ids, clip.classes)),
                }
                path = folder / f"{frame.number:06}.geojson"
                path.write_text(json.dumps(content) + "\n", encoding="utf-8")


def features(
    frame: TrackedFrame, persistent_ids: Mapping[int, int] | None = None, classes: TrackClasses | None = None
) -> Iterator[dict[str, Any]]:
    """The entities of a frame, by track."""
    order = np.argsort(frame.tracks, kind="stable")
    present = frame.tracks[order]
    dense = np.where(frame.ids > 0, np.searchsorted(present, frame.ids) + 1, 0).astype(np.int32)
    areas = np.bincount(dense.ravel(), minlength=len(present) + 1)
    for number, polygons in outlines(dense):
        score = float(frame.scores[order[number - 1]])
        about = {"id": int(present[number - 1]), "track": int(present[number - 1]), "frame": frame.number}
        about |= {"area_px": int(areas[number])} | ({} if np.isnan(score) else {"score": round(score, 6)})
        if classes is not None:
            about |= classes.about(int(present[number - 1]))
        if persistent_ids is not None:
            about["persistent_id"] = persistent_ids[int(present[number - 1])]
        kind, coordinates = ("Polygon", polygons[0]) if len(polygons) == 1 else ("MultiPolygon", polygons)
        yield {"type": "Feature", "geometry": {"type": kind, "coordinates": coordinates}, "properties": about}
