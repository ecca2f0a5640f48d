"""Which worker runs which check: those that read the same journey run where it was driven."""

from __future__ import annotations

from xdist.scheduler import LoadScopeScheduling

from conformance.checks import REGISTRY
from conformance.journey import journey_of
from conformance.run_report import check_of


class ByJourney(LoadScopeScheduling):  # type: ignore[misc]  # pytest-xdist is not typed
    """Sends all checks of one journey, and all rules, to one worker, so that nothing is driven twice."""

    def _split_scope(self, nodeid: str) -> str:
        id_ = check_of(nodeid)
        if id_ is None:
            return nodeid
        return "rules" if REGISTRY[id_].kind == "rule" else journey_of(id_)
