"""What annotation files draw on photographs: shapes, gathered per picture from one file or several, and drawn.

Rules that hold for every such file. Shapes of one entity are its parts. A higher level lies on top; of one level the
smaller entity does. A shape that cannot be drawn is left out and told; a picture none of whose shapes can be drawn is
left out itself, since it would be learnt as one without any entity. Several files may speak of one picture: what they
draw is joined, the same shape once.
"""

from __future__ import annotations

import json
import pickle
import zlib
from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from domains.entities import UNLABELLED, EntityMap
from domains.errors import InputError
from domains.formats.coco_regions import FlawedRegion
from domains.formats.drawing import paint, same_size
from domains.formats.layout import Assumption, Fault, Record

JOINED = "speaks of pictures that another annotation file speaks of too; what they draw is joined, the same shape once"
TWICE = "draws entities that another annotation file draws too, a little otherwise; those of the other file are kept"
BOXES = "draws upright rectangles alone, as bounding boxes made into polygons are; each is taken for an outline"
CORNERED = "draws shapes of four corners alone, as oriented bounding boxes are; each is taken for an outline"
NO_ENTITIES = frozenset({"background", "ignore", "ignored", "void", "unlabeled", "unlabelled", "dontcare"})
CALLED = (
    "has shapes of a class that is called as what is no entity (background, ignore, void): each is taken for an "
    "entity; take them out of the file if they are none"
)
SAME = 0.8  # intersection over union from which on shapes of two files are one entity drawn twice
LEAST_BOXES = 8  # below it, rectangles may be chance


@dataclass(frozen=True)
class Shape:
    """title: how a fault calls it. geometry: as in the file, checked when it is drawn; kind: of geometry.

    label: its class, None without one. entity: the same for the parts of one entity, None where it is one itself.
    ignored: whether it says that something was not labelled; it lies below the shapes of its own level.
    """

    file: Path
    title: str
    geometry: Any
    label: str | None = None
    kind: str = ""
    level: float = 0
    entity: Hashable = None
    ignored: bool = False


@dataclass(frozen=True)
class Drawing:
    """What is drawn on one picture. files: that drew it. sizes: (H, W) that files declare.

    packed: its shapes; as objects those of 16,000 pictures would take four times as much memory as their file.
    vocabulary: holds the label of every shape; () where shapes have none.
    """

    files: tuple[Path, ...]
    packed: bytes
    vocabulary: tuple[str, ...] = ()
    sizes: tuple[tuple[Path, tuple[int, int]], ...] = ()

    @classmethod
    def of(
        cls,
        files: tuple[Path, ...],
        shapes: Iterable[Shape],
        vocabulary: tuple[str, ...] = (),
        sizes: tuple[tuple[Path, tuple[int, int]], ...] = (),
    ) -> Drawing:
        """The drawing of some shapes."""
        return cls(files, zlib.compress(pickle.dumps(tuple(shapes)), 1), vocabulary, sizes)

    @property
    def shapes(self) -> tuple[Shape, ...]:
        """Its shapes, unpacked each time: ask once."""
        return pickle.loads(zlib.decompress(self.packed))


def gather(records: dict[Path, Record], record: Record) -> Path | None:
    """Adds a record, whose truth is a `Drawing`, to those of other files and of other entries of its file.

    Returns the file where it adds shapes to a picture that another file has drawn on, which is to be told.
    """
    before = records.setdefault(record.image, record)
    if before is record:
        return None
    held, drawing = before.truth, record.truth
    held_shapes = held.shapes
    seen = {_content(shape) for shape in held_shapes}
    added = tuple(shape for shape in drawing.shapes if _content(shape) not in seen)
    if not added:
        return None
    names = dict.fromkeys((*held.vocabulary, *drawing.vocabulary))
    number = len(held.files)
    added = tuple(shape if shape.entity is None else replace(shape, entity=(number, shape.entity)) for shape in added)
    files = tuple(dict.fromkeys((*held.files, *drawing.files)))
    truth = Drawing.of(files, held_shapes + added, tuple(names), held.sizes + drawing.sizes)
    records[record.image] = replace(before, truth=truth)
    return drawing.files[0] if held_shapes and len(files) > len(held.files) else None


def told_joined(files: Iterable[Path | None], faults: list[Fault]) -> None:
    """Appends an assumption for every file among those that `gather` returned."""
    faults += [Assumption(file, JOINED) for file in sorted({file for file in files if file is not None})]


def tell(faults: list[Fault], file: Path, reason: str) -> None:
    """Appends an assumption about a file, once."""
    if not any(fault.path == file and fault.reason == reason for fault in faults):
        faults.append(Assumption(file, reason))


def draw_shapes(
    record: Record,
    shape: tuple[int, int],
    pixels: Callable[[Shape, tuple[int, int]], np.ndarray],
    faults: list[Fault],
) -> EntityMap:
    """The map of a record whose truth is a `Drawing`.

    pixels: flat indices of a shape, which may raise FlawedRegion. Raises InputError where a declared size is another,
    and where there are shapes and none can be drawn.
    """
    drawing: Drawing = record.truth
    for file, size in drawing.sizes:
        same_size(record.image, shape, file, size)
    return draw_all(drawing.shapes, drawing.vocabulary, record.name, shape, pixels, faults)


def draw_by_kind(
    record: Record,
    shape: tuple[int, int],
    kinds: Mapping[str, Callable[[Any, tuple[int, int]], np.ndarray]],
    advice: str,
    faults: list[Fault],
) -> EntityMap:
    """As `draw_shapes`, each shape by its kind. kinds: flat indices from a geometry and (H, W).

    Raises InputError, with the advice, for a shape of another kind.
    """
    *former, latter = kinds
    for figure in record.truth.shapes:
        if figure.kind not in kinds:
            raise InputError(
                f"{str(figure.file)!r}: {figure.title} of {record.name!r}: wanted a {', '.join(former)} or {latter}, "
                f"got a {figure.kind!r:.40}, which has no outline; draw it, or {advice}"
            )
    return draw_shapes(record, shape, lambda figure, size: kinds[figure.kind](figure.geometry, size), faults)


def draw_all(
    shapes: Sequence[Shape],
    vocabulary: tuple[str, ...],
    name: str,
    shape: tuple[int, int],
    pixels: Callable[[Shape, tuple[int, int]], np.ndarray],
    faults: list[Fault],
) -> EntityMap:
    """The map of some shapes. name: of the record, for faults."""
    flawed: list[Fault] = []
    drawn: list[tuple[Shape, np.ndarray]] = []
    for figure in shapes:
        try:
            drawn.append((figure, pixels(figure, shape)))
        except FlawedRegion as error:
            flawed.append(Fault(figure.file, f"{figure.title} of {name!r} {error}"))
    if flawed and not drawn:
        raise InputError(
            f"{flawed[0]}; none of the {len(flawed)} shapes on this picture can be drawn, so it is left out and not "
            "taken for one without any entity: repair them, or delete them if nothing is there"
        )
    faults += flawed
    for figure, _ in drawn:
        if not figure.ignored and (figure.label or "").strip("_* ").casefold() in NO_ENTITIES:
            tell(faults, figure.file, CALLED)
    regions = _once([(figure, region) for figure, region in drawn if not figure.ignored], shape, faults)
    entities: dict[Hashable, int] = {}
    owners = [entities.setdefault(_owner(figure, i), len(entities)) for i, (figure, _) in enumerate(regions)]
    ignored = [(figure, region) for figure, region in drawn if figure.ignored]
    levels = [figure.level for figure, _ in regions] + [figure.level - 0.5 for figure, _ in ignored]
    painted = [region for _, region in (*regions, *ignored)]
    ids, kept = paint(painted, shape, levels, owners + [len(entities)] * len(ignored))
    if len(kept) and kept[-1] == len(entities):  # the last number stands for all that is ignored
        ids[ids == len(kept)] = UNLABELLED
        kept = kept[:-1]
    if not vocabulary:
        return EntityMap(ids)
    label_of = {owner: figure.label for owner, (figure, _) in zip(reversed(owners), reversed(regions), strict=True)}
    index = {word: i for i, word in enumerate(vocabulary)}
    labels = np.array([index[label_of[owner] or ""] for owner in kept], np.int32)
    return EntityMap(ids, labels=labels, vocabulary=vocabulary)


def told_boxes(file: Path, outlines: Iterable[Sequence[float] | None], faults: list[Fault]) -> None:
    """Appends an assumption where all outlines, of which there are several, are upright rectangles, or boxes that are
    turned.

    outlines: [x, y, x, y, ...] of each shape; None for one that is no polygon and no box.
    """
    count, upright = 0, True
    for outline in outlines:
        if outline is None or len(_corners(outline)) != 4:
            return
        count, upright = count + 1, upright and is_box(outline)
    if count >= LEAST_BOXES:
        tell(faults, file, BOXES if upright else CORNERED)


def is_box(outline: Sequence[float]) -> bool:
    """Whether a polygon [x, y, x, y, ...] is an upright rectangle: four corners, at two x and two y, closed or not."""
    corners = _corners(outline)
    return len(corners) == 4 == len({*corners}) and all(len({*axis}) == 2 for axis in zip(*corners, strict=True))


def _corners(outline: Sequence[float]) -> list[tuple[float, float]]:
    """The corners of a polygon [x, y, x, y, ...], closed or not."""
    corners = list(zip(outline[0::2], outline[1::2], strict=False))
    return corners[:-1] if len(corners) > 3 and corners[0] == corners[-1] else corners


def _once(
    regions: list[tuple[Shape, np.ndarray]], shape: tuple[int, int], faults: list[Fault]
) -> list[tuple[Shape, np.ndarray]]:
    """The shapes of the first file, and of each other those that no file before it drew."""
    files = list(dict.fromkeys(figure.file for figure, _ in regions))
    kept = [(figure, region) for figure, region in regions if figure.file == files[0]] if files else []
    for file in files[1:]:
        ids, numbers = paint([region for _, region in kept], shape)
        sizes = {i + 1: len(kept[number][1]) for i, number in enumerate(numbers)}
        for figure, region in [pair for pair in regions if pair[0].file == file]:
            shared = Counter(ids.flat[region].tolist())
            overlaps = [
                count / (len(region) + sizes[number] - count) for number, count in shared.items() if number != 0
            ]
            if max(overlaps, default=0) < SAME:
                kept.append((figure, region))
            else:
                tell(faults, file, TWICE)
    return kept


def _owner(shape: Shape, number: int) -> Hashable:
    return ("alone", number) if shape.entity is None else ("joined", shape.entity)


def same_content(shape: Shape, twin: Shape) -> bool:
    """Whether two shapes are one that is written twice."""
    return _content(shape) == _content(twin)


def _content(shape: Shape) -> tuple[Hashable, ...]:
    """What two shapes share when they are one shape written twice."""
    geometry = json.dumps(shape.geometry, sort_keys=True, default=str)
    return shape.kind, shape.label, shape.ignored, shape.level, geometry
