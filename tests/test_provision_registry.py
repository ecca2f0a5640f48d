"""The local registry is shared, is made again where it cannot be used, and only ours is removed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from provision_registry import FakeRegistry

from conformance.errors import MachineLacks
from conformance.provision import registry
from conformance.run import Result


class FakeEngine:
    """Containers and networks as they are inspected; starting and running make the container run."""

    rootless = False

    def __init__(self, address: str, storage: Path) -> None:
        self.address = address
        self.storage = storage
        self.containers: dict[str, Any] = {}
        self.networks: dict[str, Any] = {}
        self.refused: set[str] = set()
        self.ran: list[tuple[str, ...]] = []

    def container(self, *, running: bool, label: str = "registry") -> dict[str, Any]:
        port = [{"HostPort": self.address.rpartition(":")[2]}]
        return {
            "State": {"Running": running},
            "Config": {"Labels": {"agents-conformance": label}},
            "Mounts": [{"Source": str(self.storage)}],
            "HostConfig": {"PortBindings": {"5000/tcp": port}},
        }

    def inspect(self, kind: str, name: str) -> Any:
        return (self.containers if kind == "container" else self.networks).get(name)

    def run(self, *words: str, check: bool = True, **_: Any) -> Result:
        self.ran.append(words)
        status = int(bool(self.refused & set(words)))
        if status == 0 and words[0] in ("start", "run"):
            self.storage.mkdir(parents=True, exist_ok=True)
            self.containers[registry.NAME] = self.container(running=True)
        if status == 0 and words[0] == "rm":
            self.containers.pop(registry.NAME, None)
        if status and check:
            raise AssertionError(words)
        return Result(words, {}, status, "", "", 0.0)

    def did(self) -> list[str]:
        return [words[0] for words in self.ran]


@pytest.fixture
def engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(registry, "START_SECONDS", 0.1)
    with FakeRegistry().serving() as served:
        served.content["/v2/"] = b"{}"
        yield FakeEngine(served.address, tmp_path / "agents-conformance/registry/storage")


def test_a_missing_registry_is_made_on_the_nodes_network(engine: FakeEngine, tmp_path: Path) -> None:
    made = registry.ensure(engine, "image:1")  # type: ignore[arg-type]
    assert made.push == engine.address
    assert made.pull == "agents-conformance-registry:5000"
    assert (made.hosts / made.pull / "hosts.toml").read_text() == registry.hosts_toml()
    assert engine.did() == ["rm", "network", "run"]
    assert {"--network", "kind", "image:1", f"{engine.storage}:/var/lib/registry"} <= set(engine.ran[-1])


def test_a_running_registry_is_used_as_it_is(engine: FakeEngine) -> None:
    first = registry.ensure(engine, "image:1")  # type: ignore[arg-type]
    engine.ran.clear()
    assert registry.ensure(engine, "image:1") == registry.here(engine) == first  # type: ignore[arg-type]
    assert engine.ran == []


def test_a_stopped_registry_is_started(engine: FakeEngine) -> None:
    engine.storage.mkdir(parents=True)
    engine.containers[registry.NAME] = engine.container(running=False)
    assert registry.here(engine) is None  # type: ignore[arg-type]
    registry.ensure(engine, "image:1")  # type: ignore[arg-type]
    assert engine.did() == ["start"]


@pytest.mark.parametrize("why", ["port taken", "storage gone"])
def test_a_registry_that_cannot_be_started_is_made_again(engine: FakeEngine, why: str) -> None:
    engine.containers[registry.NAME] = engine.container(running=False)
    engine.networks["kind"] = {"Labels": {}}
    if why == "port taken":
        engine.storage.mkdir(parents=True)
        engine.refused = {"start"}
    registry.ensure(engine, "image:1")  # type: ignore[arg-type]
    assert engine.did()[-2:] == ["rm", "run"]


def test_a_machine_without_ipv6_gets_a_network_without_it(engine: FakeEngine) -> None:
    engine.refused = {"--ipv6"}
    registry.ensure_network(engine)  # type: ignore[arg-type]
    assert "--ipv6" in engine.ran[0]
    assert "--ipv6" not in engine.ran[1]


def test_somebody_elses_container_is_neither_used_nor_removed(engine: FakeEngine) -> None:
    engine.containers[registry.NAME] = engine.container(running=False, label="other")
    with pytest.raises(MachineLacks, match="that this suite did not make"):
        registry.ensure(engine, "image:1")  # type: ignore[arg-type]
    assert registry.remove(engine) == []  # type: ignore[arg-type]
    assert engine.ran == []


def test_a_registry_that_does_not_come_up_is_what_the_machine_lacks(engine: FakeEngine) -> None:
    engine.address = "127.0.0.1:1"
    with pytest.raises(MachineLacks, match="did not answer"):
        registry.ensure(engine, "image:1")  # type: ignore[arg-type]


def test_only_what_is_ours_is_removed(engine: FakeEngine, tmp_path: Path) -> None:
    registry.ensure(engine, "image:1")  # type: ignore[arg-type]
    engine.networks["kind"] = {"Labels": {}}
    assert registry.remove(engine) == ["container agents-conformance-registry"]  # type: ignore[arg-type]
    assert not (tmp_path / "agents-conformance/registry").exists()
    engine.networks["kind"] = {"Labels": {"agents-conformance": "network"}}
    assert registry.remove(engine) == ["network kind"]  # type: ignore[arg-type]
    engine.refused = {"kind"}  # clusters are on it
    assert registry.remove(engine) == []  # type: ignore[arg-type]
