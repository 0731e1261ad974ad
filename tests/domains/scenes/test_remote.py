from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import tifffile

from domains.scenes import geotiff, http_objects, open_scene, ranges
from domains.scenes.address import Address, source_of
from domains.scenes.ranges import Unreachable
from domains.scenes.remote import is_folder, state_of
from domains.scenes.scene import read_whole
from tests.domains.scenes.loopback import Server, serving
from tests.domains.scenes.test_ome_zarr import write

pytest.importorskip("aiohttp", reason='https:// wants aiohttp: pip install "entity-adapters[remote]"')
IMAGE = np.random.default_rng(0).integers(1, 255, (600, 500, 3), np.uint8)


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setattr(ranges, "WAITS_S", ())
    http_objects.file_system.cache_clear()
    with serving(tmp_path) as server:
        yield server


def address(word: str) -> Address:
    source = source_of(word)
    assert isinstance(source, Address)
    return source


def test_a_raster_of_the_ground_is_read_through_gdal_as_its_file_is(server: Server, tmp_path: Path) -> None:
    rasterio = pytest.importorskip("rasterio")
    about = {"driver": "COG", "height": 600, "width": 500, "count": 3, "dtype": "uint8", "crs": "EPSG:32633"}
    place = rasterio.transform.from_origin(5e5, 5e6, 0.5, 0.5)
    options = {"blocksize": 128, "overviews": "IGNORE_EXISTING", "nodata": 0}
    with rasterio.open(tmp_path / "a.tif", "w", transform=place, **about, **options) as file:
        file.write(IMAGE.transpose(2, 0, 1))
    (tmp_path / "a.tfw").write_text("9\n0\n0\n9\n0\n0\n")  # beside an address nothing is looked for
    local, scene = open_scene(tmp_path / "a.tif"), open_scene(f"{server.url}/a.tif")
    assert isinstance(scene, geotiff.GeoScene) and scene.levels == local.levels and len(scene.levels) > 1
    assert (scene.georeference, scene.nodata, scene.channels) == (local.georeference, local.nodata, local.channels)
    size = (tmp_path / "a.tif").stat().st_size
    assert np.array_equal(scene.read(10, 20, 100, 90), IMAGE[10:110, 20:110]) and server.served < size / 2
    assert not any(name for name, _ in server.requests if not name.startswith("/a.tif"))
    server.breaks = 10**6
    with pytest.raises(Unreachable, match="the connection broke"):
        scene.read(400, 300, 100, 90)
    for level in range(1, len(local.levels)):
        server.breaks = 0
        other = open_scene(f"{server.url}/a.tif")
        assert np.array_equal(read_whole(other, level), read_whole(local, level))
        other.close()
    scene.close()
    local.close()


def test_the_state_of_an_address_changes_when_what_lies_there_does(server: Server, tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", IMAGE)
    file, size = address(f"{server.url}/a.tif?sig=1"), (tmp_path / "a.tif").stat().st_size
    assert state_of(file) == state_of(address(f"{server.url}/a.tif?sig=2")) == [size, '"1"'] and server.served == 2
    server.tag = '"2"'
    assert state_of(file) == [size, '"2"']
    for name in ("b.zarr", "plain"):
        write(tmp_path / name, IMAGE, "0.4")
        assert state_of(address(f"{server.url}/{name}"))[1] == '"2"'
    server.status = 500
    assert state_of(file) == state_of(address(f"{server.url}/b.zarr")) == []
    zipped = address(f"zip://a.tif::{tmp_path / 'x.zip'}")
    assert state_of(zipped) == []
    (tmp_path / "x.zip").write_bytes(b"PK\5\6" + bytes(18))  # without an entry
    assert state_of(zipped)[0] == 22


def test_folders_are_told_by_their_names() -> None:
    folders = ("https://h/a.zarr", "s3://b/a.zarr/0", "https://h/a/", "zip://::https://h/x.zip", "zip://a.zarr::/x.zip")
    assert all(is_folder(address(word)) for word in folders)
    assert not any(is_folder(address(word)) for word in ("https://h/a.tif", "zip://a.tif::/x.zip", "s3://b/zarr"))


def test_pages_are_upright_and_stacks_are_read_as_their_files_are(server: Server, tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "turned.tif", IMAGE, photometric="rgb", extratags=[(274, "H", 1, 6, True)])
    tifffile.imwrite(tmp_path / "stack.ome.tif", np.stack([IMAGE[..., 0]] * 3), metadata={"axes": "ZYX"})
    tifffile.imwrite(tmp_path / "ij.tif", IMAGE.transpose(2, 0, 1), imagej=True, metadata={"axes": "CYX"})
    for name in ("turned.tif", "stack.ome.tif", "ij.tif"):
        local, scene = open_scene(tmp_path / name), open_scene(f"{server.url}/{name}")
        assert type(scene) is type(local) and scene.channels == local.channels and scene.remarks == local.remarks
        assert np.array_equal(read_whole(scene), read_whole(local))
        local.close()
        scene.close()
