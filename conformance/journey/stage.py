"""One operation on a release, and everything that was seen of it: what the judging functions read."""

from __future__ import annotations

from dataclasses import dataclass

from conformance.chart import Chart
from conformance.manifests import Manifests
from conformance.observe.availability import Calls
from conformance.observe.inventory import Inventory
from conformance.observe.live_state import Deviation, LiveState
from conformance.observe.timeline import Timeline


@dataclass(frozen=True)
class Stage:
    """One operation (`install`, `upgrade`, `rollback`) and the state it left.

    `declared` is the manifest of the revision it made, `hooks` that revision's hooks; `failure` is Helm's or the
    workloads' own last words when the operation did not end ready; `calls` are those made to the declared
    Services meanwhile, none when they were not called.
    """

    operation: str
    chart: Chart
    revision: int
    declared: Manifests
    hooks: Manifests
    inventory: Inventory
    live: LiveState
    deviations: tuple[Deviation, ...]
    seen: Timeline
    calls: tuple[Calls, ...] = ()
    failure: str | None = None

    def __str__(self) -> str:
        """Return the operation as a sentence names it."""
        return f"{self.operation} of {self.chart.name} {self.chart.version} (revision {self.revision})"
