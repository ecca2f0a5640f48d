"""First installs that are refused or fail, and optional features turned on and off again."""

from __future__ import annotations

from collections.abc import Iterator

from conformance.checks import EXTENDED, Finding, scenario
from conformance.journey import Beginnings, judging_beginnings


@scenario(
    "install/adopt-refused",
    level=EXTENDED,
    seed="000 Current deployment: the chart owns what it declares",
    needs=("services",),
)
def test_adopt_refused(beginnings: Beginnings) -> Iterator[Finding]:
    """An install onto a Service of somebody else's is refused by name, and leaves the Service as it was."""
    yield from judging_beginnings.adopted(beginnings.adoptions())


@scenario(
    "install/failed-first-install",
    level=EXTENDED,
    seed="002 Rollback Detection: deployment failures",
)
def test_failed_first_install(beginnings: Beginnings) -> Iterator[Finding]:
    """A first install whose pods never start, upgraded with right values, ends ready with nothing left over."""
    yield from judging_beginnings.not_recovered(beginnings.recovered())


@scenario(
    "upgrade/no-manual-cleanup",
    level=EXTENDED,
    seed="000 Acceptance: chart upgrades do not require manual cleanup for optional features",
)
def test_no_manual_cleanup(beginnings: Beginnings) -> Iterator[Finding]:
    """Each values set of the contract, turned on and off again by upgrades, leaves nothing behind."""
    yield from judging_beginnings.not_switched_off(beginnings.switched())
