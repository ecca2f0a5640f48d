"""What is missing until an object is ready: pure functions over bodies, apart from any waiting.

They follow `kubectl rollout status` and Helm's own readiness checks. A status counts only where
`status.observedGeneration` shows that the controller has seen the current `metadata.generation`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from conformance.manifests import Body, ObjectKey
from conformance.observe.ownership import descendants
from conformance.wording import short

Predicate = Callable[[Body], str | None]

#: What a container waits for whose image cannot be had.
NO_IMAGE = frozenset({"ErrImageNeverPull", "ErrImagePull", "ImagePullBackOff", "InvalidImageName"})

#: Characters of a message that are shown: one about an image that cannot be pulled names it three times.
_LONGEST = 250


def missing(body: Body) -> str | None:
    """Return what keeps an object from being ready, beginning with its name; None when it is.

    Kinds without a notion of readiness are ready once they exist.
    """
    said = _stale(body) or _check(_MISSING, body)
    return f"{ObjectKey.of(body)}: {said}" if said else None


def failed(body: Body) -> str | None:
    """Return why an object will not become ready by waiting, beginning with its name; None where it may."""
    said = None if _stale(body) else _check(_FAILED, body)
    return f"{ObjectKey.of(body)}: {said}" if said else None


def condition(body: Mapping[str, Any], type_: str) -> Mapping[str, Any]:
    """Return one of an object's status conditions, empty where it has none of that type."""
    found = (body.get("status") or {}).get("conditions") or ()
    return next((one for one in found if one.get("type") == type_), {})


def holds(body: Mapping[str, Any], type_: str) -> bool:
    """Say whether one of an object's status conditions is true."""
    return bool(condition(body, type_).get("status") == "True")


def running_images(bodies: Mapping[ObjectKey, Body], workload: ObjectKey, container: str) -> dict[str, str]:
    """Return the image (`imageID`: what the node resolved, with its digest) that one container runs, by pod.

    Counted are the workload's running pods that are not being deleted; an empty text means not started yet.
    """
    owner = bodies.get(workload)
    pods = descendants(owner, bodies.values()) if owner else []
    return {
        pod["metadata"]["name"]: status.get("imageID", "")
        for pod in pods
        if pod["kind"] == "Pod" and is_current(pod)
        for status in container_statuses(pod)
        if status["name"] == container
    }


def is_current(pod: Body) -> bool:
    """Return whether a pod still counts: neither being deleted nor at its end."""
    ended = pod.get("status", {}).get("phase") in ("Succeeded", "Failed")
    return not ended and not pod["metadata"].get("deletionTimestamp")


def container_statuses(pod: Body) -> Iterator[Body]:
    """Yield the status of every container of a pod, init containers first."""
    status = pod.get("status") or {}
    for group in ("initContainerStatuses", "containerStatuses"):
        yield from status.get(group) or ()


def termination(state: Mapping[str, Any]) -> str:
    """Return how a container ended, from its `state` or `lastState`; empty where it did not."""
    ended = state.get("terminated")
    if not ended:
        return ""
    said = f"{ended.get('reason', 'ended')} (exit code {ended.get('exitCode')})"
    return ": ".join(filter(None, [said, _one_line(ended.get("message"))]))


def why_not_ready(pods: Iterable[Body], events: Iterable[Body] = ()) -> list[str]:
    """Return one line for each thing that keeps current pods from being ready.

    Waiting containers with the reason, how they last ended, what the scheduler and the probes said.
    """
    warnings: dict[str, dict[str, None]] = {}
    for event in events:
        if event.get("type") == "Warning":
            said = f"{event.get('reason')}: {_one_line(event.get('message'))}"
            warnings.setdefault(event["involvedObject"].get("uid", ""), {})[said] = None
    lines = []
    for pod in pods:
        if is_current(pod) and not holds(pod, "Ready"):
            seen = [*_pod_troubles(pod), *warnings.get(pod["metadata"]["uid"], {})]
            name = ObjectKey.of(pod)
            lines += [f"{name}: {line}" for line in seen or [_phase(pod)]]
    return lines


def _phase(pod: Body) -> str:
    """Return how far a pod has come where nothing is said to trouble it."""
    waiting = [(status.get("state") or {}).get("waiting") for status in container_statuses(pod)]
    reasons = [one["reason"] for one in waiting if one and one.get("reason")]
    return ", ".join(dict.fromkeys([f"phase {(pod.get('status') or {}).get('phase')}", *reasons]))


def _pod_troubles(pod: Body) -> Iterator[str]:
    scheduled = condition(pod, "PodScheduled")
    if scheduled.get("status") == "False":
        yield f"{scheduled.get('reason')}: {scheduled.get('message')}"
    for status in container_statuses(pod):
        name, state = status["name"], status.get("state") or {}
        if waiting := state.get("waiting"):
            message = _one_line(waiting.get("message"))
            if waiting.get("reason") not in ("PodInitializing", "ContainerCreating") or message:
                yield ": ".join(filter(None, [f"container {name} waits", waiting.get("reason"), message]))
        if ended := termination(status.get("lastState") or {}):
            yield f"container {name} restarted {status.get('restartCount', 0)} times, last: {ended}"


def _one_line(text: str | None) -> str:
    said = " ".join((text or "").split())
    return short(said, _LONGEST)


def _check(table: Mapping[tuple[str, str], Predicate], body: Body) -> str | None:
    key = ObjectKey.of(body)
    predicate = table.get((key.group, key.kind))
    return predicate(body) if predicate else None


def _stale(body: Body) -> str | None:
    key = ObjectKey.of(body)
    if (key.group, key.kind) not in _OBSERVES:
        return None
    seen, current = (body.get("status") or {}).get("observedGeneration", 0), body["metadata"].get("generation", 0)
    return f"its controller has seen generation {seen} of {current}" if seen < current else None


def _parts(body: Body) -> tuple[Body, Body]:
    return body.get("spec") or {}, body.get("status") or {}


def _deployment(body: Body) -> str | None:
    spec, status = _parts(body)
    wanted, total = spec.get("replicas", 1), status.get("replicas", 0)
    updated, available = status.get("updatedReplicas", 0), status.get("availableReplicas", 0)
    said = None
    if updated < wanted:
        said = f"{updated} of {wanted} replicas updated"
    elif total > updated:
        said = f"{total - updated} replicas of earlier ReplicaSets remain"
    elif available < updated:
        said = f"{available} of {updated} replicas available"
    if said and spec.get("paused"):
        said += "; its rollout is paused"
    refused = said and holds(body, "ReplicaFailure")
    return f"{said}; {condition(body, 'ReplicaFailure').get('message')}" if refused else said


def _stateful_set(body: Body) -> str | None:
    spec, status = _parts(body)
    wanted, strategy = spec.get("replicas", 1), spec.get("updateStrategy") or {}
    for field, word in (("readyReplicas", "ready"), ("availableReplicas", "available")):
        if status.get(field, 0) < wanted:
            return f"{status.get(field, 0)} of {wanted} replicas {word}"
    if strategy.get("type", "RollingUpdate") == "OnDelete":
        return None
    to_update = max(0, wanted - (strategy.get("rollingUpdate") or {}).get("partition", 0))
    current = status.get("currentRevision") == status.get("updateRevision")
    updated = wanted if current else status.get("updatedReplicas", 0)
    return f"{updated} of {to_update} replicas updated" if updated < to_update else None


def _daemon_set(body: Body) -> str | None:
    spec, status = _parts(body)
    wanted = status.get("desiredNumberScheduled", 0)
    if (spec.get("updateStrategy") or {}).get("type", "RollingUpdate") != "OnDelete":
        updated = status.get("updatedNumberScheduled", 0)
        if updated < wanted:
            return f"{updated} of {wanted} pods updated"
    available = status.get("numberAvailable", 0)
    return f"{available} of {wanted} pods available" if available < wanted else None


def _replica_set(body: Body) -> str | None:
    spec, status = _parts(body)
    wanted, available = spec.get("replicas", 1), status.get("availableReplicas", 0)
    return f"{available} of {wanted} replicas available" if available < wanted else None


def _job(body: Body) -> str | None:
    spec, status = _parts(body)
    if spec.get("suspend") or holds(body, "Complete"):
        return None
    counts = ", ".join(f"{status.get(field, 0)} {field}" for field in ("active", "succeeded", "failed"))
    return f"not complete: {counts} of {spec.get('completions', 1)}"


def _job_failed(body: Body) -> str | None:
    found = condition(body, "Failed")
    said = f"failed with {found.get('reason')}: {found.get('message')}"
    return said if holds(body, "Failed") else None


def _deployment_failed(body: Body) -> str | None:
    found = condition(body, "Progressing")
    if found.get("status") == "False" and found.get("reason") == "ProgressDeadlineExceeded":
        return f"ProgressDeadlineExceeded: {_deployment(body) or found.get('message')}"
    return None


def _pod(body: Body) -> str | None:
    phase = (body.get("status") or {}).get("phase")
    if phase == "Succeeded" or holds(body, "Ready"):
        return None
    return "; ".join(_pod_troubles(body)) or f"not ready, {_phase(body)}"


def _pod_failed(body: Body) -> str | None:
    status = body.get("status") or {}
    if status.get("phase") != "Failed":
        return None
    ended = [said for one in container_statuses(body) if (said := termination(one.get("state") or {}))]
    return "failed: " + (status.get("message") or "; ".join(ended) or "no reason given")


def _volume_claim(body: Body) -> str | None:
    phase = (body.get("status") or {}).get("phase")
    return None if phase == "Bound" else f"phase {phase}, not Bound"


def _volume_claim_failed(body: Body) -> str | None:
    return "phase Lost: its volume is gone" if (body.get("status") or {}).get("phase") == "Lost" else None


def _service(body: Body) -> str | None:
    spec, status = _parts(body)
    if spec.get("type") != "LoadBalancer" or spec.get("externalIPs"):
        return None
    return None if (status.get("loadBalancer") or {}).get("ingress") else "no address from a load balancer"


def _conditioned(type_: str) -> Predicate:
    def check(body: Body) -> str | None:
        found = condition(body, type_)
        if holds(body, type_):
            return None
        return f"not {type_}: {found.get('message') or found.get('reason') or 'no such condition yet'}"

    return check


def _names_refused(body: Body) -> str | None:
    found = condition(body, "NamesAccepted")
    return f"names not accepted: {found.get('message')}" if found.get("status") == "False" else None


#: Kinds whose controller says which generation its status is about.
_OBSERVES = frozenset({
    ("apps", "Deployment"), ("apps", "StatefulSet"), ("apps", "DaemonSet"), ("apps", "ReplicaSet"),
    ("policy", "PodDisruptionBudget"),
})  # fmt: skip

_MISSING: Mapping[tuple[str, str], Predicate] = {
    ("apps", "Deployment"): _deployment,
    ("apps", "StatefulSet"): _stateful_set,
    ("apps", "DaemonSet"): _daemon_set,
    ("apps", "ReplicaSet"): _replica_set,
    ("batch", "Job"): _job,
    ("", "Pod"): _pod,
    ("", "PersistentVolumeClaim"): _volume_claim,
    ("", "Service"): _service,
    ("apiextensions.k8s.io", "CustomResourceDefinition"): _conditioned("Established"),
    ("apiregistration.k8s.io", "APIService"): _conditioned("Available"),
}

_FAILED: Mapping[tuple[str, str], Predicate] = {
    ("apps", "Deployment"): _deployment_failed,
    ("batch", "Job"): _job_failed,
    ("", "Pod"): _pod_failed,
    ("", "PersistentVolumeClaim"): _volume_claim_failed,
    ("apiextensions.k8s.io", "CustomResourceDefinition"): _names_refused,
}

#: Kinds that become ready some time after they exist, or never; all others are ready at once.
BECOMING = frozenset(_MISSING)
