"""The journey on which runs are carried out: the candidate installed once, and every kind of run tried on it."""

from __future__ import annotations

from collections.abc import Sequence

from conformance.errors import Incomplete
from conformance.journey.carrying import Carried, Carrier, Refused
from conformance.journey.journeys import Journey, needed
from conformance.journey.scope import Outside, look
from conformance.journey.setting import Setting
from conformance.journey.stage import Stage
from conformance.subject import CANDIDATE
from conformance.values import read_values


class Runs(Journey):
    """The candidate on a pristine cluster, its examples and further runs, then controllers that are killed."""

    def __init__(self, setting: Setting) -> None:
        super().__init__(setting)
        self._carrier: Carrier | None = None
        self._examples: Sequence[Carried] | None = None
        self._restarted: Carried | None = None
        self._outside: Outside | None = None

    def installed(self) -> Stage:
        """Return the install. Raises `Incomplete` when it did not become ready."""
        return needed(self._once("installed", lambda: self._setting.install(CANDIDATE)))

    @property
    def carrier(self) -> Carrier:
        """Return what begins and follows runs."""
        if self._carrier is None:
            self._carrier = self._setting.carrier(self.installed().seen)
        return self._carrier

    def examples(self) -> Sequence[Carried]:
        """Return the ends of the examples' runs, and of those that must fail."""
        if self._examples is None:
            self._examples = self._carry()
        return self._examples

    def evicted(self) -> Carried:
        """Return the end of a run whose pod was evicted."""
        self.examples()
        name = self.carrier.begin_long("evicted")
        self.carrier.evict(name)
        (carried,) = self.carrier.ended({name: self.carrier.runs.failed})
        return carried

    def restarted(self) -> Carried:
        """Return the end of a run in whose midst the controllers were killed."""
        if self._restarted is None:
            self.examples()
            name = self.carrier.begin_long("restart")
            self.carrier.kill_controllers()
            (self._restarted,) = self.carrier.ended({name: self.carrier.runs.succeeded})
        return self._restarted

    def outside(self) -> Outside:
        """Return what became of a run in a namespace of no concern, by the time that others were carried out."""
        if self._outside is None:
            self.examples()
            self._outside = self._look()
        return self._outside

    def widened(self) -> Outside:
        """Return what became of it once the controllers work in every namespace.

        Raises `Incomplete` where the contract has no values for that, or the upgrade does not end ready.
        """
        runs = self.carrier.runs
        if runs.cluster_wide is None:
            raise Incomplete("the contract names no `runs.clusterWide`")
        self.outside()
        values = read_values(self.contract.folder / runs.cluster_wide)
        needed(self._once("widened", lambda: self._setting.upgrade(CANDIDATE, values)))
        self.carrier.ended({self._elsewhere_run: runs.succeeded}, self._elsewhere)
        return self._look()

    def refusals(self) -> Sequence[Refused]:
        """Return the API server's words on each resource that it must refuse."""
        self.installed()
        found = []
        for invalid in self.carrier.runs.invalid:
            for body in self.carrier.manifests(self.contract.folder / invalid.file):
                resource = f"{body['kind']}/{body['metadata']['name']}"
                found.append(Refused(invalid, resource, self._setting.refusal(body)))
        return found

    @property
    def _elsewhere(self) -> str:
        return f"{self.contract.release.namespace}-elsewhere"[:63]

    @property
    def _elsewhere_run(self) -> str:
        """Return the name of an example's run that succeeds."""
        runs = self.carrier.runs
        return next(name for name, phase in self._wanted().items() if phase == runs.succeeded)

    def _wanted(self) -> dict[str, str]:
        """Return the examples' runs by name, with the phase that each must end in."""
        wanted: dict[str, str] = {}
        chart = self._setting.subject.chart(CANDIDATE).folder
        for example, file in self.contract.example_files(chart):
            if example.phase and example.phase.kind == self.carrier.runs.kind:
                bodies = self.carrier.manifests(file)
                kind = example.phase.kind
                names = [body["metadata"]["name"] for body in bodies if body["kind"] == kind]
                wanted |= dict.fromkeys(names, example.phase.expected)
        return wanted

    def _carry(self) -> list[Carried]:
        carrier, runs = self.carrier, self.carrier.runs
        self._setting.apply_examples(CANDIDATE)
        self._setting.apply_examples(CANDIDATE, self._elsewhere)
        wanted, refused = self._wanted(), []
        for file in runs.failing:
            bodies = carrier.manifests(self.contract.folder / file)
            names = [body["metadata"]["name"] for body in bodies if body["kind"] == runs.kind]
            if words := carrier.refused(bodies):
                refused += [Carried(runs.kind, name, runs.failed, None, failure=words) for name in names]
            else:
                wanted |= dict.fromkeys(names, runs.failed)
        return [*carrier.ended(wanted), *refused]

    def _look(self) -> Outside:
        kind = self.carrier.resource
        name = self._elsewhere_run
        return look(self._setting.api, self.contract, self.carrier.runs, kind, self._elsewhere, name)
