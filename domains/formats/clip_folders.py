"""Clips whose frames are label pictures in folders: DAVIS, and the Cell Tracking Challenge with its results.

DAVIS 2016 and 2017 (https://davischallenge.org), and YouTube-VOS alike: `JPEGImages/480p/<clip>/00000.jpg` with
`Annotations/480p/<clip>/00000.png`, a palette whose numbers are objects, 255 unlabelled; of 2016 a mask of 0 and 255.
The folder of the resolution may be missing.

Cell Tracking Challenge (https://celltrackingchallenge.net, "Naming and file content conventions"): `01/t000.tif` with
`01_GT/TRA/man_track000.tif` and `man_track.txt`, rows of label, first frame, last frame, parent; results lie in
`01_RES/mask000.tif` with `res_track.txt`. Markers of TRA may be small, so where `01_GT/SEG/man_seg000.tif` has a mask
that holds a marker, the mask gets the marker's id. A cell that was away goes on under a new label whose parent is the
old one: an only daughter after a gap is the same track again.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from domains.entities import UNLABELLED
from domains.errors import InputError
from domains.formats.finding import files, folders, printable, visible
from domains.formats.label_pictures import VOID, read_ids, stored_labels
from domains.formats.labelled_clip import LabelledClip

NUMBER = re.compile(r"(\d+)$")
TABLES = {"TRA/man_track.txt": ("TRA/man_track", "_GT"), "res_track.txt": ("mask", "_RES")}
MOST_TABLE_BYTES = 2**27


def davis_clips(root: Path) -> list[LabelledClip]:
    """Each clip of a folder as DAVIS lies. Raises InputError for a clip without any label."""
    labels, pictures = _davis_folders(root)
    if labels is None:
        return []
    clips = []
    for folder in folders(labels):
        frames = _numbered(files(folder, {".png"}))
        if not frames:
            raise InputError(f"{str(folder)!r}: wanted label pictures 00000.png, 00001.png, ...; got none")
        images = {} if pictures is None else _numbered(files(pictures / folder.name))
        aligned = tuple(images[number] for number in frames if number in images)
        paths = [*frames.values()]
        clips.append(
            LabelledClip(
                printable(folder.name),
                folder,
                tuple(frames),
                DavisMaps(tuple(paths)),
                aligned if len(aligned) == len(frames) else (),
            )  # fmt: skip
        )
    return clips


def _davis_folders(root: Path) -> tuple[Path | None, Path | None]:
    """(folder of clips of labels, of clips of pictures), with or without the folder of a resolution."""
    chosen: list[Path | None] = []
    for name in ("Annotations", "JPEGImages"):
        base = next((folder for folder in folders(root) if folder.name.casefold() == name.casefold()), None)
        inner = folders(base) if base is not None else []
        sized = [folder for folder in inner if folders(folder)]
        chosen.append(sized[0] if sized else base if inner else None)
    return chosen[0], chosen[1]


@dataclass(frozen=True)
class DavisMaps:
    """The maps of a clip's label pictures."""

    paths: tuple[Path, ...]

    def __call__(self, index: int) -> np.ndarray:
        """(H, W) int32. A mask of 0 and 255 is one object; else 255 is unlabelled."""
        labels = stored_labels(self.paths[index])
        if labels.values.ndim == 2 and labels.values.dtype == np.uint8 and np.isin(labels.values, (0, VOID)).all():
            return np.where(labels.unlabelled, UNLABELLED, labels.values > 0).astype(np.int32)
        ids = read_ids(self.paths[index])
        return np.where(ids == VOID, UNLABELLED, ids)


def cell_clips(root: Path) -> list[LabelledClip]:
    """Each clip of a folder as the Cell Tracking Challenge lies: of truth where there is any, else of results.

    Raises InputError for a table of tracks that cannot be read, and for a clip without frames.
    """
    clips = []
    for ending in ("_GT", "_RES"):
        for folder in folders(root):
            if folder.name.endswith(ending) and not any(clip.name == folder.name[: -len(ending)] for clip in clips):
                clips += [clip for clip in [_cell_clip(root, folder)] if clip is not None]
    bare = None if clips else _cell_clip(root.parent, root)
    return clips if bare is None else [bare]


def _cell_clip(root: Path, folder: Path) -> LabelledClip | None:
    """A clip by its table of tracks; None where the folder has no such table."""
    table = next((name for name in TABLES if (folder / name).is_file()), None)
    if table is None:
        return None
    start, ending = TABLES[table]
    name = folder.name.removesuffix(ending)
    frames = _numbered([path for path in files((folder / start).parent, {".tif", ".tiff"})
                        if path.stem.startswith(start.rpartition("/")[2])])  # fmt: skip
    if not frames:
        raise InputError(
            f"{str(folder)!r}: has {table!r} and no {start.rpartition('/')[2]}000.tif; wanted a map a frame"
        )
    parents, continued, notes = _parents(folder / table)
    masks = _numbered([path for path in files(folder / "SEG", {".tif", ".tiff"}) if path.stem.startswith("man_seg")])
    images = _numbered(files(root / name)) if (root / name).is_dir() else {}
    aligned = tuple(images[number] for number in frames if number in images)
    draw = CellMaps(tuple(frames.values()), tuple(masks.get(number) for number in frames), tuple(continued.items()))
    return LabelledClip(printable(name), folder, tuple(frames), draw,
                        aligned if len(aligned) == len(frames) else (), parents, tuple(notes))  # fmt: skip


def _parents(table: Path) -> tuple[dict[int, int], dict[int, int], list[str]]:
    """(parent by daughter, the track that each label goes on, notes) of rows of label, first frame, last frame, parent.

    Raises InputError.
    """
    if table.stat().st_size > MOST_TABLE_BYTES:
        raise InputError(f"{str(table)!r}: wanted a table of at most {MOST_TABLE_BYTES >> 20} MiB")
    spans: dict[int, tuple[int, int]] = {}
    parents: dict[int, int] = {}
    for i, line in enumerate(table.read_text("utf-8", errors="replace").splitlines(), 1):
        words = line.split()
        if not words:
            continue
        if len(words) != 4 or not all(word.isascii() and word.isdigit() and len(word) < 10 for word in words):
            raise InputError(
                f"{str(table)!r}: line {i} is {line!r:.60}; wanted four whole numbers: label, first frame, last frame, "
                "parent (0 for none)"
            )
        label, begin, end, parent = map(int, words)
        if label in spans or label == 0 or end < begin:
            raise InputError(
                f"{str(table)!r}: line {i} gives label {label} frames {begin} to {end}; wanted each label from 1 on "
                "once, and frames in order"
            )
        spans[label] = begin, end
        if parent:
            parents[label] = parent
    lost = sorted(label for label, parent in parents.items() if parent not in spans)
    notes = [f"{table.name}: {len(lost)} tracks have a parent that is no track, the first is {lost[0]}"] if lost else []
    parents = {label: parent for label, parent in parents.items() if parent in spans}
    daughters = Counter(parents.values())
    continued: dict[int, int] = {}
    for label in sorted(spans, key=lambda label: spans[label]):
        parent = parents.get(label, 0)
        if daughters[parent] == 1 and spans[label][0] > spans[parent][1] + 1:
            continued[label] = continued.get(parent, parent)
    lineage = {label: continued.get(parent, parent) for label, parent in parents.items() if label not in continued}
    return lineage, continued, notes


@dataclass(frozen=True)
class CellMaps:
    """The maps of a clip of cells. masks: for each frame that of `SEG`, None where there is none; continued: pairs of a
    label and the track that it goes on.
    """

    frames: tuple[Path, ...]
    masks: tuple[Path | None, ...]
    continued: tuple[tuple[int, int], ...] = ()

    def __call__(self, index: int) -> np.ndarray:
        """(H, W) int32: markers of tracks, and the masks that hold one under its id."""
        ids, path = read_ids(self.frames[index]), self.masks[index]
        if self.continued:
            continued = dict(self.continued)
            table = np.arange(max(int(ids.max(initial=0)), *continued) + 1, dtype=np.int32)
            table[[*continued]] = [*continued.values()]
            ids = np.where(ids > 0, table[ids.clip(0)], ids)
        if path is None:
            return ids
        mask = read_ids(path)
        if mask.shape != ids.shape:
            raise InputError(
                f"{str(path)!r}: is {mask.shape[1]} x {mask.shape[0]} px, its markers {self.frames[index].name!r} are "
                f"{ids.shape[1]} x {ids.shape[0]}; wanted one size"
            )
        inside = (ids > 0) & (mask > 0)
        width = int(ids.max(initial=0)) + 1
        codes, counts = np.unique(mask[inside].astype(np.int64) * width + ids[inside], return_counts=True)
        drawn = ids.copy()
        for code in codes[np.argsort(counts, kind="stable")]:  # the marker with most pixels in a mask is drawn last
            drawn[mask == code // width] = code % width
        return np.where(ids > 0, np.where(drawn > 0, drawn, ids), drawn)


def _numbered(paths: list[Path]) -> dict[int, Path]:
    """Files by the number at their names' ends, ascending. Raises InputError where two have one."""
    numbered: dict[int, Path] = {}
    for path in paths:
        match = NUMBER.search(path.stem)
        if match is None or len(match[1]) > 9:
            continue
        number = int(match[1])
        if number in numbered:
            raise InputError(f"{str(path)!r}: and {numbered[number].name!r} are both frame {number}; take one away")
        numbered[number] = path
    return dict(sorted(numbered.items()))


def has_cells(root: Path) -> bool:
    """Whether a folder lies as the Cell Tracking Challenge's does."""
    return any((folder / table).is_file() for folder in (root, *folders(root)) for table in TABLES)


def has_davis(root: Path) -> bool:
    """Whether a folder lies as DAVIS does: clips of label pictures, told by `Annotations`."""
    labels = _davis_folders(root)[0]
    return labels is not None and any(
        path.suffix.lower() == ".png" for folder in folders(labels)[:3] for path in visible(folder)
    )
