"""A registry in memory that speaks as much of the OCI distribution specification as pushing and fetching need."""

from __future__ import annotations

import hashlib
import threading
import urllib.parse
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

TOKEN = "anybody"


class FakeRegistry:
    """What is in the registry by path, and what was asked of it; with `closed` it wants a token from everybody."""

    def __init__(self, *, closed: bool = False) -> None:
        self.closed = closed
        self.content: dict[str, bytes] = {}
        self.types: dict[str, str] = {}
        self.asked: list[str] = []
        registry = self

        class Handler(BaseHTTPRequestHandler):
            def do_HEAD(self) -> None:
                registry.get(self)

            def do_GET(self) -> None:
                registry.get(self)

            def do_POST(self) -> None:
                registry.asked.append(f"POST {self.path}")
                registry.answer(self, 202, {"Location": f"{registry.url}{self.path}one?state=x"})

            def do_PUT(self) -> None:
                registry.put(self)

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"127.0.0.1:{self._server.server_port}"
        self.url = f"http://{self.address}"

    def get(self, handler: BaseHTTPRequestHandler) -> None:
        path = handler.path
        self.asked.append(f"{handler.command} {path}")
        if path.startswith("/token"):
            self.answer(handler, 200, {}, f'{{"token": "{TOKEN}"}}'.encode())
        elif self.closed and handler.headers.get("Authorization") != f"Bearer {TOKEN}":
            challenge = f'Bearer realm="{self.url}/token",service="here",scope="repository:x:pull"'
            self.answer(handler, 401, {"WWW-Authenticate": challenge})
        elif path in self.content:
            body = self.content[path]
            digest = f"sha256:{hashlib.sha256(body).hexdigest()}"
            self.answer(handler, 200, {"Docker-Content-Digest": digest}, body)
        else:
            self.answer(handler, 404, {})

    def put(self, handler: BaseHTTPRequestHandler) -> None:
        body = handler.rfile.read(int(handler.headers["Content-Length"]))
        url = urllib.parse.urlsplit(handler.path)
        self.asked.append(f"PUT {url.path}")
        path = url.path
        if "/blobs/uploads/" in path:
            path = path.partition("uploads/")[0] + urllib.parse.parse_qs(url.query)["digest"][0]
        else:
            self.content[f"{path.rpartition('/')[0]}/sha256:{hashlib.sha256(body).hexdigest()}"] = body
        self.content[path] = body
        self.answer(handler, 201, {})

    @staticmethod
    def answer(handler: BaseHTTPRequestHandler, status: int, headers: dict[str, str], body: bytes = b"") -> None:
        handler.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(body))}.items():
            handler.send_header(name, value)
        handler.end_headers()
        if handler.command != "HEAD":
            handler.wfile.write(body)

    @contextmanager
    def serving(self) -> Iterator[FakeRegistry]:
        thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield self
        finally:
            self._server.shutdown()
            thread.join()
            self._server.server_close()
