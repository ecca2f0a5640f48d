"""A chart whose images cannot be had: the reference chart with a stub in place of its application."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from command_line import CommandLine

from conformance import contract

pytestmark = pytest.mark.machine


def test_a_chart_is_judged_with_a_stub_and_without_what_a_stub_lacks(tmp_path: Path) -> None:
    stubbed = contract.builtin().folder / "agents-stub.yaml"
    caller = CommandLine(tmp_path)
    said = caller.run("run", "-n", "1", "--contract", stubbed, "-k", "install/becomes-ready", seconds=300)
    assert said.status == 0, said.stderr
    report = json.loads((caller.here / "report/report.json").read_text())
    (judged,) = [check for check in report["checks"] if check["outcome"] == "pass"]
    assert judged["id"] == "install/becomes-ready"
