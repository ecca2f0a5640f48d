"""Calls from inside the cluster: counted, and told apart from calls that were never made."""

from __future__ import annotations

import json
import threading

import pytest
from observe_server import Server

from conformance.api import Api
from conformance.errors import Incomplete
from conformance.observe.availability import Availability, Target
from conformance.observe.calls import Calls, Lines
from conformance.observe.deadlines import Deadlines
from conformance.observe.wait import NotReached


def row(
    second: int,
    calls: int = 20,
    failures: int = 0,
    gap: int = 0,
    error: str = "",
    target: str = "web",
    late: int = 0,
) -> bytes:
    return json.dumps({
        "target": target, "second": second, "calls": calls, "failures": failures, "longestGapMs": gap,
        "lastError": error, "lateMs": late, "failedAt": [second + 0.5] * failures,
    }).encode()  # fmt: skip


def lines(*rows: bytes, targets: tuple[str, ...] = ("web",)) -> Lines:
    taken = Lines(targets)
    for one in rows:
        taken.take(one)
    return taken


def test_calls_between_two_moments() -> None:
    taken = lines(
        row(9, failures=5), row(10), row(11, failures=2, gap=150, error="refused"), row(12), row(13, 7, 7)
    )
    assert taken.calls(10.4, 12.9) == (Calls("web", 60, 2, 0.15, "refused", 3.0),)
    assert taken.calls(10.4, 12.9)[0].rate == 20
    assert lines(row(1, late=5), row(2, late=700)).calls(1, 2)[0].late == 0.7


def test_what_failed_in_the_same_second_but_before_does_not_count() -> None:
    taken = lines(row(1, failures=3, gap=90, error="refused"), row(2), row(3, failures=1, error="reset"))
    assert taken.calls(1.6, 3.4) == (Calls("web", 60, 0, 0.0, "", 3.0),)
    assert taken.calls(1.4, 3.6)[0].failures == 4


def test_fewer_calls_than_promised_are_said() -> None:
    assert lines(row(1, 19), row(2, 19)).calls(1, 2)[0].too_few == ""
    assert lines(row(1, 18), row(2, 19)).calls(1, 2)[0].too_few == "37 of 40 calls were made in 2 s"
    assert lines(row(1, 40)).calls(1, 2)[0].too_few == "40 of 40 calls were made in 2 s, none in 1 of them"


def test_each_target_is_counted_apart_and_anything_else_is_passed_over() -> None:
    total = {"target": "web", "total": True, "calls": 99, "failures": 0, "seconds": 5}
    taken = lines(
        b"stub: started", b"[]", json.dumps(total).encode(), row(1, target="other"), row(1), row(1),
        row(1, 20, 20, target="grpc"), targets=("web", "grpc"),
    )  # fmt: skip
    assert [(calls.target, calls.made, calls.failures) for calls in taken.calls(1, 1.9)] == [
        ("web", 20, 0), ("grpc", 20, 20),
    ]  # fmt: skip
    assert not taken.counted(2)
    assert taken.counted(1.9)


def test_who_has_not_answered_yet() -> None:
    taken = lines(row(1, 20, 20, error="refused"), targets=("web", "grpc"))
    assert taken.unanswered() == "web: refused; grpc: no call has ended yet"
    taken.take(row(2, 20, 19))
    taken.take(b'{"target": "grpc", "first": true}')
    assert taken.unanswered() is None


def running(server: Server, **status: object) -> None:
    """Play the control plane and the node: the namespace's account, and the pod's container."""
    server.put("serviceaccounts", {"metadata": {"name": "default", "namespace": "suite"}})
    state = status or {"phase": "Running", "containerStatuses": [{"name": "probe", "state": {"running": {}}}]}

    def play() -> None:
        key = ("pods", "suite", "availability-abcde")
        with server.changed:
            if server.changed.wait_for(lambda: key in server.objects, 10):
                server.put("pods", {**server.objects[key], "status": state})

    threading.Thread(target=play).start()


def availability(api: Api, **deadlines: float) -> Availability:
    return Availability(
        api, "stub@sha256:1", [Target("web", "http://web.ns/ready")], namespace="suite",
        deadlines=Deadlines.of(0.01) if deadlines else Deadlines(),
    )  # fmt: skip


def test_calls_are_read_as_they_are_made(served: tuple[Server, Api]) -> None:
    server, api = served
    written = server.pod_logs["availability-abcde", "probe", False] = [row(1, 20, 20).decode()]
    running(server)
    with availability(api) as probe:
        with server.changed:
            written.append(row(2).decode())
            server.changed.notify_all()
        probe.answered()
        server.hang_up()
        with server.changed:
            written += [row(3).decode(), row(4, 20, 1).decode()]
            server.changed.notify_all()
        assert probe.calls(2, 4)[0].made == 60
        assert probe.calls(2, 4.9)[0].failures == 1
        pod = next(body for (plural, _, _), body in server.objects.items() if plural == "pods")
        environment = {one["name"]: one["value"] for one in pod["spec"]["containers"][0]["env"]}
        assert json.loads(environment["PROBE_TARGETS"]) == [{"name": "web", "url": "http://web.ns/ready"}]
        assert environment["PROBE_RATE"] == "20"
    assert not any(plural == "pods" for plural, _, _ in server.objects)


def test_targets_that_never_answer_are_named(served: tuple[Server, Api]) -> None:
    server, api = served
    server.pod_logs["availability-abcde", "probe", False] = [row(1, 20, 20, error="connection refused").decode()]
    running(server)
    with availability(api, short=1) as probe, pytest.raises(NotReached, match="web: connection refused"):
        probe.answered()


def test_a_probe_that_does_not_run_makes_the_check_incomplete(served: tuple[Server, Api]) -> None:
    server, api = served
    running(server, phase="Failed", message="evicted")
    with availability(api) as probe:
        with pytest.raises(Incomplete, match=r"does not run.*evicted"):
            probe.answered()
        with pytest.raises(Incomplete, match="evicted"):
            probe.calls(1, 2)
