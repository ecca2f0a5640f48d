"""Sweeping and cleaning remove exactly what the suite made."""

import logging
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest

from conformance import paths
from conformance.cluster import clean, cleaning, containers, sweep, sweep_stale_runs, sweeping
from conformance.cluster.containers import Container
from conformance.cluster.journal import CLUSTER, CONTAINER, FOLDER, NETWORK, Journal
from conformance.errors import CommandFailed, MachineLacks


class FakeEngine:
    """Holds containers and networks, and refuses what Docker would refuse."""

    def __init__(self):
        self.containers = {}
        self.networks = set()
        self.appear = []

    def node(self, cluster, folder, kept_in="certs.d"):
        name = f"{cluster}-control-plane"
        binds = (
            "/lib/modules:/lib/modules:ro",
            f"{folder}/clusters/{cluster}/{kept_in}:/etc/containerd/certs.d:ro",
        )
        self.containers[name] = Container(name, name, cluster, tuple(Path(bind.split(":")[0]) for bind in binds))

    def inspect(self, kind, name):
        return {} if name in (self.containers if kind == "container" else self.networks) else None


@pytest.fixture
def engine(monkeypatch):
    fake = FakeEngine()

    def nodes(_, cluster=None, *, patience=0.0):
        found = [node for node in fake.containers.values() if node.cluster and cluster in (None, node.cluster)]
        for late in fake.appear[:]:
            fake.appear.remove(late)
            fake.node(*late)
        return found

    def remove(_, gone):
        for one in gone:
            del fake.containers[one.id if isinstance(one, Container) else one]

    def ask(_, *words):
        assert words[:2] == ("network", "rm")
        fake.networks.remove(words[2])

    monkeypatch.setattr(containers, "running_engine", lambda _: fake)
    monkeypatch.setattr(cleaning, "find", lambda _: fake)
    monkeypatch.setattr(containers, "nodes", nodes)
    monkeypatch.setattr(containers, "remove", remove)
    monkeypatch.setattr(containers, "ask", ask)
    monkeypatch.setattr(sweeping, "SETTLING_SECONDS", 0.5)
    return fake


@pytest.fixture(autouse=True)
def state(tmp_path, monkeypatch):
    monkeypatch.setattr(paths, "state", lambda: tmp_path / "agents-conformance")
    return tmp_path


def _cluster(engine, journal, worker="gw0"):
    name = journal.name(worker)
    journal.record(CLUSTER, name)
    engine.node(name, journal.folder)
    journal.made(CLUSTER, name)
    return name


def test_everything_a_run_recorded_goes(engine, state, tmp_path):
    journal = Journal.open_new()
    _cluster(engine, journal)
    container, network = journal.name("git"), journal.name("net")
    journal.record(NETWORK, network)
    journal.record(CONTAINER, container)
    journal.record(FOLDER, str(tmp_path / "work"))
    engine.containers[container] = Container(container, container, None, ())
    engine.networks.add(network)
    (tmp_path / "work").mkdir()
    removed = sweep(journal)
    assert removed == [
        f"container {container}",
        f"network {network}",
        f"cluster {journal.name('gw0')}",
        f"folder {tmp_path / 'work'}",
    ]
    assert not engine.containers
    assert not engine.networks
    assert list(state.iterdir()) == []


@pytest.mark.usefixtures("engine")
def test_what_was_recorded_but_never_made_is_no_trouble():
    journal = Journal.open_new()
    journal.record(CLUSTER, journal.name("gw0"))
    journal.record(NETWORK, journal.name("net"))
    assert sweep(journal) == []
    assert not journal.folder.exists()


def test_a_run_that_made_nothing_needs_no_engine(monkeypatch):
    monkeypatch.setattr(containers, "running_engine", lambda _: pytest.fail("the engine was asked"))
    assert sweep(Journal.open_new()) == []


def test_a_cluster_of_the_same_name_by_someone_else_is_left_alone(engine, caplog):
    journal = Journal.open_new()
    name = journal.name("gw0")
    journal.record(CLUSTER, name)
    engine.node(name, "/home/someone")
    assert sweep(journal) == []
    assert list(engine.containers) == [f"{name}-control-plane"]
    assert "made by someone else, left alone" in caplog.text


def test_a_kept_cluster_stays_until_clean(engine):
    journal = Journal.open_new()
    kept, other = _cluster(engine, journal), _cluster(engine, journal, "gw1")
    journal.keep(CLUSTER, kept)
    journal.close()
    assert sweep_stale_runs() == [f"cluster {other}"]
    assert sweep_stale_runs() == []
    assert list(engine.containers) == [f"{kept}-control-plane"]
    assert clean() == [f"cluster {kept}"]
    assert not engine.containers
    assert not journal.folder.exists()


def test_without_an_engine_the_journal_stays_for_the_next_sweep(engine, monkeypatch):
    journal = Journal.open_new()
    _cluster(engine, journal)
    with monkeypatch.context() as gone:
        gone.setattr(containers, "running_engine", lambda _: (_ for _ in ()).throw(MachineLacks("no engine")))
        with pytest.raises(MachineLacks):
            sweep(journal)
    assert sweep_stale_runs() == [f"cluster {journal.name('gw0')}"]


def test_commands_that_outlived_their_run_are_ended_and_waited_for(engine):
    journal = Journal.open_new()
    name = journal.name("gw0")
    journal.record(CLUSTER, name)
    journal.close()
    command, other = (
        subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"], env={sweeping.RUN_VARIABLE: run})
        for run in (journal.run_id, "ffffffff")
    )
    # The engine still makes what the command had asked for when it was killed.
    engine.appear.append((name, journal.folder))
    try:
        assert sweep_stale_runs() == [f"cluster {name}"]
        assert not psutil.pid_exists(command.pid)
        assert other.poll() is None, "another run's"
    finally:
        command.kill()
        other.kill()
        command.wait()
        other.wait()
    assert not engine.containers


def test_what_an_interrupted_run_had_just_asked_for_is_waited_for(engine):
    journal = Journal.open_new()
    name = journal.name("gw0")
    journal.record(CLUSTER, name)
    sweeping.end_processes(journal)  # as an interrupt does, before evidence is taken
    engine.appear.append((name, journal.folder))
    assert sweep(journal) == [f"cluster {name}"]
    assert not engine.containers


class EngineThatMakes:
    """Lists a container from the beginning; what it tells of it is `inspected`, one answer after the other."""

    def __init__(self, *inspected):
        self.inspected = list(inspected)

    def run(self, *words, timeout, check=True):
        said = "id\n" if words[0] == "ps" else self.inspected.pop(0)
        return SimpleNamespace(stdout=said)


MADE = '[{"Id": "id", "Name": "/x", "Config": {"Labels": null}, "HostConfig": {"Binds": ["/a:/b"]}}]'


def test_a_container_that_is_being_made_is_waited_for():
    (found,) = containers.nodes(EngineThatMakes("[]", "[]", MADE), "x", patience=5)
    assert found == Container("id", "x", None, (Path("/a"),))


def test_a_container_that_is_never_made_is_waited_for_no_longer_than_said():
    assert containers.nodes(EngineThatMakes("[]"), "x") == []
    assert containers.nodes(EngineThatMakes(*["[]"] * 9), "x", patience=0.3) == []


def test_clean_leaves_a_living_run_alone_and_says_so(engine, caplog):
    over, living = Journal.open_new(), Journal.open_new()
    gone, stays = _cluster(engine, over), _cluster(engine, living)
    over.close()
    with caplog.at_level(logging.WARNING):
        assert clean(everything=True) == [f"cluster {gone}"]
    assert list(engine.containers) == [f"{stays}-control-plane"]
    assert f"run {living.run_id} is going on" in caplog.text


def test_clean_finds_nodes_whose_journal_is_lost(engine, tmp_path):
    lost = tmp_path / "elsewhere" / "agents-conformance" / "runs" / "0123abcd"
    engine.node("agents-conformance-0123abcd-gw0", lost)
    living = Journal.open_new(tmp_path / "elsewhere" / "agents-conformance" / "runs")
    stays = _cluster(engine, living)
    over = Journal.open_new(living.folder.parent)
    _cluster(engine, over), (kept := _cluster(engine, over, "gw1"))
    over.keep(CLUSTER, kept)
    over.close()
    engine.node("agents-conformance-mine", "/home/someone")
    engine.node("kind", "/home/someone/agents-conformance/runs/0123abcd")
    assert clean() == [
        "container agents-conformance-0123abcd-gw0-control-plane",
        f"container {over.name('gw0')}-control-plane",
    ]
    others = {"agents-conformance-mine", "kind"}
    assert {node.cluster for node in engine.containers.values()} == {stays, kept, *others}


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (
            "Cannot connect to the Docker daemon at unix:///var/run/docker.sock.",
            "the container engine does not answer",
        ),
        ("write /var: no space left on device", "the container engine's disk is full; make room"),
    ],
)
def test_what_the_engine_lacks_is_told_as_such(said, expected):
    error = containers.explained(CommandFailed(f"docker ended with status 1: {said}"))
    assert isinstance(error, MachineLacks)
    assert str(error).startswith(expected)
    assert said in str(error)


def test_other_failures_stay_what_they_are():
    error = CommandFailed("docker ended with status 1: no such container")
    assert containers.explained(error) is error
