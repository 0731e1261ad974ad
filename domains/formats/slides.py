"""Whole slides with annotations beside them, as tiles of what was annotated.

`<slide>.svs` (or any other format that `open_scene` reads) with `<slide>.geojson` (QuPath), `<slide>.xml` (Aperio) or
`<slide>.labels.tif` (ids), beside it or in a folder `annotations/`. Which GeoJSON is QuPath's says its content. Tiles
lie on a grid of level 0. What was annotated: the areas that the annotations bound (`domains.formats.areas`); without
any, the surroundings of each outline, as far as a typical outline is wide, for nobody says that the rest was looked at.
Of a label TIFF everything that is not negative.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from hashlib import blake2b
from pathlib import Path
from typing import ClassVar

import numpy as np

from domains.entities import UNLABELLED, EntityMap, EntitySample, Place
from domains.errors import InputError
from domains.formats.aperio_xml import aperio_drawing
from domains.formats.areas import Drawing
from domains.formats.drawing import same_size
from domains.formats.finding import files, printable
from domains.formats.geojson_frame import RESULTS, frame_of, is_geojson, is_result
from domains.formats.label_meanings import pieces_of
from domains.formats.label_pictures import INVERTED, PLANES, is_white_is_zero
from domains.formats.layout import Assumption, Fault, Layout, Listing, Record
from domains.formats.polygons import Outline, Part, draw, pixels
from domains.formats.qupath import qupath_drawing
from domains.scenes import Scene, Viewed, open_scene, plain_view
from domains.scenes.images import IMAGE_SUFFIXES
from domains.tiling.grid import Window, Windows

SLIDES = frozenset({".svs", ".tif", ".tiff", ".ndpi", ".mrxs", ".scn", ".btf", ".bif", ".vms", ".qptiff"})
SCANNED = SLIDES - {".tif", ".tiff", ".btf"}
PICTURES = IMAGE_SUFFIXES - SLIDES
MASK = (
    "has one number in several pieces, as a mask has: it is taken for the id of one entity; number the pieces if each "
    "is an entity"
)
SEVERAL = "several annotation files lie beside an image; the first of .geojson, .xml, .json and .labels.tif is read"
UNMARKED = "GeoJSON that names neither a CRS nor objects of QuPath is read in pixels, for the image lies nowhere"
ANNOTATIONS = (".geojson", ".geojson.gz", ".xml", ".json", ".labels.tif")
TILE_PX = 512
MOST_TILES = 64  # of a slide; a denser sample shows the same cells again
LEAST_LABELLED = 0.25  # share of a tile that must have been annotated; without regions an entity is enough
COARSE_PX = 16  # side of a pixel of the map by which tiles are chosen
_HEAD = 2**20
BARCODE = re.compile(r"TCGA-\w\w-\w{4}", re.IGNORECASE)
"""Of The Cancer Genome Atlas, whose first three parts are the patient."""
STRATA = ("empty", "sparse", "medium", "dense")


@dataclass(frozen=True)
class SlideTile:
    """outlines: those that touch the window. regions: areas that somebody looked at. ignored: areas that are
    unlabelled. reach_px: how far around outlines without regions is labelled, None with regions. labels: the label
    TIFF, in place of all these.
    """

    window: Window
    outlines: tuple[Outline, ...] = ()
    regions: tuple[Outline, ...] = ()
    ignored: tuple[Outline, ...] = ()
    reach_px: int | None = None
    vocabulary: tuple[str, ...] = ()
    labels: Path | None = None


class Slides(Layout):
    name = "slides"
    entities = "one outlined object of a slide, or one id of its label TIFF; what was not annotated is unlabelled"
    expects = (
        "slides with <slide>.geojson (QuPath), <slide>.xml (Aperio) or <slide>.labels.tif beside or in annotations/"
    )

    suffixes: ClassVar[frozenset[str]] = SLIDES
    """Of the images by which it is recognised."""

    def matches(self, root: Path) -> bool:
        """Whether the folder holds images beside annotations of their names."""
        return bool(annotated(root, self.suffixes))

    def listing(self, root: Path) -> Listing:
        """Each image with its annotation, as tiles, and what has no counterpart."""
        records, faults = [], []
        for slide, annotation in annotated(root, SLIDES | PICTURES, faults):
            try:
                records += tiles_of(slide, annotation, faults)
            except InputError as error:
                faults.append(Fault(slide, str(error)))
        return Listing(of_one_vocabulary(records), faults)

    def image(self, record: Record) -> np.ndarray:
        """(H, W, 3) uint8 of the tile; nothing else of the slide is decoded."""
        with closing(open_scene(record.image)) as scene:
            return np.ascontiguousarray(Viewed(scene, plain_view(scene)).read(*record.truth.window))

    def examine(self, record: Record) -> tuple[EntitySample, list[Fault]]:
        """The tile and what of its truth was left out, placed on its slide. Raises InputError."""
        image, window = self.image(record), record.truth.window
        faults: list[Fault] = []
        truths = self.truths(record, image.shape[:2], faults)
        place = Place(record.name, *window[:2], pixel_size_m=record.pixel_size_m, cut_from=record.image)
        return EntitySample(image, tuple(truths), place), faults

    def truths(self, record: Record, shape: tuple[int, int], faults: list[Fault]) -> list[EntityMap]:
        """What was drawn on the tile, unlabelled where nobody looked; see `Layout.truths`."""
        tile: SlideTile = record.truth
        if tile.labels is not None:
            with closing(open_scene(tile.labels, stored=True)) as labels:
                return [EntityMap.from_ids(_label_window(tile.labels, labels, tile.window))]
        drawn = draw(tile.outlines, tile.window, tile.vocabulary)
        ids = np.where((drawn.ids == 0) & ~labelled(tile), UNLABELLED, drawn.ids)
        return [EntityMap(ids, labels=drawn.labels, vocabulary=drawn.vocabulary)]


class DrawnPictures(Slides):
    name = "drawn_pictures"
    entities = "one outlined object of a picture; what was not annotated is unlabelled"
    expects = (
        "pictures (.png, .jpg, ...) with <picture>.geojson (QuPath) or <picture>.xml (Aperio) beside or in annotations/"
    )
    suffixes = PICTURES


def of_one_vocabulary(records: list[Record]) -> list[Record]:
    """The records with the classes of all slides that have any: on each may be outlines of a single class."""
    vocabulary = tuple(sorted({name for record in records for name in record.truth.vocabulary}))
    return [
        replace(record, truth=replace(record.truth, vocabulary=vocabulary)) if record.truth.vocabulary else record
        for record in records
    ]


def labelled(tile: SlideTile) -> np.ndarray:
    """(H, W) bool: what somebody looked at."""
    window = tile.window
    seen = np.zeros((window.height, window.width), bool)
    for region in tile.regions:
        seen.flat[pixels(region, window)] = True
    if tile.reach_px is not None:
        for outline in tile.outlines:
            y0, x0, y1, x1 = outline.box
            top, left = max(y0 - tile.reach_px - window.y, 0), max(x0 - tile.reach_px - window.x, 0)
            bottom, right = max(y1 + tile.reach_px - window.y, 0), max(x1 + tile.reach_px - window.x, 0)
            seen[top:bottom, left:right] = True
    for area in tile.ignored:
        seen.flat[pixels(area, window)] = False
    return seen


def tiles_of(slide: Path, annotation: Path, faults: list[Fault]) -> list[Record]:
    """Up to `MOST_TILES` records of a slide, as many of each density of entities as there are (`balanced`).

    Raises InputError: a slide or an annotation that cannot be read, points or boxes, nothing annotated.
    """
    scene = open_scene(slide)
    shape, size_m = scene.shape, scene.pixel_size_m
    scene.close()
    if annotation.name.endswith(".labels.tif"):
        tiles, counts = _label_tiles(slide, shape, annotation, faults)
    else:
        drawing = drawing_of(annotation, faults)
        faults += lying_outside(slide, shape, annotation, drawing.entities)
        tiles, counts = _outline_tiles(shape, drawing)
    if not tiles:
        raise InputError(f"{str(annotation)!r}: wanted annotations on {slide.name!r}, none lies on it; check the pair")
    name, group = printable(slide.stem), patient(slide.stem)
    chosen = balanced(np.array(counts), MOST_TILES, name)
    records = []
    for i, stratum in sorted(chosen.items()):
        window = tiles[i].window
        place = f"{name}/y{window.y}_x{window.x}"
        records.append(Record(place, slide, tiles[i], group, pixel_size_m=size_m, stratum=stratum))
    return records


def lying_outside(image: Path, shape: tuple[int, int], annotation: Path, outlines: Sequence[Outline]) -> list[Fault]:
    """A fault for each outline of which no pixel can lie on its image, of `shape` (H, W).

    Raises InputError where that is all of them: the image is another one, and not empty.
    """
    window = Window(0, 0, *shape)
    faults = [
        Fault(annotation, f"the outline at x {x0}, y {y0} lies outside its image")
        for y0, x0, y1, x1 in (outline.box for outline in outlines)
        if min(window.shared(Window(y0, x0, y1 - y0, x1 - x0))[2:]) <= 0
    ]
    if outlines and len(faults) == len(outlines):
        raise InputError(
            f"{str(annotation)!r}: wanted outlines on {image.name!r}, none of {len(outlines)} lies on it; check the "
            "pair"
        )
    return faults


def patient(stem: str) -> str:
    """`TCGA-18-5592` of `TCGA-18-5592-01Z-00-DX1`, which groups the slides of a patient; other names as they are."""
    barcode = BARCODE.match(stem)
    return barcode[0].upper() if barcode else printable(stem)


def balanced(counts: np.ndarray, limit: int, seed: str) -> dict[int, str]:
    """{index: stratum} of up to `limit` tiles: in turn one without entities, one of each third by their number.

    counts: (T,) entities per tile. Within a stratum the order is that of hashes of `seed` and index.
    """
    filled = np.sort(counts[counts > 0])
    thirds = filled[[len(filled) // 3, 2 * len(filled) // 3]] if len(filled) else [0, 0]
    strata = np.where(counts == 0, 0, 1 + np.searchsorted(thirds, counts, side="left"))
    order = sorted(range(len(counts)), key=lambda i: blake2b(f"{seed} {i}".encode(), digest_size=8).digest())
    queues = [[i for i in order if strata[i] == k] for k in range(len(STRATA))]
    chosen: dict[int, str] = {}
    while len(chosen) < limit and any(queues):
        for k, queue in enumerate(queues):
            if queue and len(chosen) < limit:
                chosen[queue.pop(0)] = STRATA[k]
    return chosen


def drawing_of(annotation: Path, faults: list[Fault]) -> Drawing:
    """Raises InputError."""
    return (aperio_drawing if annotation.suffix == ".xml" else qupath_drawing)(annotation, faults)


def _outline_tiles(shape: tuple[int, int], drawing: Drawing) -> tuple[list[SlideTile], list[int]]:
    """(tiles with enough annotated, entities whose centre lies in each)."""
    outlines, regions, ignored = (tuple(drawn) for drawn in drawing)
    boxes = np.array([outline.box for outline in outlines], np.int64).reshape(-1, 4)
    reach = None if regions else int(np.median((boxes[:, 2:] - boxes[:, :2]).max(axis=1))) if len(boxes) else 0
    vocabulary = tuple(sorted({outline.label for outline in outlines if outline.label}))
    coarse = _coarse(shape, boxes, drawing, reach)
    tiles, counts = [], []
    for window in _grid(shape).holding(lambda window: bool(_coarsened(coarse, window).any())):
        share = _coarsened(coarse, window).mean()
        if share < (LEAST_LABELLED if regions else 1e-9):
            continue
        edge = reach or 0
        touching = np.flatnonzero(
            (boxes[:, 0] - edge < window.y + window.height) & (boxes[:, 2] + edge > window.y)
            & (boxes[:, 1] - edge < window.x + window.width) & (boxes[:, 3] + edge > window.x)
        )  # fmt: skip
        centres = (boxes[touching, :2] + boxes[touching, 2:]) // 2 - [window.y, window.x]
        count = int(((centres >= 0) & (centres < [window.height, window.width])).all(axis=1).sum())
        if share < LEAST_LABELLED and not count:
            continue
        counts.append(count)
        near = tuple(outlines[int(i)] for i in touching)
        tiles.append(SlideTile(window, near, regions, ignored, reach, vocabulary))
    return tiles, counts


def _coarse(shape: tuple[int, int], boxes: np.ndarray, drawing: Drawing, reach: int | None) -> np.ndarray:
    """(h, w) bool: what was annotated, in pixels of `COARSE_PX`."""
    window = Window(0, 0, -(-shape[0] // COARSE_PX), -(-shape[1] // COARSE_PX))
    seen = np.zeros((window.height, window.width), bool)
    for region in drawing.regions:
        seen.flat[pixels(_smaller(region), window)] = True
    if reach is not None:
        for y0, x0, y1, x1 in boxes:
            top, left = max(y0 - reach, 0) // COARSE_PX, max(x0 - reach, 0) // COARSE_PX
            seen[top : max(-(-(y1 + reach) // COARSE_PX), 0), left : max(-(-(x1 + reach) // COARSE_PX), 0)] = True
    for area in drawing.ignored:
        seen.flat[pixels(_smaller(area), window)] = False
    return seen


def _coarsened(coarse: np.ndarray, window: Window) -> np.ndarray:
    """The coarse pixels that a window touches."""
    rows, columns = (
        slice(start // COARSE_PX, -(-(start + length) // COARSE_PX))
        for start, length in ((window.y, window.height), (window.x, window.width))
    )
    return coarse[rows, columns]


def _smaller(area: Outline) -> Outline:
    return Outline(
        tuple(
            Part(polygon.exterior / COARSE_PX, tuple(hole / COARSE_PX for hole in polygon.holes))
            for polygon in area.parts
        )
    )


def _label_tiles(
    slide: Path, shape: tuple[int, int], path: Path, faults: list[Fault]
) -> tuple[list[SlideTile], list[int]]:
    """The label TIFF is read once, a tile at a time, to count. What was assumed is appended to `faults`."""
    tiles, counts = [], []
    numbers: set[int] = set()
    pieces = 0
    with closing(open_scene(path, stored=True)) as scene:
        same_size(slide, shape, path, scene.shape)
        for window in _grid(shape):
            ids = _label_window(path, scene, window)
            numbers |= {*np.unique(ids[ids > 0]).tolist()}
            pieces = max(pieces, int(pieces_of(ids > 0).max()))
            if np.mean(ids >= 0) >= LEAST_LABELLED:
                tiles.append(SlideTile(window, labels=path))
                counts.append(len(np.unique(ids[ids > 0])))
        stacked = any(remark.startswith("of several") for remark in scene.remarks)
    faults += [Assumption(path, PLANES)] if stacked else []
    faults += [Assumption(path, INVERTED)] if is_white_is_zero(path) else []
    faults += [Assumption(path, MASK)] if len(numbers) == 1 and pieces > 1 else []
    return tiles, counts


def _label_window(path: Path, scene: Scene, window: Window) -> np.ndarray:
    """(H, W) int64 ids of a label TIFF. Raises InputError for anything but one channel of whole numbers."""
    values = scene.read(*window)
    if values.shape[2] != 1 or values.dtype.kind not in "iub":
        raise InputError(
            f"{str(path)!r}: wanted one channel of ids, got {values.shape[2]} of {values.dtype}; save ids as they are"
        )
    return np.maximum(values[..., 0].astype(np.int64), UNLABELLED)


def _grid(shape: tuple[int, int]) -> Windows:
    """Tiles side by side; those at the border end there."""
    down, across = ([(start, min(TILE_PX, length - start)) for start in range(0, length, TILE_PX)] for length in shape)
    return Windows(down, across)


def annotated(root: Path, suffixes: Iterable[str], faults: list[Fault] | None = None) -> list[tuple[Path, Path]]:
    """(image, annotation) of the root and of its folder `slides/`; other files are nobody's concern.

    What was drawn comes before results of ours. What was assumed is appended to `faults`.
    """
    pairs = []
    for folder in (root, root / "slides"):
        for image in files(folder, suffixes):
            if image.name.endswith(".labels.tif"):
                continue
            places = (folder, root / "annotations", root)
            candidates = (
                place / f"{name}{ending}" for place in places for ending in ANNOTATIONS for name in names(image)
            )
            usable = dict.fromkeys(path for path in candidates if path.is_file() and _of_pixels(path, image))
            drawn = [path for path in usable if not (is_geojson(path) and is_result(path))]
            if not usable:
                continue
            annotation = (drawn or list(usable))[0]
            pairs.append((image, annotation))
            if faults is not None:
                faults += [Assumption(image, SEVERAL)] if len(drawn) > 1 else []
                faults += [Assumption(image, RESULTS)] if not drawn else []
                unmarked = is_geojson(annotation) and frame_of(annotation) in ("beyond degrees", "marked")
                faults += [Assumption(image, UNMARKED)] if unmarked and image.suffix.lower() not in SCANNED else []
    return pairs


def names(image: Path) -> list[str]:
    """What its annotations may be called: by its stem, without `.ome` as QuPath names exports, or by its whole name."""
    return list(dict.fromkeys((image.stem, image.stem.removesuffix(".ome"), image.name)))


def _of_pixels(annotation: Path, image: Path) -> bool:
    """Whether an annotation is drawn in pixels of the image. A GeoJSON may be a map's, in degrees or metres, unless it
    is a scanner's slide that it lies beside; XML may be of boxes, and JSON of anything.
    """
    scanned = image.suffix.lower() in SCANNED
    if annotation.suffix == ".xml":
        with open(annotation, "rb") as file:
            head = file.read(_HEAD)
        return b"<bndbox>" not in head and (image.suffix.lower() in SLIDES or b"<Annotations" in head)
    if annotation.name.endswith(".labels.tif"):
        return image.suffix.lower() in SLIDES
    frame = frame_of(annotation)
    if frame in ("beyond degrees", "marked"):
        return is_geojson(annotation) and (scanned or not _on_the_map(image))
    return frame == "pixels" or (scanned and is_geojson(annotation))


def _on_the_map(image: Path) -> bool:
    """Whether an image says where it lies; one that cannot be read does not."""
    try:
        with closing(open_scene(image)) as scene:
            return scene.georeference is not None
    except InputError:
        return False
