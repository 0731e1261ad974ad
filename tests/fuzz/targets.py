"""What is damaged and read: the tiny folder of every layout, and one picture in every kind of file."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import numpy as np

from domains.datasets.dataset import open_folder
from domains.errors import InputError
from domains.formats import all_layouts
from domains.scenes import Viewed, open_scene, plain_view
from domains.scenes.images import read_image
from tests.domains.scenes.picture_kinds import PICTURES, RASTERS, TIFFS, Kind
from tests.domains.tiny import annotations, basics, defects, nuclei, rasters
from tests.fuzz.mutations import mutate

BUILDERS: dict[str, Callable[[Path], Path]] = {
    name: value
    for module in (basics, nuclei, defects, rasters, annotations)
    for name, value in vars(module).items()
    if name in all_layouts()
}
KINDS: dict[str, Kind] = {
    f"{word} {kind.name}": kind
    for word, kinds in (("tiff", TIFFS), ("picture", PICTURES), ("raster", RASTERS))
    for kind in kinds
}


class Corpus:
    """Whole folders and files, each made once below `root` and copied for every trial."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def trial(self, seed: int) -> str:
        """One damaged input, read by all that would read it; returns what was damaged and how it ended.

        Raises whatever a reader raises besides its one clear error.
        """
        rng = np.random.default_rng(seed)
        place = self.root / "trial"
        shutil.rmtree(place, ignore_errors=True)
        if rng.random() < 0.6:
            name = sorted(BUILDERS)[rng.integers(len(BUILDERS))]
            return f"{name}: {self.folder(name, place, rng)}"
        name = sorted(KINDS)[rng.integers(len(KINDS))]
        return f"{name}: {self.picture(name, place, rng)}"

    def folder(self, name: str, place: Path, rng: np.random.Generator) -> str:
        whole = self.root / "whole" / name
        if not whole.exists():
            BUILDERS[name](whole)
        shutil.copytree(whole, place)
        files = sorted(path for path in place.rglob("*") if path.is_file())
        damaged = files[rng.integers(len(files))]
        mutate(damaged, rng)
        try:
            folder = open_folder(place, cache_mb=0)
        except InputError as error:
            return f"{damaged.relative_to(place)} refused: {one_line(error)}"
        return f"{damaged.relative_to(place)} read: {len(folder.records)} records, {len(folder.faults)} faults"

    def picture(self, name: str, place: Path, rng: np.random.Generator) -> str:
        kind = KINDS[name]
        suffix = Path(kind.name).suffix or (".ome.tif" if kind.name.startswith("ome") else ".tif")
        whole = self.root / "whole" / f"{name.replace(' ', '_')}{suffix}"
        if not whole.exists():
            whole.parent.mkdir(parents=True, exist_ok=True)
            kind.write(whole)
        place.mkdir(parents=True)
        damaged = Path(shutil.copy(whole, place))
        mutate(damaged, rng)
        try:
            image = read_image(damaged)
        except InputError as error:
            return f"refused: {one_line(error)}"
        with closing(open_scene(damaged)) as scene:
            shown = Viewed(scene, plain_view(scene))
            assert np.array_equal(shown.read(0, 0, 8, 8), np.pad(image, ((0, 8), (0, 8), (0, 0)))[:8, :8])
        return f"read: {image.shape}"


def one_line(error: InputError) -> str:
    text = str(error)
    assert text and "\n" not in text, f"wanted one line, got {text!r}"
    return text
