"""Time from the API event that satisfies a wait to the wait's return, beside a bare watch in the same run.

An API server without nodes holds ten Deployments; one becomes rolled out in each round. The bare watch does
nothing but note when the event has reached this process, so the two differ by what the suite itself takes. The
figure to reach: p99 below 100 ms.
"""

from __future__ import annotations

import statistics
import tempfile
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.figures import Figure, busy
from conformance.api import Api, Resource
from conformance.apiserver import ApiServer
from conformance.manifests import Body, Manifests
from conformance.observe.deadlines import DEADLINES
from conformance.observe.ready import wait_until_ready
from conformance.provision import tools
from conformance.run import Runner

NAMESPACE, NAME, OTHERS = "default", "measured", 9
#: Milliseconds; and how many waits make one round of the benchmarks.
LIMIT, WAITS = 100.0, 40
#: Seconds after which a wait surely watches.
LISTENS = 0.1


@dataclass(frozen=True)
class Latencies:
    """Seconds, one figure a round: from the write's answer, and from the event's arrival at a bare watch."""

    after_write: tuple[float, ...]
    bare_after_write: tuple[float, ...]
    after_event: tuple[float, ...]

    @property
    def p99(self) -> float:
        """Return the figure that the issue limits."""
        return percentile(self.after_event, 99)


def percentile(figures: Sequence[float], percent: int) -> float:
    """Return a percentile of some figures."""
    return statistics.quantiles(figures, n=100, method="inclusive")[percent - 1]


def measure(rounds: int) -> list[Figure]:
    """Return the latency that the issue limits, with all there is in its one round."""
    programs, before = tools().judge, busy()
    with tempfile.TemporaryDirectory() as folder:
        home, place = Path(folder, "home"), Path(folder, "server")
        home.mkdir()
        place.mkdir(mode=0o700)
        server = ApiServer(programs.etcd, programs.kube_apiserver, Runner(home), place)
        try:
            found = latencies(server.api, WAITS * rounds)
        finally:
            server.close()
    rows = {"bare": found.bare_after_write, "wait": found.after_write, "after_event": found.after_event}
    one = {
        f"{name}_p{percent}": 1000 * percentile(row, percent) for name, row in rows.items() for percent in (50, 99)
    }
    about = f"p99 of {WAITS * rounds} waits, from the event's arrival at a bare watch to the wait's return"
    return [Figure("wait latency", about, "ms", (1000 * found.p99,), LIMIT, ({"busy": before, **one},))]


def latencies(api: Api, rounds: int) -> Latencies:
    """Let a Deployment become rolled out in each round, while a wait and a bare watch look on."""
    resource = api.resource("apps", "Deployment")
    for number in range(OTHERS):
        api.create(_deployment(f"other-{number}"), NAMESPACE)
    api.create(_deployment(NAME), NAMESPACE)
    bare = _Bare(api, resource)
    after_write, bare_after_write, after_event = [], [], []
    try:
        for number in range(rounds):
            body = _write(api, resource, {"spec": {"template": {"metadata": {"annotations": {"n": str(number)}}}}})
            generation = body["metadata"]["generation"]
            waiting = _Waiting(api, body)
            time.sleep(LISTENS)
            counts = dict.fromkeys(("replicas", "updatedReplicas", "readyReplicas", "availableReplicas"), 1)
            written = _write(api, resource, {"status": {"observedGeneration": generation, **counts}}, "status")
            answered = time.monotonic()
            returned, seen = waiting.returned(), bare.seen(written["metadata"]["resourceVersion"])
            after_write.append(returned - answered)
            bare_after_write.append(seen - answered)
            after_event.append(returned - seen)
    finally:
        bare.close()
    return Latencies(tuple(after_write), tuple(bare_after_write), tuple(after_event))


class _Bare:
    """Notes when each resource version arrived, and does nothing else."""

    def __init__(self, api: Api, resource: Resource) -> None:
        since = api.list(resource, NAMESPACE)["metadata"]["resourceVersion"]
        self._watch = api.watch(resource, namespace=NAMESPACE, since=since, seconds=3600)
        self._seen: dict[str, float] = {}
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def seen(self, version: str) -> float:
        with self._changed:
            self._changed.wait_for(lambda: version in self._seen, 10)
            return self._seen[version]

    def close(self) -> None:
        self._watch.close()
        self._thread.join()

    def _read(self) -> None:
        for event in self._watch:
            with self._changed:
                self._seen[event.object["metadata"]["resourceVersion"]] = time.monotonic()
                self._changed.notify_all()


class _Waiting:
    """A wait of the suite's in a thread of its own."""

    def __init__(self, api: Api, body: Body) -> None:
        self._api, self._declared = api, Manifests.of_bodies([body])
        self._returned = 0.0
        self._thread = threading.Thread(target=self._wait, daemon=True)
        self._thread.start()

    def returned(self) -> float:
        self._thread.join()
        return self._returned

    def _wait(self) -> None:
        wait_until_ready(self._api, self._declared, deadline=DEADLINES.workloads_ready)
        self._returned = time.monotonic()


def _deployment(name: str) -> Body:
    labels = {"app": name}
    pod = {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "c", "image": "none"}]}}
    return {
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name},
        "spec": {"selector": {"matchLabels": labels}, "template": pod},
    }  # fmt: skip


def _write(
    api: Api, resource: Resource, patch: dict[str, object], subresource: str | None = None
) -> dict[str, dict[str, str]]:
    return api.request(
        "PATCH",
        resource.path(NAMESPACE, NAME, subresource),
        body=patch,
        content_type="application/merge-patch+json",
    )
