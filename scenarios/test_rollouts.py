"""Checksums on pods: a rotated Secret or ConfigMap rolls the pods that use it, and nothing else does."""

from __future__ import annotations

from collections.abc import Iterator

from conformance.checks import CORE, EXTENDED, Finding, scenario
from conformance.errors import Incomplete
from conformance.journey import Committed, Rollouts, judging_annotations, judging_rollouts
from conformance.journey.rollouts import BURST

NEEDS = ("checksums",)


@scenario(
    "rollout/enable-is-one-rollout",
    level=EXTENDED,
    seed="001 Rollout Plan: add behind a flag, enable",
    needs=NEEDS,
)
def test_enable_is_one_rollout(rollouts: Rollouts) -> Iterator[Finding]:
    """Turning checksums on annotates the pods that use a watched object and rolls each workload once."""
    rollouts.require_switch()
    step, checksums = rollouts.enabled(), rollouts.rotator.checksums
    yield from judging_annotations.still_annotated(checksums, rollouts.installed())
    yield from judging_rollouts.not_ready(step)
    yield from judging_annotations.not_annotated(checksums, step)
    yield from judging_annotations.not_one_rollout(step, "turning checksums on")


@scenario(
    "rollout/secret-rotation-rolls-consumers",
    level=CORE,
    seed="001 Acceptance: a deterministic rollout on config changes",
    needs=NEEDS,
)
def test_secret_rotation_rolls_consumers(rollouts: Rollouts) -> Iterator[Finding]:
    """A rotation rolls each workload that uses the object once, no other; processes have the new value, no gap."""
    steps = rollouts.rotations()
    for step in steps:
        yield from judging_rollouts.not_ready(step)
        yield from judging_rollouts.not_rolled(step)
        yield from judging_rollouts.stale(step)
    yield from judging_rollouts.unavailable(rollouts.contract, steps, rollouts.serving(steps))


@scenario(
    "rollout/unrelated-change-rolls-nothing",
    level=CORE,
    seed="001 Failure Modes: too many checksum sources cause frequent rollouts",
    needs=NEEDS,
)
def test_unrelated_change_rolls_nothing(rollouts: Rollouts) -> Iterator[Finding]:
    """Other Secrets, labels, another chart version and the same values applied five times roll nothing."""
    steps = rollouts.beside()
    for step in steps:
        yield from judging_rollouts.not_ready(step)
    yield from judging_rollouts.rolled_unasked(steps)


@scenario(
    "rollout/allowlist-is-respected",
    level=EXTENDED,
    seed="001 Acceptance: operators can scope restarts to a small list",
    needs=NEEDS,
)
def test_allowlist_is_respected(rollouts: Rollouts) -> Iterator[Finding]:
    """A workload is annotated for the names in its list alone, and rolled for no other, though it uses it."""
    step = rollouts.barred()
    yield from judging_annotations.beside_the_list(
        rollouts.rotator.checksums, rollouts.enabled(), rollouts.lists()
    )
    yield from judging_rollouts.not_ready(step)
    yield from judging_rollouts.not_rolled(step)


@scenario(
    "rollout/same-by-every-tool",
    level=EXTENDED,
    seed="001 Acceptance: deterministic rollout; Current State: chart rendered by kustomize in GitOps",
    needs=NEEDS,
)
def test_same_by_every_tool(rollouts: Rollouts) -> Iterator[Finding]:
    """Helm 3, Helm 4, a dry run on the server and kustomize show the checksums that the cluster's pods have."""
    yield from judging_rollouts.shown_otherwise(rollouts.shown())


@scenario(
    "rollout/rotate-then-rollback",
    level=EXTENDED,
    seed="001 Rollback; 000 Acceptance: prior images and behavior",
    needs=NEEDS,
)
def test_rotate_then_rollback(rollouts: Rollouts) -> Iterator[Finding]:
    """After a rotation and a rollback all pods have the credential that the contract's policy says."""
    if (policy := rollouts.contract.policies.rotate_then_rollback) is None:
        raise Incomplete("the contract declares no `policies.rotateThenRollback`: previous or current")
    undone = rollouts.undone()
    yield from judging_rollouts.not_ready(undone.step)
    yield from judging_rollouts.other_credential(undone, policy)
    yield from judging_rollouts.unavailable(rollouts.contract, [undone.step])


@scenario(
    "rollout/burst",
    level=EXTENDED,
    seed="001 Failure Modes: too many checksum sources cause frequent rollouts",
    needs=NEEDS,
)
def test_burst(rollouts: Rollouts) -> Iterator[Finding]:
    """Ten rotations in quick succession end with the last value everywhere, with ten new ReplicaSets at most."""
    step = rollouts.burst()
    yield from judging_rollouts.not_ready(step)
    yield from judging_rollouts.too_many_rollouts(step, BURST)
    yield from judging_rollouts.stale(step)
    yield from judging_rollouts.unavailable(rollouts.contract, [step])


@scenario(
    "rollout/immutable-and-missing",
    level=EXTENDED,
    seed="001 Failure Modes: checksum of external Secrets",
    needs=NEEDS,
)
def test_immutable_and_missing(rollouts: Rollouts) -> Iterator[Finding]:
    """Immutable, missing, large, binary and empty Secrets and long lists end ready, or are told with a message."""
    table = rollouts.rows()
    for row in table:
        yield from judging_rollouts.wrong_row(row, rollouts.rotator.checksums.secret_annotation)
    yield from judging_rollouts.unavailable(rollouts.contract, [row.step for row in table])


@scenario(
    "rollout/through-gitops",
    level=EXTENDED,
    seed="001 Implementation detail: in GitOps prefer operator-provided checksums; Rollout plan (GitOps)",
    needs=("checksums", "gitops"),
)
def test_through_gitops(committed: Committed) -> Iterator[Finding]:
    """A rotation as a commit is one sync and one rollout, three looks at git roll nothing, a revert goes back."""
    yield from judging_rollouts.not_ready(committed.delivered())
    for rotation in committed.rotated():
        yield from judging_rollouts.not_ready(rotation.step)
        yield from judging_rollouts.several_syncs(rotation)
        yield from judging_rollouts.not_rolled(rotation.step)
        yield from judging_rollouts.stale(rotation.step)
    yield from judging_rollouts.rolled_unasked([committed.refreshed()])
    if policy := committed.contract.policies.rotate_then_rollback:
        yield from judging_rollouts.not_ready(committed.reverted().step)
        yield from judging_rollouts.other_credential(committed.reverted(), policy)


@scenario(
    "rollout/disable-removes-annotations",
    level=EXTENDED,
    seed="001 Rollback: annotation removal stops checksum-triggered rollouts",
    needs=NEEDS,
)
def test_disable_removes_annotations(rollouts: Rollouts) -> Iterator[Finding]:
    """Turning checksums off takes the annotations away in one rollout, and no rotation rolls pods after it."""
    rollouts.require_switch()
    step, checksums = rollouts.disabled(), rollouts.rotator.checksums
    yield from judging_rollouts.not_ready(step)
    yield from judging_annotations.still_annotated(checksums, step)
    yield from judging_annotations.not_one_rollout(step, "turning checksums off")
    yield from judging_rollouts.rolled_unasked([rollouts.rotated_unwatched()], off=True)
