"""Argo CD's images and manifests: pulled, or made of its module and Debian's git and redis.

Only a run that selects a check that needs GitOps asks for them, so a contract without an overlay never pays.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from conformance.errors import MachineLacks
from conformance.provision import golang, programs, progress
from conformance.provision.database_image import push_from_engine
from conformance.provision.debian import Root, make_root
from conformance.provision.engine import Engine
from conformance.provision.golang import Go
from conformance.provision.images import Image
from conformance.provision.machine import BUILD_GIB, RUN_GIB, Machine, default_runner, room
from conformance.provision.oci import PATH, Entry, ImageFile, push, write_layer
from conformance.provision.pins import pins
from conformance.provision.pull import Puller
from conformance.provision.registry import Registry
from conformance.provision.store import Artefact, Store, file_hash, store
from conformance.provision.upstream import known
from conformance.run import Runner

NAME, REDIS = "argocd", "redis"
#: The names under which Argo CD's one program is another process.
PROCESSES = ("argocd-repo-server", "argocd-application-controller")
#: The number that Argo CD's own image gives its user, as its manifests' redis does.
USER = "999:999"
#: What git and redis never open when they fetch and serve.
LEFT_OUT = ("/usr/lib/*/perl*", "/usr/share/perl*", "/usr/bin/perl*", "/usr/share/doc/*", "/usr/share/gitweb/*")
ROOT = Root(NAME, "extract", LEFT_OUT)
MANIFESTS = "manifests/core-install.yaml"
_ACCOUNTS = b"root:x:0:0::/:/bin/sh\nargocd:x:999:999::/tmp:/bin/sh\n"


@dataclass(frozen=True)
class ArgoCd:
    """What a cluster needs for Argo CD: its images, which also hold git, in the local registry; its manifests."""

    image: str
    redis: str
    manifests: Path


def provision(machine: Machine, *, runner: Runner | None = None) -> ArgoCd:
    """Return Argo CD, made ready first where anything is missing: pulled where it can be, else built.

    Raises `MachineLacks` where it can be neither, `CommandFailed` where a build fails.
    """
    runner, place = runner or default_runner(), store()
    if (images := _here(machine, place)) is None:
        with place.lock(), progress.step("making Argo CD ready", quiet=True):
            room(RUN_GIB)
            _fill(runner, place, machine)
            golang.forget(place)
        images = _here(machine, place)
    if images is None:
        raise MachineLacks("Argo CD's images are gone again: something else removes images or the cache")
    return images


def found(engine: Engine, place: Store) -> str | None:
    """Return what there is of Argo CD: the upstream image or the built program; None where it is neither."""
    if pulled := _pulled(engine):
        return pulled[NAME]
    program = programs.argocd_program()
    return f"{program.version} ({place.path(program.artefact)})" if place.has(program.artefact) else None


def _here(machine: Machine, place: Store) -> ArgoCd | None:
    if not place.has(_manifests()):
        return None
    manifests = place.path(_manifests()) / "core-install.yaml"
    if found := _pulled(machine.engine):
        sent = [push_from_engine(found[name], name, machine.engine, machine.registry) for name in (NAME, REDIS)]
        return ArgoCd(sent[0].reference, sent[1].reference, manifests)
    layer = place.path(_layer(machine)) / "programs.tar"
    if not (place.has(ROOT.artefact) and layer.is_file()):
        return None
    image = _push(place.path(ROOT.artefact) / "root.tar", layer, machine.registry).reference
    return ArgoCd(image, image, manifests)


def _pulled(engine: Engine) -> dict[str, str] | None:
    """Return the references of both upstream images, None where the engine lacks one."""
    found = {name: known(pins().image(name)) for name in (NAME, REDIS)}
    here = {name: at for name, at in found.items() if at and engine.inspect("image", at)}
    return here if len(here) == len(found) else None


def _fill(runner: Runner, place: Store, machine: Machine) -> None:
    puller = Puller(machine.engine)
    go = golang.ready(runner, place)
    place.make(
        _manifests(), lambda folder: _copy_manifests(go, folder), what="Argo CD's manifests from its module"
    )
    if all(puller.pull(pins().image(name)) for name in (NAME, REDIS)):
        return
    if not place.has(programs.argocd_program().artefact):
        room(BUILD_GIB)
    root = progress.start(lambda: make_root(runner, place, ROOT))
    program = programs.build(go, place, programs.argocd_program()) / "cmd"
    place.make(_layer(machine), lambda folder: write_layer(folder / "programs.tar", _entries(program, machine)),
               what="Argo CD's image")  # fmt: skip
    progress.wait(root)


def _copy_manifests(go: Go, folder: Path) -> None:
    source = go.source(pins().modules[NAME], pins().versions[NAME]) / MANIFESTS
    shutil.copyfile(source, folder / "core-install.yaml")


def _manifests() -> Artefact:
    return Artefact.of(f"argocd-manifests-{pins().versions[NAME]}", {"module": pins().modules[NAME]})


def _layer(machine: Machine) -> Artefact:
    tools = {name: file_hash(path) for name, path in _tools(machine).items()}
    made_from = {"program": str(programs.argocd_program().artefact), "tools": tools, "processes": PROCESSES}
    return Artefact.of(f"argocd-image-{pins().versions[NAME]}", made_from)


def _tools(machine: Machine) -> dict[str, Path]:
    """Return what Argo CD renders with: Helm 3, whatever Helm the run drives, and kustomize."""
    return {"helm": machine.helm3, "kustomize": machine.kustomize}


def _entries(program: Path, machine: Machine) -> Iterator[Entry]:
    yield Entry("etc/passwd", _ACCOUNTS, mode=0o644)
    yield Entry("usr/local/bin/argocd", program)
    for name in PROCESSES:
        yield Entry(f"usr/local/bin/{name}", link="argocd", mode=0o777)
    for name, path in _tools(machine).items():
        yield Entry(f"usr/local/bin/{name}", path.resolve())


def _push(root: Path, layer: Path, registry: Registry) -> Image:
    """Send the image that we build to the local registry; what is there already is not sent again."""
    file = ImageFile((root, layer), entrypoint=("argocd",), environment={"PATH": PATH}, user=USER)
    tag = pins().versions[NAME]
    return Image(f"{registry.pull}/{NAME}", tag, push(registry.push, NAME, tag, file))
