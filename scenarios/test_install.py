"""A first install: the chart becomes ready, quietly."""

from __future__ import annotations

from collections.abc import Iterator

from conformance.checks import CORE, Finding, scenario
from conformance.journey import Installed, judging


@scenario("install/becomes-ready", level=CORE, seed="001 Handoff: rollout status of both Deployments")
def test_becomes_ready(installed: Installed) -> Iterator[Finding]:
    """Every declared workload becomes ready, runs the pinned image and gets its declared environment."""
    stage = installed.ready()
    yield from judging.not_ready(stage)
    yield from judging.other_images(installed.contract, stage)
    yield from judging.missing_environment(installed.contract, stage)
    yield from judging.silent_services(stage, installed.unanswered())


@scenario("install/no-warnings", level=CORE, seed="000 Rollout + validation: logs of both Deployments")
def test_no_warnings(installed: Installed) -> Iterator[Finding]:
    """No restart, no forbidden call and no warning event from creation to a minute after ready."""
    stage = installed.settled()
    yield from judging.warnings(installed.contract, stage)
    yield from judging.forbidden(stage)
