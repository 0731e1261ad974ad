"""A file looks alike to `fit`, `evaluate`, `domains check` and `predict`, and as its format says."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from adapters.inference.segment import InputContract
from domains.datasets.check import check_folder
from domains.datasets.dataset import open_folder
from domains.scenes import Viewed, open_scene
from domains.scenes.images import read_image
from tests.domains.scenes.picture_kinds import BITS, PICTURES, RASTERS, TIFFS, Kind


def predicted(path: Path, windows: Sequence[tuple[int, int, int, int]] = ()) -> np.ndarray:
    """What `predict` shows the network, whole or put together of windows."""
    with closing(open_scene(path)) as scene:
        shown = Viewed(scene, InputContract().view(scene))
        whole = np.array(shown.read(0, 0, *shown.shape))
        for y, x, height, width in windows:
            assert np.array_equal(shown.read(y, x, height, width), whole[y : y + height, x : x + width])
    return whole


def learnt(root: Path) -> np.ndarray:
    """What `fit` and `evaluate` are given of the only image of a folder, by way of the layout."""
    folder = open_folder(root)
    contract = InputContract()
    return contract.photograph(folder.dataset("all")[0]).image


def holds(folder: Path, kind: Kind, suffix: str) -> None:
    (folder / "images").mkdir()
    (folder / "labels").mkdir()
    path = folder / "images" / f"a{suffix}"
    kind.write(path)
    height, width = kind.shown.shape[:2]
    Image.fromarray(np.resize(BITS, (height, width))).save(folder / "labels" / f"{path.stem}.png")
    seen = predicted(path, [(0, 0, 17, 23), (5, 7, 30, 33), (height - 9, width - 9, 9, 9)])
    assert np.array_equal(learnt(folder), seen) and np.array_equal(read_image(path), seen)
    assert check_folder(folder).total.images == 1
    assert seen.shape == kind.shown.shape
    assert np.abs(seen.astype(int) - kind.shown).max() <= kind.tolerance


@pytest.mark.parametrize("kind", TIFFS, ids=lambda kind: kind.name)
def test_a_tiff_is_shown_as_it_says_to_every_verb(tmp_path, kind):
    holds(tmp_path, kind, ".ome.tif" if kind.name.startswith("ome") else ".tif")


@pytest.mark.parametrize("kind", PICTURES, ids=lambda kind: kind.name)
def test_a_picture_is_shown_as_it_says_to_every_verb(tmp_path, kind):
    holds(tmp_path, kind, Path(kind.name).suffix)


@pytest.mark.parametrize("kind", RASTERS, ids=lambda kind: kind.name)
def test_a_raster_is_shown_as_it_says_and_keeps_its_place(tmp_path, kind):
    pytest.importorskip("rasterio")
    holds(tmp_path, kind, ".tif")
    with closing(open_scene(tmp_path / "images" / "a.tif")) as scene:
        assert scene.georeference is not None and scene.georeference.crs == "EPSG:32633"
        assert scene.pixel_size_m == pytest.approx(0.5)


def test_there_are_at_least_sixty_kinds():
    assert len(TIFFS) + len(PICTURES) + len(RASTERS) >= 60
