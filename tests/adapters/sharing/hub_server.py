"""A server on the loopback address that speaks as much of the Hub as adapters need: look up, fetch, make, commit."""

from __future__ import annotations

import base64
import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlsplit

TOKEN = "hf_secretsecretsecretsecretsecretsecret"


class Hub(ThreadingHTTPServer):
    """Repositories: name -> commit -> file -> bytes, and name -> revision -> commit. `asked`: every request's path."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.commits: dict[str, dict[str, dict[str, bytes]]] = {}
        self.refs: dict[str, dict[str, str]] = {}
        self.asked: list[str] = []
        self.sizes: dict[str, int] = {}
        """File -> a size that is said in place of the true one."""

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def commit(self, repo: str, files: dict[str, bytes], revision: str = "main") -> str:
        number = len(self.commits.get(repo, {}))
        oid = hashlib.sha1(f"{repo} {number}".encode()).hexdigest()
        self.commits.setdefault(repo, {})[oid] = files
        self.refs.setdefault(repo, {})[revision] = oid
        return oid

    def files(self, repo: str, revision: str) -> tuple[str, dict[str, bytes]] | None:
        oid = self.refs.get(repo, {}).get(revision, revision)
        files = self.commits.get(repo, {}).get(oid)
        return None if files is None else (oid, files)


class Handler(BaseHTTPRequestHandler):
    server: Hub

    def log_message(self, *_: object) -> None:
        pass

    def answer(self, status: int, content: bytes = b"", **headers: str) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(content)), **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def json(self, content: object) -> None:
        self.answer(200, json.dumps(content).encode(), Content_Type="application/json")

    def missing(self, repo: str) -> None:
        code = "RevisionNotFound" if repo in self.server.commits else "RepoNotFound"
        self.answer(404, b"{}", X_Error_Code=code)

    def do_GET(self) -> None:
        path = unquote(urlsplit(self.path).path)
        self.server.asked.append(path)
        words = path.strip("/").split("/")
        if words[:2] == ["api", "models"]:
            self.look_up("/".join(words[2:4]), "/".join(words[5:]) or "main")
        elif "resolve" in words:
            self.resolve("/".join(words[:2]), words[3], "/".join(words[4:]))
        else:
            self.answer(404)

    do_HEAD = do_GET

    def look_up(self, repo: str, revision: str) -> None:
        known = self.server.files(repo, revision)
        if known is None:
            return self.missing(repo)
        oid, files = known
        sizes = {name: self.server.sizes.get(name, len(content)) for name, content in files.items()}
        siblings = [{"rfilename": name, "size": size, "blobId": "0" * 40} for name, size in sizes.items()]
        self.json({"id": repo, "modelId": repo, "sha": oid, "siblings": siblings, "tags": [], "downloads": 0})

    def resolve(self, repo: str, revision: str, name: str) -> None:
        known = self.server.files(repo, revision)
        if known is None:
            return self.missing(repo)
        oid, files = known
        if name not in files:
            return self.answer(404, X_Error_Code="EntryNotFound", X_Repo_Commit=oid)
        etag = hashlib.sha1(files[name]).hexdigest()
        self.answer(200, files[name], ETag=f'"{etag}"', X_Repo_Commit=oid)

    def do_POST(self) -> None:
        path = unquote(urlsplit(self.path).path)
        self.server.asked.append(path)
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.headers.get("Authorization") != f"Bearer {TOKEN}":
            return self.answer(401, b"{}")
        words = path.strip("/").split("/")
        if words == ["api", "repos", "create"]:
            asked = json.loads(body)
            repo = "/".join(filter(None, (asked.get("organization"), asked["name"])))
            self.server.commits.setdefault(repo, {})
            self.json({"url": f"{self.server.address}/{repo}", "id": "1", "name": repo})
        elif words == ["api", "validate-yaml"]:  # the card's front matter
            self.json({"errors": [], "warnings": []})
        elif words[4:5] == ["preupload"]:
            files = [file["path"] for file in json.loads(body)["files"]]
            self.json({"files": [{"path": name, "uploadMode": "regular", "shouldIgnore": False} for name in files]})
        elif words[4:5] == ["commit"]:
            repo, lines = "/".join(words[2:4]), [json.loads(line) for line in body.splitlines() if line.strip()]
            files = {x["value"]["path"]: base64.b64decode(x["value"]["content"]) for x in lines if x["key"] == "file"}
            oid = self.server.commit(repo, files)
            self.json({"success": True, "commitOid": oid, "commitUrl": f"{self.server.address}/{repo}/commit/{oid}"})
        else:
            self.answer(404)


@contextmanager
def serving() -> Iterator[Hub]:
    """The server, for as long as the context."""
    hub = Hub()
    thread = threading.Thread(target=hub.serve_forever, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        hub.shutdown()
        hub.server_close()
        thread.join()
