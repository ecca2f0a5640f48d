"""The overlay committed to git and synced by Argo CD: baseline, candidate, revert, and what goes wrong."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from conformance.errors import Incomplete
from conformance.gitops import Application
from conformance.gitops.repository import Commit
from conformance.journey.git_setting import GitSetting
from conformance.journey.git_stage import BROKEN, REFRESHES, GitStage, Wanted
from conformance.journey.journeys import Journey
from conformance.manifests import ObjectKey
from conformance.observe.live_state import Deviation, LiveState
from conformance.subject import BASELINE, CANDIDATE


@dataclass(frozen=True)
class Reverted:
    """A commit and its revert: the state before both, after the commit, after the revert, and ever after.

    Where nothing was looked at after the commit, `changed` is the state before. `deviations` are where the state
    after the revert is not what the reverted commit renders; `later` is the Application after each further look at
    git; `refusal` says why what people did past git could not be done.
    """

    before: GitStage
    changed: GitStage
    stage: GitStage
    deviations: Sequence[Deviation]
    later: Sequence[Application]
    refusal: str = ""

    def effective(self) -> GitStage:
        """Return the state after the commit.

        Raises `Incomplete` where it was not synced and healthy, or the commit renders to what was there before:
        then nothing was reverted.
        """
        self.changed.settled()
        stages = (self.before, self.changed)
        was, now = ({manifest.key: manifest.body for manifest in stage.declared} for stage in stages)
        if was == now:
            raise Incomplete(f"commit {self.changed.commit} changes nothing that is rendered")
        return self.changed


class Delivery(Journey):
    """The baseline delivered by git; then, each from there and back to it, what people do with commits."""

    _setting: GitSetting

    def __init__(self, setting: GitSetting) -> None:
        super().__init__(setting)
        #: What is delivered first and gone back to; without a baseline there is only the candidate.
        self._start = BASELINE if setting.subject.baseline else CANDIDATE
        self._spoilt = ""

    def first(self) -> GitStage:
        """Return the first sync, of the baseline."""

        def drive() -> GitStage:
            commit = self._setting.write(Wanted(self._start, self._start))
            return self._setting.deliver("first sync", commit, self._start)

        return self._once("delivered", drive)

    def delivered(self) -> GitStage:
        """Return the first sync. Raises `Incomplete` when it did not settle."""
        return self.first().settled()

    def both(self) -> Reverted:
        """Return the commit of the candidate, chart and images, and its revert; with examples at each version."""
        return self._change("both", Wanted(CANDIDATE, CANDIDATE), self._populate)

    def both_and_values(self) -> Reverted:
        """Return a commit of the candidate and of the contract's first further values set, and its revert.

        Where the contract has no further set, the commit of the candidate alone.
        """
        if not (sets := self.contract.values.sets):
            return self.both()
        return self._change("both and values", Wanted(CANDIDATE, CANDIDATE, sets[0].name))

    def values_only(self) -> Reverted:
        """Return a commit of the candidate's images alone, and its revert."""
        return self._change("values only", Wanted(BASELINE, CANDIDATE))

    def chart_only(self) -> Reverted:
        """Return a commit of the candidate's chart with the baseline's images, and its revert."""
        return self._change("chart only", Wanted(CANDIDATE, BASELINE))

    def broken(self) -> Reverted:
        """Return a commit of images that nobody has, and its revert."""

        def drive() -> Reverted:
            before = self.delivered()
            commit = self._setting.write(Wanted(self._start, BROKEN))
            changed = self._setting.recorded("sync", commit, self._start, lambda: self._setting.break_at(commit))
            if changed.failure is not None:
                raise Incomplete(f"no pod of {changed} waited for its image: {changed.failure}")
            self._setting.end_sync()  # one with a hook after it waits for healthy pods, and so for ever
            return self._back(before, changed, commit)

        return self._known("broken", drive)

    def at_once(self) -> Reverted:
        """Return a commit of the candidate, and its revert, committed while the sync of it has just begun."""

        def drive() -> Reverted:
            before = self.delivered()
            commit = self._setting.write(Wanted(CANDIDATE, CANDIDATE))
            self._setting.begin(commit)
            return self._back(before, before, commit)

        return self._known("at once", drive)

    def healed(self) -> Reverted:
        """Return an edit by hand, put right."""

        def drive() -> Reverted:
            before = self.delivered()
            self._setting.edit_by_hand(before)
            stage = self._setting.recorded(
                "healing", self._setting.repository.head(), self._start, lambda: self._setting.heal(before)
            )
            return Reverted(before, before, stage, self._deviations_from(before, stage), ())

        return self._known("healed", drive)

    def emergency(self, *, healing: bool) -> Reverted:
        """Return the candidate's commit, what people do past git in an emergency, and then its revert in git.

        They undo its rollouts, and set the images that ran before. `healing` says whether Argo CD
        puts drift right by itself meanwhile.
        """

        def drive() -> Reverted:
            before = self.delivered()
            commit = self._setting.write(Wanted(CANDIDATE, CANDIDATE))
            changed = self._setting.deliver("sync", commit, CANDIDATE).settled()
            self._setting.set_healing(on=healing)
            try:
                refusal = self._setting.undo(before, changed)
                self._setting.set_images(before)
                return dataclasses.replace(self._back(before, changed, commit), refusal=refusal)
            finally:
                self._setting.set_healing(on=self._setting.heals)

        return self._known(f"emergency {healing}", drive)

    def refused(self) -> Sequence[tuple[ObjectKey, str]]:
        """Return what the API server refuses of the overlay, asked strictly, once its first sync has ended."""
        return self._setting.refused(self.first().commit)

    def lives(self) -> Sequence[LiveState]:
        """Return the live states that custom resources go through: examples at each version, then the end."""
        end = self.both().stage.live
        return [self._populated[BASELINE], self._populated[CANDIDATE], end]

    def _change(
        self, name: str, wanted: Wanted, between: Callable[[str], object] = lambda _side: None
    ) -> Reverted:
        def drive() -> Reverted:
            before = self.delivered()
            between(BASELINE)
            commit = self._setting.write(wanted)
            changed = self._setting.deliver("sync", commit, wanted.chart)
            between(CANDIDATE)
            return self._back(before, changed, commit)

        return self._known(name, drive)

    def _back(self, before: GitStage, changed: GitStage, commit: Commit) -> Reverted:
        """Revert a commit, and look at git some more times."""
        stage = self._setting.deliver("sync", self._setting.revert(commit), self._start)
        deviations = self._deviations_from(before, stage)
        later = self._setting.refreshed(REFRESHES) if stage.failure is None and not deviations else []
        return Reverted(before, changed, stage, deviations, later)

    def _deviations_from(self, before: GitStage, stage: GitStage) -> list[Deviation]:
        """Return where a stage deviates from what an earlier one declares, what was there then already apart.

        That are the Jobs of hooks, for example, which no commit declares and many charts leave behind.
        """
        found = self._setting.deviations(stage, before.declared)
        return [deviation for deviation in found if not (deviation.left_over and deviation.key in before.live)]

    def _known(self, name: str, drive: Callable[[], Reverted]) -> Reverted:
        """Return what was driven once; what could not be driven stays so.

        Raises `Incomplete` where something before it did not lead back to where it began.
        """
        return self._once(name, lambda: self._there_and_back(name, drive))

    def _there_and_back(self, name: str, drive: Callable[[], Reverted]) -> Reverted:
        self.delivered()
        if self._spoilt:
            raise Incomplete(self._spoilt)
        begun, back = self._setting.repository.head(), False
        try:
            made = drive()
            back = made.stage.failure is None and not made.deviations
        except Exception:
            back = self._setting.repository.head() == begun
            raise
        finally:
            if not back:
                self._spoilt = f"the cluster is not as it was delivered since the stage before: {name}"
        return made
