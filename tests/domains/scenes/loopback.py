"""A small HTTP server on the loopback address: ranges, passwords, redirects, what breaks and what changes."""

from __future__ import annotations

import base64
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit


@dataclass
class Server:
    """folder: what is served. port: where. served: bytes of bodies. requests: (path with its query, range) of each.

    password: `NAME:PASSWORD` that is asked for. query: that is asked for, as of a signature. ranges: whether they are
    known. breaks: how many of the next replies end early. tag: of every object.
    """

    folder: Path
    port: int = 0
    served: int = 0
    requests: list[tuple[str, str]] = field(default_factory=list)
    password: str = ""
    query: str = ""
    ranges: bool = True
    breaks: int = 0
    status: int = 0
    tag: str = '"1"'
    moved: dict[str, str] = field(default_factory=dict)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def forget(self) -> None:
        """Count from nothing."""
        self.served = 0
        self.requests.clear()


@contextmanager
def serving(folder: Path) -> Iterator[Server]:
    """A server of a folder, until the block ends."""
    server = Server(folder)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, format: str, *args: object) -> None:
            pass

        def do_GET(self) -> None:
            answer(server, self)

    class Listener(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, request: object, client_address: object) -> None:
            """Nothing: a client that has enough closes the connection."""

    with Listener(("127.0.0.1", 0), Handler) as listener:
        server.port = listener.server_address[1]
        thread = threading.Thread(target=listener.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        try:
            yield server
        finally:
            listener.shutdown()
            thread.join()


def answer(server: Server, request: BaseHTTPRequestHandler) -> None:
    """Send one reply."""
    address = urlsplit(request.path)
    path, span = unquote(address.path), request.headers.get("Range", "")
    server.requests.append((request.path, span))
    if path in server.moved:
        return send(request, 302, b"", {"Location": server.moved[path]})
    expected = f"Basic {base64.b64encode(server.password.encode()).decode()}"
    if server.password and request.headers.get("Authorization") != expected:
        return send(request, 401, b"", {"WWW-Authenticate": "Basic"})
    if server.query and address.query != server.query:
        return send(request, 403, b"")
    if server.status:
        return send(request, server.status, b"")
    file = server.folder / path.lstrip("/")
    if not file.is_file():
        return send(request, 404, b"")
    content, status, headers = file.read_bytes(), 200, {"ETag": server.tag}
    if span and server.ranges:
        begin, _, stop = span.removeprefix("bytes=").partition("-")
        size = len(content)
        start = int(begin) if begin else max(0, size - int(stop))
        end = min(int(stop) + 1 if begin and stop else size, size)
        if start >= size:
            return send(request, 416, b"")
        headers["Content-Range"] = f"bytes {start}-{end - 1}/{size}"
        content, status = content[start:end], 206
    broken = server.breaks > 0 and len(content) > 1
    server.breaks -= broken
    server.served += len(content)
    return send(request, status, content, headers, broken)


def send(
    request: BaseHTTPRequestHandler,
    status: int,
    content: bytes,
    headers: dict[str, str] | None = None,
    broken: bool = False,
) -> None:
    """A reply; a broken one ends in the middle of its body."""
    request.send_response(status)
    for name, value in {"Content-Length": str(len(content)), **(headers or {})}.items():
        request.send_header(name, value)
    request.end_headers()
    with suppress(OSError):  # the client had enough
        request.wfile.write(content[: len(content) // 2] if broken else content)
    if broken:
        request.close_connection = True
