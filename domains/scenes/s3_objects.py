"""Objects behind s3://, by s3fs: credentials, region and endpoint are what botocore finds in the environment or ~/.aws.

Where it finds none, public buckets are asked without a signature.
"""

from __future__ import annotations

import os
import re
from functools import lru_cache
from importlib import import_module
from typing import Any, cast

from domains.scenes.address import below
from domains.scenes.ranges import LARGEST, Broken, Missing, Reply, Unreachable, check_size, patiently

_RANGE = re.compile(r"bytes \d+-\d+/(\d+)")


class S3Objects:
    """What lies at and below an address."""

    def __init__(self, url: str) -> None:
        self.url = url

    def get(self, key: str = "", span: str = "") -> Reply:
        """As `Objects.get`."""
        from fsspec.asyn import sync

        system = file_system(os.getpid())
        url = below(self.url, key)
        return patiently(url, lambda: cast(Reply, sync(system.loop, request, system, url, span)))


@lru_cache(maxsize=1)
def file_system(pid: int) -> Any:
    """s3fs of this process. pid: its connections survive no fork. Raises `Unreachable` for settings that botocore does
    not take.
    """
    try:
        anonymous = import_module("botocore.session").get_session().get_credentials() is None
        return import_module("s3fs").S3FileSystem(anon=anonymous, skip_instance_cache=True)
    except Exception as error:  # botocore raises anything on what stands in ~/.aws
        kind = type(error).__name__
    raise Unreachable(f"s3:// cannot be read: botocore says {kind}; mend AWS_PROFILE and what is in ~/.aws")


async def request(system: Any, url: str, span: str) -> Reply:
    """One reply. Raises `Broken`, `Missing`, `Unreachable`, none of which shows a secret."""
    bucket, _, key = url.removeprefix("s3://").partition("/")
    asked = {"Range": f"bytes={span}"} if span else {}
    try:
        response = await system._call_s3("get_object", Bucket=bucket, Key=key, **asked)
        async with response["Body"] as stream:
            check_size(url, response["ContentLength"], LARGEST)
            content = await stream.read()
    except Unreachable:
        raise
    except Exception as error:  # botocore and aiohttp raise anything, with what they were asked in it
        raise complaint(url, error) from None
    if len(content) != response["ContentLength"]:
        raise Broken("it ended early")
    place = _RANGE.fullmatch(response.get("ContentRange", ""))
    if span and place is None:
        raise Unreachable(f"{url!r}: the server does not send ranges of it, and the whole is not downloaded")
    return Reply(content, int(place[1]) if place else len(content), response.get("ETag", ""))


def complaint(url: str, error: Exception) -> Exception:
    """What is to be said for an error of s3fs; it has retried by itself what may be retried."""
    if isinstance(error, FileNotFoundError):
        return Missing(f"{url!r} is not there; check the address")
    if isinstance(error, PermissionError):
        return Unreachable(
            f"{url!r}: the bucket refuses it; check the credentials in the environment or ~/.aws, and their rights"
        )
    if type(error).__name__ in ("NoCredentialsError", "PartialCredentialsError"):
        return Unreachable(f"{url!r}: the credentials in the environment or ~/.aws are not whole; mend them")
    return Broken(type(error).__name__)
