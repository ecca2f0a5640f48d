"""Container images without an engine: build them deterministically, write them as an archive, push them.

The same input gives the same digest on any machine, so an image is known by what is in it. Formats: the OCI image
and distribution specifications, and Docker's archive (which both Docker and containerd load).
"""

from __future__ import annotations

import functools
import hashlib
import io
import json
import platform
import tarfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import urllib3

from conformance.errors import MachineLacks
from conformance.provision.store import file_hash

ARCHITECTURE = {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar"
#: What a program in an image is found on; Docker's own default.
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
EPOCH = "1970-01-01T00:00:00Z"

#: Seconds that one request to the local registry may take.
PUSH_SECONDS = 120.0


@dataclass(frozen=True)
class Entry:
    """One file of a layer, at `path` in the image: its content or source, or the target it links to."""

    path: str
    source: Path | bytes | None = None
    link: str | None = None
    mode: int = 0o755


@dataclass(frozen=True)
class ImageFile:
    """One image: the tars of its layers, lowest first, and its configuration."""

    layers: tuple[Path, ...]
    entrypoint: tuple[str, ...] = ()
    command: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    user: str = ""

    def config(self) -> bytes:
        """Return the image configuration, without any time of making."""
        process: dict[str, Any] = {
            "Entrypoint": list(self.entrypoint),
            "Cmd": list(self.command),
            "Env": [f"{name}={value}" for name, value in sorted(self.environment.items())],
            "Labels": dict(self.labels),
            "User": self.user,
        }
        return _json({
            "created": EPOCH,
            "architecture": ARCHITECTURE,
            "os": "linux",
            "config": {name: value for name, value in process.items() if value},
            "rootfs": {"type": "layers", "diff_ids": [f"sha256:{_hash_of(layer)}" for layer in self.layers]},
        })  # fmt: skip

    def manifest(self) -> bytes:
        """Return the OCI manifest; its SHA-256 is the digest that the image is pulled by."""
        config = self.config()
        return _json({
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": {"mediaType": CONFIG, "digest": digest(config), "size": len(config)},
            "layers": [
                {"mediaType": LAYER, "digest": f"sha256:{_hash_of(layer)}", "size": layer.stat().st_size}
                for layer in self.layers
            ],
        })  # fmt: skip


def write_layer(tar: Path, entries: Iterable[Entry]) -> Path:
    """Write the tar of one layer, the same for the same entries: owned by root, without times."""
    with tarfile.open(tar, "w", format=tarfile.GNU_FORMAT) as archive:
        made: set[str] = set()
        for entry in entries:
            path = entry.path.lstrip("/")
            for parent in reversed(Path(path).parents[:-1]):
                if str(parent) not in made:
                    made.add(str(parent))
                    folder = tarfile.TarInfo(str(parent))
                    folder.type, folder.mode = tarfile.DIRTYPE, 0o755
                    archive.addfile(folder)
            info = tarfile.TarInfo(path)
            info.mode = entry.mode
            if entry.link is not None:
                info.type, info.linkname = tarfile.SYMTYPE, entry.link
                archive.addfile(info)
            elif isinstance(entry.source, Path):
                info.size = entry.source.stat().st_size
                with entry.source.open("rb") as source:
                    archive.addfile(info, source)
            else:
                content = entry.source or b""
                info.size = len(content)
                archive.addfile(info, io.BytesIO(content))
    return tar


def write_archive(archive: Path, images: Mapping[str, ImageFile]) -> None:
    """Write images, by reference, as one archive for `docker load` or `ctr images import`."""
    with tarfile.open(archive, "w") as target:
        said: list[dict[str, Any]] = []
        written: set[str] = set()
        for reference, image in images.items():
            config = image.config()
            names = [f"{file_hash(layer)}.tar" for layer in image.layers]
            for name, layer in zip(names, image.layers, strict=True):
                if name not in written:
                    written.add(name)
                    target.add(layer, name)
            name = f"{hashlib.sha256(config).hexdigest()}.json"
            _add(target, name, config)
            said.append({"Config": name, "RepoTags": [reference], "Layers": names})
        _add(target, "manifest.json", json.dumps(said).encode())


def push(registry: str, repository: str, tag: str, image: ImageFile) -> str:
    """Push an image to the local registry at `host:port` and return its digest; what is there is not sent again.

    Raises `MachineLacks` when the registry does not answer or does not take it.
    """
    manifest = image.manifest()
    with urllib3.PoolManager(retries=False, timeout=PUSH_SECONDS) as pool:
        base = f"http://{registry}/v2/{repository}"
        if _ask(pool, "HEAD", f"{base}/manifests/{tag}", headers={"Accept": MANIFEST}).headers.get(
            "Docker-Content-Digest"
        ) != digest(manifest):
            config = image.config()
            _push_blob(pool, base, digest(config), config)
            for layer in image.layers:
                _push_blob(pool, base, f"sha256:{_hash_of(layer)}", layer)
            answer = _ask(
                pool, "PUT", f"{base}/manifests/{tag}", body=manifest, headers={"Content-Type": MANIFEST}
            )
            if answer.status != 201:
                raise MachineLacks(f"the local registry {registry} refused {repository}:{tag}: {answer.data!r}")
    return digest(manifest)


def _hash_of(layer: Path) -> str:
    """Return the hash of a layer's tar; one of 60 MB is part of several images."""
    seen = layer.stat()
    return _hash_then(layer, seen.st_ino, seen.st_size, seen.st_mtime_ns)


@functools.lru_cache(maxsize=64)
def _hash_then(layer: Path, *_seen: int) -> str:
    return file_hash(layer)


def digest(content: bytes) -> str:
    """Return the digest of a content, as registries write it."""
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def _push_blob(pool: urllib3.PoolManager, base: str, name: str, blob: bytes | Path) -> None:
    if _ask(pool, "HEAD", f"{base}/blobs/{name}").status == 200:
        return
    begun = _ask(pool, "POST", f"{base}/blobs/uploads/")
    place = begun.headers.get("Location", "")
    content = blob.read_bytes() if isinstance(blob, Path) else blob
    query = "&" if "?" in place else "?"
    answer = _ask(pool, "PUT", f"{place}{query}digest={name}", body=content,
                  headers={"Content-Type": "application/octet-stream"})  # fmt: skip
    if answer.status != 201:
        raise MachineLacks(f"the local registry at {base} refused a layer with status {answer.status}")


def _ask(pool: urllib3.PoolManager, method: str, url: str, **more: Any) -> urllib3.BaseHTTPResponse:  # noqa: ANN401
    try:
        return pool.request(method, url, **more)
    except urllib3.exceptions.HTTPError as error:
        raise MachineLacks(f"the local registry does not answer {method} {url}: {error}") from error


def _add(target: tarfile.TarFile, name: str, content: bytes) -> None:
    info = tarfile.TarInfo(name)
    info.size = len(content)
    target.addfile(info, io.BytesIO(content))


def _json(content: Any) -> bytes:  # noqa: ANN401
    return json.dumps(content, sort_keys=True, separators=(",", ":")).encode()
