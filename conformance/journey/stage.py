"""One operation on a release, and everything that was seen of it: what the judging functions read."""

from __future__ import annotations

from dataclasses import dataclass

from conformance.chart import Chart
from conformance.helm import Deployed
from conformance.journey.schema import Schema
from conformance.manifests import Manifest, Manifests, ObjectKey
from conformance.observe.inventory import Inventory
from conformance.observe.live_state import LiveState
from conformance.observe.timeline import Timeline


@dataclass(frozen=True)
class Stage:
    """One operation (`install`, `upgrade`, `rollback`), from when to when (Unix time), and the state it left.

    `made` is the revision it made, with what that declares, None where Helm made none; `failure` is Helm's or the
    workloads' own last words when the operation did not end ready. `seen` may still be watching. `schema` is None
    where the contract declares no database server or no migrations.
    """

    operation: str
    chart: Chart
    made: Deployed | None
    begun: float
    ended: float
    seen: Timeline
    live: LiveState
    failure: str | None = None
    schema: Schema | None = None

    @property
    def inventory(self) -> Inventory:
        """Return every object of the cluster at the operation's end."""
        return self.live.inventory

    @property
    def revision(self) -> int:
        """Return the number of the revision it made, 0 where Helm made none."""
        return self.made.revision if self.made else 0

    @property
    def declared_by(self) -> str:
        """Return what declares the objects, as findings name it."""
        return f"revision {self.revision}"

    @property
    def declared(self) -> Manifests:
        """Return the objects that the revision declares, hooks apart."""
        return self.made.manifest if self.made else Manifests()

    @property
    def hooks(self) -> Manifests:
        """Return the hooks of the revision."""
        return self.made.hooks if self.made else Manifests()

    def declaration(self, key: ObjectKey) -> Manifest | None:
        """Return an object as the revision declares it, its hooks among them."""
        return self.declared.get(key) or self.hooks.get(key)

    def __str__(self) -> str:
        """Return the operation as a sentence names it."""
        return f"{self.operation} of {self.chart.name} {self.chart.version} (revision {self.revision})"
