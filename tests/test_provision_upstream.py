"""Upstream images: from their registry or a mirror, known by digest from the first pull on."""

from __future__ import annotations

import gzip
import hashlib
import json
import logging
from pathlib import Path
from typing import Any

import pytest
from provision_registry import FakeRegistry

from conformance.errors import CommandFailed, MachineLacks
from conformance.provision import host_programs, upstream
from conformance.provision.engine import Engine
from conformance.provision.fetch import Unreachable, fetch
from conformance.provision.oci import ARCHITECTURE, Entry, write_layer
from conformance.provision.pins import UpstreamImage, pins
from conformance.provision.pull import Puller
from conformance.provision.store import Store
from conformance.run import Runner

IMAGE = UpstreamImage("registry.k8s.io/kube-apiserver", "v1.35.4")
OURS = "/v2/kube-apiserver"


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.delenv(upstream.MIRROR, raising=False)
    return tmp_path


def test_a_mirror_stands_in_for_every_registry(monkeypatch: pytest.MonkeyPatch) -> None:
    assert upstream.source(IMAGE) == "registry.k8s.io/kube-apiserver:v1.35.4"
    monkeypatch.setenv(upstream.MIRROR, "mirror.example:5000/all/")
    assert upstream.source(IMAGE) == "mirror.example:5000/all/kube-apiserver:v1.35.4"
    assert (
        upstream.source(UpstreamImage("docker.io/kindest/node", "v1")) == "mirror.example:5000/all/kindest/node:v1"
    )


def test_a_digest_is_recorded_once_and_checked_from_then_on(monkeypatch: pytest.MonkeyPatch) -> None:
    assert upstream.known(IMAGE) is None
    upstream.verify(IMAGE, "sha256:a")
    upstream.verify(IMAGE, "sha256:a")
    assert upstream.known(IMAGE) == "registry.k8s.io/kube-apiserver@sha256:a"
    monkeypatch.setenv(upstream.MIRROR, "mirror.example")
    with pytest.raises(
        MachineLacks, match=r"mirror\.example/kube-apiserver:v1\.35\.4 has digest sha256:b, but sha256:a"
    ):
        upstream.verify(IMAGE, "sha256:b")
    assert upstream.digest(IMAGE) == "sha256:a"


def test_a_pinned_digest_is_the_right_one() -> None:
    pinned = UpstreamImage("docker.io/kindest/node", "v1", "sha256:pinned")
    with pytest.raises(MachineLacks, match="was pinned"):
        upstream.verify(pinned, "sha256:b")
    assert upstream.known(pinned) == "docker.io/kindest/node@sha256:pinned"


class FakeEngine:
    """An engine whose registry has what it is told."""

    def __init__(self, has: dict[str, str], refusal: str = "lookup docker.io: no such host") -> None:
        self.has = has
        self.refusal = refusal
        self.ran: list[tuple[str, ...]] = []

    def run(self, *words: str, **_: Any) -> None:
        self.ran.append(words)
        if words[0] == "pull" and words[-1] not in self.has:
            raise CommandFailed(self.refusal)

    def inspect(self, _: str, reference: str) -> dict[str, Any]:
        name = reference.rpartition(":")[0].removeprefix("docker.io/")
        return {"RepoDigests": ["other/name@sha256:x", f"{name}@{self.has[reference]}"]}

    digests = Engine.digests

    def pulls(self) -> int:
        return len([words for words in self.ran if words[0] == "pull"])


NODE = UpstreamImage("docker.io/kindest/node", "v1.35.4")


def test_a_pulled_image_is_known_by_its_digest() -> None:
    engine = FakeEngine({str(NODE): "sha256:n"})
    assert Puller(engine).pull(NODE) == "docker.io/kindest/node@sha256:n"  # type: ignore[arg-type]
    assert upstream.digest(NODE) == "sha256:n"


def test_another_content_under_the_tag_is_refused_and_removed() -> None:
    Puller(FakeEngine({str(NODE): "sha256:n"})).pull(NODE)  # type: ignore[arg-type]
    engine = FakeEngine({str(NODE): "sha256:other"})
    with pytest.raises(MachineLacks, match="changed under the tag"):
        Puller(engine).pull(NODE)  # type: ignore[arg-type]
    assert ("image", "rm", str(NODE)) in engine.ran


def test_a_registry_that_cannot_be_reached_is_asked_once() -> None:
    engine = FakeEngine({})
    puller = Puller(engine)  # type: ignore[arg-type]
    assert puller.pull(NODE) is None
    assert puller.pull(UpstreamImage("docker.io/library/registry", "3")) is None
    assert engine.pulls() == 1


def test_a_registry_that_lacks_one_image_is_asked_for_the_next() -> None:
    engine = FakeEngine({"docker.io/library/registry:3": "sha256:r"}, "manifest for kindest/node not found")
    puller = Puller(engine)  # type: ignore[arg-type]
    assert puller.pull(NODE) is None
    engine.has = {"docker.io/library/registry:3": "sha256:r"}
    engine.inspect = lambda *_: {"RepoDigests": ["registry@sha256:r"]}  # type: ignore[method-assign]
    image = UpstreamImage("docker.io/library/registry", "3")
    assert puller.pull(image) == "docker.io/library/registry@sha256:r"


def publish(registry: FakeRegistry, folder: Path, content: bytes) -> None:
    """Publish an image for two architectures whose upper layer, compressed, holds the program."""
    lower = write_layer(folder / "lower.tar", [Entry("usr/local/bin/kube-apiserver", b"of a lower layer")])
    upper = write_layer(folder / "upper.tar", [Entry("usr/local/bin/kube-apiserver", content)])
    blobs = [lower.read_bytes(), gzip.compress(upper.read_bytes(), mtime=0)]
    names = [f"sha256:{hashlib.sha256(blob).hexdigest()}" for blob in blobs]
    for name, blob in zip(names, blobs, strict=True):
        registry.content[f"{OURS}/blobs/{name}"] = blob
    manifest = json.dumps({"layers": [{"digest": name} for name in names]}).encode()
    name = f"sha256:{hashlib.sha256(manifest).hexdigest()}"
    registry.content[f"{OURS}/manifests/{name}"] = manifest
    platforms = {"s390x": "sha256:0", ARCHITECTURE: name}
    index = {
        "manifests": [
            {"digest": digest, "platform": {"os": "linux", "architecture": architecture}}
            for architecture, digest in platforms.items()
        ]
    }
    registry.content[f"{OURS}/manifests/v1.35.4"] = json.dumps(index).encode()


@pytest.mark.parametrize("closed", [False, True])
def test_a_program_is_taken_out_of_its_image(
    closed: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with FakeRegistry(closed=closed).serving() as registry:
        publish(registry, tmp_path, b"the program")
        monkeypatch.setenv(upstream.MIRROR, registry.address)
        fetch(IMAGE, "/usr/local/bin/kube-apiserver", tmp_path / "program")
    assert (tmp_path / "program").read_bytes() == b"the program"
    assert (tmp_path / "program").stat().st_mode & 0o111
    index = registry.content[f"{OURS}/manifests/v1.35.4"]
    assert upstream.digest(IMAGE) == f"sha256:{hashlib.sha256(index).hexdigest()}"


def test_a_changed_image_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with FakeRegistry().serving() as registry:
        monkeypatch.setenv(upstream.MIRROR, registry.address)
        publish(registry, tmp_path, b"the program")
        fetch(IMAGE, "/usr/local/bin/kube-apiserver", tmp_path / "program")
        publish(registry, tmp_path, b"another")
        with pytest.raises(MachineLacks, match="changed under the tag"):
            fetch(IMAGE, "/usr/local/bin/kube-apiserver", tmp_path / "program")
    assert (tmp_path / "program").read_bytes() == b"the program"


def test_a_registry_that_sends_something_else_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with FakeRegistry().serving() as registry:
        monkeypatch.setenv(upstream.MIRROR, registry.address)
        publish(registry, tmp_path, b"the program")
        for path in registry.content:
            if "/blobs/" in path:
                registry.content[path] += b"more"
        with pytest.raises(MachineLacks, match="not what its digest says"):
            fetch(IMAGE, "/usr/local/bin/kube-apiserver", tmp_path / "program")


def test_an_image_without_the_program_or_the_architecture_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with FakeRegistry().serving() as registry:
        monkeypatch.setenv(upstream.MIRROR, registry.address)
        publish(registry, tmp_path, b"the program")
        with pytest.raises(MachineLacks, match="holds no /usr/bin/other"):
            fetch(IMAGE, "/usr/bin/other", tmp_path / "program")
        monkeypatch.setattr("conformance.provision.fetch.ARCHITECTURE", "vax")
        with pytest.raises(MachineLacks, match="not published for linux/vax"):
            fetch(IMAGE, "/usr/local/bin/kube-apiserver", tmp_path / "program")


def test_an_unreachable_registry_or_image_leaves_other_ways(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with FakeRegistry().serving() as registry:
        monkeypatch.setenv(upstream.MIRROR, registry.address)
        with pytest.raises(Unreachable, match="cannot be had: HTTP Error 404"):
            fetch(IMAGE, "/usr/local/bin/kube-apiserver", tmp_path / "program")
    with pytest.raises(Unreachable, match="Connection refused"):
        fetch(IMAGE, "/usr/local/bin/kube-apiserver", tmp_path / "program")
    assert upstream.digest(IMAGE) is None


def test_what_cannot_be_fetched_is_left_to_be_built(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    with FakeRegistry().serving() as registry:
        monkeypatch.setenv(upstream.MIRROR, registry.address)
        publish(registry, tmp_path, b"the program")
        release, store = pins().release("1.35"), Store(tmp_path / "cache")
        assert host_programs.take_out(store, release, "kube-apiserver", None)
        assert not host_programs.take_out(store, release, "etcd", None)
        assert not host_programs.take_out(store, release, "kubectl", None)
    found = host_programs.here(Runner(tmp_path), store, release)
    assert found["kube-apiserver"].path.read_bytes() == b"the program"
    assert "etcd" not in found
    assert "etcd:3.6.6-0 cannot be had" in caplog.text
