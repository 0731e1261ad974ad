from __future__ import annotations

import logging
import struct
import zlib
from pathlib import Path

import imagecodecs
import numpy as np
import pytest
import tifffile
from PIL import Image, ImageOps

from domains.errors import InputError
from domains.formats.label_pictures import read_ids, read_mask
from domains.scenes.decode import MAX_PIXELS
from domains.scenes.images import as_rgb, read_image
from domains.scenes.stretch import apply_stretch, stretch_limits

GREY = np.add.outer(np.arange(8) * 10, np.arange(12) * 10).astype(np.uint8)  # (8, 12), 0..180
COLOUR = np.stack([GREY, GREY[::-1], np.full_like(GREY, 7)], axis=2)


def refusal(reader, path: Path) -> str:
    with pytest.raises(InputError) as caught:
        reader(path)
    text = str(caught.value)
    assert "\n" not in text and str(path) in text
    return text


@pytest.mark.parametrize("suffix", [".png", ".tif", ".webp", ".bmp"])
def test_colour_comes_back_exactly_from_every_lossless_format(tmp_path, suffix):
    path = tmp_path / f"a{suffix}"
    Image.fromarray(COLOUR).save(path, **({"lossless": True} if suffix == ".webp" else {}))
    image = read_image(path)
    assert image.dtype == np.uint8 and image.flags["C_CONTIGUOUS"]
    assert (image == COLOUR).all()


def test_a_jpeg_under_a_png_name_is_read_by_its_content(tmp_path):
    path = tmp_path / "a.png"
    Image.fromarray(COLOUR).save(path, format="JPEG", quality=95)
    assert np.abs(read_image(path).astype(int) - COLOUR).max() < 30


def test_a_telephone_s_jpeg_with_a_preview_behind_it_is_a_jpeg(tmp_path):
    image = Image.fromarray(np.full((16, 16, 3), 90, np.uint8))
    image.save(tmp_path / "a.jpg", format="MPO", save_all=True, append_images=[image])
    assert (read_image(tmp_path / "a.jpg") == 90).all()
    assert "invents ids" in refusal(read_ids, tmp_path / "a.jpg")


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_exif_orientation_is_applied_as_viewers_do(tmp_path, orientation, suffix):
    path = tmp_path / f"a{suffix}"
    image = Image.fromarray(COLOUR)
    exif = Image.Exif()
    exif[274] = orientation
    image.save(path, exif=exif)
    with Image.open(path) as opened:
        assert (read_image(path) == np.asarray(ImageOps.exif_transpose(opened))).all()


def test_grey_becomes_three_equal_channels(tmp_path):
    Image.fromarray(GREY).save(tmp_path / "a.png")
    assert (read_image(tmp_path / "a.png") == GREY[..., None]).all()


def test_bilevel_becomes_black_and_white(tmp_path):
    Image.fromarray(GREY > 90).save(tmp_path / "a.png")
    assert (read_image(tmp_path / "a.png")[..., 0] == np.where(GREY > 90, 255, 0)).all()


def test_palette_indices_become_their_colours(tmp_path):
    image = Image.fromarray(COLOUR).quantize(16)
    image.save(tmp_path / "a.png")
    assert (read_image(tmp_path / "a.png") == np.asarray(image.convert("RGB"))).all()


def test_a_palette_tiff_becomes_its_colours(tmp_path):
    colours = np.zeros((3, 256), np.uint16)
    colours[0, 1], colours[1, 2] = 65535, 32768
    tifffile.imwrite(tmp_path / "a.tif", np.array([[0, 1, 2]], np.uint8), photometric="palette", colormap=colours)
    assert read_image(tmp_path / "a.tif").tolist() == [[[0, 0, 0], [255, 0, 0], [0, 128, 0]]]


@pytest.mark.parametrize("suffix", [".jpg", ".tif"])
def test_cmyk_becomes_rgb(tmp_path, suffix):
    image = Image.fromarray(COLOUR).convert("CMYK")
    image.save(tmp_path / f"a{suffix}")
    with Image.open(tmp_path / f"a{suffix}") as opened:
        expected = np.asarray(opened.convert("RGB")).astype(int)
    assert np.abs(read_image(tmp_path / f"a{suffix}") - expected).max() <= 1


def test_any_channels_can_be_looked_at():
    image = np.arange(20, dtype=np.uint8).reshape(2, 2, 5)
    assert as_rgb(image)[0, 0].tolist() == [0, 1, 2] and as_rgb(image[..., :2])[0, 0].tolist() == [0, 1, 1]


def test_alpha_of_zero_keeps_the_colour(tmp_path):
    Image.fromarray(np.dstack([COLOUR, np.zeros_like(GREY)])).save(tmp_path / "a.png")
    assert (read_image(tmp_path / "a.png") == COLOUR).all()
    Image.fromarray(np.stack([GREY, np.zeros_like(GREY)], axis=2)).save(tmp_path / "b.png")
    assert (read_image(tmp_path / "b.png") == GREY[..., None]).all()


def test_sixteen_bits_are_stretched_by_their_own_range(tmp_path):
    values = np.linspace(100, 4180, 10_000).reshape(100, 100).astype(np.uint16)
    values[0, 0] = 65535  # one hot pixel does not darken the rest
    Image.fromarray(values).save(tmp_path / "a.png")
    image = read_image(tmp_path / "a.png")
    assert image[0, 1, 0] == 0 and image[-1, -1, 0] == 255 and image[0, 0, 0] == 255
    assert abs(int(image[50, 0, 0]) - 128) <= 2


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_sixteen_bit_colour_keeps_its_hue(tmp_path, suffix):
    values = COLOUR.astype(np.uint16) * 16  # a 12-bit camera: Pillow's high byte would be almost black
    path = tmp_path / f"a{suffix}"
    if suffix == ".png":
        path.write_bytes(imagecodecs.png_encode(values))
    else:
        tifffile.imwrite(path, values, photometric="rgb")
    image = read_image(path)
    assert image.max() == 255
    assert np.abs(image.astype(float) - COLOUR * (255 / COLOUR.max())).max() < 8


def test_nan_and_nodata_are_left_out_of_the_stretch_and_become_0(tmp_path):
    values = np.linspace(0.1, 0.9, 96).reshape(8, 12).astype(np.float32)
    values[0, 0], values[0, 1], values[0, 2] = np.nan, -3.4e38, np.inf
    extra = [(42113, "s", 0, "-3.4e+38", True)]
    tifffile.imwrite(tmp_path / "a.tif", values, photometric="minisblack", extratags=extra)
    image = read_image(tmp_path / "a.tif")
    assert image[0, :3].max() == 0
    assert image[0, 3, 0] == 1 and image[-1, -1, 0] == 255 and 110 < image[4, 0, 0] < 145


def test_stretch_of_a_nearly_constant_image_uses_its_full_range_and_of_a_constant_one_is_0():
    values = np.full((100, 100), 5.0)
    assert (apply_stretch(values, *stretch_limits(values)) == 0).all()
    values[0, 0] = 7.0
    shown = apply_stretch(values, *stretch_limits(values))
    assert shown[0, 0] == 255 and shown[1, 1] == 0
    with pytest.raises(ValueError, match="only NaN"):
        stretch_limits(np.full((2, 2), np.nan))


def test_an_image_of_nothing_but_nan_is_refused(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", np.full((4, 4), np.nan, np.float32))
    assert "only NaN" in refusal(read_image, tmp_path / "a.tif")


@pytest.mark.parametrize(("shape", "options", "pick"), [
    ((3, 8, 12), {"photometric": "rgb", "planarconfig": "separate"}, lambda a: np.moveaxis(a, 0, -1)),
    ((4, 8, 12), {"photometric": "minisblack"}, lambda a: a[0][..., None]),
    ((8, 12, 5), {"photometric": "rgb", "planarconfig": "contig"}, lambda a: a[..., :3]),
    ((8, 12, 2), {"photometric": "minisblack", "planarconfig": "contig"}, lambda a: a[..., :1]),
])  # fmt: skip
def test_planes_pages_and_bands_of_a_tiff_reduce_to_its_first_colours(tmp_path, shape, options, pick):
    values = np.random.default_rng(0).integers(0, 255, shape, dtype=np.uint8)
    tifffile.imwrite(tmp_path / "a.tif", values, **options)
    assert (read_image(tmp_path / "a.tif") == pick(values)).all()


def test_a_tiff_whose_white_is_zero_is_turned_over(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", GREY, photometric="miniswhite")
    assert (read_image(tmp_path / "a.tif") == 255 - GREY[..., None]).all()


@pytest.mark.parametrize("compression", [None, "lzw", "deflate", "zstd"])
def test_a_tiff_cut_anywhere_is_refused_in_silence(tmp_path, compression, caplog, capfd):
    tifffile.imwrite(tmp_path / "whole.tif", np.tile(COLOUR, (20, 20, 1)), compression=compression, rowsperstrip=16)
    whole = (tmp_path / "whole.tif").read_bytes()
    with caplog.at_level(logging.DEBUG, "tifffile"):
        for share in (0.02, 0.3, 0.6, 0.95):
            path = tmp_path / "cut.tif"
            path.write_bytes(whole[: int(len(whole) * share)])
            refusal(read_image, path)
    assert not caplog.records and capfd.readouterr() == ("", "")


def test_a_truncated_ome_tiff_is_no_empty_array(tmp_path):
    tifffile.imwrite(tmp_path / "a.ome.tif", np.zeros((3, 64, 64), np.uint8), metadata={"axes": "CYX"})
    data = (tmp_path / "a.ome.tif").read_bytes()
    (tmp_path / "b.ome.tif").write_bytes(data[: len(data) // 5])
    refusal(read_image, tmp_path / "b.ome.tif")


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp", ".bmp"])
def test_half_a_picture_is_refused(tmp_path, suffix):
    noise = np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / f"whole{suffix}")
    data = (tmp_path / f"whole{suffix}").read_bytes()
    (tmp_path / f"half{suffix}").write_bytes(data[: len(data) // 2])
    assert "damaged" in refusal(read_image, tmp_path / f"half{suffix}")


def test_a_png_with_a_flipped_byte_is_refused(tmp_path):
    Image.fromarray(COLOUR).save(tmp_path / "a.png")
    whole = (tmp_path / "a.png").read_bytes()
    for place in range(41, len(whole) - 12):  # past the header, before the end
        data = bytearray(whole)
        data[place] ^= 16
        (tmp_path / "b.png").write_bytes(data)
        assert "damaged" in refusal(read_image, tmp_path / "b.png")


def huge_png() -> bytes:
    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    head = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


def huge_tiff() -> bytes:
    tags = [(256, 4, 60_000), (257, 4, 60_000), (258, 3, 8), (259, 3, 1), (262, 3, 1), (273, 4, 8), (277, 3, 1),
            (278, 4, 60_000), (279, 4, 100)]  # fmt: skip
    body = b"".join(struct.pack("<HHII", tag, kind, 1, value) for tag, kind, value in tags)
    return b"II*\0" + struct.pack("<IH", 8, len(tags)) + body + struct.pack("<I", 0) + bytes(200)


@pytest.mark.parametrize("data", [huge_png(), huge_tiff()], ids=["png", "tiff"])
@pytest.mark.parametrize("reader", [read_image, read_ids, read_mask])
def test_a_header_that_claims_too_much_is_refused_before_memory_is_taken(tmp_path, data, reader):
    (tmp_path / "a").write_bytes(data)
    text = refusal(reader, tmp_path / "a")
    assert f"at most {MAX_PIXELS:,} pixels" in text or "it is cut off" in text


def test_what_is_no_picture_says_so(tmp_path):
    (tmp_path / "empty.png").write_bytes(b"")
    (tmp_path / "text.png").write_text("hello")
    assert "empty file (0 bytes)" in refusal(read_image, tmp_path / "empty.png")
    assert "none of these" in refusal(read_image, tmp_path / "text.png")
    assert "No such file" in refusal(read_image, tmp_path / "absent.png")


def test_postscript_is_never_handed_to_ghostscript(tmp_path):
    Image.fromarray(COLOUR).save(tmp_path / "a.eps")
    assert "none of these" in refusal(read_image, tmp_path / "a.eps")


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.uint32, np.int32, np.float32, np.float64])
def test_ids_come_back_from_every_kind_of_tiff(tmp_path, dtype):
    ids = np.array([[0, 1, 2], [7, 200, 0]])
    tifffile.imwrite(tmp_path / "a.tif", ids.astype(dtype))
    assert read_ids(tmp_path / "a.tif").dtype == np.int32
    assert (read_ids(tmp_path / "a.tif") == ids).all()


def test_ids_come_back_from_grey_deep_palette_and_equal_channel_png(tmp_path):
    ids = np.array([[0, 1, 2], [7, 60, 0]], np.uint8)
    Image.fromarray(ids).save(tmp_path / "grey.png")
    Image.fromarray(ids.astype(np.uint16) + 40_000).save(tmp_path / "deep.png")
    Image.fromarray(np.repeat(ids[..., None], 3, axis=2)).save(tmp_path / "equal.png")
    palette = Image.fromarray(ids).convert("P")
    palette.putpalette(list(range(255, -1, -1)) * 3)
    palette.save(tmp_path / "palette.png")
    assert (read_ids(tmp_path / "deep.png") == ids.astype(int) + 40_000).all()
    for name in ("grey", "equal", "palette"):
        assert (read_ids(tmp_path / f"{name}.png") == ids).all()


def test_unlabelled_pixels_come_from_minus_1_nan_nodata_and_the_void_of_a_palette(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", np.array([[0, -1, 3]], np.int32))
    assert read_ids(tmp_path / "a.tif").tolist() == [[0, -1, 3]]
    tifffile.imwrite(tmp_path / "b.tif", np.array([[0, np.nan, 3]], np.float32))
    assert read_ids(tmp_path / "b.tif").tolist() == [[0, -1, 3]]
    tifffile.imwrite(tmp_path / "c.tif", np.array([[0, 99, 3]], np.int32), extratags=[(42113, "s", 0, "99", True)])
    assert read_ids(tmp_path / "c.tif").tolist() == [[0, -1, 3]]
    image = Image.fromarray(np.array([[0, 255, 3]], np.uint8)).convert("P")
    image.save(tmp_path / "d.png")
    assert read_ids(tmp_path / "d.png").tolist() == [[0, -1, 3]]


def test_ids_beyond_int32_are_renumbered(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", np.array([[0, 5, 2**32 - 1]], np.uint32))
    assert read_ids(tmp_path / "a.tif").tolist() == [[0, 1, 2]]


@pytest.mark.parametrize(("values", "message"), [
    (np.array([[0, -7]], np.int32), "got -7"),
    (np.array([[0, 0.37]], np.float32), "got 0.37"),
    (np.array([[0, np.inf]], np.float32), "got inf"),
    (COLOUR, "got colours"),
])  # fmt: skip
def test_what_is_no_label_map_is_refused(tmp_path, values, message):
    tifffile.imwrite(tmp_path / "a.tif", values)
    assert message in refusal(read_ids, tmp_path / "a.tif")


def test_a_label_map_saved_as_jpeg_is_refused(tmp_path):
    Image.fromarray(GREY).save(tmp_path / "a.png", format="JPEG")
    assert "invents ids" in refusal(read_ids, tmp_path / "a.png")


def test_masks_of_0_and_1_or_0_and_255_or_with_soft_edges_or_deep_are_read_alike(tmp_path):
    mask = GREY > 100
    soft = mask * np.uint8(255)
    soft[0, :5], soft[-1, -5:] = 90, 200
    for name, values in {
        "one": mask.astype(np.uint8), "full": mask * np.uint8(255), "soft": soft, "bits": mask,
        "deep": mask * np.uint16(65535),
    }.items():  # fmt: skip
        Image.fromarray(values).save(tmp_path / f"{name}.png")
        assert (read_mask(tmp_path / f"{name}.png") == mask).all(), name
    tifffile.imwrite(tmp_path / "float.tif", mask.astype(np.float32))
    assert (read_mask(tmp_path / "float.tif") == mask).all()


def test_an_empty_and_a_full_mask_are_masks(tmp_path):
    Image.fromarray(np.zeros((4, 4), np.uint8)).save(tmp_path / "a.png")
    Image.fromarray(np.full((4, 4), 255, np.uint8)).save(tmp_path / "b.png")
    assert not read_mask(tmp_path / "a.png").any() and read_mask(tmp_path / "b.png").all()


@pytest.mark.parametrize("values", [GREY, GREY // 20, GREY.astype(np.uint16), COLOUR, GREY.astype(np.float32) / 255])
def test_a_photograph_an_id_map_or_a_probability_map_is_no_mask(tmp_path, values):
    tifffile.imwrite(tmp_path / "a.tif", values)
    refusal(read_mask, tmp_path / "a.tif")


def test_what_an_8_bit_picture_without_a_place_declares_as_nodata_is_shown_as_it_is(tmp_path):
    image = np.full((8, 9, 3), 255, np.uint8)
    image[2:5] = 90
    tifffile.imwrite(tmp_path / "a.tif", image, photometric="rgb", extratags=[(42113, "s", 0, "255", True)])
    assert np.array_equal(read_image(tmp_path / "a.tif"), image)
    scale = (33550, "d", 3, (1.0, 1.0, 0.0), True)
    tifffile.imwrite(tmp_path / "b.tif", image, photometric="rgb", extratags=[(42113, "s", 0, "255", True), scale])
    assert not read_image(tmp_path / "b.tif")[:2].any()
