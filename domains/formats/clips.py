"""How annotated clips lie in a folder or a file, and which of the readers takes it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from domains.errors import InputError, suggest
from domains.formats.clip_folders import cell_clips, davis_clips, has_cells, has_davis
from domains.formats.finding import files, walk
from domains.formats.labelled_clip import LabelledClip
from domains.formats.labelme import Labelme
from domains.formats.labelme_clips import labelme_clips
from domains.formats.sav import looks_like_sav, sav_clips
from domains.formats.youtube_vis import looks_like_videos, video_clips


class ClipReader(NamedTuple):
    """matches: whether a folder or file lies so; read: its clips; expects: what lies where, for an error."""

    matches: Callable[[Path], bool]
    read: Callable[[Path], list[LabelledClip]]
    expects: str


def _any_json(root: Path, looks: Callable[[Path], bool]) -> bool:
    return looks(root) if root.is_file() else any(looks(path) for path in walk(root, {".json"}, depth=3))


CLIP_READERS: dict[str, ClipReader] = {
    "ctc": ClipReader(has_cells, cell_clips, "01_GT/TRA/man_track.txt or 01_RES/res_track.txt with maps beside it"),
    "davis": ClipReader(has_davis, davis_clips, "Annotations/480p/<clip>/00000.png beside JPEGImages/"),
    "sav": ClipReader(
        lambda root: looks_like_sav(root) if root.is_file() else any(map(looks_like_sav, files(root, {".json"}))),
        sav_clips,
        "SA-V's .json with `masklet`",
    ),
    "youtube_vis": ClipReader(
        lambda root: _any_json(root, looks_like_videos), video_clips, "a .json with `videos` and `segmentations`"
    ),
    "labelme": ClipReader(
        lambda root: root.is_dir() and Labelme().matches(root), labelme_clips, "labelme's .json beside each frame"
    ),
}
"""Readers of annotated clips by name, in the order in which they are tried."""


def read_clips(root: Path, name: str | None = None) -> list[LabelledClip]:
    """The annotated clips of a folder or file, by the first reader that it looks like, or by the one named.

    No map is read before it is asked for. Raises InputError where no reader takes it, and for clips of one name.
    """
    if name is not None and name not in CLIP_READERS:
        raise InputError(f"clips are read as {name!r}; {suggest(name, CLIP_READERS)}")
    if not root.exists():
        raise InputError(f"{str(root)!r}: wanted annotated clips, got nothing at that path")
    readers = CLIP_READERS.values() if name is None else (CLIP_READERS[name],)
    reader = next((reader for reader in readers if reader.matches(root)), None)
    clips = [] if reader is None else reader.read(root)
    if not clips:
        layouts = "; ".join(f"{key}: {reader.expects}" for key, reader in CLIP_READERS.items() if name in (None, key))
        raise InputError(f"{str(root)!r}: wanted annotated clips, got none; {layouts}")
    names = [clip.name for clip in clips]
    twice = next((clip for clip in names if names.count(clip) > 1), None)
    if twice is not None:
        raise InputError(f"{str(root)!r}: has two clips of the name {twice!r}; give each its own")
    return clips
