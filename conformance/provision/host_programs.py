"""The programs that run on this machine itself: on PATH, taken out of a pulled image, or built."""

from __future__ import annotations

import functools
import logging
import shutil
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

from conformance.provision import programs, progress, upstream
from conformance.provision.fetch import Unreachable, fetch
from conformance.provision.golang import GoProgram
from conformance.provision.pins import Kubernetes, UpstreamImage, pins
from conformance.provision.pull import Puller
from conformance.provision.store import Artefact, Store
from conformance.run import Runner
from conformance.temporary import private_folder

log = logging.getLogger(__name__)

#: The tools built from their modules.
TOOLS = ("kind", "helm3", "helm4", "kustomize")
#: The programs of a Kubernetes release that upstream images hold: the image's name in the pins, the path in it.
IN_IMAGES = {
    "kube-apiserver": ("kube-apiserver", "/usr/local/bin/kube-apiserver"),
    "etcd": ("etcd", "/usr/local/bin/etcd"),
    "kubectl": ("node", "/usr/bin/kubectl"),
}
#: Those that are fetched from their image without an engine.
FETCHED = ("kube-apiserver", "etcd")


@dataclass(frozen=True)
class Program:
    """A program that is ready to run."""

    path: Path
    version: str


#: Every program there is, by name.
NAMES = (*TOOLS, *IN_IMAGES)


def here(
    runner: Runner, store: Store, release: Kubernetes, names: Collection[str] = NAMES
) -> Mapping[str, Program]:
    """Return what is there of the named programs, by name; of tools and kubectl PATH comes first."""
    asked = {
        name: progress.start(functools.partial(_on_path, runner, name, release))
        for name in (*TOOLS, "kubectl")
        if name in names
    }
    found = {name: future.result() for name, future in asked.items()}
    for name in names:
        found[name] = found.get(name) or _made(store, name, release)
    return {name: program for name, program in found.items() if program}


def take_out(store: Store, release: Kubernetes, name: str, puller: Puller | None) -> bool:
    """Take one of the release's programs out of its upstream image; return whether that could be done.

    The control plane's come straight from their registry; kubectl comes out of the node image, which the engine
    needs anyway. Raises `MachineLacks` where an image has changed under its tag.
    """
    image, path = _image(name, release)
    if name in FETCHED:
        with private_folder() as folder:
            program = folder / name
            try:
                with progress.step(f"fetching {name} from {upstream.source(image)}"):
                    fetch(image, path, program)
            except Unreachable as error:
                log.info("%s", error)
                return False
            if artefact := _pulled(name, release):
                store.make(artefact, lambda place: shutil.copy2(program, place / name))
            return True
    reference = puller.pull(image) if puller else None
    artefact = _pulled(name, release)
    if puller and reference and artefact:
        store.make(artefact, lambda place: puller.extract(reference, path, place / name))
    return bool(reference)


def built_by(name: str, release: Kubernetes) -> GoProgram:
    """Return the program whose build brings a tool or one of the release's programs."""
    if name in TOOLS:
        return programs.tool_program(pins().tools[name])
    building = "kubernetes-node" if name == "kubectl" else name
    return next(program for program in programs.kubernetes_programs(release) if program.name == building)


def _on_path(runner: Runner, name: str, release: Kubernetes) -> Program | None:
    found = next(iter(programs.find(runner, name, release)), None)
    return Program(found.path, found.version) if found and found.suits else None


def _made(store: Store, name: str, release: Kubernetes) -> Program | None:
    program = built_by(name, release)
    path = programs.tool_path(store, pins().tools[name]) if name in TOOLS else store.path(program.artefact) / name
    if path.is_file():
        return Program(path, program.version)
    pulled = _pulled(name, release) if name in IN_IMAGES else None
    if pulled and store.has(pulled):
        return Program(store.path(pulled) / name, program.version)
    return None


def _image(name: str, release: Kubernetes) -> tuple[UpstreamImage, str]:
    image, path = IN_IMAGES[name]
    return pins().image(image, release.etcd if image == "etcd" else release.version), path


def _pulled(name: str, release: Kubernetes) -> Artefact | None:
    digest = upstream.digest(_image(name, release)[0])
    return Artefact.of(f"{name}-{release.version}-pulled", {"digest": digest}) if digest else None
