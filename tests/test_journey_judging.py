"""What a stage that did not end ready is said to have suffered from."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from conformance.journey import Stage, judging
from conformance.manifests import Body, Manifests, ObjectKey

HOOK = "apiVersion: batch/v1\nkind: Job\nmetadata: {name: announce, annotations: {helm.sh/hook: post-install}}"


def job(**status: object) -> Body:
    metadata = {"name": "announce", "namespace": "agents", "uid": "job"}
    return {"apiVersion": "batch/v1", "kind": "Job", "metadata": metadata, "spec": {}, "status": status}


def pod(**state: object) -> Body:
    owner = {"kind": "Job", "name": "announce", "uid": "job"}
    metadata = {"name": "announce-x", "namespace": "agents", "uid": "pod", "ownerReferences": [owner]}
    status = {"phase": "Pending", "containerStatuses": [{"name": "c", "state": state}]}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "status": status}


def said(*bodies: Body) -> list[str]:
    live: Any = SimpleNamespace(inventory={ObjectKey.of(body): body for body in bodies})
    made: Any = SimpleNamespace(revision=1, manifest=Manifests(), hooks=Manifests.parse(HOOK, "agents"))
    chart: Any = SimpleNamespace(name="agents", version="1.0.0")
    seen: Any = None
    stage = Stage("install", chart, made, 0.0, 1.0, seen, live, "timed out waiting for the condition")
    (finding,) = judging.not_ready(stage)
    assert finding.object == "Release/agents"
    first, *rest = finding.observed.splitlines()
    assert first == stage.failure
    return rest


HOOK_SAID = "hook post-install: Job/announce in agents: not complete: 1 active, 0 succeeded, 0 failed of 1"


@pytest.mark.parametrize(
    ("bodies", "expected"),
    [
        ([], []),
        ([job(conditions=[{"type": "Complete", "status": "True"}])], []),
        ([job(active=1)], [HOOK_SAID]),
        (
            [job(active=1), pod(waiting={"reason": "ImagePullBackOff", "message": "no such image"})],
            [HOOK_SAID, "Pod/announce-x in agents: container c waits: ImagePullBackOff: no such image"],
        ),
    ],
    ids=["gone", "complete", "going on", "its pod waits"],
)
def test_a_hook_that_did_not_end_is_named_with_what_its_pods_suffer_from(
    bodies: list[Body], expected: list[str]
) -> None:
    assert said(*bodies) == expected
