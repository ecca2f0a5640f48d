"""Watching and comparing on a real API server: restarts, every usual kind, drift."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml
from control_plane import ControlPlane

from conformance.api import Api, Resource
from conformance.helm import Helm, Release, Wait
from conformance.manifests import Manifests, ObjectKey
from conformance.observe.deadlines import Deadline
from conformance.observe.inventory import Inventory
from conformance.observe.live_state import LiveState, compare
from conformance.observe.timeline import Timeline
from conformance.observe.wait import wait_for
from conformance.provision import Tools
from conformance.run import Runner

pytestmark = pytest.mark.machine

PATIENT = Deadline(60, "a test", "the API server takes some seconds to start")


def config_map(name: str, value: str) -> dict[str, object]:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": {"value": value}}


def set_value(api: Api, name: str, value: str) -> None:
    path = api.resource("", "ConfigMap").path("default", name)
    api.request("PATCH", path, body={"data": {"value": value}}, content_type="application/merge-patch+json")


def in_background(work: Callable[[], object]) -> threading.Thread:
    thread = threading.Thread(target=work)
    thread.start()
    return thread


def test_a_wait_outlives_a_restart_of_the_api_server(plane: ControlPlane) -> None:
    plane.api.create(config_map("restart", "before"), "default")
    listening, reached = threading.Event(), []

    def mismatch(bodies: list[dict]) -> str | None:
        listening.set()
        values = {body["metadata"]["name"]: body["data"]["value"] for body in bodies if "data" in body}
        return None if values["restart"] == "after" else f"restart has {values['restart']}"

    api = plane.client()
    kinds = api.resource("", "ConfigMap")
    waiter = in_background(
        lambda: reached.extend(wait_for(api, kinds, mismatch, namespace="default", deadline=PATIENT))
    )
    assert listening.wait(30)
    plane.stop()
    time.sleep(1)
    assert waiter.is_alive()
    plane.start()
    set_value(plane.api, "restart", "after")
    waiter.join(60)
    assert [body["data"]["value"] for body in reached if body["metadata"]["name"] == "restart"] == ["after"]


def test_a_timeline_outlives_a_restart_and_misses_nothing(plane: ControlPlane) -> None:
    with Timeline(plane.client(), "default") as seen:
        plane.stop()
        plane.start()
        job = {"template": {"spec": {"restartPolicy": "Never", "containers": [{"name": "c", "image": "x"}]}}}
        plane.api.create(
            {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "hook"}, "spec": job}, "default"
        )
        assert seen.until(lambda: [story.key.name for story in seen.stories("Job")] == ["hook"], 60)


CHART = Path(__file__).with_name("every-kind")


@pytest.fixture(scope="module", params=[3, 4])
def installed(
    request: pytest.FixtureRequest, plane: ControlPlane, tools: Tools, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Api, Inventory, Manifests]]:
    pristine = Inventory.take(plane.api)
    name = f"helm{request.param}"
    plane.api.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
    program = tools.helm3 if request.param == 3 else tools.helm4
    release = Release(Helm(program, Runner(tmp_path_factory.mktemp("home")), plane.kubeconfig), name, name)
    done = release.deploy(CHART, wait=Wait.NONE)
    yield plane.api, pristine, done.manifest
    release.delete(wait=False)
    # Nobody is there to empty a namespace: no controllers run.


def deviations(api: Api, pristine: Inventory, declared: Manifests) -> list[tuple[str, str]]:
    namespace = declared.of("ConfigMap")[0].namespace
    assert namespace is not None
    live = LiveState.of(Inventory.take(api), pristine, made_by_suite=[ObjectKey("", "Namespace", None, namespace)])
    return [(found.key.kind, str(found)) for found in compare(api, declared, live)]


def test_every_usual_kind_is_as_declared(installed: tuple[Api, Inventory, Manifests]) -> None:
    assert len(installed[2]) > 35
    assert deviations(*installed) == []


LABEL = {"metadata": {"labels": {"by": "hand"}}}
CONTAINER = {
    "spec": {"template": {"spec": {"containers": [{"name": "c", "env": [{"name": "HAND", "value": "1"}]}]}}}
}


@pytest.mark.parametrize(
    ("kind", "patch", "path"),
    [
        ("ConfigMap", {"data": {"a": "2"}}, "data.a"),
        ("Secret", {"stringData": {"k": "another-value"}}, "data.k"),
        ("Deployment", CONTAINER, "spec.template.spec.containers[c].env[HAND]"),
        ("Deployment", {"spec": {"replicas": 3}}, "spec.replicas"),
        ("Service", {"spec": {"sessionAffinity": "ClientIP"}}, "spec.sessionAffinity"),
        ("ServiceAccount", LABEL, "metadata.labels"),
        ("CronJob", {"spec": {"suspend": False}}, "spec.suspend"),
        ("Role", {"rules": [{"apiGroups": [""], "resources": ["pods"], "verbs": ["list"]}]}, "rules[0].verbs[0]"),
        ("PodDisruptionBudget", {"spec": {"maxUnavailable": 2}}, "spec.maxUnavailable"),
        ("Ingress", {"spec": {"ingressClassName": "other"}}, ""),
    ],
)
def test_drift_is_named(installed: tuple[Api, Inventory, Manifests], kind: str, patch: dict, path: str) -> None:
    api, pristine, declared = installed
    one = declared.of(kind)[0]
    resource = api.resource_of(one.body)
    before = api.get(resource, one.namespace, one.name)
    change(api, resource, one.namespace, one.name, patch)
    try:
        found = deviations(api, pristine, declared)
        # What is defaulted at creation only cannot be told from what was set later.
        assert [kind for kind, _ in found] == ([kind] if path else [])
        assert all(text.startswith(path) for _, text in found)
    finally:
        restore(api, resource, before)


def change(api: Api, resource: Resource, namespace: str | None, name: str, patch: dict) -> None:
    api.request("PATCH", resource.path(namespace, name), body=json.dumps(patch),
                content_type="application/strategic-merge-patch+json")  # fmt: skip


def restore(api: Api, resource: Resource, before: dict | None) -> None:
    assert before is not None
    namespace, name = before["metadata"].get("namespace"), before["metadata"]["name"]
    now = api.get(resource, namespace, name)
    assert now is not None
    before["metadata"]["resourceVersion"] = now["metadata"]["resourceVersion"]
    api.request("PUT", resource.path(namespace, name), body=before)


def test_missing_and_left_over(installed: tuple[Api, Inventory, Manifests]) -> None:
    api, pristine, declared = installed
    namespace = declared.of("ConfigMap")[0].namespace
    api.create(config_map("left-over", "x"), namespace)
    quota = declared.of("ResourceQuota")[0]
    api.delete(api.resource("", "ResourceQuota"), namespace, quota.name)
    try:
        assert deviations(api, pristine, declared) == [
            ("ConfigMap", "it is left over"), ("ResourceQuota", "it is missing"),
        ]  # fmt: skip
    finally:
        api.delete(api.resource("", "ConfigMap"), namespace, "left-over")
        api.create(quota.body)


def test_an_immutable_field_is_refused_in_the_servers_words(installed: tuple[Api, Inventory, Manifests]) -> None:
    api, pristine, declared = installed
    text = yaml.safe_dump_all(one.body for one in declared).replace("app: d\n", "app: other\n")
    found = deviations(api, pristine, Manifests.parse(text))
    kinds = [kind for kind, _ in found]
    assert "Deployment" in kinds
    (said,) = [text for kind, text in found if kind == "Deployment"]
    assert "field is immutable" in said
    assert "spec.selector.matchLabels.app: expected 'other', observed 'd'" in said
