"""Take one program out of an upstream image, straight from its registry: no container engine is needed.

Follows the OCI distribution specification; every part is checked against the digest it is asked for by.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import ssl
import tarfile
import tempfile
import urllib.error
import urllib.parse
import urllib.request
from dataclasses import dataclass, field
from http.client import HTTPException, HTTPResponse
from pathlib import Path
from typing import IO, Any

from conformance.errors import ConformanceError, MachineLacks
from conformance.provision import upstream
from conformance.provision.oci import ARCHITECTURE, MANIFEST
from conformance.provision.pins import UpstreamImage

ACCEPTED = ", ".join([
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
    MANIFEST,
    "application/vnd.docker.distribution.manifest.v2+json",
])  # fmt: skip
#: Seconds in which a registry answers, or sends more of an answer.
ANSWER_SECONDS = 20.0


class Unreachable(ConformanceError):
    """A registry does not answer, or has not what it is asked for: there may be another way to get it."""


def fetch(image: UpstreamImage, path: str, into: Path) -> None:
    """Write the file at `path` of an image to `into`.

    Raises `Unreachable`, and `MachineLacks` where the registry has another content than before under the same
    tag, or sends something other than it was asked for.
    """
    reference = upstream.source(image)
    name, _, tag = reference.rpartition(":")
    host, _, repository = name.partition("/")
    local = re.match(r"(127\.|localhost\b)", host)
    remote = _Remote(f"{'http' if local else 'https'}://{host}/v2/{repository}")
    try:
        manifest = remote.read(f"manifests/{tag}")
        upstream.verify(image, f"sha256:{hashlib.sha256(manifest).hexdigest()}")
        said = json.loads(manifest)
        if "manifests" in said:
            said = json.loads(remote.read(f"manifests/{_for_this_machine(said, reference)}"))
        for layer in reversed(said["layers"]):
            with tempfile.TemporaryFile() as blob:
                remote.copy(f"blobs/{layer['digest']}", blob)
                if _take(blob, path.lstrip("/"), into):
                    return
    except (urllib.error.URLError, HTTPException, ssl.SSLError, OSError) as error:
        raise Unreachable(f"{reference} cannot be had: {error}") from error
    raise MachineLacks(f"{reference} holds no {path}")


@dataclass
class _Remote:
    """One repository of a registry, with the token that it gives to anybody, if it wants one."""

    base: str
    headers: dict[str, str] = field(default_factory=dict)

    def read(self, what: str) -> bytes:
        with self._open(what) as answer:
            content = answer.read()
        wanted = what.rpartition("/")[2]
        if wanted.startswith("sha256:") and hashlib.sha256(content).hexdigest() != wanted.removeprefix("sha256:"):
            raise MachineLacks(f"{self.base}/{what} is not what its digest says")
        return content

    def copy(self, what: str, target: IO[bytes]) -> None:
        with self._open(what) as answer:
            shutil.copyfileobj(answer, target, 1 << 20)
        target.seek(0)
        if hashlib.file_digest(target, "sha256").hexdigest() != what.rpartition(":")[2]:  # type: ignore[arg-type]
            raise MachineLacks(f"{self.base}/{what} is not what its digest says")
        target.seek(0)

    def _open(self, what: str) -> HTTPResponse:
        try:
            return self._ask(f"{self.base}/{what}", {"Accept": ACCEPTED, **self.headers})
        except urllib.error.HTTPError as error:
            challenge = dict(re.findall(r'(\w+)="([^"]*)"', error.headers.get("WWW-Authenticate", "")))
            if error.code != 401 or "realm" not in challenge or self.headers:
                raise
            query = urllib.parse.urlencode(
                {name: challenge[name] for name in ("service", "scope") if name in challenge}
            )
            with self._ask(f"{challenge['realm']}?{query}", {}) as answer:
                given: dict[str, Any] = json.loads(answer.read())
            self.headers["Authorization"] = f"Bearer {given.get('token') or given['access_token']}"
            return self._open(what)

    def _ask(self, url: str, headers: dict[str, str]) -> HTTPResponse:
        request = urllib.request.Request(url, headers=headers)  # noqa: S310 - http only to this machine itself
        answer: HTTPResponse = urllib.request.urlopen(request, timeout=ANSWER_SECONDS)  # noqa: S310
        return answer


def _for_this_machine(index: dict[str, Any], reference: str) -> str:
    for manifest in index["manifests"]:
        platform = manifest.get("platform", {})
        if (platform.get("os"), platform.get("architecture")) == ("linux", ARCHITECTURE):
            return str(manifest["digest"])
    raise MachineLacks(f"{reference} is not published for linux/{ARCHITECTURE}")


def _take(layer: IO[bytes], path: str, into: Path) -> bool:
    with tarfile.open(fileobj=layer, mode="r:*") as archive:
        for member in archive:
            if member.name.removeprefix("./") == path and member.isfile():
                content = archive.extractfile(member)
                if content is None:
                    break
                with into.open("wb") as target:
                    shutil.copyfileobj(content, target, 1 << 20)
                into.chmod(0o755)
                return True
    return False
