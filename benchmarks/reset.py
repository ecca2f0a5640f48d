"""A used cluster, reset, against a new one in its place: which is sooner pristine, both verified."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.figures import Figure, busy
from conformance.journey import Lifecycle
from conformance.options import Options
from conformance.preparation import Preparation, prepared


def measure(rounds: int) -> list[Figure]:
    """Return the ratio of a reset's time to that of a new cluster and the removal of the old one."""
    seen: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as made, prepared(Options(report_dir=Path(made, "report"))) as preparation:
        for _ in range(rounds):
            seen.append(_round(preparation))
    return [
        Figure("reset", "reset of a cluster after a lifecycle / a new one for it", "x",
               tuple(one["reset"] / one["new"] for one in seen), None, tuple(seen)),
    ]  # fmt: skip


def _round(preparation: Preparation) -> dict[str, Any]:
    before = busy()
    with preparation.lease("reset") as lease:
        started = time.monotonic()
        cluster = lease.pristine_cluster()
        made = time.monotonic() - started
        with Lifecycle(preparation.setting(lease)) as journey:
            journey.rolled_back()
        started = time.monotonic()
        cluster.reset()
        reset = time.monotonic() - started
        started = time.monotonic()
    return {"busy": before, "reset": reset, "new": made + time.monotonic() - started, "made": made}
