"""The rules on the reference chart: in process against the `helm template` calls they make, and as a command.

Issue 3, section 8: in process, judge and imports apart, at most 1.5 times those calls; the whole command below 2 s
plus the judge's start.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.figures import Figure, alternating, busy
from benchmarks.suite import agents_conformance
from conformance import provision
from conformance.judge import Judge
from conformance.options import Options
from conformance.preparation import rules_alone
from conformance.provision import Tools
from conformance.run import Runner
from conformance.running import judge_rules

LIMIT, COMMAND_LIMIT = 1.5, 2.0
CHART = "reference:0.9.2"


def measure(rounds: int) -> list[Figure]:
    """Return the ratio in process, and what the command takes beyond the judge's start."""
    tools = provision.tools()
    inside = [_in_process(tools) for _ in range(rounds)]
    whole = [
        {"busy": before, "command": command, "judge": judge, "beyond": command - judge}
        for before, command, judge in alternating(rounds, _command, lambda: _judge_alone(tools))
    ]
    return [
        Figure("rules", "rules in process, a running judge's answers included / their `helm template` calls", "x",
               tuple(one["ratio"] for one in inside), LIMIT, tuple(inside)),
        Figure("rules command", "`agents-conformance rules`, less the start of a judge alone", "s",
               tuple(one["beyond"] for one in whole), COMMAND_LIMIT, tuple(whole)),
    ]  # fmt: skip


def _in_process(tools: Tools) -> dict[str, Any]:
    """Judge the reference chart with a judge that runs already but has answered nothing."""
    with tempfile.TemporaryDirectory() as made, Judge(tools.judge, _runner(Path(made)), Path(made)) as judge:
        _ = judge.api
        before, started = busy(), time.monotonic()
        with rules_alone(Options(chart=CHART), judge) as (rules, subject, _):
            results = judge_rules(rules, subject.contract)
            seconds = time.monotonic() - started
            helm = rules.helm_seconds
    if not results or any(result.outcome != "pass" for result in results):
        raise ValueError(f"the rules should pass the reference chart: {results}")
    return {"busy": before, "seconds": seconds, "helm": helm, "ratio": seconds / helm}


def _command() -> float:
    with tempfile.TemporaryDirectory() as folder:
        return agents_conformance(Path(folder), "rules", CHART).seconds


def _judge_alone(tools: Tools) -> float:
    with tempfile.TemporaryDirectory() as made:
        started = time.monotonic()
        with Judge(tools.judge, _runner(Path(made)), Path(made)) as judge:
            _ = judge.api
            return time.monotonic() - started


def _runner(folder: Path) -> Runner:
    home = folder / "home"
    home.mkdir()
    return Runner(home)
