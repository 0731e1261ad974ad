"""SA-V: a JSON a clip with the masks of its objects as COCO's compressed RLE, read and written.

Format: Ravi et al., SAM 2, https://arxiv.org/abs/2408.00714, and the README of the data set. `masklet[t][k]` is object
k of the t-th labelled frame; every fourth frame of 24 a second is labelled, which `video_frame_count` tells. A mask
without a pixel says that the object is away. Object k is track k + 1; of masks that overlap the smaller lies on top.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from pycocotools import mask as coco_mask

from domains.atomic import atomic_path
from domains.errors import InputError
from domains.formats.coco_regions import FlawedRegion, region
from domains.formats.export_files import both_ends, check_size, read_json
from domains.formats.finding import files, printable
from domains.formats.labelled_clip import LabelledClip, checked_shape, smaller_on_top

MOST_BYTES = 2**32
LABELLED_EVERY = 4
"""Frames from one labelled frame to the next, where a file does not say how many there are."""


def sav_clips(root: Path) -> list[LabelledClip]:
    """The clip of each SA-V file of a folder, or of the one file. Raises InputError for a file that is none."""
    paths = [root] if root.is_file() else [path for path in files(root, {".json"}) if looks_like_sav(path)]
    return [sav_clip(path) for path in paths]


def looks_like_sav(path: Path) -> bool:
    """Whether a file has masklets, by its ends."""
    return b'"masklet' in both_ends(path)


def sav_clip(path: Path) -> LabelledClip:
    """The clip of one file. Raises InputError, the file named, for what is no whole SA-V annotation."""
    try:
        check_size(path, MOST_BYTES)
        content = read_json(path, "copy it again")
    except InputError as error:
        raise InputError(f"{str(path)!r}: {error}") from error
    frames = content.get("masklet") if isinstance(content, dict) else None
    if not isinstance(frames, list) or not frames or not all(isinstance(frame, list) for frame in frames):
        raise InputError(f"{str(path)!r}: wanted `masklet`, a list of the objects' masks for each labelled frame")
    objects = {len(frame) for frame in frames}
    if len(objects) > 1:
        raise InputError(
            f"{str(path)!r}: has {min(objects)} to {max(objects)} masks a frame; wanted one for each object"
        )
    shape = checked_shape(path, content.get("video_height"), content.get("video_width"))
    frame_count = content.get("video_frame_count")
    step = LABELLED_EVERY
    if isinstance(frame_count, int | float) and frame_count == frame_count and len(frames) <= frame_count < 2**31:
        step = max(1, round(frame_count / len(frames)))
    name = content.get("video_id")
    return LabelledClip(
        printable(name if isinstance(name, str) and name else path.stem),
        path,
        tuple(range(0, step * len(frames), step)),
        partial(_map, path, frames, shape),
    )


def _map(path: Path, frames: list[list[Any]], shape: tuple[int, int], index: int) -> np.ndarray:
    masks = {}
    for k, mask in enumerate(frames[index]):
        try:
            masks[k + 1] = region(mask, shape)
        except FlawedRegion as error:
            if "covers no pixel" not in str(error):
                raise InputError(f"{str(path)!r}: object {k} of labelled frame {index} {error}") from error
    return smaller_on_top(shape, masks)


def write_sav(
    path: Path, name: str, maps: Iterable[np.ndarray], step: int = 1, rate: float = 24.0, kind: str = "auto"
) -> int:
    """Write a clip's tracks as SA-V does; gives how many objects there are. Whole or not at all.

    maps: (H, W) of track ids, of every `step`-th frame of a clip of `rate` frames a second, read once; what is held in
    memory is the run lengths. kind: `masklet_type`, auto or manual. Raises InputError for a clip without a frame.
    """
    runs: list[dict[int, str]] = []
    areas: dict[int, list[int]] = {}
    changes: dict[int, int] = {}
    appeared: dict[int, int] = {}
    shape: tuple[int, int] | None = None
    for index, ids in enumerate(maps):
        shape = ids.shape if shape is None else shape
        present = np.unique(ids[ids > 0]).tolist()
        runs.append({number: _coded(ids == number) for number in present})
        for number in present:
            areas.setdefault(number, []).append(int(np.count_nonzero(ids == number)))
            appeared.setdefault(number, index)
        before = runs[-2] if index else {}
        for number in {*before} ^ {*present}:
            changes[number] = changes.get(number, 0) + (1 if index else 0)
    if shape is None:
        raise InputError(f"cannot write {str(path)!r}: a clip wants at least one frame")
    numbers, empty = sorted(areas), _coded(np.zeros(shape, bool))
    size = {"size": [int(shape[0]), int(shape[1])]}
    frame_count, pixels = step * len(runs), shape[0] * shape[1]
    mean = [float(np.mean(areas[number])) for number in numbers]
    content = {
        "video_id": name,
        "video_duration": frame_count / rate,
        "video_frame_count": float(frame_count),
        "video_height": float(shape[0]),
        "video_width": float(shape[1]),
        "video_resolution": float(pixels),
        "masklet": [[{**size, "counts": frame.get(number, empty)} for number in numbers] for frame in runs],
        "masklet_id": numbers,
        "masklet_size_rel": [area / pixels for area in mean],
        "masklet_size_abs": mean,
        "masklet_visibility_changes": [changes.get(number, 0) for number in numbers],
        "masklet_first_appeared_frame": [float(step * appeared[number]) for number in numbers],
        "masklet_frame_count": [len(areas[number]) for number in numbers],
        "masklet_type": [kind] * len(numbers),
        "masklet_num": len(numbers),
    }
    with atomic_path(path) as temporary, open(temporary, "w", encoding="utf-8") as file:
        json.dump(content, file)
    return len(numbers)


def _coded(mask: np.ndarray) -> str:
    rle: Any = coco_mask.encode(np.asfortranarray(mask.astype(np.uint8)))
    return rle["counts"].decode()
