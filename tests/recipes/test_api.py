"""The call on arrays gives what `predict` writes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from cli import main
from domains.errors import InputError
from recipes.api import load


def written(adapter: Path, image: np.ndarray, folder: Path, *options: str) -> np.ndarray:
    """The ids that `predict` writes of an image that is saved as PNG."""
    folder.mkdir()
    Image.fromarray(image).save(folder / "a.png")
    words = ["predict", "--adapter", str(adapter), str(folder / "a.png"), "--out", str(folder / "out")]
    assert main([*words, "--format", "labels", *options]) == 0
    return tifffile.imread(folder / "out" / "a.labels.tif")


def test_arrays_give_what_predict_writes_of_the_same_pixels_as_png(run: Path, data: Path, tmp_path: Path) -> None:
    adapter = load(run / "adapter")
    image = np.asarray(Image.open(data / "images" / "0.png").convert("RGB"))  # 96 x 80 px: tiles of 64
    for name, pixels in {
        "one tile": image[:60, :50],
        "tiles": np.tile(image, (2, 2, 1)),
        "grey": image[..., 0],
        "16 bits": image[..., 1].astype(np.uint16) * 200,
    }.items():
        entities = adapter.predict(pixels)
        assert entities.shape == pixels.shape[:2] and entities.scores is not None
        assert np.array_equal(entities.ids, written(run / "adapter", pixels, tmp_path / name)), name
    assert adapter.predict(image).count > 0
    sized = written(run / "adapter", image, tmp_path / "sized", "--pixel-size", "0.5")
    assert np.array_equal(adapter.predict(image, pixel_size_um=0.5).ids, sized)
    assert not np.array_equal(adapter.predict(image).ids, sized)  # the size of a pixel tells


def test_glass_of_a_slide_is_not_looked_at_as_by_predict(run: Path, data: Path, tmp_path: Path) -> None:
    glass = np.full((2100, 3700, 3), (243, 242, 244), np.uint8)  # by windows, in tiles of up to 1536 px
    tissue = np.asarray(Image.open(data / "images" / "0.png").convert("RGB"))
    glass[1000:1100, 1000:1100] = (150, 60, 140)  # both rows of tiles hold some of it, and the first column
    glass[1010 : 1010 + tissue.shape[0], 1010 : 1010 + tissue.shape[1]] = 255 - tissue // 2
    entities = load(run / "adapter").predict(glass, pixel_size_um=0.35)
    assert (entities.ids[:, 3000:] == -1).all() and (entities.ids[:, :1200] >= 0).all()
    assert np.array_equal(entities.ids, written(run / "adapter", glass, tmp_path / "a", "--pixel-size", "0.35"))


def test_the_forest_of_an_array_holds_its_entities(run: Path, data: Path) -> None:
    adapter = load(run / "adapter")
    image = np.tile(np.asarray(Image.open(data / "images" / "0.png").convert("RGB")), (2, 2, 1))
    forest, entities = adapter.forest(image), adapter.predict(image)
    flat = forest.cut(0.5)
    assert np.array_equal(flat.ids, entities.ids) and np.array_equal(flat.scores, entities.scores)
    assert forest.count > entities.count and forest.cut(level="whole").count <= entities.count


def test_a_packed_adapter_is_loaded_too(run: Path, base: Path, data: Path, tmp_path: Path) -> None:
    packed = tmp_path / "a.zip"
    assert main(["adapters", "pack", str(run / "adapter"), str(packed)]) == 0
    image = np.asarray(Image.open(data / "images" / "1.png").convert("RGB"))
    with pytest.raises(InputError, match="say where yours lies, by --backbone"):
        load(packed)
    entities = load(str(packed), backbone=base).predict(image)
    assert np.array_equal(entities.ids, load(run / "adapter").predict(image).ids)


def test_what_cannot_be_predicted_is_one_line(run: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="device is 'tpu'; wanted auto, cpu"):
        load(run / "adapter", device="tpu")
    with pytest.raises(InputError, match="does not exist"):
        load(tmp_path / "nowhere")
    adapter = load(run / "adapter")
    for image in (np.zeros((4, 4), bool), np.zeros((0, 4, 3), np.uint8), np.zeros(9), np.zeros((2, 2, 2, 2))):
        with pytest.raises(InputError, match=r"wanted \(H, W\) or \(H, W, C\)"):
            adapter.predict(image)
    with pytest.raises(InputError, match="pixel_size_um is -1"):
        adapter.predict(np.zeros((8, 8, 3), np.uint8), pixel_size_um=-1)
