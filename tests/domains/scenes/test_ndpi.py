"""A file in the layout of Hamamatsu's NDPI, written by hand: no library writes it, and no real one may be passed on.

Classic TIFF whose IFD offsets have 64 bits, the high halves of its tags behind each IFD; every level one JPEG strip,
whose restart markers are listed (McuStarts), so that pieces of it can be decoded; magnification -1 for the macro image.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from domains.scenes import open_scene
from domains.scenes.tiff import TiffScene

MACRO = -1.0
MCUS = 32  # in a restart interval: pieces of 256 x 8 px
PX_PER_CM = 20_000


def jpeg_of(image: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "JPEG", quality=95, subsampling=0, restart_marker_blocks=MCUS)
    return buffer.getvalue()


def decoded(jpeg: bytes) -> np.ndarray:
    return np.array(Image.open(io.BytesIO(jpeg)))


def restarts(jpeg: bytes) -> list[int]:
    """Where the scan begins, and where it goes on behind each restart marker."""
    at, marker = 2, 0
    while marker != 0xFFDA:
        marker, length = struct.unpack(">HH", jpeg[at : at + 4])
        at += 2 + length
    return [at, *(i + 2 for i in range(at, len(jpeg) - 1) if jpeg[i] == 0xFF and 0xD0 <= jpeg[i + 1] <= 0xD7)]


def write_ndpi(path: Path, pages: Sequence[tuple[bytes, float]]) -> None:
    """pages: JPEG and magnification of each."""
    out, link = bytearray(b"II*\0" + bytes(8)), 4

    def put(layout: str, *values: object) -> int:
        at = len(out)
        out.extend(struct.pack(f"<{layout}", *values))
        return at

    for jpeg, magnification in pages:
        strip, starts = put(f"{len(jpeg)}s", jpeg), restarts(jpeg)
        height, width, _ = decoded(jpeg).shape
        density = put("2I", int(PX_PER_CM * abs(magnification) / 20), 1)
        tags = [
            *((256, 4, 1, width), (257, 4, 1, height), (258, 3, 3, put("3H", 8, 8, 8)), (259, 3, 1, 7), (262, 3, 1, 6)),
            *((271, 2, 10, put("10s", b"Hamamatsu")), (273, 4, 1, strip), (277, 3, 1, 3), (278, 4, 1, height)),
            *((279, 4, 1, len(jpeg)), (282, 5, 1, density), (283, 5, 1, density), (296, 3, 1, 3), (65420, 4, 1, 1)),
            (65421, 11, 1, struct.unpack("<I", struct.pack("<f", magnification))[0]),
        ]
        if magnification != MACRO:
            tags.append((65426, 4, len(starts), put(f"{len(starts)}I", *starts)))
        struct.pack_into("<Q", out, link, put("H", len(tags)))
        for tag in tags:
            put("HHII", *tag)
        link = put("Q", 0)
        put(f"{4 * len(tags)}s", b"")
    path.write_bytes(out)


def test_an_ndpi_is_read_by_pieces_with_its_pyramid_and_pixel_size(tmp_path, textured, holds):
    image = textured(height=160, width=512)
    whole, half = jpeg_of(image), jpeg_of(np.ascontiguousarray(image[::2, ::2]))
    macro = jpeg_of(textured(height=50, width=256))
    write_ndpi(tmp_path / "s.ndpi", [(whole, 20.0), (half, 10.0), (macro, MACRO)])
    scene = open_scene(tmp_path / "s.ndpi")
    assert isinstance(scene, TiffScene)
    assert scene.levels == ((160, 512), (80, 256))
    assert scene.channels == ("red", "green", "blue")
    assert scene.pixel_size_m == 0.5e-6
    holds(scene, decoded(whole))
    holds(scene, decoded(half), level=1)
    scene.close()
