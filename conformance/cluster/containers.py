"""The engine's containers, as far as clusters are made of them: whose they are, and how they go."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from conformance.errors import CommandFailed, ConformanceError, MachineLacks
from conformance.provision.engine import Engine, find
from conformance.run import Runner

#: The label by which kind knows the nodes of a cluster.
KIND_LABEL = "io.x-k8s.kind.cluster"

#: Seconds for a question to the engine, and for the removal of containers: a busy machine takes long to unmount.
ASK_SECONDS = 30.0
REMOVE_SECONDS = 120.0
#: Seconds in which the engine finishes a container that it has begun; it copies parts of the image for it.
MAKING_SECONDS = 30.0

_GONE = "the container engine does not answer; start it, or see what `agents-conformance doctor` says"
_SIGNS_OF_GONE = ("cannot connect to the docker daemon", "is the docker daemon running", "error during connect",
                  "connection reset", "docker.sock: connect")  # fmt: skip


@dataclass(frozen=True)
class Container:
    """One container, running or not: the kind cluster it is a node of, and the folders it mounts (`binds`)."""

    id: str
    name: str
    cluster: str | None
    binds: tuple[Path, ...]

    def mounts_from(self, folder: Path) -> bool:
        """Say whether it mounts something inside a folder, as every node does from the folder of its run."""
        return any(bind.is_relative_to(folder) for bind in self.binds)


def running_engine(runner: Runner) -> Engine:
    """Return the engine that answers; raises `MachineLacks` where none does."""
    engine = find(runner)
    if engine is None:
        raise MachineLacks(_GONE)
    return engine


def nodes(engine: Engine, cluster: str | None = None, *, patience: float = 0.0) -> list[Container]:
    """Return the containers that are nodes of a kind cluster, or of any, whoever made them.

    One that the engine is making is listed some time before it can be inspected or removed; for `patience`
    seconds it is waited for. Raises `MachineLacks` when the container engine does not answer.
    """
    label = KIND_LABEL if cluster is None else f"{KIND_LABEL}={cluster}"
    end = time.monotonic() + patience
    while True:
        ids = ask(engine, "ps", "--all", "--quiet", "--no-trunc", "--filter", f"label={label}").split()
        # One that goes in between is no error: inspect then says the others, and ends with a status other than 0.
        said = engine.run("inspect", *ids, timeout=ASK_SECONDS, check=False).stdout if ids else "[]"
        told = [_container(found) for found in json.loads(said or "[]")]
        if len(told) == len(ids) or time.monotonic() >= end:
            return told
        time.sleep(0.2)


def remove(engine: Engine, containers: Sequence[Container | str]) -> None:
    """Remove containers with their volumes, in whatever state they are."""
    names = [found.id if isinstance(found, Container) else found for found in containers]
    if names:
        ask(engine, "rm", "--force", "--volumes", *names, timeout=REMOVE_SECONDS)


def ask(engine: Engine, *words: str, timeout: float = ASK_SECONDS) -> str:
    """Run one command of the container engine and return what it said; raises what `explained` returns."""
    try:
        return engine.run(*words, timeout=timeout).stdout
    except CommandFailed as error:
        raise explained(error) from error


def explained(error: CommandFailed) -> ConformanceError:
    """Return a failure of the engine or of kind as what the machine lacks, where its words say so."""
    words = str(error).lower()
    if any(sign in words for sign in _SIGNS_OF_GONE):
        return MachineLacks(f"{_GONE}: {error}")
    if "no space left on device" in words:
        return MachineLacks(
            f"the container engine's disk is full; make room (`agents-conformance clean`): {error}"
        )
    return error


def _container(inspected: dict[str, Any]) -> Container:
    binds = tuple(Path(bind.split(":")[0]) for bind in inspected["HostConfig"].get("Binds") or ())
    label = (inspected["Config"].get("Labels") or {}).get(KIND_LABEL)
    return Container(inspected["Id"], inspected["Name"].removeprefix("/"), label, binds)
