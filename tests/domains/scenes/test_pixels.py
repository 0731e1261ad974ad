"""A digest of pixels: the file's name and packing say nothing, a single pixel everything."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from domains.datasets.dataset import open_folder
from domains.scenes.images import read_image
from domains.scenes.pixels import pixel_digest


def test_a_lossless_copy_has_the_same_digest_under_any_name_and_format(build, tmp_path) -> None:
    picture = build.picture()
    for name in ("a.png", "b.bmp", "c.tif", "d.webp"):
        Image.fromarray(picture).save(tmp_path / name, **({"lossless": True} if name == "d.webp" else {}))
    Image.fromarray(picture).save(tmp_path / "e.tif", compression="tiff_lzw")
    digests = {pixel_digest(read_image(path)) for path in tmp_path.iterdir()}
    assert digests == {pixel_digest(picture)} and len(digests.pop() or "") == 16


def test_one_other_pixel_another_shape_or_order_is_another_digest(build) -> None:
    picture = build.picture()
    other = picture.copy()
    other[-1, -1, -1] ^= 1
    turned = picture.reshape(picture.shape[1], picture.shape[0], 3)
    assert len({pixel_digest(image) for image in (picture, other, turned, picture[:, ::-1])}) == 4


@pytest.mark.parametrize("shape", [(1, 1, 3), (40, 30, 3), (300, 200, 5)])
def test_an_image_of_one_colour_has_none(shape: tuple[int, int, int]) -> None:
    image = np.full(shape, 7, np.uint8)
    assert pixel_digest(image) is None
    if shape[0] > 1:
        image[3, 5, 1] = 8
        assert pixel_digest(image) is not None


def test_a_folder_knows_the_digest_of_each_of_its_images(build, tmp_path) -> None:
    folder = open_folder(build.label_maps(tmp_path / "data"))
    assert folder.pixels == {record.name: pixel_digest(folder.layout.image(record)) for record in folder.records}
