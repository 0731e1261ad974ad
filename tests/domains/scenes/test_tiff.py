from __future__ import annotations

import imagecodecs
import numpy as np
import pytest
import tifffile
from PIL import Image

from domains.errors import InputError
from domains.scenes import Viewed, open_scene, plain_view, tiff
from domains.scenes.blocks import BlockReader, Level
from domains.scenes.decode import decode
from domains.scenes.images import read_image
from domains.scenes.tiff import TiffScene

REAL_SLIDES = {
    "slides/small_HE.svs": ((2967, 2220), 1, 0.499),
    "slides/small_HE_levels.tiff": ((250, 300), 4, None),
    "slides/small_vectra.qptiff": ((1440, 1920), 1, 0.496535),
    "slides/smalltif.tif": ((480, 640), 1, None),
    "slides/qupath_cells/cells.ome.tif": ((131, 93), 1, 0.25),
    "slides/qupath_cells/cells-2c.ome.tif": ((131, 93), 1, 0.25),
    "slides/qupath_cells/cells-2z.ome.tif": ((131, 93), 1, 0.25),
    "slides/qupath_cells/cells-2t.ome.tif": ((131, 93), 1, 0.25),
    "slides/qupath_cells/cells-gray16.tif": ((131, 93), 1, 0.25),
}

LOSSLESS = [
    {"tile": (32, 32)},
    {"rowsperstrip": 9},
    {"tile": (32, 48), "bigtiff": True, "compression": "zstd"},
    {"rowsperstrip": 70, "compression": "zlib", "predictor": True},
    {"tile": (16, 16), "compression": "lzw", "predictor": True},
    {"tile": (32, 32), "byteorder": ">"},
    {"tile": (32, 32), "compression": "deflate", "planarconfig": "separate"},
    {"rowsperstrip": 7, "planarconfig": "separate"},
]


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int16", "float32"])
@pytest.mark.parametrize("channels", [1, 2, 3, 16])
@pytest.mark.parametrize("options", LOSSLESS, ids=str)
def test_windows_are_the_pixels_whatever_the_storage(tmp_path, textured, holds, options, channels, dtype):
    image = textured(channels=channels, dtype=dtype)
    separate = options.get("planarconfig") == "separate" and channels > 1
    if options.get("planarconfig") and not separate:
        pytest.skip("one channel is neither planar nor interleaved")
    stored = np.moveaxis(image, -1, 0) if separate else image
    shown = "rgb" if channels == 3 and dtype in ("uint8", "uint16") else "minisblack"
    # one channel as (H, W); planes would be guessed to be interleaved
    tifffile.imwrite(
        tmp_path / "a.tif", stored[..., 0] if channels == 1 else stored, photometric=shown, **_full(options, channels)
    )
    scene = open_scene(tmp_path / "a.tif")
    assert isinstance(scene, TiffScene)
    holds(scene, image)
    scene.close()


def _full(options: dict, channels: int) -> dict:
    return options if channels == 1 or "planarconfig" in options else {**options, "planarconfig": "contig"}


@pytest.mark.parametrize("compression, tolerance", [("jpeg", 30), ("jpeg2000", 0), ("webp", 0), (("webp", 90), 16)])
def test_compressions_of_cameras_and_scanners(tmp_path, textured, holds, compression, tolerance):
    image = textured()
    args = {"level": compression[1]} if isinstance(compression, tuple) else None
    name = compression[0] if isinstance(compression, tuple) else compression
    tifffile.imwrite(
        tmp_path / "a.tif", image, photometric="rgb", tile=(32, 32), compression=name, compressionargs=args
    )
    scene = open_scene(tmp_path / "a.tif")
    holds(scene, image, tolerance)
    scene.close()


def test_jpeg_in_ycbcr_comes_as_rgb(tmp_path, textured, holds):
    image = textured()
    tifffile.imwrite(
        tmp_path / "a.tif", image, photometric="rgb", tile=(32, 32), compression="jpeg",
        compressionargs={"level": 95, "outcolorspace": "YCBCR"},
    )  # fmt: skip
    scene = open_scene(tmp_path / "a.tif")
    assert scene.channels == ("red", "green", "blue")
    holds(scene, image, 30)
    scene.close()


@pytest.mark.parametrize("photometric", ["rgb", "ycbcr"])
def test_jpeg_2000_of_aperio_scanners_in_ycbcr_comes_as_rgb(tmp_path, photometric):
    y, x = np.mgrid[:64, :64].astype(np.uint8)
    image = np.stack([200 - x, 60 + y, 120 + (x + y) // 2], -1)
    jfif = [[0.299, 0.587, 0.114], [-0.168736, -0.331264, 0.5], [0.5, -0.418688, -0.081312]]  # ITU-T T.871
    ycbcr = np.round(image @ np.transpose(jfif) + [0, 128, 128]).astype(np.uint8)
    options = {"level": 0, "mct": False, "reversible": True, "codecformat": "j2k"}
    tiles = [
        imagecodecs.jpeg2k_encode(np.ascontiguousarray(ycbcr[r : r + 32, c : c + 32]), **options)
        for r in (0, 32)
        for c in (0, 32)
    ]
    tifffile.imwrite(
        tmp_path / "a.svs", iter(tiles), shape=image.shape, dtype=image.dtype, tile=(32, 32), photometric=photometric,
        compression=33003,
    )  # fmt: skip
    scene = open_scene(tmp_path / "a.svs")
    assert scene.channels == ("red", "green", "blue")
    assert np.abs(scene.read(10, 20, 40, 30).astype(int) - image[10:50, 20:50]).max() <= 2
    scene.close()


@pytest.mark.parametrize("compression", [33003, 33005])
def test_a_codestream_larger_than_its_tags_say_is_refused_before_memory_is_taken(tmp_path, textured, compression):
    small = imagecodecs.jpeg2k_encode(textured(32, 32), codecformat="j2k")
    siz = small.index(b"\xff\x4f\xff\x51") + 8
    huge = small[:siz] + (60000).to_bytes(4, "big") * 2 + small[siz + 8 :]
    tifffile.imwrite(
        tmp_path / "a.svs", iter([huge]), shape=(32, 32, 3), dtype="uint8", tile=(32, 32), photometric="rgb",
        compression=compression,
    )  # fmt: skip
    scene = open_scene(tmp_path / "a.svs")
    with pytest.raises(InputError, match="60000"):
        scene.read(0, 0, 32, 32)
    scene.close()


def test_levels_of_an_ome_tiff_lie_in_sub_ifds(tmp_path, textured, holds):
    image = textured(dtype="uint16")
    with tifffile.TiffWriter(tmp_path / "a.ome.tif", bigtiff=True) as file:
        metadata = {"axes": "CYX", "PhysicalSizeX": 0.25, "PhysicalSizeXUnit": "µm", "PhysicalSizeY": 0.25}
        planes = np.moveaxis(image, -1, 0)
        file.write(planes, subifds=1, tile=(32, 32), photometric="minisblack", metadata=metadata)
        file.write(planes[:, ::2, ::2], subfiletype=1, tile=(32, 32), photometric="minisblack")
    scene = open_scene(tmp_path / "a.ome.tif")
    assert scene.levels == ((70, 90), (35, 45)) and scene.pixel_size_m == pytest.approx(0.25e-6)
    holds(scene, image)
    holds(scene, image[::2, ::2], level=1)
    scene.close()


def test_levels_of_a_generic_pyramid_are_pages(tmp_path, textured, holds):
    image = textured()
    with tifffile.TiffWriter(tmp_path / "a.tif") as file:
        for level in range(3):
            file.write(image[:: 2**level, :: 2**level], tile=(32, 32), photometric="rgb", subfiletype=int(level > 0))
    scene = open_scene(tmp_path / "a.tif")
    for level in range(3):
        holds(scene, image[:: 2**level, :: 2**level], level=level)
    scene.close()


def test_of_a_stack_the_first_plane_is_the_scene(tmp_path, textured, holds):
    image = textured(channels=2)
    stack = np.stack([np.moveaxis(image, -1, 0), np.zeros((2, 70, 90), np.uint8)])
    tifffile.imwrite(tmp_path / "a.ome.tif", stack, metadata={"axes": "ZCYX"}, photometric="minisblack", tile=(32, 32))
    scene = open_scene(tmp_path / "a.ome.tif")
    holds(scene, image)
    scene.close()


def test_an_aperio_slide_is_recognised_by_its_description(tmp_path, textured):
    with tifffile.TiffWriter(tmp_path / "a.svs") as file:
        for page, side in enumerate((70, 30, 35)):  # the image, its thumbnail, a level
            text = f"Aperio Image Library v11\r\n{side}x{side} (32x32) JPEG/RGB Q=30|AppMag = 40|MPP = 0.2520"
            tiles = {"tile": (32, 32)} if page != 1 else {}
            file.write(textured(side, side), photometric="rgb", description=text, metadata=None, **tiles)
    scene = open_scene(tmp_path / "a.svs")
    assert scene.levels == ((70, 70), (35, 35)) and scene.pixel_size_m == pytest.approx(0.252e-6)
    scene.close()


def test_palettes_and_turned_pages_are_read_as_pictures(tmp_path, textured):
    image = textured()
    tifffile.imwrite(tmp_path / "turned.tif", image, photometric="rgb", extratags=[(274, "H", 1, 3, True)])
    colours = np.random.default_rng(0).integers(0, 2**16, (3, 256), np.uint16)
    tifffile.imwrite(tmp_path / "palette.tif", image[..., 0], photometric="palette", colormap=colours)
    for name in ("turned.tif", "palette.tif"):
        scene = open_scene(tmp_path / name)
        shown = image[::-1, ::-1] if name == "turned.tif" else (colours >> 8).T[image[..., 0]]
        assert scene.channels == ("red", "green", "blue") and np.array_equal(scene.read(0, 0, 70, 90), shown)
        assert np.array_equal(read_image(tmp_path / name), shown)
        scene.close()


def test_one_strip_without_compression_is_mapped_not_read(tmp_path, textured, holds, monkeypatch):
    monkeypatch.setattr("domains.scenes.tiff.MAX_BLOCK_BYTES", 1000)
    image = textured(dtype="uint16")
    tifffile.imwrite(tmp_path / "a.tif", image, photometric="rgb", rowsperstrip=70)
    scene = open_scene(tmp_path / "a.tif")
    holds(scene, image)
    scene.close()


def test_blocks_too_large_to_be_decoded_are_refused_in_one_line(tmp_path, textured, monkeypatch):
    monkeypatch.setattr("domains.scenes.blocks.MAX_BLOCK_BYTES", 1000)
    tifffile.imwrite(tmp_path / "a.tif", textured(), photometric="rgb", rowsperstrip=70, compression="zlib")
    with pytest.raises(InputError, match="write it in tiles") as error:
        open_scene(tmp_path / "a.tif")
    assert "\n" not in str(error.value)


def test_a_file_that_is_cut_off_or_no_tiff_is_named(tmp_path, textured):
    tifffile.imwrite(tmp_path / "a.tif", textured(200, 200), photometric="rgb", tile=(32, 32))
    whole = (tmp_path / "a.tif").read_bytes()
    (tmp_path / "cut.tif").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "no.tif").write_bytes(b"II*\0" + bytes(range(64)))
    for name in ("cut.tif", "no.tif"):
        with pytest.raises(InputError, match=name):
            open_scene(tmp_path / name)
    with pytest.raises(InputError, match="check the path"):
        open_scene(tmp_path / "missing.tif")


def test_a_damaged_tile_is_an_error_where_it_is_read(tmp_path, textured):
    tifffile.imwrite(tmp_path / "a.tif", textured(), photometric="rgb", tile=(32, 32), compression="zlib")
    with tifffile.TiffFile(tmp_path / "a.tif") as file:
        start = file.pages[0].dataoffsets[0]
    content = bytearray((tmp_path / "a.tif").read_bytes())
    content[start : start + 40] = b"\xff" * 40
    (tmp_path / "a.tif").write_bytes(content)
    scene = open_scene(tmp_path / "a.tif")
    assert scene.read(40, 40, 10, 10).shape == (10, 10, 3)
    with pytest.raises(InputError, match="y 0, x 0"):
        scene.read(0, 0, 10, 10)
    scene.close()


def test_tiles_that_were_never_written_are_empty(tmp_path):
    def tiles():
        for i in range(16):
            yield np.full((64, 64), 9, np.uint8).tobytes() if i == 5 else b""

    grey = {"dtype": "uint8", "tile": (64, 64), "photometric": "minisblack"}
    tifffile.imwrite(tmp_path / "a.tif", tiles(), shape=(256, 256), **grey)
    scene = open_scene(tmp_path / "a.tif")
    whole = scene.read(0, 0, 256, 256)[..., 0]
    assert whole.sum() == 9 * 64 * 64 and (whole[64:128, 64:128] == 9).all()
    scene.close()


def test_a_block_is_decoded_once_while_it_is_among_the_last():
    decoded = []

    def fetch(row: int, column: int) -> np.ndarray:
        decoded.append((row, column))
        return np.full((16, 16, 1), 10 * row + column, np.uint8)

    level = Level((64, 64), (16, 16), fetch)
    roomy = BlockReader([level], 1, np.dtype(np.uint8), cache_bytes=16 * 256)
    for _ in range(3):
        roomy.read(0, 0, 64, 64)
    assert len(decoded) == 16
    decoded.clear()
    tight = BlockReader([level], 1, np.dtype(np.uint8), cache_bytes=4 * 256)
    for _ in range(2):
        tight.read(0, 0, 64, 64)
    assert len(decoded) == 32


@pytest.mark.parametrize("name", REAL_SLIDES)
def test_the_real_slides(real_data, name):
    shape, levels, size_um = REAL_SLIDES[name]
    scene = open_scene(real_data / name)
    assert scene.shape == shape and len(scene.levels) == levels
    assert scene.pixel_size_m == (None if size_um is None else pytest.approx(size_um * 1e-6, rel=1e-4))
    shown = Viewed(scene, plain_view(scene)).read(0, 0, *shape)
    if not name.endswith(("2c.ome.tif", "2z.ome.tif", "2t.ome.tif", "qptiff")):  # stacks, and palettes to show them
        assert np.array_equal(shown, read_image(real_data / name))
    scene.close()


def test_what_an_8_bit_slide_does_not_store_is_glass(tmp_path):
    values = np.full((64, 64, 3), 245, np.uint8)
    values[8:24, 8:24] = (120, 60, 130)
    tag = (42113, "s", 0, "245", True)
    tifffile.imwrite(tmp_path / "slide.tif", values, photometric="rgb", tile=(16, 16), extratags=[tag])
    scene = open_scene(tmp_path / "slide.tif")
    shown = Viewed(scene, plain_view(scene))
    assert scene.nodata is None and np.array_equal(shown.read(0, 0, 64, 64), values)
    scene.close()


@pytest.mark.parametrize("names", [("Blue", "Green", "Red"), ("green", "DAPI", "red", "blue")])
def test_channels_of_an_ome_tiff_that_are_called_as_colours_are_these(tmp_path, names):
    path = tmp_path / "a.ome.tif"
    levels = {"red": 200, "green": 100, "blue": 50, "dapi": 10}
    values = np.stack([np.full((20, 24), levels[name.lower()], np.uint8) for name in names])
    metadata = {"axes": "CYX", "Channel": {"Name": list(names)}}
    tifffile.imwrite(path, values, metadata=metadata, photometric="minisblack")
    assert read_image(path)[0, 0].tolist() == [200, 100, 50]
    metadata["Channel"]["Name"] = ["CD3", "CD4", "CD8", "CD20"][: len(names)]
    tifffile.imwrite(path, values, metadata=metadata, photometric="minisblack")
    assert read_image(path)[0, 0].tolist() == values[:3, 0, 0].tolist()


@pytest.mark.parametrize("reader", [open_scene, decode])
def test_colours_that_are_neither_grey_nor_rgb_are_refused_with_what_to_save(tmp_path, textured, reader):
    tifffile.imwrite(tmp_path / "a.tif", textured(), photometric="cielab")
    with pytest.raises(InputError, match="wanted grey or RGB, got a TIFF in CIELAB; save it as RGB"):
        reader(tmp_path / "a.tif")


def test_complex_numbers_and_pictures_too_large_to_be_turned_are_refused(tmp_path, textured, monkeypatch):
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((8, 8), np.complex64))
    with pytest.raises(InputError, match="wanted an image of numbers with up to .* channels, got .*complex64"):
        TiffScene(tmp_path / "a.tif")
    tifffile.imwrite(tmp_path / "b.tif", textured(), photometric="rgb", extratags=[(274, "H", 1, 6, True)])
    assert open_scene(tmp_path / "b.tif").shape == (90, 70)
    monkeypatch.setattr(tiff, "MAX_PIXELS", 100)
    with pytest.raises(InputError, match="b.tif.*70 x 90"):
        open_scene(tmp_path / "b.tif")


def test_a_palette_and_planes_are_decoded_as_they_are_shown(tmp_path, textured):
    colours = np.zeros((3, 256), np.uint16)
    colours[:, 7] = 65535, 256, 0
    tifffile.imwrite(tmp_path / "a.tif", np.full((8, 8), 7, np.uint8), photometric="palette", colormap=colours)
    picture = decode(tmp_path / "a.tif")
    assert picture.palette is not None and picture.palette[picture.values.flat[0]].tolist() == [255, 1, 0]
    planes = np.moveaxis(textured(), -1, 0)
    tifffile.imwrite(tmp_path / "b.tif", planes, photometric="rgb", planarconfig="separate")
    assert np.array_equal(decode(tmp_path / "b.tif").values, textured())


def test_a_picture_that_is_not_there_or_too_large_is_refused(tmp_path, textured, monkeypatch):
    with pytest.raises(InputError, match="there is no such file; check the path"):
        decode(tmp_path / "nowhere.png")
    Image.fromarray(textured()).save(tmp_path / "a.png")
    monkeypatch.setattr("domains.scenes.decode.MAX_PIXELS", 100)
    with pytest.raises(InputError, match="a.png.*90 x 70"):
        decode(tmp_path / "a.png")
