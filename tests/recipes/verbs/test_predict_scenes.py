"""One scene through `predict`: in memory, or piece by piece where it is large."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import numpy as np
import pytest
import tifffile
from PIL import Image

from adapters.inference.segment import InputContract, has_data
from adapters.network import EntitySegmenter
from cli import main
from domains.errors import InputError
from domains.exports import Destination, open_exports
from domains.scenes import Photograph, open_scene
from domains.tiling.grid import Window
from domains.tiling.running import RunningPrediction
from recipes.verbs.predict_scenes import Run, check_formats


def test_a_large_scene_is_written_piece_by_piece_and_taken_up_where_it_was_stopped(
    run: Path, data: Path, tmp_path, capsys, monkeypatch
) -> None:
    """Large is made small here: the same picture, once in memory and once as a slide, has the same entities."""
    picture = np.tile(np.asarray(Image.open(data / "images" / "0.png").convert("RGB")), (3, 3, 1))
    tifffile.imwrite(tmp_path / "slide.tif", picture, photometric="rgb", tile=(64, 64))
    words = ["predict", "--adapter", str(run / "adapter"), str(tmp_path / "slide.tif"), "--window", "0", "--out"]
    assert main([*words, str(tmp_path / "whole")]) == 0
    monkeypatch.setattr("recipes.verbs.predict_scenes.LARGE_PX", 1000)
    add = RunningPrediction.add

    def stop(self, index, entities):
        if index == 10 and not self.resumed:
            raise KeyboardInterrupt
        add(self, index, entities)

    monkeypatch.setattr(RunningPrediction, "add", stop)
    out = tmp_path / "out"
    assert main([*words, str(out)]) == 130
    capsys.readouterr()
    assert main([*words, str(out)]) == 0
    told = capsys.readouterr().err
    assert "goes on at tile 8" in told and "predict slide: 8/" in told and "megapixels/s" in told and "\r" not in told
    assert {path.name for path in out.iterdir()} >= {"slide.geojson", "slide.labels.zarr", "entities.csv"}
    assert not (out / ".slide.running").exists() and not (out / "slide.labels.tif").exists()
    expected = tifffile.imread(tmp_path / "whole" / "slide.labels.tif")
    assert np.array_equal(open_scene(out / "slide.labels.zarr").read(0, 0, *expected.shape)[..., 0], expected)
    assert (out / "entities.csv").read_text() == (tmp_path / "whole" / "entities.csv").read_text()


def test_a_picture_in_memory_keeps_where_it_has_no_data(tmp_path: Path) -> None:
    image = np.full((40, 50, 3), 90, np.uint16)
    image[:10] = 255
    tifffile.imwrite(tmp_path / "a.tif", image, photometric="rgb", extratags=[(42113, "s", 0, "255", True)])
    network = cast(EntitySegmenter, None)  # nothing is predicted
    run = Run(network, InputContract(), open_exports(["labels"], Destination(tmp_path), ["a"]))
    scene = run.open(tmp_path / "a.tif")
    seen = has_data(scene)
    assert isinstance(scene, Photograph) and seen is not None
    assert not seen(Window(0, 0, 10, 50)).any() and seen(Window(10, 0, 30, 50)).all()


def test_a_density_map_of_pixels_larger_than_its_cells_is_refused(tmp_path: Path) -> None:
    exports = open_exports(["density"], Destination(tmp_path), ["a"])
    with pytest.raises(InputError, match="pixels of 10 m are larger than a density map's cells, 100 um; leave it out"):
        check_formats(Path("a.tif"), Photograph(np.zeros((4, 4, 3), np.uint8), 10.0), exports)
