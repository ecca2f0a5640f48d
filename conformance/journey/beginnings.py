"""The journey of first installs: onto what somebody else made, with pods that never start; features on and off."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from conformance.errors import Incomplete
from conformance.journey.journeys import Journey, needed
from conformance.journey.mishap_setting import MishapSetting
from conformance.journey.stage import Stage
from conformance.manifests import Body
from conformance.observe.live_state import Deviation
from conformance.subject import CANDIDATE
from conformance.values import over, read_values


@dataclass(frozen=True)
class Adoption:
    """An install onto somebody else's Service: that before, the install, and that after, None where it is gone."""

    before: Body
    stage: Stage
    after: Body | None


@dataclass(frozen=True)
class Recovered:
    """A first install whose pods never started, the upgrade after it, and where that is not as declared."""

    failed: Stage
    stage: Stage
    deviations: Sequence[Deviation]


@dataclass(frozen=True)
class Switched:
    """A values set turned on and off again, and where the end is not as it was declared before."""

    name: str
    before: Stage
    on: Stage
    off: Stage
    deviations: Sequence[Deviation]


class Beginnings(Journey):
    """The candidate on a pristine cluster, in the order in which the stages need one another."""

    _setting: MishapSetting

    def adoptions(self) -> Sequence[Adoption]:
        """Return an install for each declared Service that somebody else has; they end with one that went on."""
        return self._once("adoptions", lambda: list(self._adopt()))

    def recovered(self) -> Recovered:
        """Return a first install whose pods never start, and the upgrade with the right values."""
        return self._once("recovered", self._recover)

    def switched(self) -> Sequence[Switched]:
        """Return each of the contract's values sets, turned on and off again.

        Raises `Incomplete` where there is none, and where the release did not become ready before.
        """
        return self._once("switched", lambda: list(self._switch()))

    def _adopt(self) -> Iterator[Adoption]:
        for name in dict.fromkeys(service.name for service in self.contract.services):
            adoption = Adoption(*self._setting.install_onto(CANDIDATE, name))
            yield adoption
            if adoption.stage.failure is None:
                return

    def _recover(self) -> Recovered:
        if any(found.stage.failure is None for found in self.adoptions()):
            raise Incomplete("the release was installed onto what somebody else had made: no install is the first")
        failed = self._setting.install_missing(CANDIDATE)
        stage = self._setting.upgrade(CANDIDATE)
        return Recovered(failed, stage, self._setting.deviations(stage, stage.declared))

    def _switch(self) -> Iterator[Switched]:
        if not self.contract.values.sets:
            raise Incomplete("the contract declares no `values.sets`, so there is nothing to turn on")
        before = needed(self.recovered().stage)
        for one in self.contract.values.sets:
            values = functools.reduce(over, [read_values(self.contract.folder / file) for file in one.files])
            on = needed(self._setting.upgrade(CANDIDATE, values))
            off = self._setting.upgrade(CANDIDATE)
            yield Switched(one.name, before, on, off, self._setting.deviations(off, before.declared))
