"""Make this machine able to run: take what is there, pull what can be pulled, build the rest."""

from __future__ import annotations

import dataclasses
import functools
import logging
import shutil
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from conformance import paths
from conformance.errors import MachineLacks
from conformance.judge import JudgeBinaries
from conformance.provision import (
    database_image,
    golang,
    host_programs,
    images,
    node_image,
    platform,
    programs,
    progress,
    registry,
)
from conformance.provision import engine as engines
from conformance.provision.database_image import DatabaseImage
from conformance.provision.engine import Engine
from conformance.provision.golang import GoProgram
from conformance.provision.host_programs import IN_IMAGES, Program
from conformance.provision.node_image import NodeImage
from conformance.provision.pins import Kubernetes, pins
from conformance.provision.pull import Puller
from conformance.provision.registry import Registry
from conformance.provision.store import Store, store
from conformance.run import Runner

log = logging.getLogger(__name__)

#: The programs that judging without a cluster needs, and those that only driving a cluster does.
NO_CLUSTER = ("kube-apiserver", "etcd", "helm3", "helm4", "kustomize")
CLUSTER_ONLY = ("kind", "kubectl")
#: GiB of free disk that a build needs (7.4 were measured at its peak), and a run.
BUILD_GIB, RUN_GIB = 10, 5


@dataclass(frozen=True)
class Tools:
    """What judging without a cluster needs: no container engine."""

    helm3: Path
    helm4: Path
    kustomize: Path
    judge: JudgeBinaries
    found: Mapping[str, str]

    def helm(self, major: int) -> Path:
        """Return Helm 3 or Helm 4."""
        return {3: self.helm3, 4: self.helm4}[major]

    def version(self, name: str) -> str:
        """Return the version of a program, by its name here, such as `helm3` or `kube-apiserver`."""
        return self.found[name]

    def versions(self) -> dict[str, str]:
        """Return the version of each program, by name."""
        return dict(self.found)


@dataclass(frozen=True)
class Machine:
    """A machine that can run everything, for one Kubernetes version. Plain data, also for other processes."""

    engine: Engine
    kind: Path
    kubectl: Path
    tools: Tools
    node: NodeImage
    registry: Registry
    stub: Path
    platform: Path
    database: DatabaseImage

    @property
    def helm3(self) -> Path:
        """Return Helm 3."""
        return self.tools.helm3

    @property
    def helm4(self) -> Path:
        """Return Helm 4."""
        return self.tools.helm4

    @property
    def kustomize(self) -> Path:
        """Return kustomize."""
        return self.tools.kustomize

    @property
    def judge(self) -> JudgeBinaries:
        """Return the judge's programs, of the node image's Kubernetes version."""
        return self.tools.judge


def provision(
    kube_version: str | None = None, *, install_engine: bool = True, runner: Runner | None = None
) -> Machine:
    """Return this machine, made ready for a Kubernetes version first where anything is missing.

    What is on PATH in a suitable version is taken; then images are pulled by digest; then the rest is built from
    package registries. It can be killed at any point and resumes; of several at once, one works and the others
    wait. Raises `BadInput` for a version that is not pinned, `MachineLacks` where the machine cannot be made
    ready, `CommandFailed` where a build fails.
    """
    release = pins().release(kube_version or pins().default)
    runner, place = runner or default_runner(), store()
    engine = engines.find(runner)
    if engine is None or (machine := _here(engine, runner, place, release)) is None:
        what = f"making this machine ready for Kubernetes {release.version}"
        with place.lock(), progress.step(what, quiet=True):
            room(RUN_GIB)
            engine = engines.ensure(runner, install_engine=install_engine)
            _fill(runner, place, release, engine)
            golang.forget(place)
            machine = _here(engine, runner, place, release)
        if machine is None:
            raise MachineLacks("what was made is gone again: something else removes images or the cache")
    else:
        engines.check(engine)
    return machine


def tools(kube_version: str | None = None, *, runner: Runner | None = None, last: bool = True) -> Tools:
    """Return what judging without a cluster needs, made ready first; no container engine is needed or started.

    Not the `last` provisioning of a run, it keeps Go's caches, from which `provision` builds the rest much faster.
    Raises as `provision` does.
    """
    release = pins().release(kube_version or pins().default)
    runner, place = runner or default_runner(), store()
    found = _tools(host_programs.here(runner, place, release, NO_CLUSTER))
    if found is None:
        what = f"making Helm and the judge of Kubernetes {release.version} ready"
        with place.lock(), progress.step(what, quiet=True):
            room(RUN_GIB)
            building = _fetch(runner, place, release, NO_CLUSTER, None)
            _build(runner, place, release, building, None)
            if last:
                golang.forget(place)
        found = _tools(host_programs.here(runner, place, release, NO_CLUSTER))
        if found is None:
            raise MachineLacks(f"what was made is gone again: something else removes {place.root}; run again")
    return found


def default_runner() -> Runner:
    """Return a runner with an empty home of the suite's own."""
    return Runner(paths.cache() / "home")


def _tools(found: Mapping[str, Program]) -> Tools | None:
    if not found.keys() >= set(NO_CLUSTER):
        return None
    path = {name: program.path for name, program in found.items()}
    judge = JudgeBinaries(path["etcd"], path["kube-apiserver"])
    versions = {name: program.version for name, program in found.items()}
    return Tools(path["helm3"], path["helm4"], path["kustomize"], judge, versions)


def _here(engine: Engine, runner: Runner, place: Store, release: Kubernetes) -> Machine | None:
    """Return the machine if nothing is missing."""
    asked = (
        progress.start(functools.partial(node_image.here, engine, release)),
        progress.start(functools.partial(registry.here, engine)),
    )
    found = host_programs.here(runner, place, release)
    known, node, running = _tools(found), asked[0].result(), asked[1].result()
    stub, beneath = images.stub_path(place), platform.base_path(place)
    database = database_image.here(engine, place)
    if not (known and node and running and database and found.keys() >= set(CLUSTER_ONLY)):
        return None
    if not (stub.is_file() and beneath.is_dir()):
        return None
    known = dataclasses.replace(known, found={**known.found, "docker": engine.version})
    kind, kubectl = found["kind"].path, found["kubectl"].path
    return Machine(engine, kind, kubectl, known, node, running, stub, beneath, database)


def _fetch(
    runner: Runner, place: Store, release: Kubernetes, names: Collection[str], puller: Puller | None
) -> list[GoProgram]:
    """Fetch what is missing of the named programs, and return what has to be built for the rest of them."""
    runner.home.mkdir(parents=True, exist_ok=True)
    found = host_programs.here(runner, place, release)
    missing = [name for name in names if name not in found]
    return [
        host_programs.built_by(name, release)
        for name in missing
        if not (name in IN_IMAGES and host_programs.take_out(place, release, name, puller))
    ]


def _fill(runner: Runner, place: Store, release: Kubernetes, engine: Engine) -> None:
    """Bring everything that is missing."""
    puller = Puller(engine)
    node = _has_node(puller, place, release)
    database = database_image.here(engine, place) or puller.pull(pins().image(database_image.NAME))
    root = None if database else progress.start(functools.partial(database_image.build, runner, place))
    building = _fetch(runner, place, release, (*NO_CLUSTER, *CLUSTER_ONLY), puller)
    if not node:
        building = [*programs.kubernetes_programs(release), *building]
    if not (registry.image_here(engine) or puller.pull(pins().image("registry"))):
        building = [programs.registry_program(), *building]
    beneath = progress.start(functools.partial(platform.build_base, runner, place, puller))
    _build(runner, place, release, building, None if node else engine, stub=True)
    progress.wait(beneath)
    if root:
        progress.wait(root)
    image = registry.image_here(engine)
    if image is None:
        registry.load(engine, place)
    registry.ensure(engine, image or registry.tag())


def _has_node(puller: Puller, place: Store, release: Kubernetes) -> bool:
    """Return whether the engine has the node image, loaded from the cache or pulled where that can be done."""
    return bool(
        node_image.here(puller.engine, release)
        or node_image.load(puller.engine, place, release)
        or puller.pull(pins().image("node", release.version))
    )


def _build(
    runner: Runner,
    place: Store,
    release: Kubernetes,
    wanted: Iterable[GoProgram],
    engine: Engine | None,
    *,
    stub: bool = False,
) -> None:
    """Build programs one after the other, and beside them a node image for `engine`, if given."""
    building = [program for program in dict.fromkeys(wanted) if not place.has(program.artefact)]
    stub = stub and not images.stub_path(place).is_file()
    if not (building or stub or engine):
        return
    room(BUILD_GIB if building else RUN_GIB)
    go = golang.ready(runner, place)
    work = [functools.partial(programs.build, go, place, program) for program in building]
    futures = progress.in_turn(*work, *([functools.partial(images.build_stub, go, place)] if stub else []))
    built = dict(zip(building, futures, strict=False))

    def node(engine: Engine) -> Path:
        roots = node_image.roots(runner, place)
        for program in programs.kubernetes_programs(release):
            if program in built:
                built[program].result()
        return node_image.build(engine, go, place, release, roots)

    if engine:
        futures.append(progress.start(functools.partial(node, engine)))
    progress.wait(*futures)


def room(gib: int) -> None:
    """Raise `MachineLacks` before anything is begun that the disk has no room for."""
    free = shutil.disk_usage(free_at(paths.cache())).free / 2**30
    if free < gib:
        raise MachineLacks(
            f"{paths.cache()}: {free:.1f} GiB free, {gib} GiB needed; make room, or set XDG_CACHE_HOME elsewhere"
        )


def free_at(folder: Path) -> Path:
    """Return a folder that exists, on the disk where `folder` is or will be."""
    return next(place for place in (folder, *folder.parents) if place.exists())
