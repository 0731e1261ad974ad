"""Results of ours, told from pictures: what `predict` wrote is neither predicted again nor learnt from.

A name alone proves nothing, since anybody may call a picture `scan.labels.tif`. A file that is called as a result is
one where it carries our name inside (`SOFTWARE`), or where it has a result's form and the image that it is named after,
or a table of ours, lies beside it.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path

import tifffile
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from domains.scenes.open import SCENE_SUFFIXES

SOFTWARE = "entity-adapters"
"""What pictures and rasters of ours carry: the text `Software` of a PNG, the tag of that name of a TIFF."""
DTYPES = {".labels.tif": "int32", ".forest.tif": "int32", ".heat.tif": "float16", ".density.tif": "float32"}
LABELS = ".labels.tif"
PICTURES = (*DTYPES, ".overlay.png", ".tiles.png")
NESTED = (
    ".forest.csv",
    ".forest.parquet",
    ".forest.geojson",
    ".forest.geojson.gz",
    ".forest.coco.json",
    ".forest.gpkg",
)
ENDINGS = (*PICTURES, *NESTED, ".labels.zarr", ".geojson", ".geojson.gz", ".gpkg")
TABLES = {
    "entities.csv": ("image,name,id,area_px,", "image,id,area_px,"),  # the second of version 0.1
    "images.csv": ("image,name,height_px,width_px,entities,score", "image,height,width,entities,score"),
    "transfer.csv": ("metric,adapter,data,value",),
}
"""Files of a whole run, and how they begin."""
OTHERS = frozenset({"entities.parquet", "predictions.coco.json", "transfer.png"})
RUN_PARTS = ("history.csv", "metrics.json", "checkpoints", "adapter")


def signed() -> PngInfo:
    """What `Image.save(pnginfo=)` takes for a picture of ours."""
    info = PngInfo()
    info.add_text("Software", SOFTWARE)
    return info


def named_after(name: str) -> str | None:
    """What the image of a result is called, without suffix; "" for a file of a whole run, None for other names."""
    if name in TABLES or name in OTHERS:
        return ""
    ending = next((ending for ending in ENDINGS if name.endswith(ending) and name != ending), None)
    return None if ending is None else name.removesuffix(ending)


def results_among(paths: Iterable[Path]) -> set[Path]:
    """Those of the entries of one folder that are results of ours."""
    paths = list(paths)
    called = {path: image for path in paths if (image := named_after(path.name)) is not None}
    if not called:
        return set()
    pictures = [path for path in paths if path not in called and path.suffix.lower() in SCENE_SUFFIXES]
    images = {name for path in pictures for name in (path.stem, path.name.replace(".", "_"))}
    tables = any(path.name in TABLES and _begins(path) for path in called)
    return {path for path, image in called.items() if _is_result(path, tables or image in images)}


def is_run(folder: Path) -> bool:
    """Whether a folder is what `fit` leaves: a recipe and what came of it."""
    return (folder / "recipe.yaml").is_file() and any((folder / entry).exists() for entry in RUN_PARTS)


def _is_result(path: Path, evidence: bool) -> bool:
    """evidence: whether its image or a table of ours lies beside it."""
    try:
        about = path.stat()
    except OSError:
        return False
    kind = _kind(path, about.st_mtime_ns, about.st_size)
    return kind == "signed" or (evidence and kind == "fitting")


@lru_cache(maxsize=100_000)
def _kind(path: Path, changed_ns: int, size: int) -> str:
    """`signed` by us, of a `fitting` form, or `other`. changed_ns, size: tell one state of the file from another."""
    if path.name in TABLES:
        return "signed" if _begins(path) else "other"
    ending = next((ending for ending in ENDINGS if path.name.endswith(ending)), "")
    try:
        if ending in DTYPES:
            with tifffile.TiffFile(path) as file:
                page = file.pages.first
                if page.software == SOFTWARE:
                    return "signed"
                return "fitting" if str(page.dtype) == DTYPES[ending] and len(page.shape) == 2 else "other"
        if ending.endswith(".png"):
            with Image.open(path) as picture:
                if picture.info.get("Software") == SOFTWARE:
                    return "signed"
                return "fitting" if picture.mode == "RGB" else "other"
        if ending == ".labels.zarr":
            return "signed" if '"image-label"' in (path / ".zattrs").read_text(encoding="utf-8") else "other"
    except Exception:  # whatever a stranger's file makes a reader raise: it is none of ours
        return "other"
    return "fitting"


def _begins(table: Path) -> bool:
    try:
        with table.open(encoding="utf-8", errors="replace") as file:
            return file.read(64).startswith(TABLES[table.name])
    except OSError:
        return False
