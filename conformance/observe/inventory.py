"""Every object of a cluster at one moment: what two moments, and a release and its cluster, are told apart by."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from conformance.api import Api, ApiRefusal, Resource
from conformance.manifests import Body, ObjectKey

log = logging.getLogger(__name__)

#: Kinds that are not listed: the control plane makes them by itself and all the time. By group and kind, and why.
NOISE: Mapping[tuple[str, str], str] = {
    ("", "Event"): "a log, not a state; the timeline reads it",
    ("events.k8s.io", "Event"): "the same events under their newer name",
    ("coordination.k8s.io", "Lease"): "heartbeats of nodes and leaders",
    ("coordination.k8s.io", "LeaseCandidate"): "who may become leader",
    ("", "Endpoints"): "the endpoints controller copies a Service's pods",
    ("discovery.k8s.io", "EndpointSlice"): "the endpoint slice controller copies a Service's pods",
    ("", "ComponentStatus"): "computed when asked",
    ("metrics.k8s.io", "NodeMetrics"): "measurements",
    ("metrics.k8s.io", "PodMetrics"): "measurements",
}

#: Lists under way at once: as many as keep two cores busy without queueing in the API server.
_AT_ONCE = 8
#: A type that vanished between discovery and list, or that cannot be listed after all.
_NOT_LISTABLE = frozenset({404, 405})


@dataclass(frozen=True)
class Inventory(Mapping[ObjectKey, Body]):
    """All objects by key, as served at their preferred version. Do not change a body: it is shared."""

    objects: Mapping[ObjectKey, Body] = field(repr=False)

    @classmethod
    def take(cls, api: Api) -> Inventory:
        """List every resource type but the noise, concurrently, each list as of its own moment.

        Raises `ApiRefusal` where a type that is served cannot be read, and `ApiUnreachable`.
        """
        types = [
            found
            for found in api.resources(refresh=True)
            if "list" in found.verbs and (found.group, found.kind) not in NOISE
        ]
        with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="inventory") as pool:
            lists = pool.map(lambda found: _listed(api, found), types)
            return cls.of(body for bodies in lists for body in bodies)

    @classmethod
    def of(cls, bodies: Iterable[Body]) -> Inventory:
        """Return an inventory of objects that are known already."""
        return cls({ObjectKey.of(body): body for body in bodies})

    def __getitem__(self, key: ObjectKey) -> Body:
        return self.objects[key]

    def __iter__(self) -> Iterator[ObjectKey]:
        return iter(self.objects)

    def __len__(self) -> int:
        return len(self.objects)

    def __hash__(self) -> int:
        return id(self)

    def uids(self) -> frozenset[str]:
        """Return the UID of every object: the same name with another UID is another object."""
        return frozenset(body["metadata"].get("uid", "") for body in self.objects.values())


def _listed(api: Api, resource: Resource) -> list[Body]:
    try:
        items: list[Body] = api.list(resource)["items"]
    except ApiRefusal as refusal:
        if refusal.status not in _NOT_LISTABLE:
            raise
        log.debug("%s cannot be listed: %s", resource.plural, refusal)
        return []
    return items
