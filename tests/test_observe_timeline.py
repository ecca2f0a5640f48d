"""The timeline: what a watch saw during an operation, and what follows from it."""

from __future__ import annotations

import threading

import pytest
from observe_server import Server

from conformance.api import Api, Event
from conformance.errors import Incomplete
from conformance.manifests import ObjectKey
from conformance.observe.history import History, Restart
from conformance.observe.logs import LogLine, refused
from conformance.observe.timeline import Timeline

AGENTS = ObjectKey("apps", "Deployment", "ns", "agents")


def pod(restarts: int = 0, image: str = "", ended: str = "", name: str = "agents-1") -> dict:
    status = {"name": "main", "restartCount": restarts, "imageID": image}
    if ended:
        status["lastState"] = {"terminated": {"reason": ended, "exitCode": 1}}
    return {
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "uid": f"uid-{name}", "namespace": "ns"},
        "status": {"phase": "Running", "containerStatuses": [status]},
    }  # fmt: skip


def event(count: int = 1, type_: str = "Warning", name: str = "e1", **more: object) -> dict:
    about = {"kind": "Pod", "name": "agents-1"}
    return {
        "apiVersion": "v1", "kind": "Event", "metadata": {"name": name, "uid": name, "namespace": "ns"},
        "type": type_, "reason": "BackOff", "message": "Back-off\nrestarting", "involvedObject": about,
        "count": count, "firstTimestamp": "t1", "lastTimestamp": "t2", **more,
    }  # fmt: skip


def deployment(generation: int, available: int, uid: str = "d1") -> dict:
    metadata = {"name": "agents", "namespace": "ns", "uid": uid, "generation": generation, "managedFields": [1]}
    return {
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata,
        "status": {"availableReplicas": available},
    }  # fmt: skip


def history(*bodies: dict, before: int = 0) -> History:
    seen = History()
    for number, body in enumerate(bodies):
        seen.record(Event("ADDED", body), float(number), before=number < before)
    return seen


def test_restarts_of_the_operation_only() -> None:
    assert history(pod(), pod(1), pod(2, ended="Error")).restarts() == [
        Restart("agents-1", "main", 2, "Error (exit code 1)")
    ]
    assert history(pod(3), pod(3), before=1).restarts() == []
    assert history(pod(3), pod(4), before=1).restarts() == [Restart("agents-1", "main", 1, "no reason given")]
    assert history(pod(1)).restarts() == [Restart("agents-1", "main", 1, "no reason given")]


def test_warnings_of_the_operation_only() -> None:
    (found,) = history(event(1), event(4)).warnings()
    assert (found.reason, found.object, found.message) == ("BackOff", "Pod/agents-1", "Back-off restarting")
    assert (found.count, found.first_seen, found.last_seen) == (4, "t1", "t2")
    assert history(event(3), before=1).warnings() == []
    assert [one.count for one in history(event(3), event(5), before=1).warnings()] == [2]
    assert history(event(type_="Normal")).warnings() == []


def test_events_of_the_newer_api_count_in_a_series() -> None:
    newer = event(series={"count": 7, "lastObservedTime": "t9"}, firstTimestamp=None, eventTime="t3")
    newer["count"] = None
    (found,) = history(newer).warnings()
    assert (found.count, found.first_seen, found.last_seen) == (7, "t3", "t9")


def test_generations_identity_and_availability() -> None:
    seen = history(deployment(1, 2), deployment(2, 1), deployment(2, 2), deployment(1, 0, uid="d2"), before=1)
    assert seen.generations(AGENTS) == (1, 2)
    assert seen.uids(AGENTS) == ("d1", "d2")
    assert seen.least_available(AGENTS) == 0
    assert "managedFields" not in seen.stories("Deployment")[0].last["metadata"]


def test_replica_sets_and_images() -> None:
    def replica_set(name: str, owner: str) -> dict:
        owners = [{"kind": "Deployment", "name": owner, "controller": True, "uid": owner}]
        metadata = {"name": name, "uid": name, "namespace": "ns", "ownerReferences": owners}
        return {"apiVersion": "apps/v1", "kind": "ReplicaSet", "metadata": metadata}

    seen = history(replica_set("old", "agents"), replica_set("new", "agents"), replica_set("x", "other"), before=1)
    assert seen.replica_sets(AGENTS) == ["new"]
    seen = history(pod(), pod(image="r@sha256:1"), pod(image="r@sha256:2"))
    assert seen.image_digests() == {("agents-1", "main"): ("r@sha256:1", "r@sha256:2")}


def test_nothing_is_missed_from_opening_to_closing(served: tuple[Server, Api]) -> None:
    server, api = served
    server.put("pods", pod(1))
    with Timeline(api, "ns") as seen:
        server.put("pods", pod(2))
        server.put("deployments", deployment(1, 1))
        server.hang_up()
        server.put("events", event())
        assert seen.until(lambda: seen.warnings() and seen.restarts() and seen.generations(AGENTS), 10)
        assert seen.generations(AGENTS) == (1,)
    server.put("pods", pod(9))
    assert seen.restarts() == [Restart("agents-1", "main", 1, "no reason given")]
    assert [story.before for story in seen.stories("Pod")] == [True]
    assert not any(thread.name.startswith("timeline") for thread in threading.enumerate())


def test_until_ends_when_its_time_is_over(served: tuple[Server, Api]) -> None:
    _, api = served
    with Timeline(api, "ns") as seen:
        assert seen.until(seen.restarts, 0.01) is False


def test_a_lost_watch_makes_every_answer_incomplete(served: tuple[Server, Api]) -> None:
    server, api = served
    with Timeline(api, "ns") as seen:
        server.refuse("GET", "pods", (403, "no right"), (403, "no right"))
        server.hang_up()
        with pytest.raises(Incomplete, match=r"has a gap.*no right"):
            seen.until(lambda: False, 10)
        with pytest.raises(Incomplete, match="has a gap"):
            seen.warnings()


def test_a_timeline_that_cannot_begin_is_incomplete(served: tuple[Server, Api]) -> None:
    server, api = served
    server.refuse("GET", "pods", (403, "no right"))
    with pytest.raises(Incomplete, match="no right"):
        Timeline(api, "ns").open()
    assert not any(thread.name.startswith("timeline") for thread in threading.enumerate())


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (
            'E1 deployments.apps is forbidden: User "system:serviceaccount:a:b" cannot list resource',
            True,
        ),
        ('{"msg":"failed","err":"pods is forbidden: User \\"x\\" cannot watch resource \\"pods\\""}', True),
        ('HTTP response body: {"kind":"Status","reason":"Forbidden","code":403}', True),
        ('{"body":"{\\"reason\\":\\"Forbidden\\"}"}', True),
        ('10.0.0.1 "GET /admin" 403 Forbidden', False),
        ("forbidden characters are escaped", False),
    ],
)
def test_lines_that_tell_of_a_refused_call(line: str, *, expected: bool) -> None:
    assert refused(line) is expected


def test_forbidden_lines_of_current_and_previous_runs(served: tuple[Server, Api]) -> None:
    server, api = served
    said = 'pods is forbidden: User "x" cannot list resource "pods", attempt'
    server.put("pods", pod(1))
    server.put("pods", pod(name="starting"))
    server.pod_logs["agents-1", "main", False] = ["fine", f"12:01 {said} 1", f"12:02 {said} 2"]
    server.pod_logs["agents-1", "main", True] = ["secrets is forbidden: system:serviceaccount:a:b"]
    with Timeline(api, "ns") as seen:
        assert seen.forbidden() == [
            LogLine("agents-1", "main", "secrets is forbidden: system:serviceaccount:a:b", previous=True),
            LogLine("agents-1", "main", f"12:01 {said} 1"),
        ]
