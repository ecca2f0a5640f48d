"""Runs: custom resources that the chart's controllers carry out as Jobs."""

from __future__ import annotations

from collections.abc import Iterator

from conformance.checks import CORE, EXTENDED, Finding, scenario
from conformance.journey import Lifecycle, Runs, judging_runs, scope

NEEDS = ("application", "crds", "runs")


@scenario(
    "agentrun/examples-succeed",
    level=CORE,
    seed="001 Validation (smoke): a minimal Agent/AgentRun reaches Succeeded",
    needs=NEEDS,
)
def test_examples_succeed(runs: Runs) -> Iterator[Finding]:
    """Every example ends in its declared phase, a success by a Job that ended well, a failure with a reason."""
    said, carried = runs.carrier.runs, runs.examples()
    wrong = [*judging_runs.wrong_ends(said, carried), *judging_runs.unproven(said, carried)]
    yield from wrong or judging_runs.wrong_ends(said, [runs.evicted()] if said.long else [])


@scenario(
    "agentrun/status-round-trip",
    level=EXTENDED,
    seed="000 Values/CRDs: code, chart and CRDs change together",
    needs=NEEDS,
)
def test_status_round_trip(runs: Runs) -> Iterator[Finding]:
    """What controllers write into a run's status is stored: no field is pruned by the definition."""
    yield from judging_runs.lost_status(runs.carrier.runs, runs.examples())


@scenario(
    "agentrun/rejects-invalid",
    level=EXTENDED,
    seed="001 Handoff: schema and example validation",
    needs=NEEDS,
)
def test_rejects_invalid(runs: Runs) -> Iterator[Finding]:
    """The API server refuses resources that break the definition's schema, naming the field."""
    yield from judging_runs.taken(runs.refusals())


@scenario(
    "agentrun/survives-controller-restart",
    level=EXTENDED,
    seed="000 Failure Modes: rollback and restarts with runs in flight",
    needs=NEEDS,
)
def test_survives_controller_restart(runs: Runs) -> Iterator[Finding]:
    """A run in whose midst the controllers are killed is carried out once, to its success."""
    yield from judging_runs.not_carried_once(runs.carrier.runs, runs.restarted(), "restart")


@scenario(
    "agentrun/namespace-scope",
    level=EXTENDED,
    seed="000 Current State: namespaced reconciliation, rbac.clusterScoped false",
    needs=NEEDS,
)
def test_namespace_scope(runs: Runs) -> Iterator[Finding]:
    """Controllers neither act nor hold a right outside their namespaces; told of all, they do in all."""
    beyond = list(scope.touched(runs.carrier.runs, runs.outside()))
    yield from beyond
    if not beyond:
        yield from scope.not_reached(runs.carrier.runs, runs.widened())


@scenario(
    "agentrun/survives-upgrade",
    level=EXTENDED,
    seed="000 Acceptance: behaviour is kept through a rollout",
    needs=("baseline", *NEEDS),
)
def test_survives_upgrade(lifecycle: Lifecycle) -> Iterator[Finding]:
    """A run in flight across the upgrade is carried out once, to its success."""
    run = lifecycle.in_flight(lifecycle.upgraded())
    yield from judging_runs.not_carried_once(lifecycle.runs, run, "upgrade")


@scenario(
    "agentrun/survives-rollback",
    level=CORE,
    seed="000 Acceptance: prior images and behavior after a rollback",
    needs=("baseline", *NEEDS),
)
def test_survives_rollback(lifecycle: Lifecycle) -> Iterator[Finding]:
    """A run in flight across the rollback is carried out once, to its success."""
    run = lifecycle.in_flight(lifecycle.rolled_back())
    yield from judging_runs.not_carried_once(lifecycle.runs, run, "rollback")
