"""Objects behind https://, by the session of fsspec's file system; http:// within this machine.

fsspec's own reader follows a redirect anywhere, downloads a file of a server that knows no ranges, and shows addresses
with their signatures in what it raises: so requests are sent here. A password is that of the address or of ~/.netrc,
and goes to no other host; proxies are those of the environment.
"""

from __future__ import annotations

import asyncio
import os
import re
from functools import lru_cache
from typing import Any, cast
from urllib.parse import urljoin, urlsplit

from domains.scenes.address import below, may_be_asked, public
from domains.scenes.ranges import LARGEST, Broken, Missing, Reply, Unreachable, check_size, patiently

REDIRECTS = 5
CONNECT_S, SILENCE_S = 30, 60  # after which a connection is given up
AGAIN = frozenset({408, 425, 429, 500, 502, 503, 504})
MOVED = frozenset({301, 302, 303, 307, 308})
COMPLAINTS = {
    401: "the server asks for a name and password (401); put them into ~/.netrc, or before the host as NAME:PASSWORD@",
    403: "the server refuses it (403): it is not for everybody, or its signature is over; ask for another address",
    416: "the server has no such range of it (416): it is empty, or was changed while it was read",
}
_RANGE = re.compile(r"bytes (\d+)-(\d+)/(\d+)")


class HttpObjects:
    """What lies at and below an address. url: with its secrets."""

    def __init__(self, url: str) -> None:
        self.url, self.name = url, public(url)

    def get(self, key: str = "", span: str = "") -> Reply:
        """As `Objects.get`."""
        from fsspec.asyn import sync

        system = file_system(os.getpid())
        url = below(self.url, key)
        name = public(url)
        return patiently(name, lambda: cast(Reply, sync(system.loop, request, system, url, span)))


@lru_cache(maxsize=1)
def file_system(pid: int) -> Any:
    """fsspec's, with a session of this process. pid: a session survives no fork."""
    from aiohttp import ClientTimeout
    from fsspec.implementations.http import HTTPFileSystem

    timeout = ClientTimeout(total=None, sock_connect=CONNECT_S, sock_read=SILENCE_S)
    return HTTPFileSystem(client_kwargs={"timeout": timeout, "trust_env": True}, skip_instance_cache=True)


async def request(system: Any, url: str, span: str) -> Reply:
    """One reply, after redirects. Raises `Broken`, `Missing`, `Unreachable`, none of which shows a secret."""
    from aiohttp import ClientError

    session, name = await system.set_session(), public(url)
    headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={span}"} if span else {})
    try:
        for _ in range(REDIRECTS + 1):
            async with session.get(system.encode_url(url), headers=headers, allow_redirects=False) as response:
                if response.status not in MOVED:
                    return await reply_of(response, name, span)
                url = redirected(url, response.headers.get("Location", ""), name)
    except (ClientError, TimeoutError, asyncio.IncompleteReadError, OSError) as error:
        raise Broken(f"{type(error).__name__}") from None
    raise Unreachable(f"{name!r}: the server sends on more than {REDIRECTS} times; check the address")


def redirected(url: str, location: str, name: str) -> str:
    """Where a server sends on to. Raises `Unreachable` for another protocol than https, or than that of the address."""
    onward = urljoin(url, location)
    before, after = urlsplit(url), urlsplit(onward)
    if not location or not may_be_asked(onward) or (before.scheme, after.scheme) == ("https", "http"):
        raise Unreachable(f"{name!r}: the server sends on to what is not https://; check the address")
    if (before.scheme, before.netloc.rpartition("@")[2]) == (after.scheme, after.netloc):
        onward = after._replace(netloc=before.netloc).geturl()  # the same server may have the password again
    return onward


async def reply_of(response: Any, name: str, span: str) -> Reply:
    """The bytes of a response, or what its status says. Raises `Broken`, `Missing`, `Unreachable`."""
    status, headers = response.status, response.headers
    if status in (404, 410):
        raise Missing(f"{name!r} is not there ({status}); check the address")
    if status in AGAIN:
        raise Broken(f"status {status}")
    if status in COMPLAINTS or status not in (200, 206):
        raise Unreachable(f"{name!r}: {COMPLAINTS.get(status, f'the server answers {status}; check the address')}")
    tag = headers.get("ETag") or headers.get("Last-Modified") or ""
    if not span:
        content = await body(response, name, LARGEST)
        return Reply(content, len(content), tag)
    place = _RANGE.fullmatch(headers.get("Content-Range", ""))
    if status == 200 or place is None or headers.get("Content-Encoding", "identity") != "identity":
        raise Unreachable(
            f"{name!r}: the server does not send ranges of it, and the whole is not downloaded; download it yourself, "
            "or put it on a server that does"
        )
    start, end, size = map(int, place.groups())
    if not within(span, start, end, size):
        raise Unreachable(f"{name!r}: the server sends another range than it is asked for; download it yourself")
    content = await body(response, name, end + 1 - start)
    if len(content) != end + 1 - start:
        raise Broken("it ended early")
    return Reply(content, size, tag)


async def body(response: Any, name: str, limit: int) -> bytes:
    """The bytes of a response. Raises `Unreachable` as soon as they are too many."""
    check_size(name, response.content_length or 0, limit=min(limit, LARGEST))
    content = bytearray()
    async for chunk in response.content.iter_chunked(2**16):
        content += chunk
        check_size(name, len(content), min(limit, LARGEST))
    return bytes(content)


def within(span: str, start: int, end: int, size: int) -> bool:
    """Whether a range from `start` to `end`, of an object of `size`, is what was asked for."""
    begin, _, stop = span.partition("-")
    if not begin:
        return start == max(0, size - int(stop)) and end == size - 1
    return start == int(begin) and end == min(int(stop) if stop else size - 1, size - 1)
