"""What a cluster holds before anything is done to it, and the way back there.

Measured on 2 cores at a load of 10 to 20, with a namespace of a dozen objects, a CRD with a held object, a
volume and a webhook that forbids everything: pristine again, and verified, in 0.8 to 3.1 s (median 1.1 s of 15);
a new cluster in 19 to 29 s, after 2 to 4 s for the removal of the old one. So a cluster is reset, and replaced
only where that fails. A namespace would take the 5 s that its controller waits, so it is emptied here.
"""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

from conformance.api import Api, ApiRefusal
from conformance.errors import ConformanceError
from conformance.manifests import Body, ObjectKey, difference, normalise
from conformance.observe import rollout
from conformance.observe.deadlines import DEADLINES
from conformance.observe.inventory import Inventory
from conformance.observe.wait import Mismatch, NotReached, wait_for

log = logging.getLogger(__name__)

SETTLED, RESET = DEADLINES.cluster_settled, DEADLINES.cluster_reset

#: Made and dropped by the control plane as time goes by, so that a cluster is no less pristine without them.
_COMES_AND_GOES = frozenset({("certificates.k8s.io", "CertificateSigningRequest")})

#: In this order extra objects are deleted: what could forbid it; what allows more to be made; what makes more.
_ORDER = (
    frozenset(
        {"ValidatingWebhookConfiguration", "MutatingWebhookConfiguration"}
        | {"ValidatingAdmissionPolicyBinding", "MutatingAdmissionPolicyBinding"}
    ),
    frozenset({"Namespace"}),
    frozenset({"CronJob", "Job", "Deployment", "StatefulSet", "DaemonSet", "ReplicaSet", "ReplicationController"}),
)
_HOLDERS = frozenset({"Namespace", "CustomResourceDefinition"})

#: Seconds in which the control plane mends what it owns: aggregated roles, the API services of CRDs.
MENDING_SECONDS = 2.0

_AT_ONCE = 12


class NotPristine(ConformanceError):
    """A cluster could not be brought back to what it was: it has to be replaced. `departures` says why."""

    def __init__(self, departures: Sequence[str]) -> None:
        self.departures = tuple(departures)
        more = f" and {len(departures) - 3} more" if len(departures) > 3 else ""
        super().__init__(f"the cluster is not pristine: {'; '.join(departures[:3])}{more}")


def settle(api: Api) -> Inventory:
    """Wait until a new cluster does nothing more by itself, and return all it holds.

    Raises `NotReached` with what is still missing.
    """
    wait_for(api, api.resource("", "Node"), _nodes_missing, deadline=SETTLED)
    before = Inventory.take(api)
    for group, kind in (("apps", "Deployment"), ("apps", "DaemonSet")):
        wait_for(
            api, api.resource(group, kind), lambda bodies: _first(map(rollout.missing, bodies)), deadline=SETTLED
        )
    names = {body["metadata"]["name"] for body in api.list(api.resource("", "Namespace"))["items"]}
    for kind, name in (("ServiceAccount", "default"), ("ConfigMap", "kube-root-ca.crt")):
        wait_for(api, api.resource("", kind), _in_each(names, kind), deadline=SETTLED,
                 query={"fieldSelector": f"metadata.name={name}"})  # fmt: skip
    end = time.monotonic() + SETTLED.seconds
    while True:
        now = Inventory.take(api)
        moving = departures(before, now)
        if not moving:
            return now
        if time.monotonic() > end:
            raise NotReached(moving[0], SETTLED.seconds, SETTLED)
        before = now


def departures(pristine: Mapping[ObjectKey, Body], now: Mapping[ObjectKey, Body]) -> list[str]:
    """Return what keeps a cluster from being pristine, a sentence each: left over, missing, replaced, changed."""
    wanted, found = (
        {key for key in side if (key.group, key.kind) not in _COMES_AND_GOES} for side in (pristine, now)
    )
    said = [f"{key} is left over" for key in sorted(found - wanted)]
    said += [f"{key} is missing" for key in sorted(wanted - found)]
    for key in sorted(wanted & found):
        before, after = pristine[key], now[key]
        if before["metadata"].get("uid") != after["metadata"].get("uid"):
            said.append(f"{key} was replaced")
        elif changes := difference(normalise(before), normalise(after)):
            said.append(f"{key} was changed: {changes[0]}")
    return said


def restore(api: Api, pristine: Inventory) -> None:
    """Delete everything that is not pristine, at once and without grace, and verify that nothing else differs.

    Finalizers are taken off where the object is not one that holds others: what should have honoured them is gone
    or about to go. Raises `NotPristine` when something is left or was changed, at the latest after `RESET`.
    """
    end = time.monotonic() + RESET.seconds
    first_clean: float | None = None
    while True:
        now = _inventory(api, end)
        said = departures(pristine, now)
        if not said:
            return
        extra = {key: now[key] for key in now if _is_extra(key, now[key], pristine)}
        if not extra and first_clean is None:
            first_clean = time.monotonic()
        given_up = first_clean is not None and time.monotonic() > first_clean + MENDING_SECONDS
        if given_up or time.monotonic() > end:
            raise NotPristine(said)
        _delete(api, extra)
        time.sleep(0.05)


def _inventory(api: Api, end: float) -> Inventory:
    while True:
        try:
            return Inventory.take(api)
        except ApiRefusal as refusal:
            # A CRD that has just come or is about to go: its storage is being made.
            if refusal.status not in (429, 503) or time.monotonic() > end:
                raise
            time.sleep(0.1)


def _is_extra(key: ObjectKey, body: Body, pristine: Inventory) -> bool:
    if (key.group, key.kind) in _COMES_AND_GOES:
        return False
    return key not in pristine or pristine[key]["metadata"].get("uid") != body["metadata"].get("uid")


def _delete(api: Api, extra: Mapping[ObjectKey, Body]) -> None:
    stages = [[key for key in extra if key.kind in kinds] for kinds in _ORDER]
    taken = {key for stage in stages for key in stage}
    with ThreadPoolExecutor(_AT_ONCE, "reset") as pool:
        for stage in (*stages, [key for key in extra if key not in taken]):
            list(pool.map(lambda key: _delete_one(api, extra[key]), stage))
        # Only once nothing is in it: what is in no namespace any more can never be changed again.
        empty = [
            key for key in extra if key.kind == "Namespace" and key.name not in {one.namespace for one in extra}
        ]
        list(pool.map(lambda key: _finalize(api, extra[key]), empty))


def _delete_one(api: Api, body: Body) -> None:
    metadata = body["metadata"]
    namespace, name = metadata.get("namespace"), metadata["name"]
    # Refused is what another deletion has made impossible meanwhile; what remains is seen in the next inventory.
    with contextlib.suppress(ApiRefusal):
        resource = api.resource_of(body)
        if "delete" not in resource.verbs:
            return
        if metadata.get("finalizers") and body["kind"] not in _HOLDERS:
            api.merge(resource, namespace, name, {"metadata": {"finalizers": None}})
        api.delete(resource, namespace, name, gracePeriodSeconds="0", propagationPolicy="Background")


def _finalize(api: Api, namespace: Body) -> None:
    """Let an empty namespace go: its controller would begin to look only 5 s after the deletion."""
    metadata = {"name": namespace["metadata"]["name"]}
    if not namespace["metadata"].get("deletionTimestamp"):
        return  # as long as it is not being deleted, controllers put things into it
    with contextlib.suppress(ApiRefusal):
        path = api.resource("", "Namespace").path(name=metadata["name"], subresource="finalize")
        body = {"apiVersion": "v1", "kind": "Namespace", "metadata": metadata, "spec": {"finalizers": []}}
        api.request("PUT", path, body=body)


def _nodes_missing(nodes: Sequence[Body]) -> str | None:
    return _first(map(_node_missing, nodes)) if nodes else "there is no node yet"


def _node_missing(node: Body) -> str | None:
    name, spec = node["metadata"]["name"], node.get("spec") or {}
    if not rollout.holds(node, "Ready"):
        return (
            f"Node/{name} is not ready: {rollout.condition(node, 'Ready').get('message', 'it has not said why')}"
        )
    if spec.get("taints"):
        return f"Node/{name} has the taint {spec['taints'][0]['key']}"
    return None if spec.get("podCIDR") else f"Node/{name} has no range of pod addresses yet"


def _in_each(namespaces: Collection[str], kind: str) -> Mismatch:
    def mismatch(bodies: Sequence[Body]) -> str | None:
        without = sorted({*namespaces} - {body["metadata"]["namespace"] for body in bodies})
        return f"namespace {without[0]} has no {kind} of its own yet" if without else None

    return mismatch


def _first(said: Iterable[str | None]) -> str | None:
    return next(filter(None, said), None)
