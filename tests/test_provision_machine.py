"""What a machine lacks is said before anything begins; the doctor changes nothing."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from conformance.errors import BadInput, MachineLacks
from conformance.provision import (
    debian,
    doctor,
    host_programs,
    images,
    machine,
    node_image,
    provision,
    removal,
    tools,
)
from conformance.provision import engine as engines
from conformance.provision.host_programs import Program
from conformance.provision.oci import write_layer
from conformance.provision.pins import pins
from conformance.provision.store import Store
from conformance.run import Runner

RELEASE = pins().release("1.35")


@pytest.fixture(autouse=True)
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.delenv("DOCKER_HOST", raising=False)
    return tmp_path


@pytest.fixture
def no_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=2**30))


def test_an_unknown_version_is_refused_before_anything(folders: Path) -> None:
    for ask in (provision, tools, doctor):
        with pytest.raises(BadInput, match=r"--kube-version 1\.2"):
            ask("1.2")
    assert list(folders.iterdir()) == []


@pytest.mark.usefixtures("no_room")
def test_a_full_disk_is_said_before_anything_begins() -> None:
    for ask in (provision, tools):
        with pytest.raises(MachineLacks, match=r"1\.0 GiB free, 5 GiB needed"):
            ask()


def test_an_engine_that_must_not_be_installed_is_said() -> None:
    with pytest.raises(MachineLacks, match="no container engine answers"):
        provision(install_engine=False)


def test_the_doctor_says_what_is_missing_and_changes_nothing(folders: Path) -> None:
    rows = {row.name: row for row in doctor()}
    assert list(folders.iterdir()) == []
    for name in ("Docker", "kind", "helm3", "helm4", "kustomize", "kubectl", "node image", "git"):
        assert not rows[name].ok, name
        assert rows[name].remedy, name
    assert {"disk", "memory", "cgroup", "capabilities", "go"} <= rows.keys()
    assert pins().tools["kind"].version in rows["kind"].remedy


@pytest.mark.usefixtures("no_room")
def test_the_doctor_knows_a_full_disk() -> None:
    [row] = [row for row in doctor() if row.name == "disk"]
    assert not row.ok
    assert "10 GiB" in row.remedy


def test_the_doctor_names_what_it_passed_over(folders: Path) -> None:
    old = folders / "bin" / "kind"
    old.parent.mkdir()
    old.write_text("#!/bin/sh\necho kind v0.20.0\n")
    old.chmod(0o755)
    [row] = [row for row in doctor() if row.name == "kind"]
    assert not row.ok
    assert f"{old} is v0.20.0" in row.found


def test_tools_are_taken_from_where_they_are_and_say_their_versions(monkeypatch: pytest.MonkeyPatch) -> None:
    here = {name: Program(Path("/opt", name), f"v1.{number}.0") for number, name in enumerate(machine.NO_CLUSTER)}
    monkeypatch.setattr(host_programs, "here", lambda *_: here)
    found = tools()
    assert (found.helm(3), found.helm(4)) == (Path("/opt/helm3"), Path("/opt/helm4"))
    assert (found.judge.etcd, found.judge.kube_apiserver) == (Path("/opt/etcd"), Path("/opt/kube-apiserver"))
    assert found.version("kustomize") == here["kustomize"].version
    assert found.versions().keys() == here.keys()


def test_only_what_cannot_be_fetched_is_built(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(host_programs, "here", lambda *_: {"helm3": Program(Path("/opt/helm3"), "v3.22.0")})
    monkeypatch.setattr(host_programs, "take_out", lambda _store, _release, name, _puller: name == "etcd")
    building = machine._fetch(Runner(tmp_path / "home"), Store(tmp_path), RELEASE, machine.NO_CLUSTER, None)
    assert [program.name for program in building] == ["kube-apiserver", "helm4", "kustomize"]


def test_the_node_image_is_another_when_anything_in_it_is(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    before = node_image.tag(RELEASE)
    assert before.startswith("agents-conformance/node:v1.35.4-")
    assert node_image.tag(pins().release("1.34")) != before
    monkeypatch.setattr(node_image, "FILES", tmp_path)
    assert node_image.tag(RELEASE) != before


def test_the_nodes_sandbox_image_is_the_one_kubeadm_asks_for() -> None:
    config = node_image._with_pause(
        '[plugins]\n  sandbox_image = "registry.k8s.io/pause:3.10"\n  other = 1\n', RELEASE
    )
    assert config == '[plugins]\n  sandbox_image = "registry.k8s.io/pause:3.10.1"\n  other = 1\n'


@pytest.fixture
def kind_files(tmp_path: Path) -> Path:
    folder = tmp_path / "kind"
    names = ["usr/local/bin/entrypoint", "usr/local/bin/clean-install", "kind/bin/hack.sh", "LICENSES/README.txt"]
    for name in [*names, "etc/systemd/system/containerd-fuse-overlayfs.service"]:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(name)
    (folder / "etc/containerd").mkdir()
    (folder / "etc/containerd/config.toml").write_text('  sandbox_image = "registry.k8s.io/pause:3.10"\n')
    return folder


def test_a_node_gets_kinds_own_files_and_our_programs(kind_files: Path, tmp_path: Path) -> None:
    names = ("kubeadm", "kubelet", "kubectl", "containerd", "ctr", "containerd-shim-runc-v2")
    made = {name: tmp_path / name for name in names}
    for file in (*made.values(), tmp_path / "images.tar"):
        file.write_text(file.name)
    layer = write_layer(tmp_path / "l.tar", node_image._files(RELEASE, made, kind_files, tmp_path / "images.tar"))
    with tarfile.open(layer) as archive:
        modes = {member.name: member.mode for member in archive if member.isfile()}
        version = archive.extractfile("kind/version")
        assert isinstance(version, io.BufferedIOBase)
        assert version.read() == b"v1.35.4"
    assert modes["usr/local/bin/entrypoint"] == modes["kind/bin/hack.sh"] == modes["usr/bin/kubelet"] == 0o755
    assert modes["etc/containerd/config.toml"] == modes["etc/cni/net.d/10-kind.conflist"] == 0o644
    assert {"usr/local/bin/containerd", "kind/images.tar", "kind/setup.sh"} <= modes.keys()
    assert not [name for name in modes if "fuse" in name or "LICENSES" in name or "clean-install" in name]


class FakeEngine:
    """An engine that has what it is told and remembers what it was asked."""

    def __init__(self, images: dict[str, dict[str, str] | None]) -> None:
        self.images = images

    def inspect(self, _: str, reference: str) -> dict[str, Any] | None:
        return {"Config": {"Labels": self.images[reference]}} if reference in self.images else None


def test_what_was_pulled_comes_before_what_was_built(monkeypatch: pytest.MonkeyPatch) -> None:
    built = FakeEngine({node_image.tag(RELEASE): {"agents-conformance": "node"}})
    found = node_image.here(built, RELEASE)  # type: ignore[arg-type]
    assert found == node_image.NodeImage(node_image.tag(RELEASE), "v1.35.4", built=True)
    monkeypatch.setattr(node_image, "known", lambda _: "docker.io/kindest/node@sha256:a")
    both = FakeEngine({**built.images, "docker.io/kindest/node@sha256:a": None})
    found = node_image.here(both, RELEASE)  # type: ignore[arg-type]
    assert found == node_image.NodeImage("docker.io/kindest/node@sha256:a", "v1.35.4", built=False)
    assert node_image.here(FakeEngine({}), RELEASE) is None  # type: ignore[arg-type]


def test_the_stub_is_another_when_its_source_is(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(images, "_source", lambda: tmp_path)
    (tmp_path / "main.go").write_text("package main")
    before = images.stub_path(Store(tmp_path))
    (tmp_path / "main.go").write_text("package main // changed")
    assert images.stub_path(Store(tmp_path)) != before


def test_packages_are_installed_by_root_on_debian_only(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    with pytest.raises(MachineLacks, match="mmdebstrap: needed, and only root on Debian"):
        debian.install(Runner(tmp_path), ["mmdebstrap"])


def test_a_machine_without_debian_sources_cannot_build_a_node(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "sources.list.d").mkdir()
    (tmp_path / "sources.list.d" / "other.list").write_text("deb https://other.example stable main\n")
    monkeypatch.setattr(debian, "SOURCES", tmp_path)
    monkeypatch.setattr(debian, "_suite", lambda: "bookworm")
    with pytest.raises(MachineLacks, match="AGENTS_CONFORMANCE_IMAGE_MIRROR"):
        debian.make_root(Runner(tmp_path), Store(tmp_path), node_image.ROOTS["node"])


def test_everything_of_ours_is_removed(folders: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engines, "find", lambda _: None)
    deep = folders / "cache/agents-conformance/artefacts/thing/deep"
    deep.mkdir(parents=True)
    deep.chmod(0o500)
    (folders / "cache/other").mkdir()
    assert removal.remove() == [f"cache {folders}/cache/agents-conformance"]
    assert [path.name for path in (folders / "cache").iterdir()] == ["other"]
    assert removal.remove() == []
    assert not (folders / "cache/agents-conformance").exists()
