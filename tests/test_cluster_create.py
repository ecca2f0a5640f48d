"""How a cluster is made, without making one: what is recorded when, what is refused, how failures are told."""

from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml

from conformance.cluster import cluster as cluster_
from conformance.cluster.cluster import Cluster
from conformance.cluster.containers import Container
from conformance.cluster.journal import CLUSTER, Journal
from conformance.cluster.limits import inotify_exhausted
from conformance.errors import BadInput, CommandFailed, MachineLacks
from conformance.observe.inventory import Inventory


class FakeRunner:
    """Records commands, and fails as told."""

    record = Path("/report/commands.jsonl")

    def __init__(self):
        self.commands = []
        self.environment = {}
        self.failure = None
        self.journalled = []

    def with_environment(self, **more):
        self.environment |= more
        return self

    def run(self, *argv, **_):
        self.commands.append([str(word) for word in argv])
        if self.failure:
            raise CommandFailed(f"kind ended with status 1: {self.failure}")
        return SimpleNamespace(stdout="said")


@pytest.fixture
def journal(tmp_path):
    return Journal.open_new(tmp_path / "runs")


@pytest.fixture
def runner():
    return FakeRunner()


@pytest.fixture
def nodes(monkeypatch):
    found = []
    monkeypatch.setattr(cluster_.containers, "nodes", lambda *_: list(found))
    monkeypatch.setattr(cluster_.containers, "remove", lambda _, gone: [found.remove(one) for one in gone])
    monkeypatch.setattr(cluster_, "settle", lambda _: Inventory({}))
    monkeypatch.setattr(cluster_, "inotify_exhausted", lambda: None)
    monkeypatch.setattr(
        cluster_,
        "kind_config",
        lambda *_: {"nodes": [{"role": "control-plane", "extraMounts": [{"hostPath": "/h"}]}]},
    )
    return found


@pytest.fixture
def cluster(journal, runner, nodes, monkeypatch, tmp_path):
    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    monkeypatch.setattr(Cluster, "api", None)
    machine = SimpleNamespace(
        node=SimpleNamespace(reference="node:1"), kind=Path("/bin/kind"), kubectl=Path("/bin/kubectl"),
        engine=SimpleNamespace(environment={"DOCKER_CONFIG": "/empty"}),
        registry=SimpleNamespace(pull="registry:5000"),
    )  # fmt: skip
    return Cluster(journal.name("gw0", "1"), machine, runner, journal)


def test_it_is_journalled_before_it_is_made(cluster, runner, journal, monkeypatch):
    seen = []
    monkeypatch.setattr(runner, "run", lambda *_, **__: seen.append(journal.entries(CLUSTER)[0].state))
    cluster.create()
    assert set(seen) == {"making"}
    (entry,) = journal.entries(CLUSTER)
    assert entry.state == "made"
    assert entry.details["kubeconfig"] == str(cluster.kubeconfig)
    assert entry.details["commands"] == "/report/commands.jsonl"
    assert cluster.created


def test_it_writes_into_the_run_s_folder_only_and_its_commands_are_marked(cluster, runner, journal):
    cluster.create()
    assert list(Path.cwd().iterdir()) == []
    assert runner.environment == {"DOCKER_CONFIG": "/empty", "AGENTS_CONFORMANCE_RUN": journal.run_id}
    command, inside = runner.commands
    assert inside[:3] == ["docker", "exec", f"{cluster.name}-control-plane"]
    assert command[:5] == ["/bin/kind", "create", "cluster", "--name", cluster.name]
    assert str(cluster.kubeconfig).startswith(str(journal.folder))


def test_every_node_mounts_from_its_run_s_folder(cluster, journal):
    cluster.create()
    config = yaml.safe_load((cluster.path / "kind.yaml").read_text())
    own, mark = config["nodes"][0]["extraMounts"]
    assert own == {"hostPath": "/h"}
    assert Path(mark["hostPath"]).is_relative_to(journal.folder)
    (patch,) = map(yaml.safe_load, config["kubeadmConfigPatches"])
    assert patch["patches"]["directory"] == mark["containerPath"]
    names = sorted(path.name for path in Path(mark["hostPath"]).iterdir())
    assert names == sorted(cluster_._PATCHES)


def test_a_cluster_of_someone_else_is_refused_before_anything_is_recorded(cluster, nodes, runner, journal):
    nodes.append(Container("1", f"{cluster.name}-control-plane", cluster.name, (Path("/lib/modules"),)))
    with pytest.raises(BadInput, match="seen one that this run did not make"):
        cluster.create()
    assert len(nodes) == 1
    assert runner.commands == []
    assert journal.entries(CLUSTER) == []


def test_what_an_earlier_attempt_of_this_run_left_is_removed(cluster, nodes, journal):
    nodes.append(Container("1", f"{cluster.name}-control-plane", cluster.name, (journal.folder / "x",)))
    cluster.create()
    assert nodes == []


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("Bind for 127.0.0.1:6443 failed: port is already allocated", "a port that the cluster needs is in use"),
        ("Cannot connect to the Docker daemon", "the container engine does not answer"),
        ("write: no space left on device", "the container engine's disk is full"),
        ("No such image: node:1", "the node image is gone from the engine"),
    ],
)
def test_what_the_machine_lacks_is_one_line(cluster, runner, said, told):
    runner.failure = said
    with pytest.raises(MachineLacks, match=told) as raised:
        cluster.create()
    assert "\n" not in str(raised.value)
    assert not cluster.created


def test_a_kernel_at_its_limit_is_named_instead_of_what_kind_says(cluster, runner, monkeypatch):
    monkeypatch.setattr(cluster_, "inotify_exhausted", lambda: "120 of 128 inotify instances are in use")
    runner.failure = "could not find a log line that matches"
    with pytest.raises(MachineLacks, match="120 of 128 inotify instances"):
        cluster.create()


def test_other_failures_are_the_command_s_own(cluster, runner):
    runner.failure = "something else"
    with pytest.raises(CommandFailed, match="something else"):
        cluster.create()


def test_a_kept_cluster_says_how_to_look_inside(cluster, journal):
    cluster.create()
    said = cluster.keep()
    assert f"export KUBECONFIG={cluster.kubeconfig}" in said
    assert "agents-conformance clean" in said
    assert [entry.state for entry in journal.entries(CLUSTER)] == ["kept"]


def test_inherited_methods_run_nothing_unrecorded(cluster, runner):
    cluster.ensure_kind()
    cluster.ensure_kubectl()
    assert cluster.kubectl("get", "pods") == "said"
    cluster.load_docker_image("x:1")
    assert [command[0] for command in runner.commands] == ["/bin/kubectl", "/bin/kind"]
    with pytest.raises(NotImplementedError):
        cluster.port_forward("web", 80)


@pytest.mark.parametrize(("most", "exhausted"), [(128, False), (26, False), (25, True)])
def test_inotify_instances_are_counted(tmp_path, most, exhausted):
    limit, processes = tmp_path / "limit", tmp_path / "proc"
    limit.write_text(f"{most}\n")
    files = processes / "12" / "fd"
    files.mkdir(parents=True)
    (files / "3").symlink_to("anon_inode:inotify")
    (files / "4").symlink_to("/dev/null")
    (processes / "self").mkdir()
    said = inotify_exhausted(limit, processes)
    assert (said is not None) == exhausted
    assert said is None or said.startswith("1 of 25 inotify instances are in use")


def test_without_such_a_limit_there_is_none(tmp_path):
    assert inotify_exhausted(tmp_path / "none", tmp_path) is None
