from __future__ import annotations

import logging
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import tifffile

from domains.errors import InputError
from domains.scenes import http_objects, open_scene, remote, zip_objects
from domains.scenes.ranges import Held, Missing, Unreachable
from domains.scenes.scene import read_whole
from domains.scenes.zip_objects import ZipObjects
from tests.domains.scenes.loopback import Server, serving
from tests.domains.scenes.test_ome_zarr import write

IMAGE = np.random.default_rng(0).integers(0, 255, (512, 512, 3), np.uint8)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A zip of a TIFF as it is, of the same compressed, and of an OME-Zarr."""
    tifffile.imwrite(tmp_path / "a.tif", IMAGE, tile=(64, 64), photometric="rgb", compression="zlib")
    write(tmp_path / "b.zarr", IMAGE, "0.4")
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        archive.write(tmp_path / "a.tif", "in/a.tif")
        archive.write(tmp_path / "a.tif", "in/deflated.tif", zipfile.ZIP_DEFLATED)
        for number, path in enumerate(sorted((tmp_path / "b.zarr").rglob("*"))):
            archive.write(path, path.relative_to(tmp_path), (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)[number % 2])
    return tmp_path


@pytest.fixture
def server(folder: Path) -> Iterator[Server]:
    pytest.importorskip("aiohttp", reason='https:// wants aiohttp: pip install "entity-adapters[remote]"')
    http_objects.file_system.cache_clear()
    with serving(folder) as server:
        yield server


def objects(content: bytes, inner: str = "") -> ZipObjects:
    return ZipObjects(Held(content, ""), "x.zip", inner)


def test_a_zip_of_this_machine_is_read_without_unpacking(folder: Path) -> None:
    for inner in ("in/a.tif", "b.zarr"):
        scene = open_scene(f"zip://{inner}::{folder / 'x.zip'}")
        assert np.array_equal(read_whole(scene), IMAGE)
        scene.close()


def test_an_entry_that_is_stored_is_read_by_ranges(server: Server, folder: Path) -> None:
    size = (folder / "x.zip").stat().st_size
    scene = open_scene(f"zip://in/a.tif::{server.url}/x.zip")
    assert np.array_equal(scene.read(100, 200, 60, 50), IMAGE[100:160, 200:250])
    assert server.served < size / 8 and all(span for _, span in server.requests)
    scene.close()


def test_an_entry_that_is_compressed_is_held_and_a_line_says_so(server: Server, caplog) -> None:
    remote.warn_held.cache_clear()
    with caplog.at_level(logging.WARNING):
        scene = open_scene(f"zip://in/deflated.tif::{server.url}/x.zip?sig=S3cr3t")
    assert "is compressed in its zip, so all" in caplog.text and "S3cr3t" not in caplog.text
    assert np.array_equal(read_whole(scene), IMAGE)
    scene.close()


def test_what_a_zip_lacks_and_what_is_none_is_said(folder: Path) -> None:
    with pytest.raises(Missing, match="holds no 'a.tif'; name what lies in it"):
        open_scene(f"zip://a.tif::{folder / 'x.zip'}")
    with pytest.raises(InputError, match="wanted a zip, got none or a damaged one"):
        open_scene(f"zip://a.tif::{folder / 'a.tif'}")
    with pytest.raises(Missing, match="cannot be opened: No such file"):
        open_scene(f"zip://a.tif::{folder / 'y.zip'}")


def test_damage_and_encryption_end_in_one_line(folder: Path) -> None:
    content = bytearray((folder / "x.zip").read_bytes())
    with zipfile.ZipFile(folder / "x.zip") as archive:
        start = archive.getinfo("in/deflated.tif").header_offset
    content[start + 5000] ^= 255
    with pytest.raises(Unreachable, match="'in/deflated.tif' in it is damaged"):
        objects(bytes(content), "in/deflated.tif").entry()
    content[start] = 0
    with pytest.raises(Unreachable, match="damaged, encrypted or not compressed by deflate"):
        objects(bytes(content), "in/deflated.tif").entry()


def test_sizes_are_checked_before_memory_is_taken(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with zipfile.ZipFile(folder / "bomb.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.tif", bytes(2**22))
    bomb = (folder / "bomb.zip").read_bytes()
    assert objects(bomb).get("a.tif").content == bytes(2**22)
    assert objects(bomb).get("a.tif", "-7").content == bytes(7) and objects(bomb).get("a.tif", "3-").size == 2**22
    lying = bytearray(bomb)
    place = lying.rindex(b"PK\1\2") + 24  # the size in the directory (APPNOTE.TXT 4.3.12)
    lying[place : place + 4] = (1000).to_bytes(4, "little")
    with pytest.raises(Unreachable, match="in it is damaged"):
        objects(bytes(lying), "a.tif").entry()
    monkeypatch.setattr(zip_objects, "LARGEST", 2**21)
    with pytest.raises(Unreachable, match="wanted at most 2 MiB of it at once, it asks for 4"):
        objects(bomb, "a.tif").entry()
    monkeypatch.setattr(zip_objects, "DIRECTORY", 10)
    with pytest.raises(Unreachable, match="wanted at most"):
        objects(bomb)


@pytest.mark.parametrize("kept", [0.5, 0.0])
def test_a_compressed_entry_that_ends_early_or_is_no_deflate_is_damaged(kept: float, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.txt", bytes(range(256)) * 40)
    content = bytearray((tmp_path / "a.zip").read_bytes())
    start, size = 30 + len("a.txt"), zipfile.ZipFile(tmp_path / "a.zip").infolist()[0].compress_size
    if kept:  # the directory says fewer bytes than there are
        at = content.index(b"PK\1\2")
        content[at + 20 : at + 24] = int(size * kept).to_bytes(4, "little")
    else:
        content[start : start + size] = b"\xff" * size
    with pytest.raises(Unreachable, match="'a.txt' in it is damaged; copy it again"):
        objects(bytes(content), "a.txt").get()
