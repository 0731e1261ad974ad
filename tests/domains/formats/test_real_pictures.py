"""Real pictures, damaged or unusual: one line, or what they show."""

from __future__ import annotations

import numpy as np
import pytest

from domains.errors import InputError
from domains.formats.label_pictures import read_ids, read_mask
from domains.scenes.images import read_image


@pytest.mark.parametrize("name", [
    "01_zero_byte.jpg", "02_truncated.jpg", "03_truncated.tif", "03b_truncated_ifd_at_end.ome.tif", "05_unreadable.svs",
    "06_unopenable.tiff", "07_bad_crc.png", "16_geotiff_truncated.tif", "24_huge_header.png", "27_empty.geojson",
    "28_labels_other_crs.geojson", "20_truncated_groundtruth.mat", "18_coco_truncated.json",
])  # fmt: skip
@pytest.mark.parametrize("reader", [read_image, read_ids, read_mask])
def test_real_damaged_files_are_one_line(real_data, name, reader, capfd):
    path = real_data / "malformed" / name
    with pytest.raises(InputError) as caught:
        reader(path)
    assert "\n" not in str(caught.value) and name in str(caught.value)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(("name", "shape", "low", "high"), [
    ("04_truncated_pyramid.tiff", (250, 300), 100, 250),
    ("08_cmyk.jpg", (321, 481), 90, 140),
    ("09_palette_image.png", (321, 481), 60, 90),
    ("10_uint16_12bit_range.png", (256, 256), 5, 30),
    ("13_float_nan.tif", (2, 3), 50, 200),
    ("14_float_raster_with_nodata.tif", (12, 13), 1, 20),
    ("15_rotated.tif", (15, 10), 70, 80),
    ("21_is_really_a_jpeg.png", (549, 1267), 60, 90),
    ("22_exif_orientation6.jpg", (481, 321), 100, 160),
    ("23_one_pixel.png", (1, 1), 100, 130),
    ("25_rgba_alpha_zero.png", (256, 320), 150, 200),
])  # fmt: skip
def test_real_unusual_files_are_read_as_what_they_show(real_data, name, shape, low, high):
    image = read_image(real_data / "malformed" / name)
    assert image.shape == (*shape, 3) and low < image.mean() < high


def test_real_exif_is_applied_and_real_alpha_dropped(real_data):
    upright = read_image(real_data / "bsds500" / "images" / "train" / "271031.jpg")
    turned = read_image(real_data / "malformed" / "22_exif_orientation6.jpg")
    assert turned.shape[:2] == upright.shape[1::-1]
    assert np.abs(np.rot90(turned).astype(int) - upright).mean() < 5


def test_real_label_map_saved_as_jpeg_is_refused(real_data):
    path = real_data / "malformed" / "30_mask_saved_as_jpeg.jpg"
    with pytest.raises(InputError, match="invents ids"):
        read_ids(path)
    with pytest.raises(InputError, match="got colours"):
        read_mask(path)
