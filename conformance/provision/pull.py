"""Pull upstream images into the container engine."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from conformance.errors import CommandFailed, MachineLacks
from conformance.provision import upstream
from conformance.provision.engine import Engine
from conformance.provision.node_image import LABEL
from conformance.provision.pins import UpstreamImage
from conformance.provision.progress import step
from conformance.provision.store import key

log = logging.getLogger(__name__)

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
        reference = upstream.source(image)
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
        try:
            upstream.verify(image, found)
        except MachineLacks:
            self.engine.run("image", "rm", reference, check=False)
            raise
        return f"{repository}@{found}"

    def extract(self, reference: str, path: str, into: Path) -> None:
        """Copy one program out of an image that is in the engine."""
        with self._opened(reference, into) as name:
            self.engine.run("cp", f"{name}:{path}", into, timeout=PULL_SECONDS)
        into.chmod(0o755)

    def export(self, reference: str, into: Path) -> None:
        """Write the file system of an image that is in the engine as one tar."""
        with self._opened(reference, into) as name:
            self.engine.run("export", "--output", into, name, timeout=PULL_SECONDS)

    @contextlib.contextmanager
    def _opened(self, reference: str, into: Path) -> Iterator[str]:
        """Give the name of a container that only holds an image's files, wanted at `into` in an artefact's folder.

        The name stays the same from run to run: what a killed one left is found and removed by the next.
        """
        name = f"{LABEL}-take-{key([reference, str(into.parent.parent)])}"
        self.engine.run("rm", "--force", name, check=False)
        self.engine.run("create", "--name", name, "--label", f"{LABEL}=build", reference, "none")
        try:
            yield name
        finally:
            self.engine.run("rm", "--force", name, check=False)

    def _digest(self, reference: str, repository: str) -> str:
        short = repository.removeprefix("docker.io/")
        known = self.engine.digests(reference)
        for name in (repository, short, short.removeprefix("library/")):
            if name in known:
                return known[name]
        raise MachineLacks(f"the engine names no digest for {reference} after pulling it")
