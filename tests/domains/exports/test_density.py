from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import tifffile
import zarr

from domains.entities import Place
from domains.errors import InputError
from domains.exports import Destination
from domains.exports.density import DensityTiff, density_map
from domains.exports.label_image import LabelZarr
from domains.tiling.prediction import Prediction


def test_cells_count_what_lies_in_them_and_border_cells_are_smaller() -> None:
    centroids = np.array([[10.0, 10.0], [50.0, 99.0], [10.0, 100.0], [149.0, 249.0]])
    found = density_map(centroids, (150, 250), 1e-6, cell_um=100)  # cells of 100 px, 0.01 mm2
    assert found == pytest.approx(np.array([[200, 100, 0], [0, 0, 1 / 0.0025]]))
    again = density_map(centroids, (150, 250), 1e-6, cell_um=60)
    tall, wide = np.array([60, 60, 30]), np.array([60, 60, 60, 60, 10])
    assert (again * tall[:, None] * wide * 1e-6).sum() == pytest.approx(4)


def test_the_tiff_says_what_a_cell_measures(tmp_path, image, prediction) -> None:
    export = DensityTiff(Destination(tmp_path))
    entities = Prediction.of_map(prediction, "a", Place("a", pixel_size_m=10e-6), image)  # 24 x 30 px of 10 um
    export.stream(entities)
    with tifffile.TiffFile(tmp_path / "a.density.tif") as tiff:
        page = tiff.pages.first
        assert page.shape == (3, 3) and page.dtype == np.float32
        cells, centimetres = page.tags["XResolution"].value
        assert 1e4 / (cells / centimetres) == pytest.approx(100)
        area = np.array([[0.01, 0.01, 0.01], [0.01, 0.01, 0.01], [0.004, 0.004, 0.004]])
        assert (page.asarray() * area).sum() == pytest.approx(5)
    export.stream(replace(entities, name="b", entity_map=None))
    assert (tifffile.imread(tmp_path / "b.density.tif") == tifffile.imread(tmp_path / "a.density.tif")).all()
    with pytest.raises(InputError, match="--pixel-size"):
        export.stream(Prediction.of_map(prediction, "c", Place("a"), image))
    assert not (tmp_path / "c.density.tif").exists()


def test_entities_with_a_class_have_a_page_of_each_class(tmp_path, image, prediction) -> None:
    entities = Prediction.of_map(prediction, "a", Place("a", pixel_size_m=10e-6), image)
    labels = np.array([0, 1, 1, 2, 0])
    table = entities.entities._replace(labels=labels, label_scores=np.full(5, 0.75))
    entities = replace(entities, entities=table, vocabulary=("tumour", "Gefäß", "unknown"))
    DensityTiff(Destination(tmp_path)).stream(entities)
    with tifffile.TiffFile(tmp_path / "a.density.tif") as tiff:
        pages = [page.asarray() for page in tiff.pages]
        said = [page.description for page in tiff.pages]  # type: ignore[union-attr]
    assert said == [
        "entities per square millimetre",
        "entities of class tumour per square millimetre",
        "entities of class Gef\\xe4\\xdf per square millimetre",
        "entities of class unknown per square millimetre",
    ]
    assert np.allclose(np.sum(pages[1:], 0), pages[0]) and len(pages) == 4
    LabelZarr(Destination(tmp_path)).stream(entities)
    told = zarr.open_group(str(tmp_path / "a.labels.zarr"), mode="r").attrs["image-label"]["properties"]  # type: ignore[index,call-overload]
    assert told[2] == {"label-value": 3, "class": "Gefäß", "class-probability": 0.75}
