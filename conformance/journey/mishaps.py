"""The journey on which operations go wrong: each mishap begins in one known state and is to end in another."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from conformance.errors import Incomplete
from conformance.helm import InvalidRollbackTarget, ReleaseRevision
from conformance.journey.journeys import FromBaseline, needed
from conformance.journey.mishap_setting import MishapSetting
from conformance.journey.stage import Stage
from conformance.manifests import ObjectKey
from conformance.observe.calls import Calls
from conformance.observe.live_state import Deviation
from conformance.subject import BASELINE, CANDIDATE

#: Seconds of calls while an upgrade's new pods cannot start: kube-proxy learns of new pods within one.
BROKEN_SECONDS = 2.0
#: Revisions that Helm is told to keep where old ones are to go: the newest, and the one before it.
KEPT_REVISIONS = 2
#: Upgrades after which an earlier revision is gone then.
_AGEING = 3


@dataclass(frozen=True)
class Mishap:
    """Something that went wrong, and the way out of it.

    `good` declares what the end is to be; `during` are the operations up to the way out, in their order, and
    `after` is that; `deviations` are where its state is not as declared, `calls` those made to the Services all
    along, and `history` the release's revisions at the end.
    """

    name: str
    good: Stage
    during: tuple[Stage, ...]
    after: Stage
    deviations: Sequence[Deviation]
    calls: tuple[Calls, ...]
    history: Sequence[ReleaseRevision]


@dataclass(frozen=True)
class Pruned:
    """A revision that Helm no longer keeps, and what came of going back to it.

    `before` ended as the revision had; then only the history aged, up to `aged`. `refusal` is the suite's own,
    None where it has none; `stage` is Helm's rollback.
    """

    revision: int
    before: Stage
    aged: Stage
    refusal: InvalidRollbackTarget | None
    stage: Stage


@dataclass(frozen=True)
class Drifted:
    """Workloads whose replicas somebody edited by hand, and the rollback to a stage that declared others.

    `edited` holds the replicas that each was given; `after` is the rollback that wrote over them where Helm
    refused one without.
    """

    edited: Mapping[ObjectKey, int]
    good: Stage
    after: Stage


class Mishaps(FromBaseline):
    """The baseline; then what goes wrong with releases, and out of it again."""

    _setting: MishapSetting

    def __init__(self, setting: MishapSetting) -> None:
        super().__init__(setting)
        self._home: Stage | None = None
        self._left = ""

    def explicit(self) -> Mishap:
        """Return an upgrade whose pods never start, and the rollback to the revision before it."""
        return self._once("explicit", self._explicit)

    def automatic(self) -> Mishap:
        """Return two such upgrades in a row, and the rollback to whichever revision was the last good one."""
        return self._once("automatic", self._automatic)

    def undone(self) -> Mishap:
        """Return such an upgrade that Helm itself was told to take back when it fails."""
        return self._once("undone", self._undone)

    def interrupted(self) -> Mishap:
        """Return an upgrade in whose midst Helm was killed, one that was tried after it, and the rollback."""
        return self._once("interrupted", self._interrupted)

    def retried(self) -> Stage:
        """Return the upgrade to the candidate once an interrupted one was rolled back."""
        return self._once("retried", self._retried)

    def rollback_interrupted(self) -> Mishap:
        """Return a rollback after that in whose midst Helm was killed, and another to the same revision."""
        return self._once("rollback interrupted", self._rollback_interrupted)

    def again(self) -> Mishap:
        """Return an upgrade, the rollback from it, and the rollback to the upgrade's revision again."""
        return self._once("again", self._again)

    def pruned(self) -> Pruned:
        """Return the rollback to a revision that is no longer in the history."""
        return self._once("pruned", self._pruned)

    def drifted(self) -> Drifted:
        """Return the rollback from the candidate after workloads of its were edited by hand.

        Raises `Incomplete` where no declared workload has replicas to edit.
        """
        return self._once("drifted", self._drift)

    def _explicit(self) -> Mishap:
        home = self._leave("an upgrade whose pods never start")
        broken = self._setting.upgrade_to_missing(CANDIDATE, 1, patience=BROKEN_SECONDS)
        return self._came_home(home, (broken,), self._setting.rollback(BASELINE, home))

    def _automatic(self) -> Mishap:
        home = self._leave("two upgrades whose pods never start")
        broken = tuple(self._setting.upgrade_to_missing(CANDIDATE, number) for number in (2, 3))
        return self._came_home(home, broken, self._setting.rollback_to_last_good(BASELINE))

    def _undone(self) -> Mishap:
        home = self._leave("an upgrade whose pods never start, undone by Helm")
        return self._came_home(home, (), self._setting.upgrade_to_missing(CANDIDATE, 4, undo=True))

    def _interrupted(self) -> Mishap:
        home = self._leave("an upgrade that was killed")
        during = (self._setting.upgrade_killed(CANDIDATE), self._setting.upgrade(CANDIDATE))
        return self._came_home(home, during, self._setting.rollback(BASELINE, home))

    def _retried(self) -> Stage:
        needed(self.interrupted().after)
        self._leave_for("an upgrade after one that was killed")
        return self._setting.upgrade(CANDIDATE)

    def _rollback_interrupted(self) -> Mishap:
        needed(self.retried())
        home = self.interrupted().after
        self._leave_for("a rollback that was killed")
        killed = self._setting.rollback_killed(BASELINE, home)
        return self._came_home(home, (killed,), self._setting.rollback(BASELINE, home))

    def _again(self) -> Mishap:
        home = self._leave("a rollback to what a rollback had left")
        forward = needed(self._setting.upgrade(CANDIDATE))
        back = needed(self._setting.rollback(BASELINE, home))
        mishap = self._ended(self._left, forward, (back,), self._setting.rollback(CANDIDATE, forward))
        self._came_home(home, (), self._setting.rollback(BASELINE, home))
        return mishap

    def _pruned(self) -> Pruned:
        before = self._leave("upgrades that age the history")
        for _ in range(_AGEING):
            aged = needed(self._setting.age(BASELINE, KEPT_REVISIONS))
            if (refusal := self._setting.refused_target(before.revision)) is not None:
                break
        stage = self._setting.rollback(BASELINE, before)
        self._home = aged
        return Pruned(before.revision, before, aged, refusal, stage)

    def _drift(self) -> Drifted:
        home = self._leave("workloads that were edited by hand")
        edited = self._setting.scale_by_hand(needed(self._setting.upgrade(CANDIDATE)))
        if not edited:
            raise Incomplete("no declared workload declares its replicas, so none can be edited by hand")
        after = self._setting.rollback(BASELINE, home)
        if after.failure is not None:  # Helm 4 asks before it writes over others
            after = self._setting.rollback_over(BASELINE, home)
        self._came_home(home, (), after)
        return Drifted(edited, home, after)

    def _leave(self, why: str) -> Stage:
        """Return the stage whose state is the baseline's still; until something leads back there, none is.

        Raises `Incomplete` where a mishap before did not lead back.
        """
        first = self.installed()
        if self._left and self._home is None:
            raise Incomplete(f"the release is not as it was installed since {self._left}")
        if silent := self._setting.unanswered():
            raise Incomplete(f"before {why} a declared Service did not answer: {silent}")
        home = self._home or first
        self._leave_for(why)
        return home

    def _leave_for(self, why: str) -> None:
        self._home, self._left = None, why

    def _came_home(self, good: Stage, during: tuple[Stage, ...], after: Stage) -> Mishap:
        mishap = self._ended(self._left, good, during, after)
        if after.failure is None and not mishap.deviations:
            self._home = after
        return mishap

    def _ended(self, name: str, good: Stage, during: tuple[Stage, ...], after: Stage) -> Mishap:
        begun = min(stage.begun for stage in (*during, after))
        deviations = self._setting.deviations(after, good.declared)
        calls = self._setting.calls(begun, after.ended)
        return Mishap(name, good, during, after, deviations, calls, self._setting.history())
