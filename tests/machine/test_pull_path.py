"""A machine that can pull never builds: proved against a local registry that holds the upstream images."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from conformance import paths, provision
from conformance.errors import MachineLacks
from conformance.provision import Machine, node_image, registry
from conformance.provision.machine import default_runner
from conformance.provision.oci import Entry, ImageFile, push, write_layer
from conformance.provision.pins import pins
from conformance.provision.upstream import MIRROR
from conformance.run import Runner

pytestmark = pytest.mark.machine

RELEASE = pins().release(pins().default)
NAME = "agents-conformance-test-upstream"


@pytest.fixture(scope="module")
def mirror(machine: Machine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A registry of its own, without a volume, that has the node image and the other upstream images."""
    engine, folder = machine.engine, tmp_path_factory.mktemp("upstream")
    image = registry.image_here(engine)
    assert image is not None
    engine.run("rm", "--force", "--volumes", NAME, check=False)
    engine.run("run", "--detach", "--name", NAME, "--publish", "127.0.0.1::5000", image)
    try:
        address = engine.run("port", NAME, "5000/tcp").stdout.split()[0]
        for name, program, tag in (
            ("kube-apiserver", machine.judge.kube_apiserver, RELEASE.version),
            ("etcd", machine.judge.etcd, RELEASE.etcd),
        ):
            layer = write_layer(folder / f"{name}.tar", [Entry(f"/usr/local/bin/{name}", program)])
            _retry_push(address, name, tag, ImageFile((layer,)))
        python = f"{NAME}:python"
        engine.run("import", machine.platform / "root.tar", python, timeout=600)
        for source, target in (
            (machine.node.reference, f"{address}/kindest/node:{RELEASE.version}"),
            (image, f"{address}/library/registry:{pins().images['registry']['tag']}"),
            (
                image,
                f"{address}/library/postgres:{pins().images['postgres']['tag']}",
            ),  # it is pulled and pushed, not run
            (python, f"{address}/library/python:{pins().images['python']['tag']}"),
        ):
            engine.run("tag", source, target)
            engine.run("push", "--quiet", target, timeout=600)
            engine.run("image", "rm", target)
        yield address
    finally:
        engine.run("rm", "--force", "--volumes", NAME)


@dataclass(frozen=True)
class Filled:
    """A cache and state that were empty, the machine that they came to, and the commands that it took."""

    machine: Machine
    runner: Runner
    folder: Path

    def commands(self) -> list[list[str]]:
        lines = (self.folder / "commands.jsonl").read_text().splitlines()
        return [json.loads(line)["command"] for line in lines]


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory, machine: Machine, mirror: str) -> Iterator[Filled]:
    """What provisioning makes of an empty cache, with the tools on PATH and the rest to be had from the mirror.

    The stub alone is there: it is the suite's own, and nowhere to be pulled from.
    """
    folder = tmp_path_factory.mktemp("empty")
    there = machine.stub.parent
    artefacts = folder / "cache" / there.relative_to(paths.cache().parent).parent
    artefacts.mkdir(parents=True)
    (artefacts / there.name).symlink_to(there)
    (folder / "bin").mkdir()
    for name in ("kind", "helm3", "helm4", "kustomize"):
        (folder / "bin" / name).symlink_to(getattr(machine, name))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATH", f"{folder}/bin", prepend=":")
        patch.setenv("XDG_CACHE_HOME", str(folder / "cache"))
        patch.setenv("XDG_STATE_HOME", str(folder / "state"))
        patch.setenv(MIRROR, mirror)
        for module in (node_image, registry):  # what was built is in the engine, and must not be found there
            patch.setattr(module, "NAMESPACE", NAME)
        runner = Runner(default_runner().home, record=folder / "commands.jsonl")
        yield Filled(provision.provision(runner=runner), runner, folder)
    names = "{{.Repository}}:{{.Tag}} {{.Repository}}@{{.Digest}}"
    listed = machine.engine.run("image", "ls", "--digests", "--format", names).stdout.split()
    for reference in listed:
        if reference.startswith(mirror):
            machine.engine.run("image", "rm", reference, check=False)


def test_an_empty_cache_is_filled_by_pulls_alone(filled: Filled, mirror: str) -> None:
    machine = filled.machine
    recorded = json.loads((filled.folder / "state/agents-conformance/digests.json").read_text())
    node = f"docker.io/kindest/node:{RELEASE.version}"
    database = f"docker.io/library/postgres:{pins().images['postgres']['tag']}"
    assert recorded.keys() == {
        node,
        f"docker.io/library/registry:{pins().images['registry']['tag']}",
        database,
        f"docker.io/library/python:{pins().images['python']['tag']}",
        f"registry.k8s.io/kube-apiserver:{RELEASE.version}",
        f"registry.k8s.io/etcd:{RELEASE.etcd}",
    }
    assert machine.node.reference == f"{mirror}/kindest/node@{recorded[node]}"
    assert machine.database.reference == f"{mirror}/library/postgres@{recorded[database]}"
    pushed = provision.push_database(machine.database, machine.engine, machine.registry)
    assert pushed.reference.startswith(f"{machine.registry.pull}/postgres@sha256:")
    assert machine.kind.parent == filled.folder / "bin"
    assert "pulled" in str(machine.judge.kube_apiserver)

    commands = filled.commands()
    assert not [command for command in commands if _makes(command) or "mmdebstrap" in command]
    assert (machine.platform / "root.tar").is_file()
    assert provision.push_platform(machine.platform, machine.registry, "1.0").keys() >= {"control-plane", "runner"}


def test_what_is_there_is_not_had_again(filled: Filled) -> None:
    before = len(filled.commands())
    assert provision.provision(runner=filled.runner) == filled.machine
    assert not [command for command in filled.commands()[before:] if _makes(command) or "pull" in command]


def test_another_content_under_the_tag_is_refused(
    filled: Filled, mirror: str, machine: Machine, tmp_path: Path
) -> None:
    layer = write_layer(tmp_path / "other.tar", [Entry("/kind/version", b"another")])
    push(mirror, "kindest/node", RELEASE.version, ImageFile((layer,)))
    machine.engine.run("image", "rm", filled.machine.node.reference)
    with pytest.raises(MachineLacks, match="changed under the tag"):
        provision.provision(runner=filled.runner)


def _makes(command: list[str]) -> bool:
    """Say whether a command compiles a program."""
    return bool({"install", "build"} & set(command[1:2]))


def _retry_push(address: str, name: str, tag: str, image: ImageFile) -> None:
    """Push as soon as the registry, just started, answers."""
    for attempt in range(50):
        try:
            push(address, name, tag, image)
        except MachineLacks:
            if attempt == 49:
                raise
            time.sleep(0.1)
        else:
            return
