"""What is missing until an object is ready, and why pods are not."""

from __future__ import annotations

import pytest

from conformance.manifests import ObjectKey
from conformance.observe.ownership import descendants
from conformance.observe.rollout import failed, missing, running_images, why_not_ready

KINDS = {
    "Deployment": "apps/v1", "StatefulSet": "apps/v1", "DaemonSet": "apps/v1", "ReplicaSet": "apps/v1",
    "Job": "batch/v1", "Pod": "v1", "PersistentVolumeClaim": "v1", "Service": "v1", "ConfigMap": "v1",
    "CustomResourceDefinition": "apiextensions.k8s.io/v1",
}  # fmt: skip


def body(kind: str, status: object = None, spec: object = None, **metadata: object) -> dict[str, object]:
    return {
        "apiVersion": KINDS[kind], "kind": kind, "metadata": {"name": "x", "generation": 2, **metadata},
        "spec": spec or {}, "status": {"observedGeneration": 2, **(status or {})},
    }  # fmt: skip


def counts(total: int, updated: int, available: int) -> dict[str, int]:
    return {
        "replicas": total,
        "updatedReplicas": updated,
        "availableReplicas": available,
        "readyReplicas": available,
    }


def condition(type_: str, status: str, **more: str) -> dict[str, object]:
    return {"conditions": [{"type": type_, "status": status, **more}]}


STALE = "its controller has seen generation 1 of 2"
CURRENT = {"currentRevision": "b", "updateRevision": "b"}
MOVING = {"currentRevision": "a", "updateRevision": "b"}


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (body("Deployment", counts(2, 2, 2), {"replicas": 2}), None),
        (body("Deployment", {"observedGeneration": 1, **counts(1, 1, 1)}), STALE),
        (body("Deployment", counts(2, 1, 2), {"replicas": 2}), "1 of 2 replicas updated"),
        (body("Deployment", counts(3, 2, 3), {"replicas": 2}), "1 replicas of earlier ReplicaSets remain"),
        (body("Deployment", counts(2, 2, 1), {"replicas": 2}), "1 of 2 replicas available"),
        (body("Deployment", {}, {"replicas": 0}), None),
        (body("Deployment", {}, {"paused": True}), "0 of 1 replicas updated; its rollout is paused"),
        (
            body("Deployment", condition("ReplicaFailure", "True", message="quota exceeded")),
            "0 of 1 replicas updated; quota exceeded",
        ),
        (body("StatefulSet", {**counts(1, 1, 1), **CURRENT}), None),
        (body("StatefulSet", {**counts(1, 0, 1), **MOVING}), "0 of 1 replicas updated"),
        (body("StatefulSet", {**counts(1, 1, 0), **CURRENT}), "0 of 1 replicas ready"),
        (body("StatefulSet", {**counts(1, 0, 1), **MOVING}, {"updateStrategy": {"type": "OnDelete"}}), None),
        (
            body("StatefulSet", {**counts(3, 1, 3), **MOVING},
                 {"replicas": 3, "updateStrategy": {"rollingUpdate": {"partition": 2}}}),
            None,
        ),
        (body("DaemonSet", {"desiredNumberScheduled": 2, "updatedNumberScheduled": 1}), "1 of 2 pods updated"),
        (
            body("DaemonSet", {"desiredNumberScheduled": 2, "updatedNumberScheduled": 2, "numberAvailable": 1}),
            "1 of 2 pods available",
        ),
        (body("DaemonSet", {"desiredNumberScheduled": 0}), None),
        (body("ReplicaSet", counts(1, 1, 0)), "0 of 1 replicas available"),
        (body("Job", condition("Complete", "True")), None),
        (body("Job", {"active": 1}), "not complete: 1 active, 0 succeeded, 0 failed of 1"),
        (body("Job", {}, {"suspend": True}), None),
        (body("Pod", {"phase": "Running", **condition("Ready", "True")}), None),
        (body("Pod", {"phase": "Succeeded"}), None),
        (body("Pod", {"phase": "Pending"}), "not ready, phase Pending"),
        (body("PersistentVolumeClaim", {"phase": "Pending"}), "phase Pending, not Bound"),
        (body("PersistentVolumeClaim", {"phase": "Bound"}), None),
        (body("Service", {}, {"type": "LoadBalancer"}), "no address from a load balancer"),
        (body("Service"), None),
        (body("CustomResourceDefinition", condition("Established", "True")), None),
        (body("CustomResourceDefinition"), "not Established: no such condition yet"),
        (body("ConfigMap"), None),
    ],
)  # fmt: skip
def test_what_is_missing(found: dict[str, object], expected: str | None) -> None:
    assert missing(found) == (expected and f"{found['kind']}/x: {expected}")


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (
            body("Deployment", condition("Progressing", "False", reason="ProgressDeadlineExceeded")),
            "ProgressDeadlineExceeded: 0 of 1 replicas updated",
        ),
        (
            body("Deployment", {
                "observedGeneration": 1, **condition("Progressing", "False", reason="ProgressDeadlineExceeded"),
            }),
            None,  # said of the generation before
        ),
        (body("Deployment"), None),
        (
            body("Job", condition("Failed", "True", reason="BackoffLimitExceeded", message="gave up")),
            "failed with BackoffLimitExceeded: gave up",
        ),
        (body("Pod", {"phase": "Failed", "message": "evicted"}), "failed: evicted"),
        (
            body("Pod", {"phase": "Failed", "containerStatuses": [
                {"name": "a", "state": {"terminated": {"reason": "Error", "exitCode": 3}}}
            ]}),
            "failed: Error (exit code 3)",
        ),
        (body("PersistentVolumeClaim", {"phase": "Lost"}), "phase Lost: its volume is gone"),
        (
            body("CustomResourceDefinition", condition("NamesAccepted", "False", message="taken")),
            "names not accepted: taken",
        ),
    ],
)  # fmt: skip
def test_what_waiting_does_not_mend(found: dict[str, object], expected: str | None) -> None:
    assert failed(found) == (expected and f"{found['kind']}/x: {expected}")


def owned(kind: str, name: str, owner: str, **more: object) -> dict[str, object]:
    return {
        "apiVersion": KINDS[kind], "kind": kind, **more,
        "metadata": {"name": name, "uid": name, "ownerReferences": [{"uid": owner}], **more.pop("metadata", {})},
    }  # fmt: skip


def pod(
    name: str, owner: str, phase: str = "Running", image: str = "r@sha256:1", **metadata: object
) -> dict[str, object]:
    statuses = [{"name": "main", "imageID": image}, {"name": "sidecar", "imageID": "other"}]
    return owned("Pod", name, owner, status={"phase": phase, "containerStatuses": statuses}, metadata=metadata)


def test_running_images_are_those_of_the_workloads_current_pods() -> None:
    workload = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "agents", "uid": "d"}}
    bodies = [
        workload, owned("ReplicaSet", "rs", "d"), pod("a", "rs"), pod("b", "rs", image=""),
        pod("ending", "rs", deletionTimestamp="now"), pod("ended", "rs", "Failed"), pod("foreign", "else"),
    ]  # fmt: skip
    by_key = {ObjectKey.of(one): one for one in bodies}
    assert {one["metadata"]["name"] for one in descendants(workload, bodies)} == {
        "rs",
        "a",
        "b",
        "ending",
        "ended",
    }
    key = ObjectKey("apps", "Deployment", None, "agents")
    assert running_images(by_key, key, "main") == {"a": "r@sha256:1", "b": ""}
    assert running_images({}, key, "main") == {}


def test_why_pods_are_not_ready() -> None:
    statuses = [
        {"name": "setup", "state": {"terminated": {"reason": "Completed", "exitCode": 0}}},
        {
            "name": "main", "restartCount": 3,
            "state": {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off"}},
            "lastState": {"terminated": {"reason": "Error", "exitCode": 1, "message": "no\ndatabase"}},
        },
        {"name": "other", "state": {"waiting": {"reason": "ContainerCreating"}}},
    ]  # fmt: skip
    pods = [
        body("Pod", {"phase": "Running", "containerStatuses": statuses}, name="a", uid="a"),
        body(
            "Pod",
            condition("PodScheduled", "False", reason="Unschedulable", message="0/1 nodes"),
            name="b",
            uid="b",
        ),
        body("Pod", {"phase": "Pending"}, name="c", uid="c"),
        body("Pod", {"phase": "Running", **condition("Ready", "True")}, name="ready", uid="d"),
        body("Pod", {"phase": "Running"}, name="ending", uid="e", deletionTimestamp="now"),
    ]
    probe = {
        "type": "Warning",
        "reason": "Unhealthy",
        "message": "Readiness probe failed",
        "involvedObject": {"uid": "a"},
    }
    events = [probe, probe, {**probe, "type": "Normal", "reason": "Pulled"}]
    assert why_not_ready(pods, events) == [
        "Pod/a: container main waits: CrashLoopBackOff: back-off",
        "Pod/a: container main restarted 3 times, last: Error (exit code 1): no database",
        "Pod/a: Unhealthy: Readiness probe failed",
        "Pod/b: Unschedulable: 0/1 nodes",
        "Pod/c: phase Pending",
    ]
