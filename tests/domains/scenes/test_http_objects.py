from __future__ import annotations

import traceback
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import tifffile

from domains.errors import InputError
from domains.scenes import http_objects, open_scene, ranges
from domains.scenes.http_objects import HttpObjects, redirected, within
from domains.scenes.ranges import Missing, RemoteFile, Unreachable
from domains.scenes.scene import read_whole
from tests.domains.scenes.loopback import Server, serving

pytest.importorskip("aiohttp", reason='https:// wants aiohttp: pip install "entity-adapters[remote]"')
SECRET = "S3cr3t"


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(ranges, "WAITS_S", (0.0, 0.0))
    image = np.random.default_rng(0).integers(0, 255, (512, 512, 3), np.uint8)
    tifffile.imwrite(tmp_path / "a.tif", image, tile=(64, 64), photometric="rgb", compression="zlib")
    with serving(tmp_path) as server:
        http_objects.file_system.cache_clear()
        yield server


def fails(word: str, *secrets: str) -> str:
    """The line with which opening ends, as it is printed with its causes: without a secret."""
    with pytest.raises(InputError) as caught:
        open_scene(word)
    trace = "".join(traceback.format_exception(caught.value))
    assert not any(secret in trace for secret in (SECRET, *secrets))
    return str(caught.value)


def test_windows_are_those_of_the_file_and_few_bytes_are_asked_for(server: Server, tmp_path: Path) -> None:
    local, remote = open_scene(tmp_path / "a.tif"), open_scene(f"{server.url}/a.tif?sig={SECRET}")
    size = (tmp_path / "a.tif").stat().st_size
    assert server.served < 4 * ranges.BLOCK < size / 8
    assert np.array_equal(remote.read(100, 200, 60, 50), local.read(100, 200, 60, 50))
    assert server.served < size / 3 and all(span for _, span in server.requests)
    assert np.array_equal(read_whole(remote), read_whole(local)) and server.served <= size + 2
    assert len(server.requests) < 40
    local.close()
    remote.close()


def test_a_password_is_that_of_the_address_or_of_netrc(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.password = f"anna:{SECRET}"
    url = server.url.replace("//", f"//anna:{SECRET}@")
    open_scene(f"{url}/a.tif").close()
    assert "the server asks for a name and password (401)" in fails(f"{server.url}/a.tif")
    assert "(401)" in fails(server.url.replace("//", "//anna:wrong@") + "/a.tif", "wrong")
    (tmp_path / "netrc").write_text(f"machine 127.0.0.1 login anna password {SECRET}\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    http_objects.file_system.cache_clear()
    open_scene(f"{server.url}/a.tif").close()


def test_a_signature_that_is_refused_is_not_shown(server: Server) -> None:
    server.query = f"X-Amz-Signature={SECRET}"
    open_scene(f"{server.url}/a.tif?{server.query}").close()
    assert "(403)" in fails(f"{server.url}/a.tif?X-Amz-Signature={SECRET}2")


def test_a_password_goes_along_on_the_same_server_alone(server: Server, tmp_path: Path) -> None:
    server.password, server.moved = f"anna:{SECRET}", {"/old.tif": "/a.tif"}
    url = server.url.replace("//", f"//anna:{SECRET}@")
    open_scene(f"{url}/old.tif").close()
    with serving(tmp_path) as elsewhere:
        elsewhere.password = server.password
        server.moved = {"/old.tif": f"{elsewhere.url}/a.tif"}
        assert "(401)" in fails(f"{url}/old.tif")


@pytest.mark.parametrize("target", ["http://169.254.169.254/a", "file:///etc/passwd", "", "ftp://h/a"])
def test_redirects_leave_https_for_nothing(server: Server, target: str) -> None:
    server.moved = {"/old.tif": target}
    assert "sends on to what is not https://" in fails(f"{server.url}/old.tif?{SECRET}")
    with pytest.raises(Unreachable, match="what is not https"):
        redirected("https://h/a", f"{server.url}/a.tif", "a")


def test_redirects_end(server: Server) -> None:
    server.moved = {"/old.tif": "/old.tif"}
    assert "sends on more than 5 times" in fails(f"{server.url}/old.tif")


@pytest.mark.parametrize("status, complaint", [(404, "is not there"), (500, "broke 3 times .status 500"), (418, "418")])
def test_other_answers_end_in_one_line(server: Server, status: int, complaint: str) -> None:
    server.status = status
    with pytest.raises(Unreachable, match=complaint):
        HttpObjects(f"{server.url}/a.tif").get("", "0-0")


def test_a_server_without_ranges_is_refused_and_sends_nothing_else(server: Server) -> None:
    server.ranges = False
    assert "does not send ranges of it, and the whole is not downloaded" in fails(f"{server.url}/a.tif?{SECRET}")
    assert len(server.requests) == 1


def test_a_connection_that_breaks_is_made_again_some_times(server: Server, tmp_path: Path) -> None:
    scene = open_scene(f"{server.url}/a.tif?{SECRET}")
    server.breaks = 2
    assert np.array_equal(scene.read(300, 300, 100, 100), tifffile.imread(tmp_path / "a.tif")[300:400, 300:400])
    server.breaks = 10**6
    with pytest.raises(Unreachable, match="the connection broke 3 times .*goes on from there") as caught:
        scene.read(0, 400, 100, 100)
    assert SECRET not in "".join(traceback.format_exception(caught.value))
    scene.close()


def test_nobody_there_is_one_line(server: Server, tmp_path: Path) -> None:
    with serving(tmp_path) as gone:
        url = gone.url
    assert "broke 3 times (ClientConnectorError)" in fails(f"{url}/a.tif?{SECRET}")


def test_a_file_that_changes_is_not_read_on(server: Server, tmp_path: Path) -> None:
    scene = open_scene(f"{server.url}/a.tif")
    server.tag = '"2"'
    with pytest.raises(Unreachable, match="was changed while it was read"):
        scene.read(300, 300, 100, 100)
    scene.close()


def test_sizes_are_checked_before_memory_is_taken(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_objects, "LARGEST", 1000)
    with pytest.raises(Unreachable, match="wanted at most"):
        HttpObjects(f"{server.url}/a.tif").get()
    file = RemoteFile(HttpObjects(f"{server.url}/a.tif"), "a")
    with pytest.raises(Unreachable, match="wanted at most"):
        ranges.Cursor(file, "a", limit=10).read()


def test_what_is_no_image_is_one_line(server: Server, tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n" * 9)
    (tmp_path / "a.zip").write_bytes(b"PK\3\4" * 9)
    (tmp_path / "b.tif").write_bytes((tmp_path / "a.tif").read_bytes()[:5000])
    (tmp_path / "none.tif").touch()
    assert "wanted a TIFF or an OME-Zarr behind an address, got another file" in fails(f"{server.url}/a.png")
    assert "got a zip; name what is in it: zip://INNER::ADDRESS" in fails(f"{server.url}/a.zip")
    assert "TIFF" in fails(f"{server.url}/b.tif?{SECRET}") and "(416)" in fails(f"{server.url}/none.tif")
    with pytest.raises(Missing):
        open_scene(f"{server.url}/folder/")


def test_ranges_of_a_reply_are_what_was_asked_for() -> None:
    assert within("0-0", 0, 0, 9) and within("5-99", 5, 8, 9) and within("5-", 5, 8, 9) and within("-3", 6, 8, 9)
    assert not (within("0-0", 0, 1, 9) or within("5-6", 4, 6, 9) or within("-3", 0, 2, 9) or within("5-", 5, 7, 9))
