"""Data sets of bounding boxes, such as DeepForest's and NEON's: told from others to be refused with a clear word."""

from __future__ import annotations

from pathlib import Path

from domains.formats.finding import files, walk

_HEAD = 2**16  # bytes that tell what a file is
_CORNERS = ({"xmin", "ymin", "xmax", "ymax"}, {"left", "bottom", "right", "top"})


def file_of_boxes(root: Path) -> Path | None:
    """The first CSV with a column per side of a box, or XML of PASCAL VOC, beside images."""
    if not walk(root, depth=2):
        return None
    for path in [*files(root, {".csv", ".xml"}), *walk(root, {".csv", ".xml"}, depth=2)]:
        with open(path, "rb") as file:
            head = file.read(_HEAD)
        columns = {word.strip(' "').lower() for word in head.partition(b"\n")[0].decode("utf-8", "replace").split(",")}
        if b"<bndbox>" in head or any(corners <= columns for corners in _CORNERS):
            return path
    return None
