"""What a cluster holds at the moment of a failure, read as far as it can be read."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from conformance.api import Api, Resource
from conformance.errors import ConformanceError
from conformance.manifests import Body, ObjectKey

#: Resource types that are read even where the server does not say any more what it serves.
_ALWAYS = (
    ("", "v1", "secrets", "Secret"), ("", "v1", "pods", "Pod"), ("", "v1", "events", "Event"),
    ("", "v1", "services", "Service"), ("", "v1", "configmaps", "ConfigMap"), ("", "v1", "nodes", "Node"),
    ("", "v1", "namespaces", "Namespace"), ("apps", "v1", "deployments", "Deployment"),
    ("apps", "v1", "replicasets", "ReplicaSet"), ("batch", "v1", "jobs", "Job"),
)  # fmt: skip

_CLUSTER_WIDE = frozenset({"Namespace", "Node"})


class Deadline:
    """Seconds that are left of a bounded time."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._end = time.monotonic() + seconds

    def left(self, at_most: float = float("inf")) -> float:
        """Return the seconds left, or `at_most` where that is less; never less than a tenth of one."""
        return max(0.1, min(at_most, self._end - time.monotonic()))

    @property
    def over(self) -> bool:
        """Say whether no time is left."""
        return time.monotonic() >= self._end


@dataclass(frozen=True)
class Snapshot:
    """Every object that could be read, and why the others could not."""

    objects: Mapping[ObjectKey, Body] = field(default_factory=dict)
    unread: Mapping[str, str] = field(default_factory=dict)
    pristine: Mapping[ObjectKey, Body] = field(default_factory=dict)

    @classmethod
    def take(cls, api: Api, deadline: Deadline, pristine: Mapping[ObjectKey, Body] | None = None) -> Snapshot:
        """Read all objects of all types at the same time, each type on its own; raises nothing."""
        objects: dict[ObjectKey, Body] = {}
        unread: dict[str, str] = {}
        try:
            served = api.resources(refresh=True)
            # Events are served in two groups, the same ones.
            resources = [found for found in served if "list" in found.verbs and found.group != "events.k8s.io"]
        except ConformanceError as error:
            unread["the list of resource types"] = str(error)
            resources = [
                Resource(group, version, plural, kind, kind not in _CLUSTER_WIDE, frozenset({"list"}))
                for group, version, plural, kind in _ALWAYS
            ]
        # Not left at its end: that would wait for the slowest, and each ends by itself soon after the deadline.
        pool = ThreadPoolExecutor(16, "evidence")
        answers = [(resource, pool.submit(_listed, api, resource, deadline)) for resource in resources]
        for resource, answer in answers:
            try:
                objects.update((ObjectKey.of(body), body) for body in answer.result(deadline.left()))
            except Exception as error:  # whatever it is, the others are still worth having
                unread[f"{resource.plural}.{resource.group}".rstrip(".")] = str(error) or "no answer in time"
        pool.shutdown(wait=False, cancel_futures=True)
        return cls(objects, unread, pristine or {})

    def of(self, kind: str) -> Iterator[Body]:
        """Yield the objects of a built-in kind, in order of namespace and name."""
        for key in sorted(self.objects):
            if key.kind == kind and "." not in key.group:
                yield self.objects[key]

    def touched(self) -> dict[ObjectKey, Body]:
        """Return the objects that were not there from the beginning, or not in this version."""
        return {
            key: body
            for key, body in sorted(self.objects.items())
            if key not in self.pristine or _version(body) != _version(self.pristine[key])
        }


def _version(body: Body) -> object:
    return body["metadata"].get("resourceVersion")


def _listed(api: Api, resource: Resource, deadline: Deadline) -> list[Body]:
    answer = api.request("GET", resource.path(), query={"limit": "5000"}, timeout=deadline.left(10.0))
    return [{"apiVersion": resource.api_version, "kind": resource.kind, **body} for body in answer["items"]]
