"""A git repository and an OCI registry, on one port of loopback, that give a chart to whoever knows a password."""

from __future__ import annotations

import base64
import hashlib
import http.server
import json
import os
import subprocess
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

IDENTITY = ("-c", "user.name=Test", "-c", "user.email=test@example.org", "-c", "commit.gpgsign=false")
_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
_CONFIG, _CHART = "application/vnd.cncf.helm.config.v1+json", "application/vnd.cncf.helm.chart.content.v1.tar+gzip"


@dataclass(frozen=True)
class Sources:
    """What is served: git repositories below a folder, and registry answers by path with their media type.

    `passwords` are those that any user may come with; `came` are the paths that were given away.
    """

    repositories: Path
    registry: Mapping[str, tuple[str, bytes]]
    passwords: frozenset[str]
    came: list[str]


def commit(chart: Path, repository: Path) -> Path:
    """Make a new repository that holds a chart's folder on its branch main; return it."""

    def git(*words: str | Path) -> None:
        subprocess.run(["git", "-C", repository, *IDENTITY, *words], check=True, capture_output=True, timeout=60)

    repository.mkdir(parents=True)
    git("init", "--quiet", "--initial-branch=main")
    chart.rename(repository / chart.name)
    git("add", "--all")
    git("commit", "--quiet", "--message=chart")
    return repository


def published(archive: bytes, repository: str, tag: str) -> dict[str, tuple[str, bytes]]:
    """Return a registry's answers for one packaged chart."""
    blobs = {_CONFIG: b"{}", _CHART: archive}

    def described(media_type: str) -> dict[str, object]:
        blob = blobs[media_type]
        return {"mediaType": media_type, "digest": _digest(blob), "size": len(blob)}

    manifest = json.dumps({
        "schemaVersion": 2, "mediaType": _MANIFEST, "config": described(_CONFIG), "layers": [described(_CHART)],
    }).encode()  # fmt: skip
    base = f"/v2/{repository}"
    return {
        f"{base}/manifests/{tag}": (_MANIFEST, manifest),
        f"{base}/manifests/{_digest(manifest)}": (_MANIFEST, manifest),
        **{f"{base}/blobs/{_digest(blob)}": ("application/octet-stream", blob) for blob in blobs.values()},
    }


def _digest(blob: bytes) -> str:
    return f"sha256:{hashlib.sha256(blob).hexdigest()}"


@contextmanager
def served(sources: Sources) -> Iterator[str]:
    """Serve for a while and yield `host:port`."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self._answer()

        def do_GET(self) -> None:
            self._answer()

        def do_POST(self) -> None:
            self._answer()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

        def _answer(self) -> None:
            path, _, query = self.path.partition("?")
            if not self._is_known():
                self._say(401, {"WWW-Authenticate": 'Basic realm="charts"'}, b"")
            elif path in sources.registry:
                sources.came.append(path)
                media_type, content = sources.registry[path]
                self._say(200, {"Content-Type": media_type, "Docker-Content-Digest": _digest(content)}, content)
            elif path.startswith("/git/"):
                sources.came.append(path)
                self._git(path.removeprefix("/git"), query)
            else:
                self._say(404, {}, b"")

        def _is_known(self) -> bool:
            said = self.headers.get("Authorization", "").removeprefix("Basic ")
            return base64.b64decode(said).decode().partition(":")[2] in sources.passwords

        def _git(self, path: str, query: str) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            environment = {
                "PATH": os.environ["PATH"], "GIT_PROJECT_ROOT": str(sources.repositories), "PATH_INFO": path,
                "GIT_HTTP_EXPORT_ALL": "1", "QUERY_STRING": query, "REQUEST_METHOD": self.command,
                "CONTENT_TYPE": self.headers.get("Content-Type", ""), "CONTENT_LENGTH": str(len(body)),
                "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding", ""),
                "GIT_PROTOCOL": self.headers.get("Git-Protocol", ""),
            }  # fmt: skip
            said = subprocess.run(
                ["git", "http-backend"], input=body, env=environment, capture_output=True, check=True, timeout=60
            )
            head, _, content = said.stdout.partition(b"\r\n\r\n")
            headers = dict(line.split(": ", 1) for line in head.decode().splitlines())
            self._say(int(headers.pop("Status", "200 OK").split()[0]), headers, content)

        def _say(self, status: int, headers: Mapping[str, str], content: bytes) -> None:
            self.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(content))}.items():
                self.send_header(name, value)
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(content)

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"127.0.0.1:{server.server_port}"
        server.shutdown()
