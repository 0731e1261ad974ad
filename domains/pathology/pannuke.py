"""PanNuke: three folds of 256 x 256 px patches in one array each, nuclei of five classes.

Gamper et al., ECDP 2019, and https://arxiv.org/abs/2003.10778. `Fold k/images/foldk/images.npy` (N, 256, 256, 3) and
`types.npy` (tissue of each patch), `Fold k/masks/foldk/masks.npy` (N, 256, 256, 6): five channels of nucleus ids, one
per class, and background. The arrays are float64, 12 GB per fold, and are never loaded: a patch is read at a time.
"""

from __future__ import annotations

import re
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np

from domains.entities import EntityMap
from domains.errors import InputError
from domains.formats.drawing import paint
from domains.formats.finding import printable, walk
from domains.formats.layout import SPLITS, Fault, Layout, Listing, Record

CLASSES = ("neoplastic", "inflammatory", "connective", "dead", "epithelial")
PIXEL_SIZE_M = 0.25e-6  # 40x, as the set is described


class PatchTruth(NamedTuple):
    masks: Path
    index: int


class PanNuke(Layout):
    name = "pannuke"
    entities = "one nucleus of one of five classes; where two overlap the smaller one lies on top"
    expects = "Fold <k>/images/fold<k>/images.npy with Fold <k>/masks/fold<k>/masks.npy"

    def matches(self, root: Path) -> bool:
        """Whether the folder holds folds of images.npy with masks.npy."""
        return bool(_folds(root)[0])

    def listing(self, root: Path) -> Listing:
        """Folds 1, 2, 3 are train, val and test: the first of the three official splits."""
        pairs, faults = _folds(root)
        records = []
        for images, masks in pairs:
            try:
                count = len(_array(images, 3))
                if len(_array(masks, 1 + len(CLASSES))) != count:
                    raise InputError(f"{str(masks)!r}: wanted {count} patches as in {images.name!r}; copy it again")
            except InputError as error:
                faults.append(Fault(images, str(error).removeprefix(f"{str(images)!r}: ")))
                continue
            fold = _fold(images)
            split = SPLITS[fold - 1] if fold in (1, 2, 3) else None
            base = printable(images.parent.relative_to(root).as_posix()) if fold is None else f"fold{fold}"
            tissues = _tissues(images.with_name("types.npy"), count, faults)
            for i in range(count):
                name = f"{base}/{i:05d}"
                records.append(Record(name, images, PatchTruth(masks, i), name, split, PIXEL_SIZE_M, tissues[i]))
        return Listing(records, faults)

    def image(self, record: Record) -> np.ndarray:
        """(H, W, 3) uint8 out of the fold's array. Raises InputError."""
        patch = _array(record.image, 3)[record.truth.index]
        if not np.isfinite(patch).all() or patch.min() < 0 or patch.max() > 255:
            raise InputError(f"{str(record.image)!r}: patch {record.truth.index}: wanted values of 0 to 255; copy it")
        return np.ascontiguousarray(patch).astype(np.uint8)

    def truths(self, record: Record, shape: tuple[int, int], faults: list[Fault]) -> list[EntityMap]:
        """The nuclei of all channels with their class; see `Layout.truths`."""
        ids = _array(record.truth.masks, 1 + len(CLASSES))[record.truth.index]
        if ids.shape[:2] != shape:
            raise InputError(f"{str(record.truth.masks)!r}: wanted patches of {shape}, got {ids.shape[:2]}; copy it")
        regions, labels = [], []
        for channel in range(len(CLASSES)):
            flat = ids[..., channel].ravel()
            order = np.flatnonzero(flat > 0)
            order = order[np.argsort(flat[order], kind="stable")]
            entities = np.split(order, np.flatnonzero(np.diff(flat[order])) + 1) if order.size else []
            regions += entities
            labels += [channel] * len(entities)
        painted, kept = paint(regions, shape)
        return [EntityMap(painted, labels=np.array(labels, np.int32)[kept], vocabulary=CLASSES)]


def _folds(root: Path) -> tuple[list[tuple[Path, Path]], list[Fault]]:
    """(images.npy, masks.npy) of every fold, and the images.npy without masks. A fold has the two in twin folders
    `images` and `masks`, or in one."""
    arrays = walk(root, {".npy"}, depth=4)
    pairs, faults = [], []
    for images in arrays:
        if images.name != "images.npy":
            continue
        below = images.relative_to(root)
        twin = [step if step != "images" else "masks" for step in below.parts[:-1]]
        masks = root.joinpath(*twin, "masks.npy")
        if masks in arrays:
            pairs.append((images, masks))
        else:
            faults.append(Fault(images, "has no masks.npy"))
    return pairs, faults if pairs else []


def _fold(images: Path) -> int | None:
    numbers = re.findall(r"fold[ _]?(\d)", images.as_posix().lower())
    return int(numbers[-1]) if numbers else None


def _tissues(path: Path, count: int, faults: list[Fault]) -> list[str]:
    """The tissue of each patch; empty where the file is missing or would have to be unpickled."""
    if not path.is_file():
        return [""] * count
    try:
        names = np.load(path, allow_pickle=False)
        words = [printable(str(name)) for name in names.ravel()[:count]]
    except Exception as error:  # on damaged bytes numpy raises anything, from tokenize.TokenError to SystemError
        faults.append(Fault(path, f"is no plain array of text: {' '.join(str(error).split())[:100]}"))
        return [""] * count
    if names.shape != (count,) or names.dtype.kind not in "US":
        faults.append(Fault(path, f"holds {names.shape} {names.dtype}, wanted {count} names"))
        return [""] * count
    return words


@lru_cache(maxsize=16)
def _mapped(path: Path, stamp: tuple[int, int]) -> np.ndarray:
    return np.load(path, mmap_mode="r", allow_pickle=False)


def _array(path: Path, channels: int) -> np.ndarray:
    """(N, H, W, channels) numbers, mapped and not loaded. Raises InputError."""
    try:
        state = path.stat()
        values = _mapped(path, (state.st_mtime_ns, state.st_size))
    except Exception as error:  # on damaged bytes numpy raises anything, from tokenize.TokenError to EOFError
        reason = " ".join(str(error).split())[:120]
        raise InputError(f"{str(path)!r}: wanted a whole .npy array of numbers, got {reason}; copy it again") from error
    if values.ndim != 4 or values.shape[3] != channels or values.dtype.kind not in "uif":
        raise InputError(
            f"{str(path)!r}: wanted (patches, height, width, {channels}) numbers, got {values.shape} {values.dtype}; "
            "copy it again"
        )
    return values
