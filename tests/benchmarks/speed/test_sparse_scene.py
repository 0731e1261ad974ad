from __future__ import annotations

import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from benchmarks.speed.sparse_scene import PATCH_PX, Patch, patches, write_annotations, write_scene
from domains.datasets.dataset import open_folder
from domains.scenes import open_scene

SIDE = 12_000  # would take 432 MB


@pytest.fixture(scope="module")
def tissue() -> list[Patch]:
    """Two patches of noise with 64 hexagons each; the second lies across two of the data set's tiles."""
    rng = np.random.default_rng(0)
    found = []
    for y, x in ((1536, 2048), (9728, 256)):
        corners = [(x + 10 + 60 * (i % 8), y + 10 + 60 * (i // 8)) for i in range(64)]
        hexagon = ((10, 0), (20, 5), (20, 15), (10, 20), (0, 15), (0, 5), (10, 0))
        rings = [[[a + dx, b + dy] for dx, dy in hexagon] for a, b in corners]
        found.append(Patch(y, x, rng.integers(0, 255, (PATCH_PX, PATCH_PX, 3), np.uint8), rings))
    return found


@pytest.fixture(scope="module")
def folder(tissue: list[Patch], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("slides")
    write_scene(folder / "a.tif", SIDE, tissue)
    return folder


def test_a_sparse_scene_holds_its_patches_and_glass_and_takes_little_room(tissue, folder):
    assert (folder / "a.tif").stat().st_size < 2 * PATCH_PX**2 * 3 + 2**17
    scene = open_scene(folder / "a.tif")
    assert scene.shape == (SIDE, SIDE) and scene.pixel_size_m == pytest.approx(0.5e-6)
    for patch in tissue:
        around = scene.read(patch.y - 1, patch.x - 1, PATCH_PX + 2, PATCH_PX + 2)
        assert np.array_equal(around[1:-1, 1:-1], patch.image)
        assert (around[0] == 255).all() and (around[:, -1] == 255).all()
    scene.close()


def test_the_smaller_copies_of_a_scene_are_the_scene_averaged(tissue, tmp_path):
    write_scene(tmp_path / "a.tif", SIDE, tissue, pyramid=True)
    assert (tmp_path / "a.tif").stat().st_size < 4 * PATCH_PX**2 * 3
    scene = open_scene(tmp_path / "a.tif")
    assert scene.levels == ((SIDE, SIDE), (SIDE // 4, SIDE // 4), (SIDE // 16, SIDE // 16))
    assert scene.pixel_size_m == pytest.approx(0.5e-6)
    for patch in tissue:
        side = PATCH_PX // 4
        around = scene.read(patch.y // 4 - 1, patch.x // 4 - 1, side + 2, side + 2, 1)
        average = patch.image.reshape(side, 4, side, 4, 3).mean((1, 3))
        assert np.abs(around[1:-1, 1:-1] - average).max() < 1
        assert (around[0] == 255).all() and (around[:, -1] == 255).all()
    scene.close()


def test_tiles_of_a_large_annotated_slide_are_read_in_bounded_memory(tissue, folder):
    """Opened, verified, read as training reads them, and looked at for leaks."""
    entities = write_annotations(folder / "a.geojson", tissue)
    tracemalloc.start()
    opened = open_folder(folder, cache_mb=0)
    dataset = opened.dataset("all")
    found = sum(dataset[i].truth.count for i in range(len(dataset)))
    sizes = {dataset.image(record).shape for record in dataset.records}
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert opened.layout.name == "slides" and not opened.faults
    assert len(dataset) == 3 and entities == 128 and found >= 128 and sizes == {(PATCH_PX, PATCH_PX, 3)}
    assert peak < 2**26


def test_outlines_of_a_generated_patch_lie_inside_it():
    tissue = patches(2048, 1, seed=3)
    for patch in tissue:
        points = np.concatenate([np.array(ring) for ring in patch.rings])
        assert len(patch.rings) > 5 and (points >= [patch.x, patch.y]).all()
        assert (points <= [patch.x + PATCH_PX, patch.y + PATCH_PX]).all()
