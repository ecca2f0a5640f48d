"""Runs on the reference platform: what it adds to a Job's own time, and a hundred at once.

Issue 4, "Figures": below 1.5 s at the median; all terminal, each with one Job, the controllers below 150 MB.
"""

from __future__ import annotations

import copy
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.figures import Figure, busy
from conformance.contract.runs import Runs
from conformance.journey import Setting, Stage
from conformance.journey.carrying import Carrier, at
from conformance.manifests import Body
from conformance.observe.deadlines import Deadlines
from conformance.options import Options
from conformance.preparation import Preparation, prepared
from conformance.subject import CANDIDATE

OVERHEAD_LIMIT, MEMORY_LIMIT, AT_ONCE = 1.5, 150.0, 100
#: A hundred runs share two processors: each deadline is five times as long.
PATIENT = Deadlines.of(5)
#: Runs of one round, one after the other.
IN_TURN = 5


@dataclass(frozen=True)
class _Place:
    setting: Setting
    stage: Stage
    carrier: Carrier
    run: Body
    preparation: Preparation

    @property
    def runs(self) -> Runs:
        """Return what the contract says of runs."""
        return self.carrier.runs

    def begin(self, name: str) -> float:
        """Begin a run and return when."""
        body = copy.deepcopy(self.run)
        body["metadata"]["name"] = name
        began = time.time()
        if words := self.carrier.refused([body]):
            raise ValueError(words)
        return began


def measure(rounds: int) -> list[Figure]:
    """Return the overhead of single runs, and the time and memory that a hundred at once take."""
    with _installed() as place:
        seen: list[dict[str, Any]] = []
        for number in range(rounds):
            others = busy()
            for turn in range(IN_TURN):
                seen.append({"busy": others, **_one(place, f"bench-{number}-{turn}")})
        crowd = _crowd(place)
    return [
        Figure("run", "from a run's creation to its success, less its Job's own time", "s",
               tuple(one["seconds"] - one["job"] for one in seen), OVERHEAD_LIMIT, tuple(seen)),
        Figure("crowd", f"memory of the controllers after {AT_ONCE} runs at once, their high-water mark", "MB",
               (crowd["mb"],), MEMORY_LIMIT, (crowd,)),
    ]  # fmt: skip


@contextmanager
def _installed() -> Iterator[_Place]:
    with (
        tempfile.TemporaryDirectory() as folder,
        prepared(Options(report_dir=Path(folder, "report"))) as preparation,
        preparation.lease("runs") as lease,
    ):
        setting = preparation.setting(lease, PATIENT)
        try:
            stage = setting.install(CANDIDATE)
            if stage.failure:
                raise ValueError(stage.failure)
            carrier = setting.carrier(stage.seen)
            chart, contract = setting.subject.chart(CANDIDATE).folder, setting.subject.contract
            runs, run = carrier.runs, None
            for example, file in contract.example_files(chart):
                for body in carrier.manifests(file):
                    if body["kind"] != runs.kind:
                        # An agent's own limit would make most of a crowd wait; the chart's stay.
                        body["spec"].pop("maxConcurrentRuns", None)
                        carrier.refused([body])
                    elif run is None and example.phase and example.phase.expected == runs.succeeded:
                        run = body
            if run is None:
                raise ValueError("none of the examples is a run that succeeds")
            yield _Place(setting, stage, carrier, run, preparation)
        finally:
            setting.close()


def _one(place: _Place, name: str) -> dict[str, float]:
    began = place.begin(name)
    (carried,) = place.carrier.ended({name: place.runs.succeeded})
    ended = time.time()
    if at(carried.body, place.runs.phase) != place.runs.succeeded or len(carried.jobs) != 1:
        raise ValueError(f"{carried}: {carried.failure or at(carried.body, place.runs.phase)}")
    completed, (job,) = carried.completed, carried.jobs
    return {"seconds": ended - began, "job": (completed or ended) - job.moments[0].at}


def _crowd(place: _Place) -> dict[str, Any]:
    names = [f"crowd-{number}" for number in range(AT_ONCE)]
    began = time.time()
    for name in names:
        place.begin(name)
    carried = place.carrier.ended(dict.fromkeys(names, place.runs.succeeded))
    seconds = time.time() - began
    phases = [at(run.body, place.runs.phase) for run in carried]
    jobs = [len(run.jobs) for run in carried]
    if phases.count(place.runs.succeeded) != AT_ONCE or jobs != [1] * AT_ONCE:
        raise ValueError(f"of {AT_ONCE} runs, {phases.count(place.runs.succeeded)} succeeded, with {jobs} Jobs")
    return {"busy": busy(), "runs": AT_ONCE, "seconds": seconds, "mb": _memory(place)}


def _memory(place: _Place) -> float:
    """Return the high-water mark of the controllers' resident memory in MB."""
    machine, contract = place.preparation.machine, place.setting.subject.contract
    workload, *_ = contract.workloads_of(place.runs.controllers_role)
    status = place.preparation.runner.run(
        machine.kubectl, "exec", "--kubeconfig", place.setting.kubeconfig, "-n", contract.release.namespace,
        f"deploy/{workload.name}", "--", "python3", "-c", "print(open('/proc/1/status').read())", timeout=60,
    ).stdout  # fmt: skip
    return float(next(line for line in status.splitlines() if line.startswith("VmHWM:")).split()[1]) / 1024
