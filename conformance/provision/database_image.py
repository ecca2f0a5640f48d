"""The database server's image: pulled, or made of Debian's package with its data directory in place."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from conformance.errors import MachineLacks
from conformance.provision.debian import Root, make_root
from conformance.provision.engine import Engine
from conformance.provision.golang import SOURCES
from conformance.provision.images import Image
from conformance.provision.oci import PATH, ImageFile
from conformance.provision.oci import push as push_file
from conformance.provision.pins import pins
from conformance.provision.registry import Registry
from conformance.provision.store import Store
from conformance.provision.upstream import known
from conformance.run import Runner

NAME = "postgres"
#: Seconds in which the engine sends the image to the local registry.
PUSH_SECONDS = 600.0
#: What a server without just-in-time compilation, other encodings and Debian's own helpers never opens.
LEFT_OUT = (
    "/usr/lib/*/libLLVM*", "/usr/lib/*/libz3*", "/usr/lib/postgresql/*/lib/bitcode/*", "/usr/lib/*/gconv/*",
    "/usr/lib/*/perl*", "/usr/share/perl*", "/usr/bin/perl*", "/usr/share/i18n/*", "/usr/share/doc/*",
)  # fmt: skip
ROOT = Root(NAME, "extract", LEFT_OUT, SOURCES / NAME / "initdb.sh")


@dataclass(frozen=True)
class DatabaseImage:
    """The image where provisioning left it: in the engine by `reference`, or as the tar of its `root`."""

    reference: str | None
    root: Path | None


def here(engine: Engine, store: Store) -> DatabaseImage | None:
    """Return the image, pulled or built; None where neither is there."""
    reference = known(pins().image(NAME))
    if reference and engine.inspect("image", reference):
        return DatabaseImage(reference, None)
    return DatabaseImage(None, store.path(ROOT.artefact) / "root.tar") if store.has(ROOT.artefact) else None


def build(runner: Runner, store: Store) -> Path:
    """Return the tar of the image's one layer, made first where it is missing. Raises as `make_root` does."""
    return make_root(runner, store, ROOT)


def push(image: DatabaseImage, engine: Engine, registry: Registry) -> Image:
    """Send the image to the local registry and return it; what is there already is not sent again.

    Raises `MachineLacks` where the registry does not take it, `CommandFailed` where the engine cannot send it.
    """
    if image.root is None:
        return push_from_engine(str(image.reference), NAME, engine, registry)
    tag = pins().image(NAME).tag
    file = ImageFile((image.root,), environment={"PATH": f"/usr/local/postgresql:{PATH}"}, user="999:999")
    return Image(f"{registry.pull}/{NAME}", tag, push_file(registry.push, NAME, tag, file))


def push_from_engine(reference: str, name: str, engine: Engine, registry: Registry) -> Image:
    """Send the upstream image that is pinned under `name`, and in the engine by `reference`, and return it.

    Raises as `push` does.
    """
    tag = pins().image(name).tag
    target = f"{registry.push}/{name}:{tag}"
    engine.run("tag", reference, target)
    engine.run("push", "--quiet", target, timeout=PUSH_SECONDS)
    digest = engine.digests(target).get(f"{registry.push}/{name}")
    if digest is None:
        raise MachineLacks(f"the engine names no digest for {target} after pushing it to the local registry")
    return Image(f"{registry.pull}/{name}", tag, digest)
