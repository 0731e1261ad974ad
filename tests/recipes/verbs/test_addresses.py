"""`predict` of what lies behind an address: results of the file itself, and no secret anywhere."""

from __future__ import annotations

import shutil
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from cli import main
from domains.scenes import http_objects, ranges
from domains.scenes.address import Address, source_of
from entity_adapters import Concealed
from recipes.verbs import predict_scenes
from recipes.verbs.predict_cohort import word_of
from tests.domains.scenes.loopback import Server, serving

pytest.importorskip("aiohttp", reason='https:// wants aiohttp: pip install "entity-adapters[remote]"')
SECRET = "S3cr3t"
FORMATS = [word for kind in ("labels", "geojson", "coco", "csv", "images", "overlay") for word in ("--format", kind)]


@pytest.fixture
def folder(data: Path, tmp_path: Path) -> Path:
    """A TIFF, and one that is three times as wide and high, which tests make a big scene."""
    folder = tmp_path / "served"
    folder.mkdir()
    picture = np.asarray(Image.open(data / "images" / "0.png").convert("RGB"))
    for name, values in (("a", picture), ("big", np.tile(picture, (3, 3, 1)))):
        tifffile.imwrite(folder / f"{name}.tif", values, photometric="rgb", tile=(64, 64))
    with zipfile.ZipFile(folder / "x.zip", "w") as archive:
        archive.write(folder / "a.tif", "a.tif")
    return folder


@pytest.fixture
def server(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setattr(ranges, "WAITS_S", (0.0,))
    http_objects.file_system.cache_clear()
    with serving(folder) as server:
        server.password, server.query = f"anna:{SECRET}1", f"X-Amz-Signature={SECRET}2"
        yield server


def signed(server: Server, name: str) -> str:
    return f"{server.url.replace('//', f'//{server.password}@')}/{name}?{server.query}"


def contents(out: Path) -> dict[str, bytes]:
    return {str(path.relative_to(out)): path.read_bytes() for path in sorted(out.rglob("*")) if path.is_file()}


def test_results_are_those_of_the_file_and_hold_no_secret(
    run: Path, folder: Path, server: Server, tmp_path: Path, capfd
) -> None:
    words = ["predict", "--adapter", str(run / "adapter"), *FORMATS, "--out"]
    assert main([*words, str(tmp_path / "local"), str(folder / "a.tif")]) == 0
    (tmp_path / "list.txt").write_text(f"{signed(server, 'a.tif')}\nzip://a.tif::{signed(server, 'x.zip')}\n")
    assert main([*words, str(tmp_path / "remote"), str(tmp_path / "list.txt")]) == 0
    local, remote = contents(tmp_path / "local"), contents(tmp_path / "remote")
    for name in ("127.0.0.1_a", "x.zip_a"):
        for ending in ("labels.tif", "geojson", "overlay.png"):
            assert remote[f"{name}.{ending}"] == local[f"a.{ending}"]
    table, rows = remote["entities.csv"].decode(), local["entities.csv"].decode().split("\n", 1)[1]
    assert rows and rows.replace(f"{folder}/a.tif,a,", f"{server.url}/a.tif,127.0.0.1_a,") in table
    assert f"zip://a.tif::{server.url}/x.zip,x.zip_a," in table
    assert f'"file_name": "{server.url}/a.tif"' in remote["predictions.coco.json"].decode()
    assert main([*words, str(tmp_path / "remote"), str(tmp_path / "list.txt")]) == 0
    captured = capfd.readouterr()
    assert "nothing to do: 2 images are done" in captured.out
    server.tag = '"2"'
    assert main([*words, str(tmp_path / "remote"), str(tmp_path / "list.txt")]) == 0
    server.query = "another"
    assert main([*words, str(tmp_path / "none"), str(tmp_path / "list.txt")]) == 2
    captured_again = capfd.readouterr()
    assert " in 2 images: " in captured_again.out and "(403)" in captured_again.err
    texts = [*captured, *captured_again, *map(str, contents(tmp_path / "remote"))]
    assert not any(SECRET in text for text in texts)
    for out in ("remote", "none"):
        assert not any(SECRET.encode() in content for content in contents(tmp_path / out).values())


def test_a_big_scene_whose_connection_breaks_goes_on_with_the_same_command(
    run: Path, folder: Path, server: Server, tmp_path: Path, capsys, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(predict_scenes, "LARGE_PX", 1000)
    monkeypatch.setattr(ranges, "BLOCK", 2**12)
    monkeypatch.setattr("domains.scenes.blocks.CACHE_BYTES", 0)
    words = ["predict", "--adapter", str(run / "adapter"), "--window", "0", "--out"]
    assert main([*words, str(tmp_path / "local"), str(folder / "big.tif")]) == 0
    whole, asked = predict_scenes.gathered, []

    def breaking(running, maps, on_tile):
        def tiles():
            for tile, entities in maps:
                server.breaks = 10**6 if tile == 7 else 0
                asked.append(tile)
                yield tile, entities

        return whole(running, tiles(), on_tile)

    monkeypatch.setattr("adapters.inference.segment.gathered", breaking)
    address, out = signed(server, "big.tif"), tmp_path / "remote"
    code = main([*words, str(out), address])
    error = capsys.readouterr().err
    assert code == 2 and "the connection broke 2 times" in error and SECRET not in error, (code, error)
    assert not any(SECRET.encode() in content for content in contents(out).values())
    monkeypatch.setattr("adapters.inference.segment.gathered", whole)
    server.breaks = 0
    assert main([*words, str(out), address]) == 0
    assert "goes on at tile" in capsys.readouterr().err
    for name in ("big.geojson", "images.csv"):
        expected = (tmp_path / "local" / name).read_text().replace(str(folder), server.url)
        assert (out / name).read_text() == expected


def test_lists_of_strangers_reach_nothing_else(run: Path, tmp_path: Path, capsys) -> None:
    shutil.copy(__file__, tmp_path / "a.json")
    for word in (f"reference::{tmp_path}/a.json", "dask::https://h/a.tif", f"file://{tmp_path}/a.json"):
        names = tmp_path / "list.txt"
        names.write_text(f"# images\n{word}\n")
        assert main(["predict", "--adapter", str(run / "adapter"), "--out", str(tmp_path / "out"), str(names)]) == 2
        error = capsys.readouterr().err
        assert "list.txt', line 2: the protocol " in error and "is not supported; use s3://" in error


def test_two_addresses_that_differ_in_a_secret_are_refused(run: Path, tmp_path: Path, capsys) -> None:
    addresses = [f"https://h.invalid/get?id={SECRET}{number}" for number in range(2)]
    assert main(["predict", "--adapter", str(run / "adapter"), "--out", str(tmp_path / "out"), *addresses]) == 2
    error = capsys.readouterr().err
    assert "'https://h.invalid/get' is named 2 times with another query" in error and SECRET not in error


def test_a_task_hides_what_is_secret_from_the_logs_of_workers() -> None:
    address = source_of(f"https://h/a.tif?{SECRET}")
    word = word_of(address)
    assert isinstance(address, Address) and isinstance(word, Concealed) and source_of(str(word)) == address
    assert SECRET not in repr([{"path": word}]) and word_of(Path("/a.tif")) == "/a.tif"
