"""What runs that were followed say of the chart's promises, judged without a cluster."""

from __future__ import annotations

from typing import Any

import pytest

from conformance.api import ApiRefusal
from conformance.contract import builtin
from conformance.contract.runs import InvalidRun
from conformance.journey import judging_runs, scope
from conformance.journey.carrying import Carried, Refused, at
from conformance.journey.scope import Outside
from conformance.manifests import ObjectKey
from conformance.observe.history import Moment, Story

RUNS = builtin().runs
assert RUNS
FULL = {
    "phase": "Succeeded", "reason": "Done", "observedGeneration": 1, "conditions": [{}], "jobName": "j",
    "startedAt": "t", "finishedAt": "t", "artefact": {"content": "c", "sha256": "s"},
}  # fmt: skip


def story(kind: str, name: str, **status: Any) -> Story:
    body = {"metadata": {"name": name}, "status": status}
    return Story(ObjectKey("", kind, "n", name), f"uid-{name}", False, [Moment(0.0, "ADDED", body)])


def pod(name: str = "p", code: int = 0) -> Story:
    return story("Pod", name, containerStatuses=[{"state": {"terminated": {"exitCode": code}}}])


def carried(expected: str = "Succeeded", **changes: Any) -> Carried:
    given = {"body": {"status": FULL}, "jobs": (story("Job", "j"),), "pods": (pod(),), **changes}
    return Carried("AgentRun", "one", expected, **given)


def ended(phase: str, reason: str = "") -> dict[str, Any]:
    return {"status": {**FULL, "phase": phase, "reason": reason}}


def test_a_run_that_ended_as_declared_is_no_finding() -> None:
    assert not list(judging_runs.wrong_ends(RUNS, [carried(), carried("Failed", body=ended("Failed", "Why"))]))
    assert not list(judging_runs.unproven(RUNS, [carried()]))
    assert not list(judging_runs.lost_status(RUNS, [carried()]))
    assert not list(judging_runs.not_carried_once(RUNS, carried(), "upgrade"))


@pytest.mark.parametrize(
    ("run", "says"),
    [
        (carried(body=ended("Failed", "StepFailed")), "Failed: StepFailed"),
        (carried("Failed"), "Succeeded: Done"),
        (carried("Failed", body=ended("Failed")), "none"),
        (carried(body=ended("Running"), failure="still Running after 90 s"), "still Running"),
        (carried(body=None, failure="AgentRun/one was refused: no"), "was refused"),
    ],
)
def test_a_run_that_ended_otherwise_is_one(run: Carried, says: str) -> None:
    (finding,) = judging_runs.wrong_ends(RUNS, [run])
    assert says in finding.observed
    assert finding.object == "AgentRun/one"


def test_runs_that_were_still_going_when_another_ended_wrongly_are_not_judged() -> None:
    assert not list(judging_runs.wrong_ends(RUNS, [carried(body=ended("Running"))]))


@pytest.mark.parametrize(
    "run",
    [
        carried(jobs=(), pods=()),
        carried(pods=(pod(code=1),)),
        carried(pods=()),
        carried(jobs=(story("Job", "a"), story("Job", "b"))),
        carried(body={"status": {**FULL, "artefact": {}}}),
    ],
    ids=["no Job", "failed pod", "no pod", "two Jobs", "no artefact"],
)
def test_a_success_that_nothing_proves(run: Carried) -> None:
    assert len(list(judging_runs.unproven(RUNS, [run]))) == 1


def test_work_that_was_done_twice() -> None:
    (finding,) = judging_runs.not_carried_once(RUNS, carried(pods=(pod("p"), pod("q"))), "rollback")
    assert "p (None), q (None)" in finding.observed
    assert "rollback" in finding.why


def test_status_that_was_pruned() -> None:
    body = {"status": {name: value for name, value in FULL.items() if name != "finishedAt"}}
    (finding,) = judging_runs.lost_status(RUNS, [carried(body=body)])
    assert "status.finishedAt" in finding.expected
    assert not list(judging_runs.lost_status(RUNS, [carried(body=ended("Failed", "x"))]))


def test_what_must_be_refused() -> None:
    invalid = InvalidRun(file="x.yaml", field="spec.a")
    words = {"message": "spec.a: Required value", "details": {"causes": [{"field": "spec.a"}]}}
    good = Refused(invalid, "AgentRun/x", ApiRefusal(422, words))
    other = Refused(invalid, "AgentRun/x", ApiRefusal(403, {"message": "forbidden"}))
    findings = list(judging_runs.taken([good, other, Refused(invalid, "AgentRun/x", None)]))
    assert [finding.observed for finding in findings] == [
        "refused for something else: forbidden", "the API server takes it",
    ]  # fmt: skip


def outside(phase: str | None = None, jobs: tuple[str, ...] = (), **rights: bool) -> Outside:
    body: dict[str, Any] = {"metadata": {"name": "one"}, "status": {"phase": phase} if phase else {}}
    return Outside(
        "elsewhere", body, jobs, {f"{verb} Job by someone": allowed for verb, allowed in rights.items()}
    )


def test_a_namespace_of_no_concern() -> None:
    assert not list(scope.touched(RUNS, outside(create=False)))
    assert len(list(scope.touched(RUNS, outside("Pending")))) == 1
    assert len(list(scope.touched(RUNS, outside(jobs=("j",))))) == 1
    (finding,) = scope.touched(RUNS, outside(create=True, watch=False))
    assert finding.observed == "create Job by someone"


def test_every_namespace() -> None:
    assert not list(scope.not_reached(RUNS, outside("Succeeded", create=True)))
    assert len(list(scope.not_reached(RUNS, outside(create=True)))) == 1
    assert len(list(scope.not_reached(RUNS, outside("Succeeded", create=False)))) == 1


def test_what_is_at_a_path() -> None:
    assert at({"a": {"b": [1]}}, "a.b") == [1]
    assert at({"a": {"b": 1}}, "a.b.c") is None
    assert at(None, "a") is None


def test_when_a_job_was_seen_to_be_complete() -> None:
    job = story("Job", "j")
    assert carried(jobs=(job,)).completed is None
    body = {**job.last, "status": {"conditions": [{"type": "Complete", "status": "True"}]}}
    job.moments += [Moment(7.0, "MODIFIED", body), Moment(9.0, "MODIFIED", body)]
    assert carried(jobs=(job,)).completed == 7.0
