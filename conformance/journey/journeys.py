"""The journeys: which operations are driven in which order, each once, whatever number of checks read it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from types import TracebackType
from typing import Any, Protocol, Self, TypeVar

from conformance.contract import Contract, Migrations, declared
from conformance.contract.images import nested
from conformance.contract.runs import Runs
from conformance.errors import Incomplete
from conformance.journey import judging
from conformance.journey.carrying import Carried
from conformance.journey.overriding import Overridden
from conformance.journey.setting import Setting
from conformance.journey.stage import Stage
from conformance.observe.calls import Calls
from conformance.observe.live_state import Deviation, LiveState
from conformance.subject import BASELINE, CANDIDATE

log = logging.getLogger(__name__)

T = TypeVar("T")


class Journey:
    """A setting and the stages driven in it so far. A stage that could not be driven stays so."""

    def __init__(self, setting: Setting) -> None:
        self._setting = setting
        self._stages: dict[str, Any] = {}
        self._deviations: Sequence[Deviation] | None = None
        self._populated: dict[str, LiveState] = {}
        self._in_flight: dict[str, Carried | Incomplete] = {}
        self._answering: tuple[Calls, ...] | None = None

    @property
    def contract(self) -> Contract:
        """Return what the chart promises."""
        return self._setting.subject.contract

    def calls(self, stage: Stage) -> tuple[Calls, ...]:
        """Return the calls made to the declared Services during a stage. Raises `Incomplete` for lost ones."""
        return self._setting.calls(stage.begun, stage.ended)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._setting.close()

    @property
    def migrations(self) -> Migrations:
        """Return who applies migrations, and how that is said. Raises `Incomplete` where it is not declared."""
        return declared(self.contract.migrations, "`migrations`")

    def given(self, path: str) -> Any:  # noqa: ANN401 - any value
        """Return what the run's values say at a value path, None where they say nothing."""
        return self._setting.subject.value(path)

    def _once(self, name: str, drive: Callable[[], T]) -> T:
        if name not in self._stages:
            try:
                self._stages[name] = drive()
            except Exception as error:
                self._stages[name] = error
        stage: T | Exception = self._stages[name]
        if isinstance(stage, Exception):
            raise stage
        return stage

    def _populate(self, side: str) -> None:
        """Apply a side's examples. What keeps them from it is told by the state that follows."""
        try:
            self._setting.apply_examples(side)
        except Incomplete as refused:
            log.info("%s", refused)
        self._populated[side] = self._setting.live_state()


class _Ends(Protocol):
    @property
    def failure(self) -> str | None: ...


E = TypeVar("E", bound=_Ends)


def needed(stage: E) -> E:
    """Return a stage, or a step. Raises `Incomplete` where it did not end ready."""
    if stage.failure is not None:
        raise Incomplete(f"the {stage} before it did not end ready: {stage.failure}")
    return stage


class Installed(Journey):
    """The candidate, installed on a pristine cluster."""

    def __init__(self, setting: Setting) -> None:
        super().__init__(setting)
        self._refusals: Sequence[Overridden] | None = None

    def ready(self) -> Stage:
        """Return the install, up to its workloads being ready or the failure to."""
        return self._once("ready", lambda: self._setting.install(CANDIDATE))

    def unanswered(self) -> str | None:
        """Return which declared Services do not answer once the workloads are ready, None when all do."""
        return self._setting.unanswered() if self.ready().failure is None else None

    def settled(self) -> Stage:
        """Return the install as seen until a minute after ready, or until the first warning.

        Raises `Incomplete` when the chart never became ready: there is no minute to watch then.
        """
        return self._once("settled", self._settle)

    def _settle(self) -> Stage:
        stage = needed(self.ready())
        if self._refusals is not None:
            raise Incomplete("the controllers were changed past the chart before a minute was over")
        self._setting.settle(stage, lambda seen: next(judging.warnings(self.contract, seen), None))
        return stage

    def refusals(self) -> Sequence[Overridden]:
        """Return what the controllers do with the variable that says `auto`, and without it, past the chart.

        They are restored then; what else reads this journey should have been asked before.
        """
        if self._refusals is None:
            needed(self.ready())
            self._refusals = tuple(self._override())
        return self._refusals

    def _override(self) -> Iterator[Overridden]:
        migrations = self.migrations
        for workload in self.contract.workloads_of(migrations.controllers_role):
            with self._setting.overriding(workload) as changed:
                for value in (migrations.auto[0], None):
                    yield changed.with_variable(migrations.variable, value)


class FromBaseline(Journey):
    """What begins with the baseline, installed on a pristine cluster."""

    def installed(self) -> Stage:
        """Return the baseline's install. Raises `Incomplete` when it did not become ready."""
        return needed(self._once("installed", lambda: self._setting.install(BASELINE)))


class Lifecycle(FromBaseline):
    """The baseline installed, upgraded to the candidate, rolled back; with examples applied at each version."""

    def upgraded(self) -> Stage:
        """Return the upgrade to the candidate, with the baseline's examples there."""
        return self._once("upgraded", self._upgrade)

    def rolled_back(self) -> Stage:
        """Return the rollback to the baseline's revision. Raises `Incomplete` when the upgrade failed."""
        return self._once("rolled back", self._roll_back)

    def deviations(self) -> Sequence[Deviation]:
        """Return where the state after the rollback deviates from what the baseline's revision declares."""
        self.rolled_back()
        if self._deviations is None:
            self._deviations = self._setting.deviations(self.rolled_back(), self.installed().declared)
        return self._deviations

    def answering(self) -> tuple[Calls, ...]:
        """Return calls made to the declared Services after the rollback."""
        self.rolled_back()
        if self._answering is None:
            self._answering = self._setting.answering()
        return self._answering

    def lives(self) -> Sequence[LiveState]:
        """Return the live states that custom resources go through: examples at each version, then the end."""
        end = self.rolled_back().live
        return [self._populated[BASELINE], self._populated[CANDIDATE], end]

    @property
    def runs(self) -> Runs:
        """Return what the contract says of runs. Raises `Incomplete` where it says nothing."""
        return declared(self.contract.runs, "`runs`")

    def in_flight(self, stage: Stage) -> Carried:
        """Return the end of the run that was under way when an operation began.

        Raises `Incomplete` where none was.
        """
        found = self._in_flight[stage.operation]
        if isinstance(found, Incomplete):
            raise found
        return found

    def _through(self, operation: str, drive: Callable[[], Stage]) -> Stage:
        """Drive an operation with a run in flight, where the contract declares one, and follow that to its end."""
        runs = self.contract.runs
        if runs is None or runs.long is None or self.contract.stub:
            return drive()
        carrier = self._setting.carrier(self.installed().seen)
        try:
            name = carrier.begin_long(operation)
        except Incomplete as why:
            self._in_flight[operation] = why
            return drive()
        stage = drive()
        (run,) = carrier.ended({name: runs.succeeded})
        self._in_flight[operation] = run
        if run.completed is not None and run.completed < stage.ended:
            self._in_flight[operation] = Incomplete(f"{run} had ended before the {operation} had: make it longer")
        return stage

    def _upgrade(self) -> Stage:
        self.installed()
        self._populate(BASELINE)
        if silent := self._setting.unanswered():
            raise Incomplete(f"before the upgrade began a declared Service did not answer: {silent}")
        return self._through("upgrade", lambda: self._setting.upgrade(CANDIDATE))

    def _roll_back(self) -> Stage:
        needed(self.upgraded())
        self._populate(CANDIDATE)
        return self._through("rollback", lambda: self._setting.rollback(BASELINE, self.installed()))


class Crowded(Journey):
    """The candidate, installed on an empty database with two of each workload that may migrate."""

    def ready(self) -> Stage:
        """Return the install. Raises `Incomplete` where the contract does not say where the values take it."""
        if (replicas := self.migrations.replicas) is None:
            raise Incomplete("the contract names no `migrations.replicas`, so two cannot start together")
        return self._once("ready", lambda: self._setting.install(CANDIDATE, nested(replicas, 2)))


class Blocked(FromBaseline):
    """The baseline, upgraded while the database refuses every change to its schema; then out of it again."""

    def blocked(self) -> Stage:
        """Return the upgrade to the candidate, whose migration fails."""
        return self._once("blocked", self._block)

    def skipping(self) -> Stage:
        """Return the upgrade with migrations skipped by the control plane, while the database still refuses."""
        return self._once("skipping", self._skip)

    def recovered(self) -> Stage:
        """Return the upgrade without that, once the database allows changes again."""
        return self._once("recovered", self._recover)

    def _block(self) -> Stage:
        self.installed()
        control_plane, *_ = self.contract.keys_of(self.migrations.control_plane_role)
        self._setting.database.refuse_changes()
        return self._setting.upgrade_or_blocked(CANDIDATE, control_plane)

    def _skip(self) -> Stage:
        self.blocked()
        if (path := self.migrations.control_plane) is None:
            raise Incomplete("the contract names no `migrations.controlPlane`, so nothing can be told to skip")
        return self._setting.upgrade(CANDIDATE, nested(self.migrations.at(path), self.migrations.skip[0]))

    def _recover(self) -> Stage:
        needed(self.skipping())
        self._setting.database.allow_changes()
        return self._setting.upgrade(CANDIDATE)
