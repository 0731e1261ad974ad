"""labelme on the frames of a video: a JSON beside each frame, the same label and `group_id` the same track.

https://github.com/wkentaro/labelme, examples/video_annotation. Without `group_id` the n-th shape of a
label in a frame is the track of the n-th in every frame, which is told where a label comes twice.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np

from domains.entities import UNLABELLED
from domains.errors import InputError
from domains.formats.coco_regions import FlawedRegion
from domains.formats.finding import printable
from domains.formats.labelled_clip import LabelledClip, checked_shape
from domains.formats.labelme import DRAW, Labelme
from domains.formats.layout import Record
from domains.formats.shapes import Shape

Key = tuple[str, object]
ORDER = "shapes of one label have no group_id: the n-th of a frame is taken for the n-th of every frame"


def labelme_clips(root: Path) -> list[LabelledClip]:
    """Each folder of labelled frames as a clip. Raises InputError where no file can be read."""
    by_folder: dict[Path, list[Record]] = {}
    for record in Labelme().listing(root).records:
        by_folder.setdefault(record.image.parent, []).append(record)
    clips = []
    for folder, records in by_folder.items():
        keys = [_keys(record.truth.shapes) for record in records]
        names = sorted({key for frame in keys for key in frame if key is not None}, key=str)
        tracks = {key: i for i, key in enumerate(names, 1)}
        doubled = any(isinstance(key[1], str) and key[1] == "#1" for key in names)
        name = printable(folder.relative_to(root).as_posix()) if folder != root else printable(root.name)
        draw = partial(_map, records, tracks)
        pictures = tuple(record.image for record in records)
        clips.append(LabelledClip(name, folder, tuple(range(len(records))), draw, pictures,
                                  notes=(ORDER,) if doubled else ()))  # fmt: skip
    return clips


def _keys(shapes: tuple[Shape, ...]) -> list[Key | None]:
    """Of each shape what tells its track; None for what is unlabelled."""
    counts: dict[str, int] = {}
    keys: list[Key | None] = []
    for shape in shapes:
        label = shape.label or ""
        if shape.ignored:
            keys.append(None)
        elif shape.entity is not None:
            keys.append((label, shape.entity))
        else:
            keys.append((label, f"#{counts.get(label, 0)}"))
            counts[label] = counts.get(label, 0) + 1
    return keys


def _map(records: list[Record], tracks: dict[Key, int], index: int) -> np.ndarray:
    record = records[index]
    drawing = record.truth
    if not drawing.sizes:
        raise InputError(f"{str(record.image)!r}: its JSON does not say imageHeight and imageWidth; save it again")
    path, size = drawing.sizes[0]
    shape = checked_shape(path, *size)
    ids = np.zeros(shape[0] * shape[1], np.int32)
    shapes = drawing.shapes
    for outline, key in zip(shapes, _keys(shapes), strict=True):
        if outline.kind not in DRAW:
            raise InputError(f"{str(path)!r}: {outline.title} is a {outline.kind!r:.30}; wanted outlines of entities")
        try:
            pixels = DRAW[outline.kind](outline.geometry, shape)
        except FlawedRegion as error:
            raise InputError(f"{str(path)!r}: {outline.title} {error}; draw it again") from error
        ids[pixels] = UNLABELLED if key is None else tracks[key]
    return ids.reshape(shape)
