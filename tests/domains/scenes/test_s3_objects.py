"""s3:// against what s3fs answers with, without a server: `docs/scenes.md` says what was tried with one."""

from __future__ import annotations

import asyncio
import traceback
from types import SimpleNamespace
from typing import Any

import pytest
from fsspec.asyn import get_loop

from domains.scenes import ranges, s3_objects
from domains.scenes.ranges import Broken, Missing, Reply, Unreachable
from domains.scenes.s3_objects import S3Objects, request

CONTENT = bytes(range(100))


class Stream:
    """The body of an answer, which ends after so many bytes."""

    def __init__(self, content: bytes) -> None:
        self.content = content

    async def __aenter__(self) -> Stream:
        return self

    async def __aexit__(self, *_: object) -> None:
        pass

    async def read(self) -> bytes:
        return self.content


class System:
    """s3fs as far as it is used. fault: what it raises. lost: bytes of an answer that do not come."""

    def __init__(self, fault: Exception | None = None, lost: int = 0, ranges: bool = True) -> None:
        self.fault, self.lost, self.ranges = fault, lost, ranges

    async def _call_s3(self, method: str, Bucket: str, Key: str, Range: str = "") -> dict[str, Any]:
        assert (method, Bucket, Key) == ("get_object", "bucket", "in/a.tif")
        if self.fault:
            raise self.fault
        start, _, end = Range.removeprefix("bytes=").partition("-")
        content = CONTENT[int(start) : int(end) + 1] if Range and self.ranges else CONTENT
        answer = {"Body": Stream(content[self.lost :]), "ContentLength": len(content), "ETag": '"1"'}
        return answer | ({"ContentRange": f"bytes {start}-{end}/100"} if Range and self.ranges else {})


def reply(system: System, span: str) -> Reply:
    return asyncio.run(request(system, "s3://bucket/in/a.tif", span))


def test_bytes_of_an_object_and_what_it_is() -> None:
    assert reply(System(), "10-19") == Reply(CONTENT[10:20], 100, '"1"')
    assert reply(System(), "") == Reply(CONTENT, 100, '"1"')


@pytest.mark.parametrize(
    "system, kind, complaint",
    [
        (System(FileNotFoundError("S3cr3t")), Missing, "'s3://bucket/in/a.tif' is not there"),
        (System(PermissionError("S3cr3t")), Unreachable, "the bucket refuses it; check the credentials"),
        (
            System(type("NoCredentialsError", (Exception,), {})("S3cr3t")),
            Unreachable,
            "credentials .* are not whole",
        ),
        (System(OSError("S3cr3t")), Broken, "OSError"),
        (System(lost=1), Broken, "it ended early"),
        (System(ranges=False), Unreachable, "does not send ranges of it"),
    ],
)
def test_errors_are_one_line_without_what_was_asked(system: System, kind: type[Exception], complaint: str) -> None:
    with pytest.raises(kind, match=complaint) as caught:
        reply(system, "10-19")
    assert "S3cr3t" not in "".join(traceback.format_exception(caught.value))


def test_an_object_is_asked_for_below_its_address_and_again_where_it_breaks(monkeypatch: pytest.MonkeyPatch) -> None:
    system = System(lost=3)
    system.loop = get_loop()  # type: ignore[attr-defined]
    monkeypatch.setattr(s3_objects, "file_system", lambda pid: system)
    monkeypatch.setattr(ranges, "WAITS_S", (0.0,))
    with pytest.raises(Unreachable, match="the connection broke 2 times"):
        S3Objects("s3://bucket/in").get("a.tif", "10-19")
    system.lost = 0
    assert S3Objects("s3://bucket/in").get("a.tif", "10-19") == Reply(CONTENT[10:20], 100, '"1"')
    monkeypatch.setattr(s3_objects, "LARGEST", 50)
    with pytest.raises(Unreachable, match="s3://bucket/in/a.tif"):
        S3Objects("s3://bucket/in").get("a.tif")


@pytest.mark.parametrize("credentials", [None, "of somebody"])
def test_a_bucket_is_asked_without_a_signature_where_nothing_says_one(credentials, monkeypatch) -> None:
    session = SimpleNamespace(get_credentials=lambda: credentials)
    modules = {"botocore.session": SimpleNamespace(get_session=lambda: session),
               "s3fs": SimpleNamespace(S3FileSystem=lambda **options: options)}  # fmt: skip
    monkeypatch.setattr(s3_objects, "import_module", modules.__getitem__)
    assert s3_objects.file_system.__wrapped__(1)["anon"] is (credentials is None)


def test_settings_that_botocore_does_not_take_are_one_line_without_their_secrets(monkeypatch) -> None:
    def damaged(name: str) -> None:
        raise ValueError("aws_secret_access_key = S3cr3t")

    monkeypatch.setattr(s3_objects, "import_module", damaged)
    with pytest.raises(Unreachable, match="botocore says ValueError; mend AWS_PROFILE") as caught:
        s3_objects.file_system.__wrapped__(1)
    assert "S3cr3t" not in "".join(traceback.format_exception(caught.value))
