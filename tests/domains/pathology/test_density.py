from __future__ import annotations

import numpy as np
import pytest
import tifffile

from domains.errors import InputError
from domains.pathology.density import density_map, write_density


def test_cells_count_what_lies_in_them_and_border_cells_are_smaller() -> None:
    centroids = np.array([[10.0, 10.0], [50.0, 99.0], [10.0, 100.0], [149.0, 249.0]])
    found = density_map(centroids, (150, 250), 1e-6, cell_um=100)  # cells of 100 px, 0.01 mm2
    assert found == pytest.approx(np.array([[200, 100, 0], [0, 0, 1 / 0.0025]]))
    again = density_map(centroids, (150, 250), 1e-6, cell_um=60)
    tall, wide = np.array([60, 60, 30]), np.array([60, 60, 60, 60, 10])
    assert (again * tall[:, None] * wide * 1e-6).sum() == pytest.approx(4)


def test_the_tiff_says_what_a_cell_measures(tmp_path) -> None:
    path = tmp_path / "a.density.tif"
    write_density(path, np.zeros((0, 2)), (3000, 2000), 0.5e-6)
    with tifffile.TiffFile(path) as tiff:
        page = tiff.pages.first
        assert page.shape == (15, 10) and page.dtype == np.float32
        cells, centimetres = page.tags["XResolution"].value
        assert 1e4 / (cells / centimetres) == pytest.approx(100)
    with pytest.raises(InputError, match="--pixel-size"):
        write_density(tmp_path / "b.tif", np.zeros((0, 2)), (30, 20), None)
    assert not (tmp_path / "b.tif").exists()
