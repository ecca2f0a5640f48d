"""The typed view of objects: reading, naming, normalising and comparing."""

from __future__ import annotations

import base64

import pytest

from conformance import kube_yaml
from conformance.errors import BadInput
from conformance.kube_yaml import NotYaml, read
from conformance.manifests import (
    ABSENT,
    NOT_DECLARED,
    Change,
    Manifest,
    Manifests,
    ObjectKey,
    difference,
    normalise,
    secret_values,
)
from conformance.redact import REDACTOR

DEPLOYMENT = """
# Source: agents/templates/deployment.yaml
apiVersion: apps/v1
kind: Deployment
metadata: {name: agents, labels: {a: b}}
spec:
  selector: {matchLabels: {a: b}}
  template:
    metadata: {labels: {a: b}}
    spec: {initContainers: [{name: first}], containers: [{name: app}]}
"""


def objects(*bodies: str) -> Manifests:
    return Manifests.parse("\n---\n".join(bodies), "agents")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("2024-01-01", "2024-01-01"), ("12:30", "12:30"), ("1e3", 1000.0), ("1_000", 1000), ("0777", 511),
        ("0o17", 15), ("0x1F", 31), ("08", 8.0), ("1.2.3", "1.2.3"), ("yes", True), ("y", True), ("Off", False),
        ("", None), ("~", None), ("=", "="), ("-.inf", float("-inf")), ("'12'", "12"), ("+5", 5), ("-0", 0),
    ],
)  # fmt: skip
def test_plain_scalars_are_read_as_kubernetes_reads_them(text: str, value: object) -> None:
    found = read(f"a: {text}")["a"]
    assert found == value
    assert type(found) is type(value)


def test_keys_are_text() -> None:
    assert read("{2: a, true: b, n: c}") == {"2": "a", "true": "b", "false": "c"}


def test_an_alias_bomb_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kube_yaml, "_MOST_NODES", 10_000)
    levels = "\n".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 9))
    with pytest.raises(NotYaml, match="alias bomb"):
        read(f"a0: &a0 [x]\n{levels}")


def test_a_stream_becomes_objects_that_keep_their_text() -> None:
    found = objects(DEPLOYMENT, "# a comment alone", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n")
    assert [str(manifest.key) for manifest in found] == ["Deployment/agents in agents", "ConfigMap/a in agents"]
    assert found.items[0].source == "agents/templates/deployment.yaml"
    assert "initContainers" in found.items[0].text
    assert found.items[1].text.strip().endswith("{name: a}")


def test_a_list_becomes_its_items() -> None:
    found = objects("apiVersion: v1\nkind: List\nitems: [{apiVersion: v1, kind: Secret, metadata: {name: a}}]")
    assert [str(manifest.key) for manifest in found] == ["Secret/a in agents"]


def test_only_namespaced_objects_get_the_namespace() -> None:
    found = objects(
        "apiVersion: v1\nkind: Service\nmetadata: {name: a}",
        "apiVersion: v1\nkind: Service\nmetadata: {name: a, namespace: other}",
        "apiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRole\nmetadata: {name: a, namespace: stray}",
        "apiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\nmetadata: {name: foos.x.io}\n"
        "spec: {group: x.io, scope: Cluster, names: {kind: Foo}}",
        "apiVersion: x.io/v1\nkind: Foo\nmetadata: {name: a}",
        "apiVersion: x.io/v1\nkind: Bar\nmetadata: {name: a}",
    )
    assert [manifest.namespace for manifest in found] == ["agents", "other", None, None, None, "agents"]
    scoped = Manifests.parse("apiVersion: x.io/v1\nkind: Bar\nmetadata: {name: a}", "agents",
                             cluster_scoped={("x.io", "Bar")})  # fmt: skip
    assert scoped.items[0].namespace is None


@pytest.mark.parametrize("text", ["# Source: a/b.yaml\na: [", "# Source: a/b.yaml\n- 1"])
def test_what_is_no_object_is_refused_by_its_template(text: str) -> None:
    with pytest.raises(BadInput, match=r"^a/b\.yaml: expected"):
        Manifests.parse(text)


def test_objects_are_found_paired_and_counted() -> None:
    mine = objects(DEPLOYMENT, "apiVersion: v1\nkind: Service\nmetadata: {name: a}")
    theirs = objects(DEPLOYMENT, DEPLOYMENT)
    key = ObjectKey("apps", "Deployment", "agents", "agents")
    assert key in mine
    assert mine.get(key) is mine.items[0]
    assert [pair[0].name for pair in mine.paired_with(theirs)] == ["agents"]
    assert list(mine.paired_with(theirs, kinds={"Service"})) == []
    assert (mine.repeated(), theirs.repeated()) == ([], [key])
    assert [manifest.name for manifest in mine.of("Service")] == ["a"]


def test_keys_are_ordered_whether_or_not_they_have_a_namespace() -> None:
    keys = [ObjectKey("", "B", None, "x"), ObjectKey("", "B", "a", "a"), ObjectKey("", "A", "z", "z")]
    assert [str(key) for key in sorted(keys)] == ["A/z in z", "B/x", "B/a in a"]


def test_a_manifest_knows_its_pods_and_hooks() -> None:
    (deployment,) = objects(DEPLOYMENT)
    assert deployment.selector == {"matchLabels": {"a": "b"}}
    assert [container["name"] for container in deployment.containers()] == ["app"]
    assert [container["name"] for container in deployment.containers(init=True)] == ["first", "app"]
    hook = {"metadata": {"annotations": {"helm.sh/hook": "pre-install, post-upgrade"}}}
    assert Manifest(hook).hooks == ("pre-install", "post-upgrade")
    template = {"spec": {"containers": [{"name": "x"}]}}
    cron = {"apiVersion": "batch/v1", "kind": "CronJob", "spec": {"jobTemplate": {"spec": {"template": template}}}}
    assert Manifest(cron).containers() == [{"name": "x"}]
    other = {"apiVersion": "x.io/v1", "kind": "Deployment", "spec": {"template": {"spec": {}}}}
    assert Manifest(other).pod_template is None


def test_normalising_drops_exactly_what_nobody_declares() -> None:
    body: dict = {"kind": "Service", "spec": {"a": 1}, "metadata": {"name": "a", "annotations": {"mine": "x"}}}
    full = {**body, "metadata": {**body["metadata"], "labels": {}, "annotations": {"mine": "x"}}}
    for path, _ in NOT_DECLARED:
        inner = full
        for name in path[:-1]:
            inner = inner.setdefault(name, {})
        inner[path[-1]] = "set by somebody else"
    assert normalise(full) == body
    assert full["metadata"]["uid"] == "set by somebody else"


def test_a_secret_is_normalised_as_the_server_stores_it() -> None:
    body = {"apiVersion": "v1", "kind": "Secret", "data": {"a": "eA==", "b": "eA=="}, "stringData": {"b": "y"}}
    assert normalise(body)["data"] == {"a": "eA==", "b": base64.b64encode(b"y").decode()}
    assert list(secret_values(body)) == [b"y", b"x", b"x"]


def test_differences_have_readable_paths() -> None:
    old = {"spec": {"replicas": 1, "containers": [{"name": "a", "image": "x"}, {"name": "b"}], "args": ["1", "2"]}}
    new = {"spec": {"containers": [{"name": "b"}, {"name": "a", "image": "y"}], "args": ["1"], "x.io/y": None}}
    assert difference(old, new) == [
        Change("spec.replicas", 1, ABSENT),
        Change("spec.containers[a].image", "x", "y"),
        Change("spec.containers (order)", ["a", "b"], ["b", "a"]),
        Change("spec.args[1]", "2", ABSENT),
        Change("spec[x.io/y]", ABSENT, None),
    ]
    assert difference(old, old) == []
    assert difference({"a": True}, {"a": 1}) == [Change("a", True, 1)]


def test_differences_never_show_a_secret() -> None:
    old = {"apiVersion": "v1", "kind": "Secret", "data": {"a": base64.b64encode(b"hunter22").decode()}}
    new = {
        "apiVersion": "v1",
        "kind": "Secret",
        "data": {"a": base64.b64encode(b"hunter23").decode(), "b": "eA=="},
    }
    shown = [str(change) for change in difference(old, new)]
    assert not any(text in str(shown) for text in ("hunter", base64.b64encode(b"hunter22").decode()))
    assert REDACTOR.hash("hunter22") in shown[0]
