"""The configuration that processes run with, as they tell it themselves: their environment."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from conformance.api import Api, ApiRefusal, ApiUnreachable
from conformance.checks import Finding
from conformance.contract import Contract
from conformance.environment import sources
from conformance.errors import Incomplete
from conformance.manifests import Manifest, ObjectKey
from conformance.observe.inventory import Inventory
from conformance.observe.rollout import running_images

#: By workload and running pod, a text for each variable that its container is given; None where it tells nothing.
Configurations = Mapping[ObjectKey, Mapping[str, Mapping[str, str] | None]]
#: What differs between pods of one configuration.
_OF_THE_POD = ("fieldRef", "resourceFieldRef")


def configurations(api: Api, contract: Contract, inventory: Inventory) -> Configurations:
    """Return what the processes of the workloads tell; nothing where the contract does not say where they do."""
    process = contract.checksums.process if contract.checksums and not contract.stub else None
    if process is None or process.environment is None:
        return {}
    found = {}
    for workload in contract.workloads:
        key = contract.key_of(workload)
        if key not in inventory:
            continue
        names = {*_given(Manifest(inventory[key]), workload.container, inventory)}
        found[key] = {
            pod: _told(api, key, pod, process.port, process.environment, names)
            for pod in running_images(inventory, key, workload.container)
        }
    return found


def other_configuration(before: Configurations, after: Configurations) -> Iterator[Finding]:
    """Yield each running pod whose process sees another environment than those of the earlier state did."""
    for key, pods in after.items():
        earlier = [told for told in before.get(key, {}).values() if told is not None]
        for pod, told in pods.items():
            if told is None or not earlier:
                yield Finding(
                    object=f"Pod/{pod}",
                    expected="it tells what it sees of its environment, before and after the revert",
                    observed="it tells nothing" if told is None else f"no earlier pod of {key} told anything",
                    why="nobody can see whether the process runs with what the cluster holds",
                    remedy="answer as the contract's `checksums.process` says, or correct that",
                )
            elif told not in earlier:
                was = earlier[0]
                other = [name for name in sorted({*was, *told}) if was.get(name) != told.get(name)]
                yield Finding(
                    object=f"Pod/{pod}",
                    expected="; ".join(f"{name} {was.get(name, 'not there')}" for name in other),
                    observed="; ".join(f"{name} {told.get(name, 'not there')}" for name in other),
                    why=f"{key} is declared as before, but its process sees another environment than before",
                    remedy="make what pods read before the pods, and roll the pods when it changes",
                )


def told_by(api: Api, namespace: str | None, pod: str, port: int, path: str) -> dict[str, Any]:
    """Return what a pod's process tells at a path. Raises `Incomplete` where that is no JSON object."""
    proxy = api.resource("", "Pod").path(namespace, f"{pod}:{port}", "proxy")
    try:
        told = json.loads(api.read("GET", f"{proxy}{path}"))
    except (ApiRefusal, ApiUnreachable, ValueError) as error:
        raise Incomplete(f"Pod/{pod} does not tell what it was started with at {path}: {error}") from error
    if not isinstance(told, dict):
        raise Incomplete(f"Pod/{pod} does not tell what it was started with at {path}: it is no JSON object")
    return told


def _told(api: Api, key: ObjectKey, pod: str, port: int, path: str, names: set[str]) -> dict[str, str] | None:
    try:
        told = told_by(api, key.namespace, pod, port, path)
    except Incomplete:
        return None
    return {name: str(text) for name, text in told.items() if name in names}


def _given(workload: Manifest, container: str, inventory: Inventory) -> Iterator[str]:
    """Yield the names of the variables that a container is given, those apart that differ from pod to pod."""
    for box in workload.containers():
        if box.get("name") == container:
            for entry in box.get("env") or ():
                if not any(field in (entry.get("valueFrom") or {}) for field in _OF_THE_POD):
                    yield entry["name"]
            for kind, name, prefix in sources(box):
                body = inventory.get(ObjectKey("", kind, workload.namespace, name))
                yield from (f"{prefix}{key}" for key in (body or {}).get("data") or ())
