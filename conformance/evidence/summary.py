"""Evidence for people: how workloads, pods and everything else with a status are doing, on one page."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from typing import Any

from conformance.evidence.files import File, Found
from conformance.evidence.objects import event_line, in_order
from conformance.evidence.snapshot import Snapshot
from conformance.kube_yaml import mapping
from conformance.manifests import Body, Manifest, ObjectKey

_MOST_EVENTS = 20

#: A condition with such a name is well when it is false.
_GOOD_WHEN_FALSE = ("Pressure", "Unavailable", "Failure", "Failed", "Terminating", "Suspended", "Stalled")


def summary(snapshot: Snapshot) -> Iterator[Found]:
    """Yield what matters of what `kubectl describe` would say of what was made or changed, the unwell first."""
    heard: dict[tuple[Any, ...], list[Body]] = defaultdict(list)
    for event in in_order(snapshot.of("Event")):
        about = mapping(event.get("involvedObject"))
        heard[about.get("kind"), about.get("namespace"), about.get("name")].append(event)
    told = []
    for key, body in snapshot.touched().items():
        lines = list(_status(body))
        if lines:
            events = heard[key.kind, key.namespace, key.name][-_MOST_EVENTS:]
            lines += [f"  event       {event_line(event)}" for event in events]
            unwell = any(line.startswith("  ! ") for line in lines) or any(
                e.get("type") == "Warning" for e in events
            )
            told.append((not unwell, key, lines))
    pages = [
        "\n".join([str(key), *lines]) for _, key, lines in sorted(told, key=lambda one: (one[0], _rank(one[1])))
    ]
    yield File("summary.txt", "\n\n".join(pages) + "\n" if pages else "nothing was made or changed\n")


def _rank(key: ObjectKey) -> tuple[int, ObjectKey]:
    order = ("Deployment", "StatefulSet", "DaemonSet", "Job", "Pod", "ReplicaSet")
    return (order.index(key.kind) if key.kind in order else len(order)), key


def _status(body: Body) -> Iterator[str]:
    """Yield the lines on one object; `!` marks what is wrong. An object without a status has none."""
    status, spec = mapping(body.get("status")), mapping(body.get("spec"))
    if not status:
        return
    if mapping(body["metadata"]).get("deletionTimestamp"):
        held = body["metadata"].get("finalizers") or []
        yield f"  ! deleted   at {body['metadata']['deletionTimestamp']}, held by {', '.join(held) or 'nothing'}"
    generation, seen = body["metadata"].get("generation"), status.get("observedGeneration")
    if seen is not None and generation != seen:
        yield f"  ! generation {generation}, the controller has seen {seen}"
    counted = {
        name: value for name, value in status.items() if isinstance(value, int) and name != "observedGeneration"
    }
    if "replicas" in spec or counted:
        wanted = f"wanted={spec['replicas']} " if "replicas" in spec else ""
        yield f"  counted     {wanted}{' '.join(f'{name}={value}' for name, value in counted.items())}".rstrip()
    for name in ("phase", "reason", "message"):
        if status.get(name):
            yield f"  {name:<11} {status[name]}"
    yield from _conditions(status)
    yield from _containers(body, status)


def _conditions(status: Body) -> Iterator[str]:
    for condition in status.get("conditions") or ():
        if not isinstance(condition, dict):
            continue
        type_, value = str(condition.get("type", "")), str(condition.get("status", ""))
        good = "False" if any(word in type_ for word in _GOOD_WHEN_FALSE) else "True"
        why = ": ".join(str(condition[name]) for name in ("reason", "message") if condition.get(name))
        yield f"  {'  ' if value == good else '! '}condition {type_}={value} {why}".rstrip()


def _containers(body: Body, status: Body) -> Iterator[str]:
    template = Manifest(body)
    if body.get("kind") != "Pod":
        for container in template.containers(init=True):
            yield f"  image       {container.get('name')}: {container.get('image')}"
        return
    for name in ("initContainerStatuses", "containerStatuses", "ephemeralContainerStatuses"):
        for container in status.get(name) or ():
            now, last = mapping(container.get("state")), mapping(container.get("lastState"))
            done = mapping(now.get("terminated")).get("exitCode") == 0
            well = not container.get("restartCount") and (container.get("ready") or done)
            ready = "ready" if container.get("ready") else "not ready"
            said = f"{container.get('name')}: {_state(now)}, {ready}, {container.get('restartCount', 0)} restarts"
            yield f"  {'  ' if well else '! '}container {said}"
            yield f"              {container.get('image')} {container.get('imageID', '')}".rstrip()
            if last:
                yield f"              before: {_state(last)}"


def _state(state: Body) -> str:
    for name, about in state.items():
        words = [f"{field} {about[field]}" for field in ("exitCode", "signal") if about.get(field) is not None]
        why = ": ".join(str(about[field]) for field in ("reason", "message") if about.get(field))
        since = about.get("finishedAt") or about.get("startedAt")
        return ", ".join(filter(None, [f"{name} {why}".rstrip(), *words, f"at {since}" if since else ""]))
    return "unknown"
