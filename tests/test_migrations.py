"""What is judged of migrations: on hand-made stages, without a cluster."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from conformance.contract import builtin
from conformance.database import Ledger, Statement
from conformance.errors import Incomplete
from conformance.journey import judging_modes, judging_schema
from conformance.journey.overriding import Overridden
from conformance.journey.schema import Attempt, SaidMode, Schema, attributed
from conformance.manifests import ObjectKey
from conformance.observe.calls import Calls
from conformance.observe.history import Moment, Story

CONTRACT = builtin()
MIGRATIONS = CONTRACT.migrations
assert MIGRATIONS
NAMESPACE = CONTRACT.release.namespace
PLANE = ObjectKey("apps", "Deployment", NAMESPACE, "agents")
CONTROLLERS = ObjectKey("apps", "Deployment", NAMESPACE, "agents-controllers")
JOB = ObjectKey("batch", "Job", NAMESPACE, "migrate")
OWNERS = {"plane-1": PLANE, "plane-2": PLANE, "controllers-1": CONTROLLERS, "job-1": JOB}


def attempt(pod: str, text: str = "CREATE TABLE runs ()", refused: str = "") -> Attempt:
    host = f"10.0.0.{list(OWNERS).index(pod)}" if pod else "10.0.1.9"
    return Attempt(Statement(1.0, 1, host, "application", "", text, refused), pod, OWNERS.get(pod))


def deployment(key: ObjectKey, container: str, mode: str | None) -> dict[str, Any]:
    env = [] if mode is None else [{"name": MIGRATIONS.variable, "value": mode}]
    template = {"spec": {"containers": [{"name": container, "env": env}]}}
    metadata = {"name": key.name, "namespace": NAMESPACE}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata, "spec": {"template": template}}


def stage(
    *attempts: Attempt,
    applied: tuple[str, ...] | None = ("1", "2"),
    modes: dict[str, str] | None = None,
    started: tuple[str, ...] = tuple(OWNERS)[:3],
    plane: str | None = "auto",
    controllers: str | None = "skip",
    failure: str | None = None,
    available: int = 1,
) -> Any:
    modes = {"plane-1": "auto", "plane-2": "auto", "controllers-1": "skip"} if modes is None else modes
    said = tuple(SaidMode(pod, OWNERS[pod], text) for pod, text in modes.items())
    return SimpleNamespace(
        schema=Schema(applied, attempts, said, {pod: OWNERS[pod] for pod in started}),
        inventory={
            PLANE: deployment(PLANE, "control-plane", plane),
            CONTROLLERS: deployment(CONTROLLERS, "controllers", controllers),
        },
        chart=SimpleNamespace(name="agents"),
        failure=failure,
        seen=SimpleNamespace(least_available=lambda _: available),
    )


def objects(findings: Any) -> list[str]:
    return [found.object for found in findings]


def test_controllers_that_skip_by_default_pass() -> None:
    assert not list(judging_modes.not_skipping_by_default(CONTRACT, MIGRATIONS, stage(attempt("plane-1"))))


@pytest.mark.parametrize("mode", ["auto", None, "", "true"])
def test_controllers_without_the_default_are_named(mode: str | None) -> None:
    found = judging_modes.not_skipping_by_default(
        CONTRACT, MIGRATIONS, stage(attempt("plane-1"), controllers=mode)
    )
    assert objects(found) == [str(CONTROLLERS)]


def test_controllers_that_migrate_all_the_same_are_named_by_the_databases_log() -> None:
    tried = stage(attempt("plane-1"), attempt("controllers-1", refused="permission denied"))
    (found,) = judging_modes.not_skipping_by_default(CONTRACT, MIGRATIONS, tried)
    assert "permission denied" in found.observed
    assert "Pod/controllers-1" in found.observed


def test_nothing_is_proved_where_nobody_migrates() -> None:
    with pytest.raises(Incomplete, match="nobody changed the schema"):
        list(judging_modes.not_skipping_by_default(CONTRACT, MIGRATIONS, stage()))


def test_a_visible_mode_passes() -> None:
    assert not list(judging_modes.hidden_modes(CONTRACT, MIGRATIONS, stage()))


@pytest.mark.parametrize(
    ("wrong", "where"),
    [
        ({"plane": None}, str(PLANE)),
        ({"modes": {"plane-1": "auto", "plane-2": "auto"}}, "Pod/controllers-1"),
        ({"modes": {"plane-1": "auto", "plane-2": "skip", "controllers-1": "OFF"}}, "Pod/plane-2"),
    ],
)
def test_a_mode_that_is_hidden_or_said_wrongly_is_found(wrong: dict[str, Any], where: str) -> None:
    assert objects(judging_modes.hidden_modes(CONTRACT, MIGRATIONS, stage(**wrong))) == [where]


def overridden(**more: Any) -> Overridden:
    line = '{"error": "JANGAR_MIGRATIONS is auto; set JANGAR_MIGRATIONS=skip"}'
    said = {"exit_code": 3, "ready": False, "lines": (line,), "least_available": 1, "attempts": (), **more}
    return Overridden(CONTROLLERS, "auto", **said)


def test_a_refusal_to_start_passes() -> None:
    assert not list(judging_modes.not_refused(MIGRATIONS, [overridden()]))


@pytest.mark.parametrize(
    ("wrong", "observed"),
    [
        ({"exit_code": None, "ready": True}, "it became ready"),
        ({"exit_code": 0}, "it ended with status 0"),
        ({"exit_code": None}, "it neither ended nor became ready"),
        ({"lines": ("no",)}, "no"),
        # The line with the mode names the variable too, and mends nothing.
        ({"lines": ('{"event": "migrations", "mode": "auto", "variable": "JANGAR_MIGRATIONS skip"}',)}, "event"),
        ({"least_available": 0}, "at some moment none was available"),
        ({"attempts": (attempt("controllers-1"),)}, "CREATE TABLE runs"),
    ],
)
def test_controllers_that_do_not_refuse_are_found(wrong: dict[str, Any], observed: str) -> None:
    (found,) = judging_modes.not_refused(MIGRATIONS, [overridden(**wrong)])
    assert observed in found.observed


def test_one_migrator_passes() -> None:
    guarded = [attempt(pod, "CREATE TABLE IF NOT EXISTS versions ()") for pod in ("plane-1", "plane-2")]
    assert not list(judging_schema.several_migrators(CONTRACT, MIGRATIONS, stage(*guarded, attempt("plane-1"))))


def test_a_job_that_migrates_alone_passes() -> None:
    assert not list(judging_schema.several_migrators(CONTRACT, MIGRATIONS, stage(attempt("job-1"))))


@pytest.mark.parametrize(
    ("more", "where"),
    [
        (attempt("plane-2"), str(PLANE)),
        (attempt("controllers-1", "DROP TABLE runs"), str(CONTROLLERS)),
        (attempt("", "DROP TABLE runs"), "Release/agents"),
        (attempt("job-1"), str(PLANE)),
    ],
)
def test_a_second_migrator_is_named(more: Attempt, where: str) -> None:
    found = judging_schema.several_migrators(CONTRACT, MIGRATIONS, stage(attempt("plane-1"), more))
    assert objects(found) == [where]


def test_a_migration_that_is_recorded_twice_is_found() -> None:
    twice = stage(attempt("plane-1"), applied=("1", "2", "2"))
    (found,) = judging_schema.several_migrators(CONTRACT, MIGRATIONS, twice)
    assert found.observed == "applied more than once: 2"


def test_one_alone_cannot_show_a_race() -> None:
    with pytest.raises(Incomplete, match="1 new pods"):
        list(
            judging_schema.several_migrators(
                CONTRACT, MIGRATIONS, stage(attempt("plane-1"), started=("plane-1", "controllers-1"))
            )
        )


def test_a_skip_that_is_obeyed_passes_and_one_that_is_not_is_found() -> None:
    before = stage(applied=("1",))
    obeyed = stage(applied=("1",), modes={"plane-1": "skip"})
    assert not list(judging_schema.skip_ignored(CONTRACT, MIGRATIONS, before, obeyed))
    ignored = stage(attempt("plane-1"), applied=("1", "2"), modes={"plane-1": "auto"})
    assert len(list(judging_schema.skip_ignored(CONTRACT, MIGRATIONS, before, ignored))) == 3


def test_a_failing_migration_that_blocks_passes_and_one_that_does_not_is_found() -> None:
    before = stage(applied=("1",))
    blocked = stage(attempt("plane-1", refused="permission denied"), applied=("1",), failure="not ready")
    assert not list(judging_schema.not_blocked(CONTRACT, MIGRATIONS, before, blocked))
    served = stage(attempt("plane-1", refused="permission denied"), applied=("1", "2"), available=0)
    assert len(list(judging_schema.not_blocked(CONTRACT, MIGRATIONS, before, served))) == 3
    with pytest.raises(Incomplete, match="brings no migration"):
        list(judging_schema.not_blocked(CONTRACT, MIGRATIONS, before, stage(applied=("1",))))


def test_a_recovery_applies_what_had_failed() -> None:
    behind, ahead = stage(applied=("1",)), stage(applied=("1", "2"))
    assert not list(judging_schema.not_recovered(MIGRATIONS, behind, ahead))
    assert len(list(judging_schema.not_recovered(MIGRATIONS, behind, behind))) == 1


def test_a_schema_that_stays_ahead_passes_and_one_that_goes_back_is_found() -> None:
    behind, ahead = stage(applied=("1",)), stage(applied=("1", "2"))
    assert not list(judging_schema.undone_schema(behind, ahead, ahead))
    assert len(list(judging_schema.undone_schema(behind, ahead, behind))) == 1
    with pytest.raises(Incomplete, match="applied no migration"):
        list(judging_schema.undone_schema(ahead, ahead, ahead))


def test_a_service_that_is_silent_is_found_and_one_late_call_is_not() -> None:
    late = Calls("agents:http", made=20, failures=1, longest_gap=0.1, last_error="late", seconds=1.0)
    mute = Calls("agents:http", made=20, failures=20, longest_gap=1.0, last_error="refused", seconds=1.0)
    assert not list(judging_schema.silent([late], "now"))
    assert objects(judging_schema.silent([mute], "now")) == ["Service/agents:http"]


def story(kind: str, name: str, owner: str = "", address: str = "", *, before: bool = False) -> Story:
    key = ObjectKey("" if kind == "Pod" else "apps", kind, NAMESPACE, name)
    owners = [{"uid": owner, "controller": True}] if owner else []
    body = {"kind": kind, "metadata": {"name": name, "ownerReferences": owners}, "status": {"podIP": address}}
    return Story(key, name, before=before, moments=[Moment(1.0, "ADDED", body)])


def test_an_attempt_is_traced_to_its_pod_and_workload_by_the_address() -> None:
    stories = [
        story("Pod", "plane-1", owner="set", address="10.0.0.7"),
        story("ReplicaSet", "set", owner="agents"),
        story("Deployment", "agents"),
    ]
    known = Statement(1.0, 1, "10.0.0.7", "application", "", "DROP TABLE runs")
    other = Statement(1.0, 1, "10.0.0.8", "application", "", "DROP TABLE runs")
    first, second = attributed(Ledger((known, other)), stories)
    assert (first.pod, first.workload) == ("plane-1", PLANE)
    assert (second.pod, second.workload) == ("", None)


def test_what_an_earlier_pod_tries_again_is_not_of_this_operation() -> None:
    pods = [("plane-1", "10.0.0.7", True), ("plane-2", "10.0.0.8", False)]
    stories = [story("Pod", name, "agents", address, before=before) for name, address, before in pods]
    statements = [Statement(1.0, 1, address, "application", "", "DROP TABLE runs") for _, address, _ in pods]
    attempts = attributed(Ledger(tuple(statements)), [*stories, story("Deployment", "agents")])
    assert [found.pod for found in attempts] == ["plane-1", "plane-2"]
    assert [found.pod for found in Schema((), attempts, (), {}).by([PLANE])] == ["plane-2"]


def test_the_line_with_the_mode_is_told_from_others() -> None:
    log = MIGRATIONS.log
    assert log
    assert log.read('{"event": "migrations", "mode": "skip"}') == "skip"
    for other in ("migrations skip", '{"event": "other", "mode": "skip"}', '{"event": "migrations"}', "[]"):
        assert log.read(other) is None
