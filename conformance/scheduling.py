"""Which worker runs which check: those that read the same journey run where it was driven."""

from __future__ import annotations

from collections.abc import Sequence

from xdist.scheduler import LoadScopeScheduling

from conformance.checks import REGISTRY
from conformance.journey import journey_of
from conformance.run_report import check_of


class ByJourney(LoadScopeScheduling):  # type: ignore[misc]  # pytest-xdist is not typed
    """Sends all checks of one journey, and all rules, to one worker, so that nothing is driven twice."""

    def _split_scope(self, nodeid: str) -> str:
        return group(check_of(nodeid)) or nodeid


def group(id_: str | None) -> str | None:
    """Return what the checks have in common that belong together with one: its journey, or that they are rules."""
    if id_ is None:
        return None
    return "rules" if REGISTRY[id_].kind == "rule" else journey_of(id_)


def together(groups: Sequence[str | None]) -> list[int]:
    """Return the places of checks in an order that keeps each group together, where its first one was.

    One worker has one cluster, which the next journey resets: a journey that was left cannot be asked again.
    """
    first: dict[str, int] = {}
    for place, name in enumerate(groups):
        if name is not None:
            first.setdefault(name, place)
    return sorted(range(len(groups)), key=lambda place: (first.get(groups[place] or "", place), place))
