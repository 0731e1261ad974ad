"""What the numbers of a folder's label pictures mean: ids, a mask, or classes; decided for all of them together.

What is said (`domain.labels`, `domain.void`) holds. Else:

1. One number besides 0 in each picture, the same in all (or 1 in some and 255 in others): a mask.
2. Numbers up to white whose greys are soft edges (`looks_soft`): a mask of more than half of white.
3. 255 or 65535 beside a sequence of smaller numbers 1..N of which most occur: that number is unlabelled, told.
4. Numbers that lie in several pieces of similar size each, on average two and more at up to 10 numbers in a picture, or
   four and more at up to 32: classes, of which each 8-connected piece is an entity, told. From one and a half pieces on
   it is told that they were taken for ids.
5. Else: ids. Where specks of them lie along the edges of others it is told, since ids were interpolated; a picture of
   hundreds of numbers in specks is a photograph, and refused.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal, NamedTuple, get_args

import numpy as np
from skimage.measure import label

from domains.entities import UNLABELLED, EntityMap
from domains.errors import InputError, suggest
from domains.formats.label_pictures import (
    StoredLabels,
    as_ids,
    at_others,
    is_flat,
    looks_soft,
    of_jpeg,
    stored_labels,
    with_void,
    without_colours,
)
from domains.options import Labels

Void = int | Literal["none"]
VOIDS = (255, 65535)  # the largest uint8 and uint16
SURVEYED = 200  # pictures, spread over the folder: as many decide what the numbers of all mean
CLASSES = ((2.0, 10), (4.0, 32))  # pieces of a number, numbers of a picture, on average: so many pieces, few numbers
PHOTOGRAPH, SPECK_PX = 64, 6  # numbers, and pixels of their pieces: more numbers in smaller pieces are no labels
WEIGHTY = 0.25  # of the largest piece of a number: smaller ones are strays

VOID_TOLD = (
    "has {void} beside a sequence of smaller numbers: it is taken for unlabelled; set domain.void=none if it is an id, "
    "or domain.void={void} if this is right"
)
CLASSES_TOLD = (
    "has numbers of several pieces each: they are taken for classes, and each piece for an entity; set "
    "domain.labels=ids if the pieces of a number are one entity, or domain.labels=classes if this is right"
)
IDS_TOLD = (
    "has numbers of several pieces here and there: they are taken for ids; set domain.labels=classes if each piece is "
    "an entity, or domain.labels=ids if this is right"
)
SPECKS_TOLD = (
    "has specks of its numbers along the edges of others, as ids that were resized with interpolation: they are taken "
    "as they are; resize ids by the nearest pixel, or set domain.labels=mask if it is a mask"
)
GREY_TOLD = (
    "has one grey between black and white: it is foreground if it is more than half of white; set domain.void to it if "
    "it says that nobody is sure, or domain.labels=classes if it is a class"
)
COVERS_TOLD = (
    "covers most of its picture and of its rim: whatever is not 0 is taken for entities; turn black and white round if "
    "the entities are black, or set domain.labels=mask if this is right"
)
MIXED_TOLD = (
    "lies among masks of 0 and 1 and of 0 and 255: whatever is not 0 is taken for the mask; set domain.labels=ids if "
    "it is not"
)


@dataclass(frozen=True)
class Meaning:
    """labels: what the numbers are. void: the number that is unlabelled. above: of a mask, the foreground is larger.

    classes: the numbers that are classes. notes: what was assumed.
    """

    labels: Labels
    void: int | None = None
    above: int = 0
    classes: tuple[int, ...] = ()
    notes: tuple[str, ...] = ()


def said(labels: str | None, void: str | int | None) -> dict[str, Any]:
    """{labels, void} as they are typed, checked. Raises InputError."""
    if labels is not None and labels not in get_args(Labels):
        raise InputError(f"labels is {labels!r}; {suggest(labels, get_args(Labels))}")
    if isinstance(void, str) and void != "none":
        if not void.isdecimal():
            raise InputError(f"void is {void!r}, wanted the number that is unlabelled, or none")
        void = int(void)
    return {"labels": labels, "void": void}


class Facts(NamedTuple):
    """Of a picture. numbers: its positive ones. pieces: of each, those of some size. every: pieces of any size.
    specks: those that are edges through and through, along other numbers.

    soft: whether its greys are soft edges up to white, None where it has nothing to tell by. covers: whether they fill
    half of it and nearly all of its rim, as the ground does. photograph: whether it has more numbers than labels have,
    in pieces of a few pixels. refused: colours, JPEGs and photographs, which are read only where it is said what they
    are.
    """

    numbers: tuple[int, ...]
    pieces: tuple[int, ...]
    every: int
    specks: int
    soft: bool | None
    covers: bool
    photograph: bool
    refused: bool


class LabelSet:
    """The label pictures of a folder, which are read alike. It holds no pictures, and is as small pickled."""

    def __init__(self, paths: Iterable[Path], labels: Labels | None = None) -> None:
        """labels: what they are where nothing else is said, None to decide."""
        self.paths = tuple(paths)
        self.labels: Labels | None = labels
        self._meanings: dict[tuple, Meaning] = {}

    def __reduce__(self) -> tuple:
        return LabelSet, (self.paths, self.labels)

    def meaning(self, labels: Labels | None = None, void: Void | None = None) -> Meaning:
        """What the numbers of all pictures mean; those that cannot be read have no say.

        labels, void: what was said, None for nothing.
        """
        labels = labels or self.labels
        question = labels, void
        if question not in self._meanings:
            step = -(-len(self.paths) // SURVEYED)
            surveyed = [_facts_or_none(path) for path in self.paths[::step]]
            facts = [picture for picture in surveyed if picture is not None and (labels or not picture.refused)]
            self._meanings[question] = decided(facts, labels, void)
        return self._meanings[question]


@dataclass(frozen=True)
class LabelPicture:
    """path: a label picture. among: those that are read as it is."""

    path: Path
    among: LabelSet = field(compare=False, repr=False)

    def truth(self, labels: Labels | None = None, void: Void | None = None) -> tuple[EntityMap, tuple[str, ...]]:
        """The entities, and what was assumed of their picture. Raises InputError."""
        meaning = self.among.meaning(labels, void)
        stored = stored_labels(self.path)
        if stored.lossy and labels != "mask":
            raise of_jpeg(self.path)
        if stored.coloured and labels not in ("ids", "classes"):
            without_colours(self.path, stored)
        facts = _facts_or_none(self.path)
        if labels is None and facts is not None and facts.photograph:
            raise InputError(
                f"{str(self.path)!r}: wanted labels, got {len(facts.numbers)} numbers in specks, as a photograph or "
                "ids that were interpolated have them; export it again, or set domain.labels if it is right"
            )
        notes = [*stored.notes, *meaning.notes] if stored.values.any() else [*stored.notes]
        if labels != "mask" and stored.values.dtype.kind == "f":
            stored = replace(stored, values=as_ids(self.path, stored))
        stored = with_void(stored, meaning.void)
        if meaning.labels == "mask":
            return EntityMap(_of_mask(self.path, stored, meaning, labels)), tuple(notes)
        ids = as_ids(self.path, stored)
        if meaning.labels == "ids":
            return EntityMap.from_ids(ids), tuple(notes)
        return _of_classes(ids, meaning.classes), tuple(notes)


def decided(facts: list[Facts], labels: Labels | None, void: Void | None) -> Meaning:
    """What the numbers of pictures mean, of which these are the facts; labels, void: what was said."""
    numbers = sorted({number for picture in facts for number in picture.numbers})
    number, notes = void if isinstance(void, int) else None, []
    soft = [picture.soft for picture in facts if picture.soft is not None]
    above = next((full // 2 for full in VOIDS if numbers and numbers[-1] <= full), 0) if soft and all(soft) else 0
    numbers = [value for value in numbers if value != number]
    single_valued = all(len(picture.numbers) <= 1 for picture in facts)
    if labels is None and single_valued and set(numbers) <= {1, 255} and len(numbers) == 2 and void is None:
        return Meaning("mask", number, notes=(MIXED_TOLD,))
    if labels == "mask" or (labels is None and (len(numbers) <= 1 or above)):
        if labels is None and above and len(numbers) == 2:
            notes.append(GREY_TOLD)
        if labels is None and facts and 2 * sum(picture.covers for picture in facts) > len(facts):
            notes.append(COVERS_TOLD)
        return Meaning("mask", number, above, notes=tuple(notes))
    if void is None:
        number = _void_of(numbers)
        notes += [VOID_TOLD.format(void=number)] if number is not None else []
        numbers = [value for value in numbers if value != number]
        if labels is None and len(numbers) == 1:
            return Meaning("mask", number, notes=tuple(notes))
    reason, classes = _pieces_tell(facts, number)
    if labels is None:
        notes += [reason] if reason else []
        pieces = sum(picture.every for picture in facts)
        notes += [SPECKS_TOLD] if 2 * sum(picture.specks for picture in facts) > pieces else []
        labels = "classes" if classes else "ids"
    return Meaning(labels, number, classes=tuple(numbers) if labels == "classes" else (), notes=tuple(notes))


def _void_of(numbers: list[int]) -> int | None:
    """255 or 65535, where most of 1..N occur below it and N does not reach it."""
    for void in VOIDS if numbers else ():
        below = [value for value in numbers if value < void]
        if void == numbers[-1] and below and below[-1] < void - 1 and 2 * len(below) >= below[-1]:
            return void
    return None


def _pieces_tell(facts: list[Facts], void: int | None) -> tuple[str | None, bool]:
    """(what is told, whether the numbers are classes)."""
    pieces, counts = [], []
    for picture in facts:
        counts_of_ids = [count for number, count in zip(picture.numbers, picture.pieces, strict=True) if number != void]
        pieces += counts_of_ids
        counts += [len(counts_of_ids)] if counts_of_ids else []
    mean = np.mean(pieces) if pieces else 1.0
    if any(mean >= least and np.mean(counts) <= highest for least, highest in CLASSES):
        return CLASSES_TOLD, True
    return (IDS_TOLD, False) if mean >= 1.5 else (None, False)


def _facts_or_none(path: Path) -> Facts | None:
    try:
        return _facts(path, path.stat().st_mtime_ns)
    except (InputError, OSError):
        return None


@lru_cache(maxsize=4096)
def _facts(path: Path, changed_ns: int) -> Facts:
    """changed_ns: tells one state of the file from another. Raises InputError."""
    stored = stored_labels(path)
    if stored.values.dtype.kind == "f":
        stored = StoredLabels(as_ids(path, stored).astype(np.int64), stored.unlabelled)
    values = np.where(stored.unlabelled | (stored.values < 0), 0, stored.values).astype(np.int64)
    pieces = pieces_of(values)
    areas = np.bincount(pieces.ravel())[1:]
    number_of = np.zeros(len(areas) + 1, np.int64)
    number_of[pieces.ravel()] = values.ravel()
    numbers, place = np.unique(number_of[1:], return_inverse=True)
    largest = np.zeros(len(numbers), np.int64)
    np.maximum.at(largest, place, areas)
    weighty = np.bincount(place[areas >= WEIGHTY * largest[place]], minlength=len(numbers))
    inside = np.bincount(pieces[is_flat(values)], minlength=len(areas) + 1)[1:] > 0
    touching = np.bincount(pieces[at_others(values)], minlength=len(areas) + 1)[1:] > 0
    specks = int((touching & ~inside).sum())
    bright = values > (stored.full // 2 if numbers.size and stored.full // 2 < numbers[-1] <= stored.full else 0)
    rim = np.concatenate([bright[0], bright[-1], bright[:, 0], bright[:, -1]])
    covers = bool(0.5 < bright.mean() < 1 and rim.mean() > 0.9)
    soft = _soft(stored, numbers)
    many = len(numbers) > PHOTOGRAPH and areas.sum() < SPECK_PX * len(areas) and 2 * specks > len(areas)
    photograph = many and not soft and soft is not None
    refused = stored.coloured or stored.lossy or photograph
    pieces_each = tuple(weighty.tolist())
    return Facts(
        tuple(numbers.tolist()),
        pieces_each,
        len(areas),
        specks,
        soft=soft,
        covers=covers,
        photograph=photograph,
        refused=refused,
    )


def _soft(stored: StoredLabels, numbers: np.ndarray) -> bool | None:
    if not len(numbers) or stored.values.dtype.kind != "u" or stored.coloured:
        return None if not len(numbers) or numbers.tolist() == [1] else False
    bright = bool(numbers[-1] > stored.full // 2) and bool(numbers[-1] <= stored.full)
    if len(numbers) == 1:
        return True if bright else None if numbers[0] == 1 else False
    if len(numbers) == 2 and bright and numbers[0] <= stored.full // 16:
        return False  # noise has more numbers than one
    soft = looks_soft(stored)
    return None if soft and not bright else soft


def _of_mask(path: Path, stored: StoredLabels, meaning: Meaning, asked: Labels | None) -> np.ndarray:
    values, unlabelled = stored.values, stored.unlabelled
    above = meaning.above
    if asked == "mask":
        if values.dtype.kind == "f" and np.nanmax(values, initial=0) <= 1:
            above = 0.5  # a probability
        elif stored.lossy:
            above = stored.full // 2
    elif stored.lossy:
        raise of_jpeg(path)
    else:
        numbers = np.unique(values[~unlabelled & (values > 0)])
        if len(numbers) > 1 and not above:
            raise InputError(
                f"{str(path)!r}: wanted a mask of one number, as the others of its folder are, got {len(numbers)} "
                "numbers; set domain.labels to ids, mask or classes"
            )
    mask = ~unlabelled & (np.where(unlabelled, 0, values) > above)
    ids = pieces_of(mask)
    return np.where(unlabelled | (stored.values == UNLABELLED), UNLABELLED, ids).astype(np.int32)


def pieces_of(values: np.ndarray) -> np.ndarray:
    """(H, W) int32, 1..N: the 8-connected pieces of one number each, 0 where that is 0."""
    return np.asarray(label(values, background=0, connectivity=2)).astype(np.int32)


def _of_classes(ids: np.ndarray, classes: tuple[int, ...]) -> EntityMap:
    """Each 8-connected piece of a number is an entity of its class."""
    pieces = pieces_of(np.maximum(ids, 0))
    number = np.zeros(pieces.max() + 1, np.int64)
    number[pieces.ravel()] = np.maximum(ids, 0).ravel()
    vocabulary = tuple(sorted({*classes, *number[1:].tolist()}))
    labels = np.searchsorted(vocabulary, number[1:]).astype(np.int32)
    return EntityMap(np.where(ids < 0, UNLABELLED, pieces), labels=labels, vocabulary=tuple(map(str, vocabulary)))
