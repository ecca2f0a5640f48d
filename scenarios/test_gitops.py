"""A git revert through a real Argo CD: what a commit changed, its revert takes back."""

from __future__ import annotations

from collections.abc import Iterator

from conformance.checks import CORE, EXTENDED, Finding, scenario
from conformance.journey import Delivery, judging, judging_git


@scenario(
    "gitops/revert-one-sync",
    level=CORE,
    seed="000 GitOps rollback procedure; Acceptance: prior images and behavior within one sync",
    needs=("gitops", "baseline"),
)
def test_revert_one_sync(delivery: Delivery) -> Iterator[Finding]:
    """Reverting the commit of a version brings back all of the prior state within one sync, and it stays so."""
    yield from judging_git.not_settled(delivery.first())
    reverted = delivery.both()
    yield from judging_git.not_settled(reverted.changed)
    yield from judging_git.not_reverted(delivery.contract, reverted)
    reverted.effective()
    if delivery.contract.crds and delivery.contract.examples:
        yield from judging.lost_custom_resources(delivery.contract, delivery.lives())


@scenario(
    "gitops/revert-values-only",
    level=EXTENDED,
    seed="000 Goals: values changes can be reverted cleanly",
    needs=("gitops", "baseline"),
)
def test_revert_values_only(delivery: Delivery) -> Iterator[Finding]:
    """Reverting a commit that changed only the images in the values brings back all of the prior state."""
    reverted = delivery.values_only()
    yield from judging_git.not_reverted(delivery.contract, reverted)
    yield from judging.other_images(delivery.contract, reverted.effective())


@scenario(
    "gitops/revert-chart-only",
    level=EXTENDED,
    seed="000 GitOps rollback procedure: revert the values/manifests commit",
    needs=("gitops", "baseline"),
)
def test_revert_chart_only(delivery: Delivery) -> Iterator[Finding]:
    """Reverting a commit that changed only the chart's version brings back all of the prior state."""
    reverted = delivery.chart_only()
    yield from judging_git.not_reverted(delivery.contract, reverted)
    reverted.effective()


@scenario(
    "gitops/revert-chart-and-values",
    level=EXTENDED,
    seed="000 Acceptance: chart upgrades do not require manual cleanup for optional features",
    needs=("gitops", "baseline"),
)
def test_revert_chart_and_values(delivery: Delivery) -> Iterator[Finding]:
    """Reverting a commit of a version, its images and the values of optional features takes all of it away."""
    reverted = delivery.both_and_values()
    yield from judging_git.not_reverted(delivery.contract, reverted)
    reverted.effective()


@scenario(
    "gitops/two-quick-commits",
    level=EXTENDED,
    seed="000 GitOps rollback procedure; public report argo-cd#25475",
    needs=("gitops", "baseline"),
)
def test_two_quick_commits(delivery: Delivery) -> Iterator[Finding]:
    """A revert that is committed while the sync of its commit has just begun ends as if neither had been."""
    reverted = delivery.at_once()
    yield from judging_git.not_gits(delivery.contract, reverted)
    yield from judging_git.skipped_hooks(reverted.stage)


@scenario(
    "gitops/overlay-valid",
    level=EXTENDED,
    seed="000 Additional in-cluster resources (GitOps-managed)",
    needs=("gitops",),
)
def test_overlay_valid(delivery: Delivery) -> Iterator[Finding]:
    """The API server, asked strictly, accepts the overlay's Application and everything the overlay renders to."""
    yield from judging_git.refused(delivery.refused())


@scenario(
    "gitops/revert-of-broken-commit",
    level=EXTENDED,
    seed="000 GitOps rollback procedure; Overview: emergency rollbacks",
    needs=("gitops", "services"),
)
def test_revert_of_broken_commit(delivery: Delivery) -> Iterator[Finding]:
    """While a commit's pods cannot start no call to a Service fails, and its revert ends where it began."""
    reverted = delivery.broken()
    for stage in (reverted.changed, reverted.stage):
        yield from judging.failed_calls(delivery.contract, stage, delivery.calls(stage))
    yield from judging_git.not_reverted(delivery.contract, reverted)


@scenario("gitops/self-heal", level=EXTENDED, seed="000 GitOps: the desired state is git's", needs=("gitops",))
def test_self_heal(delivery: Delivery) -> Iterator[Finding]:
    """What someone edits by hand is as git says again: by itself where the overlay says so, else after a sync."""
    healed = delivery.healed()
    yield from judging_git.not_settled(healed.stage)
    yield from judging.not_restored(healed.before, healed.stage, healed.deviations)


@scenario(
    "gitops/emergency-change-then-git",
    level=EXTENDED,
    seed="000 Overview: emergency rollbacks in non-GitOps contexts",
    needs=("gitops", "baseline"),
)
def test_emergency_change_then_git(delivery: Delivery) -> Iterator[Finding]:
    """After rollouts were undone past git, a revert in git ends as git says, with and without self-healing."""
    for healing in (False, True):
        emergency = delivery.emergency(healing=healing)
        yield from judging_git.not_undone(emergency)
        yield from judging_git.not_gits(delivery.contract, emergency)
