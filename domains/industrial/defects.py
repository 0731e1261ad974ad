"""Images of parts that are good or have defects of one class, as MVTec AD, VisA and DAGM keep them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from domains.formats.drawing import components, of_class, paint, same_size
from domains.formats.label_pictures import read_mask
from domains.formats.layout import EntityMap, InputError


@dataclass(frozen=True)
class Defect:
    """masks: one of all defects, or one of each; none for a good image. label: index into the vocabulary."""

    masks: tuple[Path, ...] = ()
    label: int = 0
    vocabulary: tuple[str, ...] = ()

    def truth(self, image: Path, shape: tuple[int, int], read: Callable[[Path], np.ndarray] = read_mask) -> EntityMap:
        """The components of the one mask, or an entity per mask; nothing in a good image.

        shape: (H, W) of the image. read: a mask file to (H, W) bool. Raises InputError for a mask of another size,
        and where all are empty.
        """
        if not self.masks:
            return EntityMap(np.zeros(shape, np.int32))
        masks = []
        for path in self.masks:
            masks.append(read(path))
            same_size(image, shape, path, masks[-1].shape)
        if not any(mask.any() for mask in masks):
            raise InputError(
                f"{str(self.masks[0])!r}: wanted a defect, as {str(image)!r} is not among the good images, got an "
                "empty mask; complete it, or move the image to the good ones"
            )
        single = len(masks) == 1
        ids = components(masks[0]) if single else paint([np.flatnonzero(mask) for mask in masks], shape)[0]
        return of_class(ids, self.label, self.vocabulary)
