"""The stub application's images: versions of one program, in the local registry, known by digest."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from conformance import paths
from conformance.provision.golang import Go
from conformance.provision.oci import PATH, Entry, ImageFile, push, write_layer
from conformance.provision.registry import Registry
from conformance.provision.store import Artefact, Store, file_hash
from conformance.temporary import private_folder

STUB = "stub"
#: A user without rights, by number, as charts that ask for `runAsNonRoot` need it.
USER = "65532:65532"


@dataclass(frozen=True)
class Image:
    """An image in the local registry, by the name that pods pull it by."""

    repository: str
    tag: str
    digest: str

    @property
    def reference(self) -> str:
        """Return `repository@digest`."""
        return f"{self.repository}@{self.digest}"


def stub_artefact() -> Artefact:
    """Return the artefact that is the stub's program, keyed by its sources."""
    sources = {path.name: file_hash(path) for path in sorted(_source().glob("*")) if path.is_file()}
    return Artefact.of(STUB, {"sources": sources})


def stub_path(store: Store) -> Path:
    """Return where the stub's program is, or will be."""
    return store.path(stub_artefact()) / STUB


def build_stub(go: Go, store: Store) -> Path:
    """Return the stub's program, tested and built first where it is missing."""

    def make(folder: Path) -> None:
        go.run("test", "./...", cwd=_source())
        go.run("build", "-trimpath", "-ldflags=-s -w", "-o", folder / STUB, ".", cwd=_source())

    return store.make(stub_artefact(), make, what="the stub application") / STUB


def push_stub(
    stub: Path, registry: Registry, version: str, config: Mapping[str, str], executables: Sequence[str] = ()
) -> Image:
    """Push the stub as an image with `config` as its environment, tagged with `version`, and return it.

    `executables` are further paths, or names on PATH, by which a chart calls the program. The same input gives
    the same digest, and what is in the registry already is not sent again. Raises `MachineLacks` when the
    registry does not answer.
    """
    names = [name if name.startswith("/") else f"/usr/local/bin/{name}" for name in executables]
    links = [Entry(name, link=f"/{STUB}", mode=0o777) for name in dict.fromkeys(names) if name != f"/{STUB}"]
    with private_folder() as folder:
        layer = write_layer(folder / "layer.tar", [Entry(f"/{STUB}", stub), *links])
        image = ImageFile(
            (layer,),
            entrypoint=(f"/{STUB}",),
            environment={"PATH": PATH, **config},
            labels={"org.opencontainers.image.version": version},
            user=USER,
        )
        digest = push(registry.push, STUB, version, image)
    return Image(f"{registry.pull}/{STUB}", version, digest)


def _source() -> Path:
    return paths.bundle("fixtures") / "images" / STUB
