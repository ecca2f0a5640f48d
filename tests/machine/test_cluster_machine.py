"""Clusters on the real machine: made, verified, refused, killed in the middle, and what they leave behind."""

from __future__ import annotations

import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest
import yaml

from conformance import evidence, paths
from conformance.api import Body
from conformance.cluster import Cluster, Journal, Lease, NotPristine, clean, containers, stale_runs, sweep
from conformance.cluster.journal import CLUSTER
from conformance.cluster.pristine import departures
from conformance.errors import BadInput, CommandFailed
from conformance.evidence.canaries import find_canaries
from conformance.manifests import ObjectKey
from conformance.observe.deadlines import Deadline
from conformance.observe.inventory import Inventory
from conformance.observe.wait import wait_for_one
from conformance.provision import Machine, push_stub
from conformance.run import Runner

pytestmark = pytest.mark.machine

SOON = Deadline(90, "the test's own objects", "a busy machine is slow")
CANARIES = ["canary/of+a secret&<7>", "canary-of-the-old-revision", "canary-of-an-unused-value"]


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("state") / paths.APP / "runs"


def _runner(journal: Journal) -> Runner:
    return Runner(journal.make_folder("home"), {}, journal.folder / "commands.jsonl")


@pytest.fixture(scope="module")
def lease(machine: Machine, root: Path) -> Iterator[Lease]:
    journal = Journal.open_new(root)
    with Lease(machine, _runner(journal), journal, "shared") as lease:
        yield lease
    assert sweep(journal) == []


@pytest.fixture
def cluster(lease: Lease) -> Cluster:
    return lease.pristine_cluster()


def _apply(cluster: Cluster, *bodies: Body) -> None:
    for body in bodies:
        cluster.api.create(body)


def _wait(cluster: Cluster, key: ObjectKey, field: str, wanted: object) -> Body:
    def mismatch(body: Body | None) -> str | None:
        seen = (body or {}).get("status", {}).get(field)
        return None if seen == wanted else f"{key}: {field} is {seen!r}, not {wanted!r}"

    resource = cluster.api.resource(key.group, key.kind)
    found = wait_for_one(cluster.api, resource, key.name, mismatch, deadline=SOON, namespace=key.namespace)
    assert found is not None
    return found


def _pod(name: str, image: str, **container: object) -> Body:
    spec = {"containers": [{"name": "c", "image": image, **container}], "terminationGracePeriodSeconds": 60}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": "work"}, "spec": spec}


WORK = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "work"}}


def _kube_proxy(cluster: Cluster) -> str:
    """An image that every node holds, whose program says what it was given and fails."""
    return f"registry.k8s.io/kube-proxy:{cluster.machine.node.kubernetes}"


def test_pods_pull_from_the_registry_by_digest(cluster: Cluster, machine: Machine) -> None:
    image = push_stub(machine.stub, machine.registry, "cluster-test", {})
    _apply(cluster, WORK, _pod("stub", image.reference, imagePullPolicy="Always"))
    pod = _wait(cluster, ObjectKey("", "Pod", "work", "stub"), "phase", "Running")
    assert pod["status"]["containerStatuses"][0]["imageID"].endswith(image.digest)


def test_a_used_cluster_is_brought_back_and_verified(lease: Lease) -> None:
    cluster = lease.pristine_cluster()
    definition = {
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": "widgets.example.test"},
        "spec": {"group": "example.test", "scope": "Namespaced", "names": {"kind": "Widget", "plural": "widgets"},
                 "versions": [{"name": "v1", "served": True, "storage": True, "schema": {
                     "openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}}}]},
    }  # fmt: skip
    role = {
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole",
        "metadata": {"name": "widgets", "labels": {"rbac.authorization.k8s.io/aggregate-to-edit": "true"}},
        "rules": [{"apiGroups": ["example.test"], "resources": ["widgets"], "verbs": ["*"]}],
    }  # fmt: skip
    template = {"metadata": {"labels": {"app": "w"}}, "spec": _pod("x", _kube_proxy(cluster))["spec"]}
    claim = {"metadata": {"name": "d"}, "spec": {"accessModes": ["ReadWriteOnce"],
                                                 "resources": {"requests": {"storage": "1Mi"}}}}  # fmt: skip
    stateful = {
        "apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": {"name": "db", "namespace": "work"},
        "spec": {"serviceName": "db", "selector": {"matchLabels": {"app": "w"}}, "template": template,
                 "volumeClaimTemplates": [claim]},
    }  # fmt: skip
    _apply(cluster, WORK, definition, role, stateful, _pod("waits", "none.test/missing:1"))
    cluster.kubectl("wait", "--for=condition=Established", "crd/widgets.example.test")
    widget = {
        "apiVersion": "example.test/v1", "kind": "Widget",
        "metadata": {"name": "w", "namespace": "work", "finalizers": ["example.test/never"]},
    }  # fmt: skip
    everything = {"apiGroups": ["*"], "apiVersions": ["*"], "resources": ["*"], "operations": ["DELETE", "UPDATE"]}
    hook = {
        "name": "deny.example.test", "failurePolicy": "Fail", "sideEffects": "None", "rules": [everything],
        "admissionReviewVersions": ["v1"], "clientConfig": {"service": {"name": "x", "namespace": "work"}},
    }  # fmt: skip
    deny = {
        "apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingWebhookConfiguration",
        "metadata": {"name": "deny"}, "webhooks": [hook],
    }  # fmt: skip
    _apply(cluster, widget, deny)
    _wait(cluster, ObjectKey("", "PersistentVolumeClaim", "work", "d-db-0"), "phase", "Bound")
    again = lease.pristine_cluster()
    assert again is cluster, "it was reset, not replaced"
    assert departures(cluster.pristine, Inventory.take(cluster.api)) == []


def test_a_cluster_changed_for_good_is_replaced(lease: Lease) -> None:
    cluster = lease.pristine_cluster()
    cluster.kubectl("label", "namespace", "default", "changed=yes")
    with pytest.raises(NotPristine, match=r"Namespace/default was changed: metadata.labels.changed"):
        cluster.reset()
    replaced = lease.pristine_cluster()
    assert replaced.name != cluster.name
    assert containers.nodes(cluster.machine.engine, cluster.name) == []
    assert not cluster.path.exists()


def test_two_clusters_stand_side_by_side(machine: Machine, root: Path) -> None:
    journals = [Journal.open_new(root) for _ in range(2)]

    def made(journal: Journal) -> tuple[str, int]:
        with Lease(machine, _runner(journal), journal) as lease:
            cluster = lease.pristine_cluster()
            _apply(cluster, {**WORK, "metadata": {"name": journal.run_id}})
            names = [
                body["metadata"]["name"]
                for body in cluster.api.list(cluster.api.resource("", "Namespace"))["items"]
            ]
            others = [one.run_id for one in journals if one is not journal]
            return cluster.name, sum(name in others for name in names)

    with ThreadPoolExecutor() as pool:
        results = list(pool.map(made, journals))
    assert len({name for name, _ in results}) == 2
    assert [foreign for _, foreign in results] == [0, 0]
    assert [sweep(journal) for journal in journals] == [[], []]


def test_a_cluster_of_someone_else_is_refused_and_left_alone(
    machine: Machine, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = Journal.open_new(root)
    name = journal.name("foreign", "1")
    node = f"{name}-control-plane"
    machine.engine.run(
        "create", "--name", node, "--label", f"{containers.KIND_LABEL}={name}", machine.node.reference
    )
    try:
        with pytest.raises(BadInput, match=f"seen one that this run did not make \\({node}\\)"):
            Cluster(name, machine, _runner(journal), journal).create()
        assert journal.entries(CLUSTER) == [], "nothing was begun"
        journal.record(CLUSTER, name)  # as if it had come between the check and the making
        assert sweep(journal) == []
        monkeypatch.setattr(paths, "state", lambda: root.parent)
        assert [removed for removed in clean() if node in removed] == []
        assert machine.engine.inspect("container", node) is not None
    finally:
        machine.engine.run("rm", "--force", node)


def test_a_cluster_that_cannot_be_made_is_one_clear_line_and_leaves_nothing(machine: Machine, root: Path) -> None:
    journal = Journal.open_new(root)
    cluster = Cluster(journal.name("bad", "1"), machine, _runner(journal), journal)
    config = {"kind": "Cluster", "apiVersion": "kind.x-k8s.io/v1alpha4", "nodes": [{"role": "nothing"}]}
    file = cluster.path / "bad.yaml"
    file.write_text(yaml.safe_dump(config))
    with pytest.raises(CommandFailed, match=r"unknown node role|not a valid node role") as raised:
        cluster.create(file)
    assert "\n" not in str(raised.value)
    assert sweep(journal) == []
    assert not journal.folder.exists()


CREATING = """
    import sys
    from pathlib import Path
    from conformance.cluster import Journal, Lease
    from conformance.provision import provision
    from conformance.run import Runner
    machine = provision()
    journal = Journal.open_new(Path(sys.argv[1]))
    print(journal.run_id, flush=True)
    with Lease(machine, Runner(journal.make_folder("home")), journal) as lease:
        lease.pristine_cluster()
        print("made", flush=True)
"""


@pytest.mark.parametrize("moment", ["recorded", "asked for", "container there", "booting", "kubeadm runs", "made"])
def test_a_run_killed_at_any_moment_leaves_nothing(machine: Machine, root: Path, moment: str) -> None:
    script = textwrap.dedent(CREATING)
    process = subprocess.Popen([sys.executable, "-c", script, root], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    run_id = process.stdout.readline().strip()
    journal = Journal(root / run_id)
    node = f"{paths.APP}-{run_id}-main-1-control-plane"
    reached = {
        "recorded": lambda: journal.entries(CLUSTER),
        "asked for": lambda: any(f"--name {node}" in " ".join(command) for command in _commands()),
        "container there": lambda: machine.engine.inspect("container", node),
        "booting": lambda: (machine.engine.inspect("container", node) or {}).get("State", {}).get("Running"),
        "kubeadm runs": lambda: any(
            "kubeadm init" in " ".join(command) and node in command for command in _commands()
        ),
        "made": lambda: process.stdout.readline(),  # type: ignore[union-attr]
    }[moment]
    deadline = time.monotonic() + 120
    while not reached():
        assert time.monotonic() < deadline, f"never came to where it was to be killed: {moment}"
    process.kill()
    process.wait()
    (stale,) = [found for found in stale_runs(root) if found.run_id == run_id]
    sweep(stale)
    assert not stale.folder.exists()
    time.sleep(1.0)  # nothing may appear afterwards either
    assert machine.engine.inspect("container", node) is None
    assert [command for command in _commands() if run_id in " ".join(command)] == []


def _commands() -> list[list[str]]:
    return [process.info["cmdline"] or [] for process in psutil.process_iter(["cmdline"])]


LEAKY = """\
apiVersion: v1
kind: Secret
metadata: {name: leaky}
stringData:
  password: {{ .Values.password | quote }}
  url: {{ printf "postgresql://app:%s@db/x" .Values.password | quote }}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: leaky}
data:
  copy: {{ printf "x%s" .Values.password | b64enc | quote }}
---
"""


def test_evidence_holds_everything_but_secrets(lease: Lease, tmp_path: Path) -> None:
    cluster = lease.pristine_cluster()
    chart = tmp_path / "chart"
    (chart / "templates").mkdir(parents=True)
    (chart / "Chart.yaml").write_text("apiVersion: v2\nname: leaky\nversion: 0.1.0\n")
    env = [{"name": "PASSWORD", "valueFrom": {"secretKeyRef": {"name": "leaky", "key": "password"}}}]
    pod = _pod("x", _kube_proxy(cluster), command=["/usr/local/bin/kube-proxy", "--$(PASSWORD)"], env=env)["spec"]
    deployment = {
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "leaky"},
        "spec": {"selector": {"matchLabels": {"app": "leaky"}},
                 "template": {"metadata": {"labels": {"app": "leaky"}}, "spec": pod}},
    }  # fmt: skip
    (chart / "templates" / "all.yaml").write_text(LEAKY + yaml.safe_dump(deployment))
    values = tmp_path / "values.yaml"
    for password in (CANARIES[1], CANARIES[0]):
        values.write_text(yaml.safe_dump({"password": password, "unused": CANARIES[2]}))
        cluster.runner.run(
            cluster.machine.helm3, "upgrade", "--install", "leaky", chart, "--namespace", "leaks",
            "--create-namespace", "--values", values, env={"KUBECONFIG": str(cluster.kubeconfig)}, timeout=60,
        )  # fmt: skip
    cluster.kubectl("get", "secrets", "--all-namespaces", "--output", "yaml")  # so that the record knows them too
    pods = cluster.api.resource("", "Pod")
    end = time.monotonic() + SOON.seconds
    while not any(
        status.get("restartCount")
        for one in cluster.api.list(pods, "leaks")["items"]
        for status in one.get("status", {}).get("containerStatuses", ())
    ):
        assert time.monotonic() < end, "the leaky pod was to crash"
        time.sleep(0.5)
    for name, scene in {"alive": cluster.scene, "journal": _recorded(lease, cluster)}.items():
        folder = evidence.capture(tmp_path / "report", f"rollback/{name}", scene)
        files = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
        assert {
            "index.txt", "summary.txt", "events.txt", "inventory.txt", "commands.txt", "objects/leaks/Secret.yaml",
            "helm/leaks/leaky/history.txt", "helm/leaks/leaky/revision-1.manifest.yaml",
            "helm/leaks/leaky/revision-2.values.yaml",
        } <= files  # fmt: skip
        logs = [path for path in files if path.startswith("logs/leaks/")]
        assert any(path.endswith("/c.previous.log") for path in logs)
        assert any("unknown flag: --<secret " in (folder / path).read_text() for path in logs)
        assert any(path.endswith("/kubelet.log") for path in files)
        assert (folder / "index.txt").read_text().endswith("missing\n  nothing\n")
    assert find_canaries(tmp_path / "report", CANARIES) == []


def _recorded(lease: Lease, cluster: Cluster) -> evidence.Scene:
    (entry,) = [one for one in cluster.journal.entries(CLUSTER) if one.name == cluster.name]
    return evidence.Scene.of(entry)


def test_evidence_of_a_frozen_cluster_is_bounded(lease: Lease, tmp_path: Path) -> None:
    cluster = lease.pristine_cluster()
    node = f"{cluster.name}-control-plane"
    cluster.machine.engine.run("pause", node)
    try:
        started = time.monotonic()
        folder = evidence.capture(tmp_path, "a/b", cluster.scene, seconds=10)
        assert time.monotonic() - started < 15
    finally:
        cluster.machine.engine.run("unpause", node)
    assert "the Secrets cannot be read" in (folder / "index.txt").read_text()


def test_nothing_of_the_callers_own_is_read_changed_or_written_to(
    machine: Machine, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    poison = "apiVersion: v1\nkind: Config\ncurrent-context: production\n- this is no kubeconfig\n"
    home, here = tmp_path / "home", tmp_path / "here"
    files = [home / ".kube" / "config", home / ".docker" / "config.json", tmp_path / "kubeconfig"]
    for file in files:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(poison)
    here.mkdir()
    monkeypatch.chdir(here)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("KUBECONFIG", str(files[2]))
    monkeypatch.setenv("DOCKER_CONFIG", str(home / ".docker"))
    monkeypatch.setenv("KIND_EXPERIMENTAL_PROVIDER", "poison")
    journal = Journal.open_new(root)
    with Lease(machine, _runner(journal), journal) as lease:
        cluster = lease.pristine_cluster()
        assert "coredns" in cluster.kubectl("get", "deployments", "--all-namespaces")
    assert sweep(journal) == []
    assert [file.read_text() for file in files] == [poison] * 3
    assert sorted(path for path in tmp_path.rglob("*") if path.is_file()) == sorted(files)
