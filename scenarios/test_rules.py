"""The rules, judged in the same run as the scenarios: no cluster, only renderings and the judge."""

from __future__ import annotations

import pytest

from conformance.checks import REGISTRY, Finding
from conformance.rules import Rules, load

load()


@pytest.mark.parametrize("check_id", sorted(id_ for id_, check in REGISTRY.items() if check.kind == "rule"))
def test_rule(check_id: str, rules: Rules) -> list[Finding]:
    """One rule over the run's renderings."""
    return rules.judge(check_id)
