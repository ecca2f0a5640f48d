"""An upgrade from the baseline to the candidate, with both Services called throughout."""

from __future__ import annotations

from collections.abc import Iterator

from conformance.checks import CORE, Finding, scenario
from conformance.journey import Lifecycle, judging


@scenario(
    "upgrade/in-place",
    level=CORE,
    seed="000 keep selectors stable; additive-only changes",
    needs=("baseline", "services"),
)
def test_in_place(lifecycle: Lifecycle) -> Iterator[Finding]:
    """The upgrade keeps long-lived objects in place and no call to a Service fails meanwhile."""
    upgrade = lifecycle.upgraded()
    yield from judging.not_ready(upgrade)
    yield from judging.replaced(lifecycle.installed(), upgrade)
    yield from judging.failed_calls(lifecycle.contract, upgrade, lifecycle.calls(upgrade))
