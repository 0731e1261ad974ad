"""What files a folder holds, counted by ending and place: what an unknown folder is told by."""

from __future__ import annotations

import os
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from domains.scenes.names import printable

MOST_FILES = 20_000
MOST_SHOWN = 3


@dataclass(frozen=True)
class Survey:
    """folders: by their path from the root ("." for it), the names of the visible files in them. complete: False where
    there are more than `MOST_FILES`."""

    root: Path
    folders: dict[str, list[str]] = field(default_factory=dict)
    complete: bool = True

    @property
    def files(self) -> list[PurePosixPath]:
        """Every file by its path from the root."""
        return [PurePosixPath(folder, name) for folder, names in self.folders.items() for name in names]

    def endings(self) -> Counter[str]:
        """How many files have each ending."""
        return Counter(ending(path.name) for path in self.files)

    def __str__(self) -> str:
        """`12 .png in a/, 12 .json in b/`; many folders of one place as one."""
        counts = Counter((str(path.parent), ending(path.name)) for path in self.files)
        places: dict[tuple[str, str], list[tuple[str, int]]] = defaultdict(list)
        for (folder, suffix), count in counts.items():
            places[above(folder), suffix].append((folder, count))
        lines: list[tuple[int, str]] = []
        for (parent, suffix), inner in places.items():
            if len(inner) > MOST_SHOWN:
                total = sum(count for _, count in inner)
                where = f"{len(inner)} folders" + (f" of {shown(parent)}" if parent != "." else "")
                lines.append((total, f"{total} {suffix} in {where}"))
            else:
                lines += [(count, f"{count} {suffix} in {shown(folder)}") for folder, count in inner]
        lines.sort(key=lambda line: -line[0])
        remainder = [f"{len(lines) - MOST_SHOWN} kinds more"] if len(lines) > MOST_SHOWN else []
        return ", ".join([*(text for _, text in lines[:MOST_SHOWN]), *remainder]) or "no file at all"


def survey(root: Path) -> Survey:
    """Lists visible files, as deep as they lie and up to `MOST_FILES`; links to folders are not followed."""
    folders: dict[str, list[str]] = {}
    count = 0
    for folder, inner, names in os.walk(root):
        inner[:] = sorted(name for name in inner if not name.startswith(".") and name != "__MACOSX")
        visible = sorted(name for name in names if not name.startswith("."))
        folders[Path(folder).relative_to(root).as_posix()] = visible
        count += len(visible)
        if count > MOST_FILES:
            return Survey(root, folders, complete=False)
    return Survey(root, folders)


def ending(name: str) -> str:
    """`.png`, `.nii.gz`; of a name without suffix these words."""
    suffix = "".join(PurePosixPath(name.lower()).suffixes[-2:])
    return (
        printable((suffix if suffix.endswith(".gz") else PurePosixPath(name.lower()).suffix)[:12]) or "without suffix"
    )


def above(folder: str) -> str:
    """The folder that holds a folder, "" for none."""
    return str(PurePosixPath(folder).parent) if folder != "." else ""


def shown(folder: str) -> str:
    """A folder's path as it is told: its last 30 signs."""
    text = printable(folder)
    return "the folder itself" if text == "." else f"{text if len(text) <= 30 else '...' + text[-27:]}/"
