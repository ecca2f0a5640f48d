"""What the unit tests share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from observe_server import Server, serving

from conformance import checks
from conformance.api import Api
from conformance.checks import CORE, EXTENDED, Finding
from conformance.run import Runner


@pytest.fixture
def registry(monkeypatch: pytest.MonkeyPatch) -> dict[str, checks.Check]:
    """A registry of four made-up checks in place of the real one."""
    monkeypatch.setattr(checks, "REGISTRY", {})
    for module in ("conformance.report.result", "conformance.run_report"):
        monkeypatch.setattr(f"{module}.REGISTRY", checks.REGISTRY)

    @checks.rule("render/a", level=CORE, seed="s")
    def a() -> Iterator[Finding]:
        """A."""
        yield from ()

    @checks.rule("render/b", level=EXTENDED, seed="s")
    def b() -> Iterator[Finding]:
        """B."""
        yield from ()

    @checks.scenario("rollback/c", level=CORE, seed="s", needs=("baseline",))
    def test_c(found: list[Finding]) -> Iterator[Finding]:
        """C does what it says.

        At length.
        """
        yield from found

    @checks.scenario("gitops/d", level=EXTENDED, seed="s", needs=("gitops",))
    def test_d() -> Iterator[Finding]:
        """D."""
        yield from ()

    return checks.REGISTRY


@pytest.fixture
def served() -> Iterator[tuple[Server, Api]]:
    with serving() as both:
        yield both


@pytest.fixture
def runner(tmp_path: Path) -> Runner:
    return Runner(tmp_path / "home")


@pytest.fixture
def finding() -> Finding:
    return Finding("ConfigMap/x in y", "absent", "present", "left over", "drop it")
