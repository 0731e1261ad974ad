"""s3:// against what s3fs answers with, without a server: `docs/scenes.md` says what was tried with one."""

from __future__ import annotations

import asyncio
import traceback
from typing import Any

import pytest

from domains.scenes.ranges import Broken, Missing, Reply, Unreachable
from domains.scenes.s3_objects import request

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
