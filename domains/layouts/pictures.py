"""The image files that an annotation file speaks of."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

from domains.images import IMAGE_SUFFIXES
from domains.layouts.finding import walk
from domains.layouts.layout import Fault, Listing, Record


class Pictures:
    """The image files below a folder, found by what an annotation file calls them."""

    def __init__(self, root: Path):
        self.root = root
        self.paths = walk(root)
        self.by_name: dict[str, list[Path]] = defaultdict(list)
        for path in self.paths:
            self.by_name[path.name].append(path)

    def find(self, name: object, file: Path) -> Path:
        """The file of `name`: from the root, from beside the annotation file, then anywhere if one is called so.

        Raises ValueError with the reason: no such file, several, or outside the root.
        """
        if not isinstance(name, str) or not name:
            raise ValueError(f"has the file name {name!r}, wanted text")
        name = name.replace("\\", "/")
        inside = os.path.abspath(self.root)
        for base in (self.root, file.parent):
            path = Path(os.path.normpath(base / name))
            if not os.path.abspath(path).startswith(inside + os.sep):
                raise ValueError(f"is called {name!r}, which leads out of the folder")
            if path.suffix.lower() in IMAGE_SUFFIXES and path.is_file():
                return path
        found = self.by_name[PurePosixPath(name).name]
        if len(found) != 1:
            raise ValueError(f"is called {name!r}, of which there are {len(found)} below the folder")
        return found[0]

    def listing(self, records: Mapping[Path, Record], faults: list[Fault]) -> Listing:
        """Records by image, in the order of their names. An image beside those in use that neither a record nor a
        fault names is a fault.
        """
        used = {image.parent for image in records}
        named = {*records, *(fault.path for fault in faults)}
        unlisted = [image for image in self.paths if image.parent in used and image not in named]
        alone = [Fault(image, "is listed in no annotation file") for image in unlisted]
        return Listing(sorted(records.values(), key=lambda record: record.name), [*faults, *alone])
