"""Georeferenced rasters with vector labels: `<stem>.tif` beside `<stem>.gpkg`, or `images/` and `labels/`.

Vectors may be GeoJSON, GeoPackage, Shapefile or FlatGeobuf, in any CRS. Where a folder has a single vector file, it is
that of all its rasters. Polygons become pixels by their centres (GDAL's rasteriser, all-touched off), the smaller of
two that overlap on top. Pixels without data are unlabelled; all else that has no polygon is background.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from domains.entities import UNLABELLED, EntityMap, EntitySample, Place
from domains.errors import InputError
from domains.formats.blocks import LEAST_RASTERS, Block, cut_into_blocks
from domains.formats.finding import composed, files, own_split, pair, printable, stem, visible
from domains.formats.geojson_frame import RESULTS, is_geojson, is_result
from domains.formats.label_maps import IMAGE_FOLDERS, LABEL_FOLDERS
from domains.formats.layout import RASTERS, Assumption, Fault, Layout, Listing, Record, Split, read_bands
from domains.formats.neighbours import ONE_GROUP, Raster, placed
from domains.formats.polygons import Outline
from domains.formats.slides import balanced
from domains.formats.vectors import SUFFIXES, holds_map_coordinates, outlines_on
from domains.scenes import open_scene
from domains.scenes.georeference import Georeference
from domains.scenes.ground import require
from domains.scenes.open import PICTURES
from domains.scenes.sidecars import beside
from domains.tiling.grid import Window

MOST_BLOCKS = 256  # of a raster
Pair = tuple[Path, Path]

BOUNDARY = (
    "has, beside others, a polygon over most of its raster, as the boundary of an area is: it is taken for an entity, "
    "so that its pixels count for nothing else; take it out of the file if it is none"
)


@dataclass(frozen=True)
class VectorBlock:
    """outlines: those that touch the window, in pixels of the raster. elsewhere: those whose home is another block."""

    window: Window
    georeference: Georeference
    outlines: tuple[Outline, ...]
    elsewhere: tuple[Outline, ...] = ()
    vocabulary: tuple[str, ...] = ()


class Source(NamedTuple):
    """exclusive: whether the vector file is of this raster alone."""

    raster: Path
    vectors: Path
    name: str
    georeference: Georeference
    shape: tuple[int, int]
    pixel_size_m: float | None
    split: Split | None
    exclusive: bool


class RasterVectors(Layout):
    name = "raster_vectors"
    entities = "one polygon, drawn where it covers the centre of a pixel; the smaller of two that overlap lies on top"
    expects = "GeoTIFFs with <stem>.geojson, .gpkg, .shp or .fgb beside them, or images/ and labels/ of these"
    attributes = True

    @property
    def reads_bands(self) -> bool:
        """Its rasters have bands to choose."""
        return True

    def matches(self, root: Path) -> bool:
        """Whether the folder holds rasters beside vector files."""
        return bool(self.pairs(root)[0])

    def pairs(self, root: Path) -> tuple[list[Pair], list[Fault]]:
        """(rasters with their vector file, files that are alone)."""
        for rasters, vectors in _folders(root):
            images = [raster for raster in files(rasters, RASTERS) if not raster.name.endswith(".labels.tif")]
            images += [picture for picture in files(rasters, PICTURES) if beside(picture).transform]
            labels = [file for file in files(vectors, SUFFIXES | {".gz"}) if of_a_map(file)]
            labels = [file for file in labels if not (is_geojson(file) and is_result(file))] or labels
            if images and len(labels) == 1:
                return [(image, labels[0]) for image in images], []
            matched, alone = pair(images, labels, "vector file", ROUNDS)
            if matched:
                return matched, alone
        return [], []

    def listing(self, root: Path) -> Listing:
        """Each image with its vector file, as blocks, and what has no counterpart."""
        pairs, faults = self.pairs(root)
        counts = Counter(vectors for _, vectors in pairs)
        faults += [Assumption(path, RESULTS) for path in counts if is_geojson(path) and is_result(path)]
        sources = []
        for raster, vectors in pairs:
            try:
                sources.append(source_of(root, raster, vectors, counts[vectors] == 1))
            except InputError as error:
                faults.append(Fault(raster, str(error)))
        lying = placed(
            [Raster(source.georeference, source.shape, split=source.split is not None) for source in sources]
        )
        several = len(pairs) >= LEAST_RASTERS
        if several and len(sources) > 1 and len({*lying.groups}) == 1:
            faults.append(Fault(root, ONE_GROUP))
        records = []
        for source, leader, rim_px in zip(sources, lying.groups, lying.rims_px, strict=True):
            group = sources[leader].name if several else None
            try:
                records += self.blocks_of(source, group, int(rim_px), faults)
            except InputError as error:
                faults.append(Fault(source.raster, str(error)))
        return Listing(with_vocabulary(records), faults)

    def blocks_of(self, source: Source, group: str | None, rim_px: int, faults: list[Fault]) -> list[Record]:
        """Up to `MOST_BLOCKS` records of a raster, of all densities of entities. group: None for one of each block.
        rim_px: as in `cut_into_blocks`. Raises InputError.
        """
        raster, vectors, name, georeference, shape, size_m, split, exclusive = source
        outlines = outlines_on(vectors, georeference, shape, self.reading.attribute, faults, exclusive)
        if len(outlines) > 1 and any(_fills(outline, shape) for outline in outlines):
            faults.append(Assumption(vectors, BOUNDARY))
        blocks = cut_into_blocks(shape, group is None, rim_px)
        truths = [block_truth(block, georeference, outlines, group is None or rim_px > 0) for block in blocks]
        chosen = balanced(np.array([len(truth.outlines) for truth in truths]), MOST_BLOCKS, name)
        records = []
        for i, stratum in sorted(chosen.items()):
            block = "/".join(filter(None, (name, blocks[i].name)))
            stratum = stratum if len(blocks) > 1 else ""
            records.append(Record(block, raster, truths[i], group or block, split, size_m, stratum))
        return records

    def image(self, record: Record) -> np.ndarray:
        """The block of its raster, (H, W, C) uint8. Raises InputError."""
        return read_bands(record.image, self.reading, record.truth.window)

    def examine(self, record: Record) -> tuple[EntitySample, list[Fault]]:
        """The block, placed on its raster, and what of its truth was left out. Raises InputError."""
        window: Window = record.truth.window
        image, faults = self.image(record), []
        truths = self.seen(self.truths(record, image.shape[:2], faults), image, record)
        place = Place(
            record.name,
            *window[:2],
            pixel_size_m=record.pixel_size_m,
            georeference=record.truth.georeference,
            cut_from=record.image,
        )
        return EntitySample(image, tuple(truths), place), faults

    def truths(self, record: Record, shape: tuple[int, int], faults: list[Fault]) -> list[EntityMap]:
        """The features that cover it; see `Layout.truths`."""
        truth: VectorBlock = record.truth
        outlines = sorted(truth.outlines, key=lambda outline: -area(outline))
        ids = burned(outlines, truth.window)
        if truth.elsewhere:
            ids[(ids == 0) & (burned(truth.elsewhere, truth.window) > 0)] = UNLABELLED
        entities = EntityMap.from_ids(ids)
        if not truth.vocabulary:
            return [entities]
        index = {word: i for i, word in enumerate(truth.vocabulary)}
        kept = np.unique(ids[ids > 0]) - 1
        labels = np.array([index[outlines[i].label or ""] for i in kept], np.int32)
        return [EntityMap(entities.ids, labels=labels, vocabulary=truth.vocabulary)]


def of_a_map(path: Path) -> bool:
    """Whether a vector file has coordinates of a map, rather than of pixels."""
    return (path.suffix.lower() != ".gz" or is_geojson(path)) and holds_map_coordinates(path)


def unpacked(path: Path) -> Path:
    """`town.geojson` of `town.geojson.gz`."""
    return path.with_suffix("") if path.suffix.lower() == ".gz" else path


ROUNDS = ((stem, lambda path: stem(unpacked(path))), (composed, lambda path: composed(unpacked(path))))


def source_of(root: Path, raster: Path, vectors: Path, exclusive: bool) -> Source:
    """The raster with its place and its vector file. Raises InputError where it says no place."""
    inside = raster.relative_to(root)
    scene = open_scene(raster)
    shape, georeference, size_m, remarks = scene.shape, scene.georeference, scene.pixel_size_m, scene.remarks
    scene.close()
    if georeference is None:
        why = f" ({'; '.join(remarks)})" if remarks else ""
        pixels = "; GeoJSON in pixels wants `objectType`, as QuPath writes it" if is_geojson(vectors) else ""
        raise InputError(f"{str(raster)!r} does not say where it lies, so vectors cannot be laid over it{why}{pixels}")
    name = printable(inside.with_suffix("").as_posix())
    split = own_split(inside.parent)
    return Source(raster, vectors, name, georeference, shape, pixel_size_m=size_m, split=split, exclusive=exclusive)


def burned(outlines: Sequence[Outline], window: Window) -> np.ndarray:
    """(H, W) int32: 1 + index of the last outline that covers the centre of a pixel. Raises InputError."""
    require("rasterio", subject="vector labels")
    from rasterio.features import rasterize

    shape = window.height, window.width
    if not outlines:
        return np.zeros(shape, np.int32)
    corner = np.array([window.x, window.y])
    # part by part: all rings of a geometry are filled by the even-odd rule, and parts that overlap are their union
    shapes = [
        ({"type": "Polygon", "coordinates": [closed(ring - corner) for ring in polygon.rings]}, i)
        for i, outline in enumerate(outlines, 1)
        for polygon in outline.parts
    ]
    return rasterize(shapes, shape, fill=0, all_touched=False, dtype="int32")


def closed(ring: np.ndarray) -> list:
    """The ring's points, the first of them again at the end, as GeoJSON has it."""
    return np.concatenate([ring, ring[:1]]).tolist()


def area(outline: Outline) -> float:
    """In square pixels, its holes not counted."""
    return outline.area


def block_truth(block: Block, georeference: Georeference, outlines: Sequence[Outline], split: bool) -> VectorBlock:
    """The outlines that touch a block: its own, and with `split` those whose middle lies in another."""
    window = block.window
    touching = [outline for outline in outlines if _touches(outline, window)]
    inside = [outline for outline in touching if not split or _middle_in(outline, window)]
    elsewhere = [outline for outline in touching if split and not _middle_in(outline, window)]
    return VectorBlock(window, georeference, tuple(inside), tuple(elsewhere))


def with_vocabulary(records: list[Record]) -> list[Record]:
    """The records with the classes of all of them, where polygons have classes.

    1.0 of one file is 1 of another: tables with empty cells are often written so.
    """
    words = {outline.label for record in records for outline in (*record.truth.outlines, *record.truth.elsewhere)} - {
        None
    }
    integers = {f"{word}.0": word for word in words if f"{word}.0" in words and str(word).lstrip("-").isdecimal()}
    vocabulary = tuple(sorted(str(word) for word in words - {*integers}))

    def named(outlines: Sequence[Outline]) -> tuple[Outline, ...]:
        return tuple(
            replace(outline, label=integers[outline.label]) if outline.label in integers else outline
            for outline in outlines
        )

    return [
        replace(
            record,
            truth=replace(
                record.truth,
                outlines=named(record.truth.outlines),
                elsewhere=named(record.truth.elsewhere),
                vocabulary=vocabulary,
            ),
        )
        for record in records
    ]


def _fills(outline: Outline, shape: tuple[int, int]) -> bool:
    """Whether an outline is as large as half of the raster, and its box meets nine tenths of it."""
    y0, x0, y1, x1 = outline.box
    shared = Window(0, 0, *shape).shared(Window(y0, x0, y1 - y0, x1 - x0))
    pixels = shape[0] * shape[1]
    return shared.height * shared.width > 0.9 * pixels and area(outline) > pixels / 2


def _touches(outline: Outline, window: Window) -> bool:
    y0, x0, y1, x1 = outline.box
    shared = window.shared(Window(y0, x0, y1 - y0, x1 - x0))
    return shared.height > 0 and shared.width > 0


def _middle_in(outline: Outline, window: Window) -> bool:
    y0, x0, y1, x1 = outline.box
    y, x = (y0 + y1) / 2, (x0 + x1) / 2
    return window.y <= y < window.y + window.height and window.x <= x < window.x + window.width


def _folders(root: Path) -> list[tuple[Path, Path]]:
    """(folder of rasters, folder of vectors): the root itself, or image and label folders in it."""
    inner = {path.name.lower(): path for path in visible(root) if path.is_dir()}
    images = [inner[name] for name in (*IMAGE_FOLDERS, "rasters") if name in inner]
    labels = [inner[name] for name in (*LABEL_FOLDERS, "vectors") if name in inner]
    return [(root, root), *((image, label) for image in images for label in labels)]
