"""Evidence from containers: their current and previous logs."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

from conformance.api import Api
from conformance.errors import ConformanceError
from conformance.evidence.files import File, Found, Missing
from conformance.evidence.snapshot import Deadline, Snapshot
from conformance.kube_yaml import mapping
from conformance.manifests import Body, ObjectKey

#: The last lines of a log that are kept, of the cluster's own pods and of all others, and the most bytes of one.
_LINES_OF_THE_CLUSTERS_OWN = 300
_LINES = 5_000
_BYTES = 2 * 2**20

_MOST_LOGS = 200


def logs(api: Api, snapshot: Snapshot, deadline: Deadline) -> Iterator[Found]:
    """Yield the current and the previous log of every container, those of the cluster's own pods last."""
    wanted = [(pod, container, previous) for pod in _new_first(snapshot) for container, previous in _logs_of(pod)]
    if len(wanted) > _MOST_LOGS:
        yield Missing(f"{len(wanted) - _MOST_LOGS} more logs", f"only {_MOST_LOGS} are captured")
    pool = ThreadPoolExecutor(8, "evidence-logs")
    try:
        answers = [pool.submit(_log, api, snapshot, deadline, *one) for one in wanted[:_MOST_LOGS]]
        for number, answer in enumerate(answers):
            try:
                yield answer.result(deadline.left())
            except TimeoutError:
                yield Missing(f"{len(answers) - number} logs", "not read in time")
                return
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def _new_first(snapshot: Snapshot) -> list[Body]:
    return sorted(snapshot.of("Pod"), key=lambda pod: ObjectKey.of(pod) in snapshot.pristine)


def _logs_of(pod: Body) -> Iterator[tuple[str, bool]]:
    status = mapping(pod.get("status"))
    for name in ("initContainerStatuses", "containerStatuses", "ephemeralContainerStatuses"):
        for container in status.get(name) or ():
            state = mapping(container.get("state"))
            if "waiting" not in state or container.get("restartCount"):
                yield container["name"], False
            if container.get("restartCount"):
                yield container["name"], True


def _log(api: Api, snapshot: Snapshot, deadline: Deadline, pod: Body, container: str, previous: bool) -> Found:
    key = ObjectKey.of(pod)
    path = f"logs/{key.namespace}/{key.name}/{container}{'.previous' if previous else ''}.log"
    lines = _LINES_OF_THE_CLUSTERS_OWN if key in snapshot.pristine else _LINES
    query = {"container": container, "previous": str(previous).lower(), "timestamps": "true",
             "tailLines": lines, "limitBytes": _BYTES}  # fmt: skip
    try:
        text = api.read("GET", f"/api/v1/namespaces/{key.namespace}/pods/{key.name}/log", query=query,
                        timeout=deadline.left(10.0))  # fmt: skip
    except ConformanceError as error:
        return Missing(path, str(error))
    return File(path, text)
