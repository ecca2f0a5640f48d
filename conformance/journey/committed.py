"""The journey on which watched objects are rotated by commits that Argo CD syncs."""

from __future__ import annotations

import datetime
import functools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from conformance.gitops.repository import Commit
from conformance.helm import Deployed
from conformance.journey.driving import Values
from conformance.journey.git_setting import GitSetting
from conformance.journey.git_stage import REFRESHES, Wanted
from conformance.journey.journeys import Journey, needed
from conformance.journey.rollouts import in_use, of_each_origin
from conformance.journey.rotating import Rotator
from conformance.journey.rotation import Step, Undone
from conformance.manifests import Manifests
from conformance.subject import CANDIDATE


class ByGit:
    """Commits drive it (see `Driver`): each revision is a commit's number, from 1 on."""

    def __init__(self, setting: GitSetting) -> None:
        self._setting = setting
        self._commits: list[Commit] = []

    def deploy(self, values: Values) -> Deployed:
        """Commit it for the first time."""
        return self.upgrade(values)

    def upgrade(self, values: Values, chart: Path | None = None, *, wait: bool = True) -> Deployed:
        """Commit it, and wait until it is synced and settled."""
        if chart is not None or not wait:
            raise ValueError("commits are of the candidate, and waited for")
        return self._taken(self._setting.write(Wanted(CANDIDATE, CANDIDATE, more=dict(values))))

    def rollback(self, to: int) -> Deployed:
        """Revert the newest commit, which leads to the revision before it."""
        if to != len(self._commits) - 1:
            raise ValueError("the newest commit is reverted, and no other")
        return self._taken(self._setting.revert(self._commits[-1]))

    def again(self, times: int) -> Deployed:
        """Have Argo CD look at git some more times."""
        self._setting.refreshed(times)
        return self._declared()

    def _taken(self, commit: Commit) -> Deployed:
        self._commits.append(commit)
        self._setting.settle_at(commit)
        return self._declared()

    def _declared(self) -> Deployed:
        return Deployed(
            revision=len(self._commits), chart_version="", status="deployed",
            deployed_at=datetime.datetime.now(datetime.UTC), description=self._commits[-1].subject,
            manifest=self._setting.declared(self._commits[-1]), hooks=Manifests(),
        )  # fmt: skip


@dataclass(frozen=True)
class Synced:
    """A rotation by a commit: what became of the workloads, and how many syncs of an Application succeeded."""

    application: str
    step: Step
    syncs: int


class Committed(Journey):
    """The candidate delivered by git with its checksums; a rotation as a commit, looks at git, and a revert."""

    _setting: GitSetting

    def __init__(self, setting: GitSetting) -> None:
        super().__init__(setting)
        self._drive = ByGit(setting)

    @functools.cached_property
    def rotator(self) -> Rotator:
        """Return what rotates. Raises `Incomplete` where the contract does not say how."""
        return self._setting.rotator(self._drive)

    def delivered(self) -> Step:
        """Return the first commit, whose checksums are turned on."""
        return self._once("delivered", lambda: self.rotator.install(on=True))

    def rotated(self) -> Sequence[Synced]:
        """Return a commit that rotates what the chart does not make, and one that rotates what it makes.

        Two, so that a workload which uses both is not rolled by the one for the other. They end with the first
        that failed.
        """
        needed(self.delivered())
        return self._once("rotated", lambda: list(self._rotate()))

    def refreshed(self) -> Step:
        """Return further looks at git."""
        needed(self.rotated()[-1].step)
        return self._once("refreshed", self._look)

    def reverted(self) -> Undone:
        """Return the newest rotation's commit, reverted."""
        needed(self.refreshed())
        return self._once("reverted", self._revert)

    def _rotate(self) -> Iterator[Synced]:
        rotator = self.rotator
        for one in sorted(of_each_origin(in_use(rotator)), key=lambda one: one.data is not None):
            before, rotated = self._setting.synced(), rotator.rotate(one)
            step = rotator.upgrade(f"commit that rotates {one}, {rotated.how}", rotated=[rotated])
            yield Synced(self._setting.name, step, self._setting.synced() - before)
            if step.failure:
                return

    def _look(self) -> Step:
        return self.rotator.step(f"{REFRESHES} looks at git", lambda _: self._drive.again(REFRESHES))

    def _revert(self) -> Undone:
        rotation = self.rotated()[-1].step
        step = self.rotator.roll_back(rotation.revision - 1)
        held = {one.of: self.rotator.held.hashes(one.of) for one in rotation.rotated}
        return Undone(step, rotation.rotated, held)
