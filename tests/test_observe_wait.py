"""A wait ends with the event that satisfies it, or with the last mismatch."""

from __future__ import annotations

import threading

import pytest
from observe_server import Server, serving

from conformance.api import Api, ApiUnreachable, Resource
from conformance.manifests import Manifests
from conformance.observe.deadlines import DEADLINES, Deadline, Deadlines
from conformance.observe.ready import wait_until_ready
from conformance.observe.wait import NotReached, wait_for, wait_for_one, wait_until_gone

DEPLOYMENTS = Resource("apps", "v1", "deployments", "Deployment", True, frozenset())
LONG, NOW = Deadline(20, "a test", "long"), Deadline(0, "a test", "now")


def deployment(updated: int, **status: object) -> dict[str, object]:
    counts = {"replicas": updated, "updatedReplicas": updated, "availableReplicas": updated}
    return {
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "agents", "generation": 1},
        "spec": {"replicas": 2}, "status": {"observedGeneration": 1, **counts, **status},
    }  # fmt: skip


def too_few(bodies: list[dict[str, object]]) -> str | None:
    updated = [body["status"]["updatedReplicas"] for body in bodies]
    return None if updated == [2] else f"updated: {updated}"


def test_returns_with_the_event_that_satisfies(served: tuple[Server, Api]) -> None:
    server, api = served
    server.put("deployments", deployment(1))
    seen = []

    def mismatch(bodies: list[dict[str, object]]) -> str | None:
        seen.append(too_few(bodies))
        if len(seen) == 1:
            server.put("deployments", deployment(2))
        return seen[-1]

    found = wait_for(api, DEPLOYMENTS, mismatch, namespace="ns", deadline=LONG)
    assert found[0]["status"]["updatedReplicas"] == 2
    assert seen == ["updated: [1]", None]


def test_on_expiry_the_last_mismatch_is_told(served: tuple[Server, Api]) -> None:
    server, api = served
    server.put("deployments", deployment(1))
    with pytest.raises(NotReached) as caught:
        wait_for(api, DEPLOYMENTS, too_few, namespace="ns", deadline=NOW)
    assert caught.value.mismatch == "updated: [1]"
    assert not caught.value.final
    assert "updated: [1]" in str(caught.value)
    assert "timed out" not in str(caught.value)


def test_what_cannot_be_mended_fails_at_once(served: tuple[Server, Api]) -> None:
    server, api = served
    server.put("deployments", deployment(1))
    with pytest.raises(NotReached) as caught:
        wait_for(api, DEPLOYMENTS, too_few, namespace="ns", deadline=LONG, failed=lambda _: "broken")
    assert caught.value.mismatch == "broken"
    assert caught.value.final


def test_an_absent_server_is_not_the_objects_fault() -> None:
    with serving() as (_, api):
        url = api.url
    with pytest.raises(ApiUnreachable):
        wait_for(Api(url), DEPLOYMENTS, too_few, namespace="ns", deadline=NOW)


def test_one_object_and_its_end(served: tuple[Server, Api]) -> None:
    server, api = served
    server.put("deployments", deployment(2))
    found = wait_for_one(
        api, DEPLOYMENTS, "agents", lambda body: None if body else "x", namespace="ns", deadline=NOW
    )
    assert found is not None
    held = deployment(2)
    held["metadata"] |= {"deletionTimestamp": "now", "finalizers": ["a/b"]}
    server.put("deployments", held)
    with pytest.raises(NotReached, match="Deployment/agents is being deleted, held by a/b"):
        wait_until_gone(api, DEPLOYMENTS, "agents", namespace="ns", deadline=NOW)
    server.remove("deployments", "agents")
    wait_until_gone(api, DEPLOYMENTS, "agents", namespace="ns", deadline=NOW)


def declared(*names: str) -> Manifests:
    kinds = {"agents": ("apps/v1", "Deployment"), "migrate": ("batch/v1", "Job"), "plain": ("v1", "ConfigMap")}
    return Manifests.of_bodies(
        {"apiVersion": kinds[name][0], "kind": kinds[name][1], "metadata": {"name": name, "namespace": "ns"}}
        for name in names
    )


def test_ready_waits_for_what_becomes_ready_only(served: tuple[Server, Api]) -> None:
    server, api = served
    threading.Timer(0.05, lambda: server.put("deployments", deployment(2))).start()
    wait_until_ready(api, declared("agents", "plain"), deadline=LONG)
    assert not [asked for asked in server.asked if "configmaps" in asked]


def test_not_ready_says_what_the_pods_suffer_from(served: tuple[Server, Api]) -> None:
    server, api = served
    server.put("deployments", deployment(0))
    waiting = {"name": "main", "state": {"waiting": {"reason": "ImagePullBackOff", "message": "no such\nimage"}}}
    owners = [{"uid": "uid-deployments-agents", "controller": True}]
    for name, owned in (("agents-1", owners), ("foreign", [])):
        server.put("pods", {
            "apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "ownerReferences": owned},
            "status": {"phase": "Pending", "containerStatuses": [waiting]},
        })  # fmt: skip
    with pytest.raises(NotReached) as caught:
        wait_until_ready(api, declared("agents"), deadline=Deadline(0, "x", "y"))
    assert caught.value.mismatch == (
        "Deployment/agents in ns: 0 of 2 replicas updated; "
        "Pod/agents-1 in ns: container main waits: ImagePullBackOff: no such image"
    )


def test_ready_names_what_is_missing_and_fails_early(served: tuple[Server, Api]) -> None:
    server, api = served
    with pytest.raises(NotReached, match="Job/migrate in ns is missing"):
        wait_until_ready(api, declared("migrate"), deadline=NOW)
    condition = {"type": "Failed", "status": "True", "reason": "BackoffLimitExceeded", "message": "no"}
    server.put("jobs", {
        "apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "migrate"}, "spec": {},
        "status": {"conditions": [condition]},
    })  # fmt: skip
    with pytest.raises(NotReached) as caught:
        wait_until_ready(api, declared("migrate"), deadline=LONG)
    assert caught.value.final
    assert caught.value.mismatch == "Job/migrate in ns: failed with BackoffLimitExceeded: no"
    wait_until_ready(api, declared("migrate"), deadline=NOW, jobs=False)


def test_one_factor_stretches_every_deadline() -> None:
    stretched = Deadlines.of(2.5)
    assert stretched.workloads_ready.seconds == 2.5 * DEADLINES.workloads_ready.seconds
    assert stretched.object_gone.why == DEADLINES.object_gone.why
    with pytest.raises(ValueError, match="above 0"):
        Deadlines.of(0)
