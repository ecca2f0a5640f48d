"""Releases on which something goes wrong half-way, and the documented ways out (docs/recovery.md)."""

from __future__ import annotations

from collections.abc import Iterator

from conformance.checks import EXTENDED, Finding, scenario
from conformance.contract import declared
from conformance.journey import Mishaps, judging_mishaps


@scenario(
    "rollback/after-failed-upgrade",
    level=EXTENDED,
    seed="000 Overview: emergency rollbacks; 002 Automatic Rollback: to last known good state",
    needs=("baseline",),
)
def test_after_failed_upgrade(mishaps: Mishaps) -> Iterator[Finding]:
    """An upgrade whose pods never start fails no call, and each way back from it restores the good revision."""
    for way_out in (mishaps.explicit, mishaps.automatic, mishaps.undone):
        found = list(judging_mishaps.not_taken_back(mishaps.contract, way_out()))
        yield from found
        if found:  # the next one would begin where this one ended
            return


@scenario(
    "rollback/after-interrupted-upgrade",
    level=EXTENDED,
    seed="002 State Validation: verify rollback target validity before execution",
    needs=("baseline",),
)
def test_after_interrupted_upgrade(mishaps: Mishaps) -> Iterator[Finding]:
    """After Helm is killed in an upgrade or rollback, a rollback restores the good revision; upgrades go on."""
    upgrade = mishaps.interrupted()
    judging_mishaps.not_interrupted(upgrade)
    found = [
        *judging_mishaps.not_taken_back(mishaps.contract, upgrade),
        *judging_mishaps.not_ready_again(mishaps.retried()),
    ]
    yield from found
    if found:  # what follows would begin where this ended
        return
    rollback = mishaps.rollback_interrupted()
    judging_mishaps.not_interrupted(rollback)
    yield from judging_mishaps.not_taken_back(mishaps.contract, rollback)


@scenario(
    "rollback/of-rollback",
    level=EXTENDED,
    seed="000 Goals: the chart is rollback-safe",
    needs=("baseline",),
)
def test_of_rollback(mishaps: Mishaps) -> Iterator[Finding]:
    """Rolling back a rollback restores all that the later revision declared."""
    yield from judging_mishaps.not_taken_back(mishaps.contract, mishaps.again())


@scenario(
    "rollback/after-history-pruned",
    level=EXTENDED,
    seed="002 History Retention: retention policies that support rollback",
    needs=("baseline",),
)
def test_after_history_pruned(mishaps: Mishaps) -> Iterator[Finding]:
    """Upgrades that change nothing roll no pods; a rollback past the history is refused and changes nothing."""
    yield from judging_mishaps.not_refused(mishaps.contract, mishaps.pruned())


@scenario(
    "rollback/drift",
    level=EXTENDED,
    seed="000 Goals: values changes can be reverted cleanly",
    needs=("baseline",),
)
def test_drift(mishaps: Mishaps) -> Iterator[Finding]:
    """What people edited by hand is after a rollback as the contract's `policies.drift` says: restored or kept."""
    policy = declared(mishaps.contract.policies.drift, "`policies.drift`")
    yield from judging_mishaps.not_as_promised(policy, mishaps.drifted())
