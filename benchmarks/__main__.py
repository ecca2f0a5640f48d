"""Run benchmarks, all or those named, and write what they found as a table and as JSON."""

from __future__ import annotations

import argparse
import datetime
import json
import os
import platform
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from benchmarks import (
    gitops_revert,
    many_versions,
    overhead,
    reset,
    rollouts,
    rules_time,
    runs,
    wait_latency,
    workers,
)
from benchmarks.figures import Figure, table
from conformance import progress
from conformance.errors import ConformanceError

#: Each benchmark with the number of rounds that steadies its median; those without a cluster come first.
BENCHMARKS: Mapping[str, tuple[Callable[[int], list[Figure]], int]] = {
    "rules": (rules_time.measure, 9),
    "versions": (many_versions.measure, 3),
    "waits": (wait_latency.measure, 5),
    "overhead": (overhead.measure, 5),
    "workers": (workers.measure, 3),
    "reset": (reset.measure, 3),
    "runs": (runs.measure, 3),
    "gitops": (gitops_revert.measure, 5),
    "rollouts": (rollouts.measure, 5),
}


def main(words: Sequence[str] | None = None) -> int:
    """Run the benchmarks asked for; return 1 where a limit is exceeded."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("name", nargs="*", help=f"{', '.join(BENCHMARKS)}; all if left out")
    parser.add_argument("--rounds", type=int, metavar="N", help="rounds of each, in place of its own number")
    parser.add_argument("--json", type=Path, metavar="FILE", default=Path("benchmarks.json"))
    asked = parser.parse_args(words)
    if unknown := set(asked.name) - BENCHMARKS.keys():
        parser.error(f"unknown: {', '.join(sorted(unknown))}; there are {', '.join(BENCHMARKS)}")
    progress.show()
    figures: list[Figure] = []
    for name in asked.name or BENCHMARKS:
        measure, rounds = BENCHMARKS[name]
        figures += measure(asked.rounds or rounds)
        # Written after each, so that what was measured outlives an interrupt.
        asked.json.write_text(json.dumps(_as_json(figures), indent=2) + "\n")
    sys.stdout.write("\n".join(table(figures)) + "\n")
    return 0 if all(figure.kept for figure in figures) else 1


def _as_json(figures: Sequence[Figure]) -> dict[str, object]:
    return {
        "at": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "processors": len(os.sched_getaffinity(0)),
        "machine": f"{platform.system()} {platform.release()} {platform.machine()}",
        "python": platform.python_version(),
        "figures": [figure.as_json() for figure in figures],
    }


if __name__ == "__main__":
    try:
        sys.exit(main())
    except ConformanceError as error:
        sys.stderr.write(f"benchmarks: {error}\n")
        sys.exit(error.exit_status)
    except KeyboardInterrupt:
        sys.exit(130)
