from __future__ import annotations

import pickle
from pathlib import Path, PurePosixPath

import pytest

from domains.errors import InputError
from domains.scenes import address as addresses
from domains.scenes.address import Address, check_installed, may_be_asked, source_of

SECRETS = ("hunter2", "S3cr3t", "anna")
SIGNED = "https://anna:hunter2@host.org:8443/set/a%20b.ome.tif?X-Amz-Signature=S3cr3t&part=1#S3cr3t"


def of(word: str) -> Address:
    address = source_of(word)
    assert isinstance(address, Address)
    return address


@pytest.mark.parametrize("word", [SIGNED, f"zip://in/a.tif::{SIGNED}"])
def test_what_is_shown_of_an_address_has_no_secret_and_a_request_has_all(word: str) -> None:
    address = of(word)
    for text in (str(address), repr(address), f"{address}", address.name, str(address.place), str(address / "0")):
        assert not any(secret in text for secret in SECRETS)
    assert address.url == SIGNED and source_of(address.word) == address
    assert pickle.loads(pickle.dumps(address)) == address


def test_an_address_is_called_after_its_path() -> None:
    assert str(of(SIGNED)) == "https://host.org:8443/set/a%20b.ome.tif"
    assert of(SIGNED).place == PurePosixPath("/host.org/set/a b.ome.tif")
    assert (of(SIGNED).stem, of(SIGNED).suffix) == ("a b.ome", ".tif")
    assert of("https://h/..%2F../x%2e%2e").place == PurePosixPath("/h/x..")
    assert of("zip://in/a.tif::https://h/x.zip").place == PurePosixPath("/h/x.zip/in/a.tif")
    assert of("zip://::https://h/x.zarr.zip").stem == "x.zarr"
    assert of("s3://bucket/a?b.tif").place == PurePosixPath("/bucket/a?b.tif")
    assert str(of("HTTPS://h/a b")) == "https://h/a%20b"


def test_what_lies_below_keeps_the_query() -> None:
    assert (of("https://h/a.zarr/?sig=1") / "0/.zarray").url == "https://h/a.zarr/0/.zarray?sig=1"
    assert (of("s3://b/a.zarr") / "0").url == "s3://b/a.zarr/0"
    assert (of("zip://a.zarr::https://h/x.zip") / "0").inner == "a.zarr/0"


@pytest.mark.parametrize(
    "word, protocol",
    [
        ("file:///etc/passwd", "file"),
        ("simplecache::https://h/a.tif", "simplecache"),
        ("filecache::s3://b/a.tif", "filecache"),
        ("reference::https://h/a.json", "reference"),
        ("dask::https://h/a.tif", "dask"),
        ("memory://a.tif", "memory"),
        ("ftp://anna:hunter2@h/a.tif", "ftp"),
        ("ssh://h/a.tif", "ssh"),
        ("sftp://h/a.tif", "sftp"),
        ("github://a:b@c/a.tif", "github"),
        ("gs://b/a.tif", "gs"),
        ("data:://a.tif", "data"),
        ("zip://a.tif::ftp://h/x.zip", "ftp"),
        ("zip://a.tif::simplecache::https://h/x.zip", "simplecache"),
        ("zip://a.tif::zip://b.zip::https://h/x.zip", "zip"),
    ],
)
def test_other_protocols_and_chains_are_refused_in_one_line(word: str, protocol: str) -> None:
    with pytest.raises(InputError, match=f"protocol '{protocol}' of an address is not supported; use s3://") as caught:
        source_of(word)
    assert not any(secret in str(caught.value) for secret in SECRETS)


@pytest.mark.parametrize(
    "word, complaint",
    [
        ("zip://a.tif", "wants what lies in which zip"),
        ("zip::https://h/x.zip", "wants what lies in which zip"),
        ("https://h", "wants a host or bucket, and a path"),
        ("https:///a.tif", "wants a host or bucket, and a path"),
        ("https://h:port/a.tif?S3cr3t", "no host and port"),
        ("https://[h/a.tif?S3cr3t", "no host and port"),
        ("https://h/a%0Ab.tif", "signs that cannot be printed"),
        ("https://h/a::b.tif", "chains more than one zip"),
        ("http://host.org/a.tif?S3cr3t", "'http://host.org/a.tif': http:// is read from this machine alone"),
        ("http://127.0.0.1.org/a.tif", "http:// is read from this machine alone"),
        ("s3://anna:hunter2@bucket/a.tif", "'s3://bucket/a.tif': credentials of s3:// come from the environment"),
    ],
)
def test_what_is_no_address_is_refused_without_its_secrets(word: str, complaint: str) -> None:
    with pytest.raises(InputError, match=complaint) as caught:
        source_of(word)
    assert not any(secret in str(caught.value) for secret in SECRETS)


def test_paths_stay_paths(tmp_path: Path) -> None:
    odd = tmp_path / "reference::a.tif"
    odd.touch()
    assert source_of(odd.name, tmp_path) == odd
    assert source_of(str(odd)) == odd and source_of("a/b.tif", tmp_path) == tmp_path / "a/b.tif"
    assert source_of("C:\\a.tif") == Path("C:\\a.tif") and source_of(odd) == odd
    zipped = source_of("zip://a.tif::x.zip", tmp_path)
    assert isinstance(zipped, Address) and zipped.url == str(tmp_path / "x.zip") and zipped.protocol == ""


def test_only_encrypted_connections_leave_this_machine() -> None:
    assert all(map(may_be_asked, ("https://h/a", "http://localhost/a", "http://127.3.2.1:80/a", "http://[::1]/a")))
    assert not any(map(may_be_asked, ("http://h/a", "http://169.254.169.254/a", "http:///a", "file:///a", "ftp://h/a")))


def test_what_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(addresses, "find_spec", lambda name: None)
    for word, module in (("https://h/a.tif?S3cr3t", "fsspec"), ("s3://b/a.tif", "fsspec")):
        with pytest.raises(
            InputError, match=f'wants {module}, which is not installed: pip install "entity-ad'
        ) as caught:
            check_installed(of(word))
        assert "S3cr3t" not in str(caught.value)
    check_installed(of("zip://a.tif::/x.zip"))
