"""Pull upstream images by digest: the pinned one, or the one recorded at the first pull (law 7)."""

from __future__ import annotations

import json
import logging
import os
from dataclasses import dataclass, field
from pathlib import Path

from conformance import paths
from conformance.errors import CommandFailed, MachineLacks
from conformance.provision.engine import Engine
from conformance.provision.pins import UpstreamImage
from conformance.provision.progress import step
from conformance.provision.store import key

log = logging.getLogger(__name__)

#: Names a registry, `host:port` or `host/path`, from which all upstream images are taken instead of their own.
MIRROR = "AGENTS_CONFORMANCE_IMAGE_MIRROR"
#: Seconds that one pull may take: a node image has 0.4 GB.
PULL_SECONDS = 1800.0


@dataclass
class Puller:
    """Pulls through one engine; a registry that could not be reached is not asked again in this run."""

    engine: Engine
    unreachable: set[str] = field(default_factory=set)

    def pull(self, image: UpstreamImage) -> str | None:
        """Return the reference, by digest, of an image that is in the engine now; None where it cannot be pulled.

        Raises `MachineLacks` where the registry has another content than before under the same tag.
        """
        reference = source(image)
        repository = reference.rpartition(":")[0]
        registry = repository.partition("/")[0]
        if registry in self.unreachable:
            return None
        try:
            with step(f"pulling {reference}"):
                self.engine.run("pull", "--quiet", reference, timeout=PULL_SECONDS)
        except CommandFailed as error:
            log.info("%s cannot be had: %s", reference, str(error)[-300:])
            if "not found" not in str(error) and "manifest unknown" not in str(error):
                self.unreachable.add(registry)
            return None
        found = self._digest(reference, repository)
        known = digest(image)
        if known is None:
            _record(image, found)
        elif known != found:
            self.engine.run("image", "rm", reference, check=False)
            raise MachineLacks(
                f"{reference} has digest {found}, but {known} was {'pinned' if image.digest else 'recorded'} for "
                f"{image}; the registry's content changed under the tag. If that is right, remove its line from "
                f"{_records()}"
            )
        return f"{repository}@{found}"

    def extract(self, reference: str, path: str, into: Path) -> Path:
        """Copy one program out of an image that is in the engine."""
        name = f"agents-conformance-extract-{key([reference, str(into.parent.parent)])}"
        self.engine.run("rm", "--force", name, check=False)  # of a run that was killed
        self.engine.run("create", "--name", name, "--label", "agents-conformance=build", reference, "none")
        try:
            self.engine.run("cp", f"{name}:{path}", into, timeout=PULL_SECONDS)
        finally:
            self.engine.run("rm", "--force", name, check=False)
        into.chmod(0o755)
        return into

    def _digest(self, reference: str, repository: str) -> str:
        said = self.engine.inspect("image", reference) or {}
        short = repository.removeprefix("docker.io/")
        for known in said.get("RepoDigests") or ():
            name, _, found = known.partition("@")
            if name in (repository, short, short.removeprefix("library/")):
                return str(found)
        raise MachineLacks(f"the engine names no digest for {reference} after pulling it")


def known(image: UpstreamImage) -> str | None:
    """Return the reference by digest of an image that was pulled before, or whose digest is pinned."""
    found = digest(image)
    return f"{source(image).rpartition(':')[0]}@{found}" if found else None


def digest(image: UpstreamImage) -> str | None:
    """Return an image's digest, pinned or recorded at its first pull, by its own name and not a mirror's."""
    return image.digest or _recorded().get(str(image))


def source(image: UpstreamImage) -> str:
    """Return where an image is pulled from: its own registry, or the mirror that the caller names."""
    mirror = os.environ.get(MIRROR)
    if not mirror:
        return str(image)
    return f"{mirror.rstrip('/')}/{str(image).partition('/')[2]}"


def _records() -> Path:
    return paths.state() / "digests.json"


def _recorded() -> dict[str, str]:
    return dict(json.loads(_records().read_text())) if _records().exists() else {}


def _record(image: UpstreamImage, found: str) -> None:
    log.info("%s has digest %s: recorded, and checked from now on", image, found)
    _records().parent.mkdir(parents=True, exist_ok=True)
    fresh = _records().with_suffix(".new")
    fresh.write_text(json.dumps(_recorded() | {str(image): found}, indent=2) + "\n")
    fresh.replace(_records())
