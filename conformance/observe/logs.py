"""Read the logs of a release's containers, current and previous, and find calls that RBAC refused."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from conformance.api import Api, ApiRefusal
from conformance.manifests import Body, ObjectKey
from conformance.observe.deadlines import DEADLINES
from conformance.observe.rollout import container_statuses

#: Bytes of one container's log that are read, from its end.
_MOST = 1 << 20
_AT_ONCE = 8
#: What the API server says when it refuses (RBAC: `… is forbidden: User "…" cannot list resource "…"`), however a
#: client library words it around that.
_REFUSED = re.compile(
    r"forbidden\b.*\b(?:cannot \w+ (?:resource|path)|system:serviceaccount:)"
    r"|\"reason\\?\":\s*\\?\"Forbidden",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class LogLine:
    """One line of a container's log; `previous` when it is of the run before its last restart."""

    pod: str
    container: str
    text: str
    previous: bool = False


def log_lines(api: Api, pods: Iterable[Body]) -> Iterator[LogLine]:
    """Yield the lines of every container of some pods, current and previous run, those who never ran apart."""
    wanted = [
        (pod, status["name"], previous)
        for pod in pods
        for status in container_statuses(pod)
        for previous in ((True, False) if status.get("restartCount") else (False,))
    ]
    with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="logs") as pool:
        texts = pool.map(lambda one: _read(api, *one), wanted)
        for (pod, container, previous), text in zip(wanted, texts, strict=True):
            for line in text.splitlines():
                yield LogLine(pod["metadata"]["name"], container, line, previous)


def forbidden_lines(api: Api, pods: Iterable[Body]) -> list[LogLine]:
    """Return the lines that tell of a call refused for want of a right, each wording once a container."""
    found: dict[tuple[str, str, str], LogLine] = {}
    for line in log_lines(api, pods):
        if refused(line.text):
            found.setdefault((line.pod, line.container, _without_time(line.text)), line)
    return list(found.values())


def refused(text: str) -> bool:
    """Return whether a log line tells of a call that was refused for want of a right."""
    return bool(_REFUSED.search(text))


def _without_time(text: str) -> str:
    return re.sub(r"\d+", "", text)


def _read(api: Api, pod: Body, container: str, previous: bool) -> str:
    key = ObjectKey.of(pod)
    query = {"container": container, "limitBytes": str(_MOST), "previous": "true" if previous else "false"}
    path = api.resource("", "Pod").path(key.namespace, key.name, "log")
    try:
        return api.read("GET", path, query=query, timeout=DEADLINES.logs_read.seconds)
    except ApiRefusal as refusal:
        if refusal.status in (400, 404):  # it has not started, or it is gone
            return ""
        raise
