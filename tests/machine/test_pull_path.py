"""A machine that can pull never builds: proved against a local registry that holds the upstream images."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from conformance import provision
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


@pytest.fixture
def empty(tmp_path: Path, machine: Machine, mirror: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Runner]:
    """An empty cache and state, the tools on PATH, and everything else to be had from the mirror alone."""
    (tmp_path / "bin").mkdir()
    programs = {
        "kind": machine.kind,
        "helm3": machine.helm3,
        "helm4": machine.helm4,
        "kustomize": machine.kustomize,
    }
    for name, program in programs.items():
        (tmp_path / "bin" / name).symlink_to(program)
    monkeypatch.setenv("PATH", f"{tmp_path}/bin", prepend=":")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv(MIRROR, mirror)
    for module in (node_image, registry):  # what was built is in the engine, and must not be found there
        monkeypatch.setattr(module, "NAMESPACE", NAME)
    runner = default_runner()
    yield Runner(runner.home, record=tmp_path / "commands.jsonl")
    names = "{{.Repository}}:{{.Tag}} {{.Repository}}@{{.Digest}}"
    listed = machine.engine.run("image", "ls", "--digests", "--format", names).stdout.split()
    for reference in listed:
        if reference.startswith(mirror):
            machine.engine.run("image", "rm", reference, check=False)


def test_an_empty_cache_is_filled_by_pulls_alone(empty: Runner, mirror: str, tmp_path: Path) -> None:
    machine = provision.provision(runner=empty)

    recorded = json.loads((tmp_path / "state/agents-conformance/digests.json").read_text())
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
    assert machine.kind.parent == tmp_path / "bin"
    assert "pulled" in str(machine.judge.kube_apiserver)

    commands = [json.loads(line)["command"] for line in (tmp_path / "commands.jsonl").read_text().splitlines()]
    built = [command for command in commands if {"install", "build"} & set(command[1:2])]
    # The stub is the suite's own: there is nowhere to pull it from.
    assert [command[-1] for command in built] == ["."]
    assert not [command for command in commands if "mmdebstrap" in command]
    assert (machine.platform / "root.tar").is_file()
    assert provision.push_platform(machine.platform, machine.registry, "1.0").keys() >= {"control-plane", "runner"}

    started = time.monotonic()
    assert provision.provision(runner=empty) == machine
    assert time.monotonic() - started < 5.0


def test_another_content_under_the_tag_is_refused(
    empty: Runner, mirror: str, machine: Machine, tmp_path: Path
) -> None:
    first = provision.provision(runner=empty)
    layer = write_layer(tmp_path / "other.tar", [Entry("/kind/version", b"another")])
    push(mirror, "kindest/node", RELEASE.version, ImageFile((layer,)))
    machine.engine.run("image", "rm", first.node.reference)
    with pytest.raises(MachineLacks, match="changed under the tag"):
        provision.provision(runner=empty)


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
