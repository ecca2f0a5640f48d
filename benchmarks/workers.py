"""One worker against two, each with a cluster of its own, on one set of independent journeys.

The set is the lifecycle journey (install, upgrade, rollback, comparison) four times, each on a cluster that is
reset to pristine before. The suite's own run has one journey of each sort, and a minute of `install/no-warnings`
is waiting by definition, so its two journeys say little of how well two clusters go together.
Issue 3, section 8: two take at most 0.65 times as long as one, cluster creation apart.
"""

from __future__ import annotations

import multiprocessing
import queue
import tempfile
import time
from dataclasses import dataclass
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import Any

from benchmarks.figures import Figure, alternating
from conformance.errors import ConformanceError
from conformance.journey import Lifecycle
from conformance.options import Options
from conformance.preparation import Preparation, prepared

LIMIT = 0.65
JOURNEYS = 4
START_SECONDS = 300.0


@dataclass(frozen=True)
class Worked:
    """What one worker did: when its first journey began and its last ended (monotonic), and its resets, in s."""

    begun: float
    ended: float
    resets: tuple[float, ...]
    failure: str = ""


def measure(rounds: int) -> list[Figure]:
    """Return the ratio of two workers' time to one's."""
    seen: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as made, prepared(Options(report_dir=Path(made, "report"))) as preparation:
        for busy, one, two in alternating(
            rounds, lambda: _seconds(preparation, 1), lambda: _seconds(preparation, 2)
        ):
            seen.append({"busy": busy, "one": one, "two": two, "ratio": two / one})
    about = f"two workers / one, the lifecycle journey {JOURNEYS} times, cluster creation apart"
    return [Figure("workers", about, "x", tuple(one["ratio"] for one in seen), LIMIT, tuple(seen))]


def _seconds(preparation: Preparation, workers: int) -> float:
    """Return the seconds from the moment all workers have a cluster until all journeys are done."""
    context = multiprocessing.get_context("spawn")
    work, done, together = context.Queue(), context.Queue(), context.Barrier(workers)
    for number in range(JOURNEYS):
        work.put(number)
    started = [
        context.Process(target=_work, args=(preparation, f"w{number}of{workers}", work, done, together))
        for number in range(workers)
    ]
    for process in started:
        process.start()
    worked: list[Worked] = [done.get(timeout=START_SECONDS + 120 * JOURNEYS) for _ in started]
    for process in started:
        process.join()
    for one in worked:
        if one.failure:
            raise ConformanceError(f"a worker failed: {one.failure}")
    return max(one.ended for one in worked) - min(one.begun for one in worked)


def _work(preparation: Preparation, name: str, work: Any, done: Any, together: Barrier) -> None:  # noqa: ANN401
    preparation.take_part()
    resets: list[float] = []
    begun = ended = 0.0
    try:
        with preparation.lease(name) as lease:
            lease.pristine_cluster()
            together.wait(START_SECONDS)
            begun = ended = time.monotonic()
            while True:
                try:
                    work.get(timeout=1.0)
                except queue.Empty:
                    break
                asked = time.monotonic()
                with Lifecycle(preparation.setting(lease)) as journey:
                    resets.append(time.monotonic() - asked)
                    journey.calls(journey.upgraded())
                    if found := journey.deviations():
                        raise ConformanceError(f"the reference chart should roll back: {found[0]}")
                ended = time.monotonic()
            done.put(Worked(begun, ended, tuple(resets)))
    except Exception as error:  # the one who waits is told
        together.abort()
        done.put(Worked(begun, time.monotonic(), tuple(resets), f"{type(error).__name__}: {error}"))
