"""Evidence: everything that helps, nothing secret, whatever else is broken."""

import base64
import gzip
import json
import threading
import time

import pytest
import yaml
from fake_cluster import FakeCluster, body

from conformance.api import Api, ApiRefusal, ApiUnreachable
from conformance.cluster.journal import Entry
from conformance.cluster.scene import Scene
from conformance.errors import MachineLacks
from conformance.evidence import capture, capture_all
from conformance.evidence import node as node_
from conformance.evidence.canaries import find_canaries
from conformance.evidence.secrets import as_yaml, shown, stored_release

CANARIES = ["canary-of-a-secret", "canary-of-an-old-revision", "canary-of-values", "canary applied"]


def _secret(name, namespace="agents", **values):
    data = {key: base64.b64encode(value.encode()).decode() for key, value in values.items()}
    return body("Secret", name, namespace, data=data)


def _release(revision, status, manifest, values):
    content = {
        "name": "agents", "version": revision, "namespace": "agents", "manifest": manifest, "config": values,
        "info": {"status": status, "last_deployed": "2026-01-01T00:00:00Z", "description": "Upgrade complete"},
        "chart": {"metadata": {"name": "agents", "version": f"0.9.{revision}", "appVersion": "9"}},
        "hooks": [{"manifest": as_yaml([body("ConfigMap", f"hook-{revision}", data={"a": "b"})])}],
    }  # fmt: skip
    payload = base64.b64encode(gzip.compress(json.dumps(content).encode()))
    name = f"sh.helm.release.v1.agents.v{revision}"
    return {**_secret(name, release=payload.decode()), "type": "helm.sh/release.v1"}


def _container(name, **state):
    return {"name": name, "image": "app:1", "imageID": "sha256:0", "restartCount": 0, "state": {}, **state}


@pytest.fixture
def cluster(monkeypatch):
    old = yaml.safe_dump(_secret("db", password=CANARIES[1]))
    fake = FakeCluster(
        body("Namespace", "default"),
        body("Namespace", "agents"),
        {**_secret("db", password=CANARIES[0], mode="standard"), "metadata": {
            "name": "db", "namespace": "agents", "managedFields": [{}],
            "annotations": {"kubectl.kubernetes.io/last-applied-configuration": f'{{"x": "{CANARIES[3]}"}}'}}},
        _release(1, "superseded", old, {"password": CANARIES[2], "replicas": 2, "image": "app:1"}),
        _release(2, "deployed", as_yaml([body("ConfigMap", "c", data={"image": "app:1"})]), {"image": "app:1"}),
        body("ConfigMap", "copy", "agents", data={"leaked": f"{CANARIES[0]}!"}),
        body("Deployment", "web", "agents", metadata={"generation": 1}, spec={"replicas": 2}, status={
            "replicas": 2, "readyReplicas": 1, "observedGeneration": 1,
            "conditions": [{"type": "Available", "status": "False", "reason": "MinimumReplicasUnavailable"}]}),
        body("Pod", "web-1", "agents", status={"phase": "Running", "containerStatuses": [
            _container("app", restartCount=2, state={"waiting": {"reason": "CrashLoopBackOff"}},
                       lastState={"terminated": {"exitCode": 3, "reason": "Error"}})]}),
        body("Event", "e", "agents", type="Warning", reason="BackOff", message="Back-off\nrestarting", count=4,
             lastTimestamp="2026-01-01T00:00:01Z",
             involvedObject={"kind": "Pod", "name": "web-1", "namespace": "agents"}),
    )  # fmt: skip
    fake.logs = {"web-1/app": f"password is {CANARIES[0]}\n", "web-1/app/previous": "the first start\n"}
    monkeypatch.setattr(Api, "from_kubeconfig", lambda _: fake)
    monkeypatch.setattr(
        node_.containers, "running_engine", lambda _: (_ for _ in ()).throw(MachineLacks("no engine"))
    )
    return fake


@pytest.fixture
def scene(tmp_path, cluster):
    pristine = tmp_path / "pristine.json"
    pristine.write_text(json.dumps([cluster.objects[key] for key in cluster.objects if key.name == "default"]))
    record = tmp_path / "commands.jsonl"
    said = {"command": ["helm", "upgrade", "a b"], "environment": {"KUBECONFIG": "/k"}, "status": 1,
            "seconds": 1.5, "stdout": "", "stderr": f"Error: {CANARIES[0]}"}  # fmt: skip
    record.write_text(json.dumps(said) + "\nnot json\n")
    return Scene("agents-conformance-1", tmp_path / "kubeconfig", pristine, record)


def _files(folder):
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def test_everything_is_captured_and_nothing_secret(scene, tmp_path):
    folder = capture(tmp_path / "report", "rollback/leaves-no-orphans", scene)
    assert folder == tmp_path / "report" / "rollback-leaves-no-orphans"
    assert _files(folder) == {
        "index.txt", "summary.txt", "events.txt", "inventory.txt", "commands.txt",
        "objects/agents/ConfigMap.yaml", "objects/agents/Deployment.yaml", "objects/agents/Pod.yaml",
        "objects/agents/Secret.yaml", "objects/cluster-wide/Namespace.yaml",
        "logs/agents/web-1/app.log", "logs/agents/web-1/app.previous.log",
        "helm/agents/agents/history.txt",
        "helm/agents/agents/revision-1.manifest.yaml", "helm/agents/agents/revision-1.values.yaml",
        "helm/agents/agents/revision-2.manifest.yaml", "helm/agents/agents/revision-2.values.yaml",
    }  # fmt: skip
    assert find_canaries(folder, CANARIES) == []


def test_what_is_not_secret_is_readable(scene, tmp_path):
    folder = capture(tmp_path / "report", "a/b", scene)
    assert "1  superseded  agents-0.9.1  app 9" in (folder / "helm/agents/agents/history.txt").read_text()
    values = yaml.safe_load((folder / "helm/agents/agents/revision-1.values.yaml").read_text())
    assert values["replicas"] == 2
    assert values["password"].startswith("<secret ")
    assert yaml.safe_load((folder / "helm/agents/agents/revision-2.values.yaml").read_text()) == {"image": "app:1"}
    assert "hook-2" in (folder / "helm/agents/agents/revision-2.manifest.yaml").read_text()
    secret = yaml.safe_load((folder / "objects/agents/Secret.yaml").read_text())
    assert sorted(secret["data"]) == ["mode", "password"]
    assert "managedFields" not in secret["metadata"]
    assert "Pod/web-1 in agents: Back-off restarting (x4)" in (folder / "events.txt").read_text()
    commands = (folder / "commands.txt").read_text()
    assert "$ KUBECONFIG=/k helm upgrade 'a b'\n# status 1, 1.5 s\nError: <secret" in commands
    assert "the first start" in (folder / "logs/agents/web-1/app.previous.log").read_text()


def test_the_summary_begins_with_what_is_wrong(scene, tmp_path):
    text = (capture(tmp_path / "report", "a/b", scene) / "summary.txt").read_text()
    assert text.startswith("Deployment/web in agents\n  counted     wanted=2 replicas=2 readyReplicas=1\n")
    assert "  ! condition Available=False MinimumReplicasUnavailable" in text
    assert "  ! container app: waiting CrashLoopBackOff, not ready, 2 restarts" in text
    assert "before: terminated Error, exitCode 3" in text


def test_the_inventory_names_what_is_new(scene, tmp_path):
    text = (capture(tmp_path / "report", "a/b", scene) / "inventory.txt").read_text()
    assert "new\n  ConfigMap/copy in agents\n" in text
    assert "Namespace/default" not in text


def test_one_broken_collector_spoils_no_other(scene, cluster, tmp_path):
    cluster.broken["events"] = ApiRefusal(500, {"message": "etcd is tired"})
    del cluster.logs["web-1/app/previous"]
    folder = capture(tmp_path / "report", "a/b", scene)
    index = (folder / "index.txt").read_text()
    assert "events: the API server refused with 500" in index
    assert "logs/agents/web-1/app.previous.log: the API server refused with 400" in index
    assert "node: no engine" in index
    assert {"objects/agents/Pod.yaml", "logs/agents/web-1/app.log", "summary.txt"} <= _files(folder)


def test_where_secrets_cannot_be_read_nothing_of_the_cluster_is_written(scene, cluster, tmp_path):
    cluster.broken["secrets"] = ApiRefusal(403, {"message": "forbidden"})
    folder = capture(tmp_path / "report", "a/b", scene)
    assert _files(folder) == {"index.txt", "commands.txt"}
    assert "the Secrets cannot be read" in (folder / "index.txt").read_text()


def test_without_an_api_server_there_is_still_a_report(scene, tmp_path, monkeypatch):
    def gone(_):
        raise ApiUnreachable("connection refused")

    monkeypatch.setattr(Api, "from_kubeconfig", gone)
    folder = capture(tmp_path / "report", "a/b", scene)
    assert _files(folder) == {"index.txt", "commands.txt"}
    assert "objects, events, logs and releases: connection refused" in (folder / "index.txt").read_text()


def test_a_collector_that_hangs_is_left_behind(scene, cluster, tmp_path, monkeypatch):
    forever = threading.Event()
    monkeypatch.setattr(cluster, "read", lambda *_, **__: forever.wait(30))
    started = time.monotonic()
    folder = capture(tmp_path / "report", "a/b", scene, seconds=1.0)
    forever.set()
    assert time.monotonic() - started < 10
    assert "2 logs: not read in time" in (folder / "index.txt").read_text()
    assert "summary.txt" in _files(folder)


def test_a_report_folder_that_cannot_be_written_is_no_error(scene, tmp_path, caplog):
    (tmp_path / "report").touch()
    capture(tmp_path / "report", "a/b", scene)
    assert "the evidence of a/b cannot be written" in caplog.text


def test_several_clusters_are_captured_at_once(scene, tmp_path):
    folders = capture_all(tmp_path / "report", {"one": scene, "other": scene})
    assert [folder.name for folder in folders] == ["one", "other"]
    assert all("summary.txt" in _files(folder) for folder in folders)


def test_a_scene_is_known_from_the_journal_alone(tmp_path):
    entry = Entry(
        "cluster", "c", "made", {"kubeconfig": "/k", "pristine": str(tmp_path / "none"), "commands": None}
    )
    assert Scene.of(entry) == Scene("c", tmp_path.__class__("/k"), tmp_path / "none", None)
    assert Scene.of(entry).pristine_objects() == {}


def test_names_of_objects_are_never_taken_for_secrets(scene, cluster, tmp_path):
    cluster.put(_secret("users", user="agents", database="web-1", other="copper-kettle"))
    folder = capture(tmp_path / "report", "a/b", scene)
    assert "Pod/web-1 in agents" in (folder / "summary.txt").read_text()


def test_secrets_are_shown_by_key_and_hash_only():
    secret = {**_secret("s", a="value-one", b="value-one"), "stringData": {"c": "x"}}
    data = shown(secret)["data"]
    assert data["a"] == data["b"] != base64.b64encode(b"value-one").decode()
    assert shown(secret)["stringData"]["c"].startswith("<secret ")
    assert shown({**secret, "data": None})["data"] == {}


@pytest.mark.parametrize(
    "payload", [b"", b"not base64!", base64.b64encode(b"\x1f\x8bbroken"), base64.b64encode(b"[]")]
)
def test_a_damaged_release_is_none(payload):
    secret = body("Secret", "r", "agents", data={"release": base64.b64encode(payload).decode()})
    assert stored_release(secret) is None
