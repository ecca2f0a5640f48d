"""A rollback by Helm from the candidate to the baseline's revision."""

from __future__ import annotations

from collections.abc import Iterator

from conformance.checks import CORE, Finding, scenario
from conformance.journey import Lifecycle, judging, judging_digests, judging_schema


@scenario(
    "rollback/helm-restores-live-state",
    level=CORE,
    seed="000 Rollback-safe principles; Acceptance: prior images and behavior",
    needs=("baseline",),
)
def test_helm_restores_live_state(lifecycle: Lifecycle) -> Iterator[Finding]:
    """Rolling back restores every object the earlier revision declared, as the API server defaults it."""
    rollback = lifecycle.rolled_back()
    yield from judging.not_ready(rollback)
    yield from judging.not_restored(lifecycle.installed(), rollback, lifecycle.deviations())
    yield from judging.other_images(lifecycle.contract, rollback)


@scenario(
    "rollback/both-deployments-prior-digests",
    level=CORE,
    seed="000 GitOps rollback procedure: validate both Deployments rolled back to the prior image digests",
    needs=("baseline",),
)
def test_both_deployments_prior_digests(lifecycle: Lifecycle) -> Iterator[Finding]:
    """After the rollback the running pods of every declared workload have the digests of before the upgrade."""
    yield from judging_digests.not_prior(lifecycle.contract, lifecycle.installed(), lifecycle.rolled_back())


@scenario(
    "rollback/leaves-no-orphans",
    level=CORE,
    seed="000 Failure Modes: rollback leaves new resources behind",
    needs=("baseline",),
)
def test_leaves_no_orphans(lifecycle: Lifecycle) -> Iterator[Finding]:
    """After the rollback nothing is left that the earlier revision does not declare."""
    yield from judging.left_over(lifecycle.installed(), lifecycle.rolled_back(), lifecycle.deviations())


@scenario(
    "rollback/crds-and-crs-survive",
    level=CORE,
    seed="000 Never delete CRDs automatically on rollback",
    needs=("baseline", "crds"),
)
def test_crds_and_crs_survive(lifecycle: Lifecycle) -> Iterator[Finding]:
    """CustomResourceDefinitions and their resources outlive upgrade and rollback, the same objects."""
    yield from judging.lost_custom_resources(lifecycle.contract, lifecycle.lives())


@scenario(
    "rollback/schema-ahead",
    level=CORE,
    seed="000 Rollback-safe principles; 003 Failure Modes",
    needs=("baseline", "application", "database", "migrations"),
)
def test_schema_ahead(lifecycle: Lifecycle) -> Iterator[Finding]:
    """After the rollback the schema is still ahead, and the earlier version is ready with it and serves."""
    rollback = lifecycle.rolled_back()
    yield from judging.not_ready(rollback)
    yield from judging_schema.undone_schema(lifecycle.installed(), lifecycle.upgraded(), rollback)
    yield from judging_schema.silent(lifecycle.answering(), "with the schema ahead")
