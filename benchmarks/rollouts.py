"""From a rotation to its rollout's end, as the suite sees it and as `kubectl rollout status` does, side by side.

Both look on at the same rollouts from the moment at which Helm is done. Issue 6, "Figures": at most 1.1 times. How
long the old pods take to be gone is told apart; neither waits for that.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from benchmarks.figures import Figure, busy
from conformance.cluster import Cluster
from conformance.journey import Rollouts
from conformance.journey.watched import Watched
from conformance.manifests import Body
from conformance.observe.deadlines import DEADLINES
from conformance.observe.ready import wait_until_ready
from conformance.observe.wait import wait_for
from conformance.options import Options
from conformance.preparation import prepared

LIMIT = 1.1


def measure(rounds: int) -> list[Figure]:
    """Return the suite's time as a multiple of kubectl's."""
    with (
        tempfile.TemporaryDirectory() as folder,
        prepared(Options(report_dir=Path(folder, "report"))) as preparation,
        preparation.lease("rollouts") as lease,
        preparation.journey("rollouts", lease) as journey,
    ):
        if not isinstance(journey, Rollouts):
            raise TypeError("the journey is another")
        if failure := journey.enabled().failure:
            raise ValueError(failure)
        one = max(journey.used(), key=lambda found: len(journey.rotator.consumers(found)))
        if lease.cluster is None:
            raise ValueError("the journey has no cluster")
        seen = [_round(journey, one, lease.cluster) for _ in range(rounds)]
    about = "from Helm's end to the end of the rollouts of one rotation, against kubectl rollout status"
    times = tuple(each["suite"] / each["kubectl"] for each in seen)
    return [Figure("rotation", about, "times", times, LIMIT, tuple(seen))]


def _round(journey: Rollouts, one: Watched, cluster: Cluster) -> dict[str, float]:
    rotator, api, before = journey.rotator, cluster.api, busy()
    names = [f"{key.kind.lower()}/{key.name}" for key in rotator.consumers(one)]
    namespace = journey.contract.release.namespace
    rotator.rotate(one)
    done = rotator.upgrade_unwatched()
    began = time.monotonic()

    def by_kubectl(name: str) -> float:
        cluster.kubectl("rollout", "status", name, "-n", namespace, timeout=DEADLINES.workloads_ready.seconds)
        return time.monotonic() - began

    def by_suite() -> float:
        wait_until_ready(api, done.manifest, deadline=DEADLINES.workloads_ready)
        return time.monotonic() - began

    with ThreadPoolExecutor(len(names) + 1) as pool:
        suite, others = pool.submit(by_suite), [pool.submit(by_kubectl, name) for name in names]
        told = {"suite": suite.result(), "kubectl": max(other.result() for other in others)}
    pods = api.resource("", "Pod")
    wait_for(api, pods, _leaving, namespace=namespace, deadline=DEADLINES.object_gone)
    return {"busy": before, **told, "old pods gone": time.monotonic() - began}


def _leaving(pods: Sequence[Body]) -> str | None:
    leaving = [pod["metadata"]["name"] for pod in pods if pod["metadata"].get("deletionTimestamp")]
    return f"{', '.join(leaving)} not yet gone" if leaving else None
