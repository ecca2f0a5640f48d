"""Which worker runs which check: those that read the same journey run where it was driven."""

from __future__ import annotations

import inspect

from xdist.scheduler import LoadScopeScheduling

from conformance.checks import REGISTRY
from conformance.run_report import check_of


class ByJourney(LoadScopeScheduling):  # type: ignore[misc]  # pytest-xdist is not typed
    """Sends all checks that ask for the same fixtures to one worker, so that no journey is driven twice."""

    def _split_scope(self, nodeid: str) -> str:
        id_ = check_of(nodeid)
        return journey_of(id_) if id_ else nodeid


def journey_of(id_: str) -> str:
    """Return what a check reads: the name of its journey, or `rules`."""
    check = REGISTRY[id_]
    return "rules" if check.kind == "rule" else "+".join(inspect.signature(check.function).parameters)
