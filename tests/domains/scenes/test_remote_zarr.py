from __future__ import annotations

import asyncio
import json
import traceback
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from zarr.core.buffer import default_buffer_prototype

from domains.errors import InputError
from domains.scenes import http_objects, open_scene, ranges
from domains.scenes.ranges import Missing, Reply, Unreachable
from domains.scenes.remote_zarr import RemoteStore
from domains.scenes.scene import read_whole
from tests.domains.scenes.loopback import Server, serving
from tests.domains.scenes.test_ome_zarr import write

pytest.importorskip("aiohttp", reason='https:// wants aiohttp: pip install "entity-adapters[remote]"')


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setattr(ranges, "WAITS_S", (0.0,))
    http_objects.file_system.cache_clear()
    with serving(tmp_path) as server:
        server.query = "sig=S3cr3t"
        yield server


@pytest.mark.parametrize("version, options", [("0.4", {}), ("0.5", {}), ("0.5", {"shards": (2, 64, 64)})])
def test_windows_are_those_of_the_folder(server: Server, tmp_path: Path, textured, version, options) -> None:
    image = textured(channels=2)
    local = open_scene(write(tmp_path / "a.zarr", image, version, **options))
    scene = open_scene(f"{server.url}/a.zarr?sig=S3cr3t")
    assert scene.levels == local.levels and scene.pixel_size_m == local.pixel_size_m
    assert scene.descriptions == local.descriptions and scene.format == local.format
    server.forget()
    assert np.array_equal(scene.read(0, 0, 20, 20), image[:20, :20])
    assert 0 < server.served < image.nbytes / 4
    assert np.array_equal(read_whole(scene), image) and np.array_equal(read_whole(scene, 1), read_whole(local, 1))


def test_a_folder_that_is_not_called_so_and_the_only_series_of_a_root(server: Server, tmp_path: Path, textured) -> None:
    image = textured(channels=2)
    write(tmp_path / "plain", image, "0.4")
    assert np.array_equal(read_whole(open_scene(f"{server.url}/plain?sig=S3cr3t")), image)
    (tmp_path / "root.zarr").mkdir()
    (tmp_path / "root.zarr/.zgroup").write_text('{"zarr_format": 2}')
    write(tmp_path / "root.zarr/0", image, "0.4")
    assert np.array_equal(read_whole(open_scene(f"{server.url}/root.zarr?sig=S3cr3t")), image)
    write(tmp_path / "root.zarr/1", image, "0.4")
    with pytest.raises(InputError, match="it has a folder for each series: name that, such as 0") as caught:
        open_scene(f"{server.url}/root.zarr?sig=S3cr3t")
    assert "S3cr3t" not in str(caught.value)


def test_a_chunk_that_cannot_be_reached_is_not_taken_for_one_that_was_never_written(
    server: Server, tmp_path: Path, textured
) -> None:
    image = textured(channels=2)
    scene = open_scene(write(tmp_path / "a.zarr", image, "0.4"))
    scene = open_scene(f"{server.url}/a.zarr?sig=S3cr3t")
    for status, complaint in ((403, "refuses it"), (500, "the connection broke 2 times")):
        server.status = status
        with pytest.raises(Unreachable, match=complaint) as caught:
            scene.read(0, 0, 20, 20)
        assert "S3cr3t" not in "".join(traceback.format_exception(caught.value))
    server.status = 404
    assert not scene.read(0, 0, 20, 20).any()


def test_names_of_levels_stay_below_the_address(server: Server, tmp_path: Path, textured) -> None:
    path = write(tmp_path / "a.zarr", textured(channels=2), "0.4")
    write(tmp_path / "b.zarr", textured(channels=2), "0.4")
    attributes = json.loads((path / ".zattrs").read_text())
    attributes["multiscales"][0]["datasets"][0]["path"] = "../b.zarr/0"
    (path / ".zattrs").write_text(json.dumps(attributes))
    with pytest.raises(InputError, match="a level outside of its folder, '../b.zarr/0'"):
        open_scene(f"{server.url}/a.zarr?sig=S3cr3t")


def test_what_is_no_image_is_one_line(server: Server, tmp_path: Path) -> None:
    (tmp_path / "a.zarr").mkdir()
    (tmp_path / "a.zarr/.zgroup").write_text('{"zarr_format": 2}')
    with pytest.raises(InputError, match="wanted an OME-Zarr image .* got a group without multiscales"):
        open_scene(f"{server.url}/a.zarr?sig=S3cr3t")
    with pytest.raises(InputError, match="b.zarr' is not there .404."):
        open_scene(f"{server.url}/b.zarr?sig=S3cr3t")


class Bucket:
    """Objects of a bucket that refuses what is not there, as one does that nobody may list."""

    def get(self, key: str = "", span: str = "") -> Reply:
        if key == "gone":
            raise Missing("'gone' is not there")
        if key != "a/0":
            raise Unreachable(f"{key!r}: the bucket refuses it")
        return Reply(b"chunk", 5, "")


def test_a_store_is_for_reading_alone_and_says_what_is_there() -> None:
    objects, prototype = Bucket(), default_buffer_prototype()
    store = RemoteStore(objects)
    assert store == RemoteStore(objects) != RemoteStore(Bucket()) and store.with_read_only() is store
    assert not (store.supports_writes or store.supports_deletes or store.supports_listing)
    assert asyncio.run(store.exists("a/0")) and not asyncio.run(store.exists("gone"))
    chunk, absent = asyncio.run(store.get_partial_values(prototype, [("a/0", None), ("gone", None)]))
    assert chunk is not None and chunk.to_bytes() == b"chunk" and absent is None
    assert asyncio.run(store.get("a/.zattrs", prototype)) is None  # looked for, and refused: not there
    with pytest.raises(Unreachable, match="'a/1': the bucket refuses it"):
        asyncio.run(store.get("a/1", prototype))
    for wish in (store.set("a/0", chunk), store.delete("a/0")):
        with pytest.raises(ValueError, match="an address is read, and never written to"):
            asyncio.run(wish)

    async def listed() -> list[str]:
        names = (store.list(), store.list_prefix("a"), store.list_dir("a"))
        return [key for walk in names async for key in walk]

    assert asyncio.run(listed()) == []
