"""YouTube-VIS, and COCO for videos: a JSON with the masks of each object, frame by frame.

Format: Yang et al., ICCV 2019, https://arxiv.org/abs/1905.04804. `videos` have `file_names`, `height` and `width`;
`annotations` have a `video_id` and `segmentations`, one for each frame, null where the object is away: RLE, compressed
or not, or polygons. An annotation is a track. Masks that overlap have the smaller on top; crowds are unlabelled.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from domains.entities import UNLABELLED
from domains.errors import InputError
from domains.formats.coco_regions import FlawedRegion, region
from domains.formats.export_files import both_ends, check_size, read_json
from domains.formats.finding import printable, walk
from domains.formats.ids import identifier, number
from domains.formats.labelled_clip import MOST_FRAMES, LabelledClip, checked_shape, smaller_on_top
from domains.formats.pictures import Pictures

MOST_BYTES = 2**32


def video_clips(root: Path) -> list[LabelledClip]:
    """The clips of each such file of a folder, or of the one file. Raises InputError, the file named."""
    paths = [root] if root.is_file() else [path for path in walk(root, {".json"}, depth=3) if looks_like_videos(path)]
    return [clip for path in paths for clip in _clips(path, root if root.is_dir() else root.parent)]


def looks_like_videos(path: Path) -> bool:
    """Whether a file lists videos and their annotations, by its ends."""
    ends = both_ends(path)
    return (b'"videos"' in ends and b'"file_names"' in ends) or b'"segmentations"' in ends


def _clips(path: Path, root: Path) -> list[LabelledClip]:
    try:
        check_size(path, MOST_BYTES)
        content = read_json(path, "export it again")
    except InputError as error:
        raise InputError(f"{str(path)!r}: {error}") from error
    lists = isinstance(content, dict) and all(isinstance(content.get(key), list) for key in ("videos", "annotations"))
    if not lists:
        raise InputError(f"{str(path)!r}: has no lists `videos` and `annotations`; export it as YouTube-VIS does")
    objects: dict[int | str, list[dict[str, Any]]] = {}
    videos = {identifier(video.get("id")): video for video in content["videos"] if isinstance(video, dict)}
    strays = 0
    for entry in content["annotations"]:
        owner = identifier(entry.get("video_id")) if isinstance(entry, dict) else None
        if owner is None or owner not in videos:
            strays += 1
            continue
        objects.setdefault(owner, []).append(entry)
    notes = (f"{path.name}: {strays} annotations belong to no video that it lists",) if strays else ()
    pictures = Pictures(root)
    return [_clip(path, key, video, objects.get(key, []), pictures, notes)
            for key, video in videos.items() if key is not None]  # fmt: skip


def _clip(
    path: Path, key: int | str, video: dict, objects: list[dict], pictures: Pictures, notes: tuple[str, ...]
) -> LabelledClip:
    shape = checked_shape(path, video.get("height"), video.get("width"))
    names = video.get("file_names")
    names = names if isinstance(names, list) else []
    length = number(video.get("length"))
    count = len(names) or (length if length is not None else 0)
    if not 0 < count <= MOST_FRAMES:
        raise InputError(f"{str(path)!r}: video {key!r:.40} lists no frames; wanted `file_names`, one for each")
    for entry in objects:
        masks = entry.get("segmentations")
        if not isinstance(masks, list) or len(masks) != count:
            came = len(masks) if isinstance(masks, list) else "no"
            raise InputError(
                f"{str(path)!r}: annotation {entry.get('id')!r:.40} has {came} segmentations, its video {count} "
                "frames; wanted one for each frame, null where the object is away"
            )
    images: list[Path] = []
    for name in names:
        try:
            images.append(pictures.find(name, path))
        except ValueError:
            break
    folder = str(names[0]).replace("\\", "/").rpartition("/")[0] if names else ""
    return LabelledClip(
        printable(folder.rpartition("/")[2] or str(key)),
        path,
        tuple(range(count)),
        partial(_map, path, objects, shape),
        tuple(images) if len(images) == count else (),
        notes=notes,
    )


def _map(path: Path, objects: list[dict], shape: tuple[int, int], index: int) -> np.ndarray:
    masks, crowds = {}, []
    ids = track_ids(objects)
    for entry, track in zip(objects, ids, strict=True):
        mask = entry["segmentations"][index]
        if mask is None:
            continue
        try:
            pixels = region(mask, shape)
        except FlawedRegion as error:
            if "covers no pixel" in str(error):
                continue
            raise InputError(f"{str(path)!r}: annotation {entry.get('id')!r:.40}, frame {index}: {error}") from error
        if number(entry.get("iscrowd")) == 1:
            crowds.append(pixels)
        else:
            masks[track] = pixels
    drawn = smaller_on_top(shape, masks)
    for pixels in crowds:
        drawn.ravel()[pixels] = np.where(drawn.ravel()[pixels] > 0, drawn.ravel()[pixels], UNLABELLED)
    return drawn


def track_ids(objects: list[dict]) -> list[int]:
    """Ids of the annotations where they are whole numbers from 1 that no two have, else 1, 2, ... in their order."""
    ids = [number(entry.get("id")) or 0 for entry in objects]
    is_usable = len({*ids}) == len(ids) and all(0 < value < 2**31 for value in ids)
    return ids if is_usable else [*range(1, len(objects) + 1)]
