"""Evidence from a snapshot's objects: themselves, their events, and what differs from the pristine cluster."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from conformance.evidence.files import File, Found, Missing
from conformance.evidence.secrets import HELM_SECRET, as_yaml
from conformance.evidence.snapshot import Snapshot
from conformance.kube_yaml import mapping
from conformance.manifests import Body, ObjectKey, difference, normalise

#: Kinds that change all the time, or are told better elsewhere.
_NOISE = frozenset(
    {"Event", "Lease", "Endpoints", "EndpointSlice", "ComponentStatus", "PodMetrics", "NodeMetrics"}
)

_MOST_CHANGES = 40


def objects(snapshot: Snapshot) -> Iterator[Found]:
    """Yield one file a namespace and kind: what was made or changed since the cluster was pristine."""
    files: dict[str, list[Body]] = {}
    for key, body in snapshot.touched().items():
        if key.kind not in _NOISE and body.get("type") != HELM_SECRET:  # Helm's are in helm/, readable
            kind = f"{key.kind}.{key.group}" if "." in key.group else key.kind
            files.setdefault(f"objects/{key.namespace or 'cluster-wide'}/{kind}.yaml", []).append(body)
    for path, bodies in files.items():
        yield File(path, as_yaml(bodies))
    for what, why in snapshot.unread.items():
        yield Missing(what, why)


def events(snapshot: Snapshot) -> Iterator[Found]:
    """Yield the events of all namespaces, the oldest first."""
    lines = [event_line(event) for event in in_order(snapshot.of("Event"))]
    yield File("events.txt", "\n".join(lines) + "\n" if lines else "no events\n")


def inventory(snapshot: Snapshot) -> Iterator[Found]:
    """Yield what differs from the cluster as it was before anything was done."""
    if not snapshot.pristine:
        yield Missing("the difference to the pristine cluster", "its inventory was not taken")
        return
    before, now = ({k: b for k, b in which.items() if k.kind not in _NOISE} for which in
                   (snapshot.pristine, snapshot.objects))  # fmt: skip
    lines = [
        "new",
        *_names(now.keys() - before.keys()),
        "",
        "gone",
        *_names(before.keys() - now.keys()),
        "",
        "changed",
    ]
    for key in sorted(before.keys() & now.keys()):
        changes = difference(normalise(before[key]), normalise(now[key]))
        if changes:
            lines += [f"  {key}", *(f"    {change}" for change in changes[:_MOST_CHANGES])]
    yield File("inventory.txt", "\n".join(lines) + "\n")


def in_order(found: Iterable[Body]) -> list[Body]:
    """Return events by the time at which they were last seen."""
    return sorted(found, key=_time)


def event_line(event: Body) -> str:
    """Return one event on one line."""
    about = mapping(event.get("involvedObject"))
    where = f" in {about['namespace']}" if about.get("namespace") else ""
    times = event.get("count") or mapping(event.get("series")).get("count") or 1
    often = f" (x{times})" if times != 1 else ""
    message = " ".join(str(event.get("message", "")).split())
    return (
        f"{_time(event)} {event.get('type', '')} {event.get('reason', '')} "
        f"{about.get('kind')}/{about.get('name')}{where}: {message}{often}"
    )


def _time(event: Body) -> str:
    series = mapping(event.get("series")).get("lastObservedTime")
    times = (series, event.get("lastTimestamp"), event.get("eventTime"), event.get("firstTimestamp"))
    return str(next(filter(None, times), mapping(event.get("metadata")).get("creationTimestamp", "")))


def _names(keys: Iterable[ObjectKey]) -> list[str]:
    return [f"  {key}" for key in sorted(keys)]
