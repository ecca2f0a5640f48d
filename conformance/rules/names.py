"""Objects keep their kind and name from version to version; new ones may come, none may go."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator
from typing import Any

from conformance.checks import CORE, Finding, rule
from conformance.manifests import Manifest, Manifests
from conformance.rules.inputs import Pair, Version

_RELEARN = "whatever names it must change in the same moment"
_RIGHTS = "pods of the other version lose their rights as soon as it goes"

#: Built-in kinds that outlive every version, and what goes with an object of each.
WHAT_GOES: dict[str, str] = {
    "APIService": "the API that it serves is gone",
    "ClusterRole": _RIGHTS,
    "ClusterRoleBinding": _RIGHTS,
    "CronJob": "its schedule starts anew, and its history goes",
    "CustomResourceDefinition": "every custom resource of its kind goes with it, for good",
    "DaemonSet": "all its pods go at once",
    "Deployment": "all its pods go, while new ones start from nothing",
    "HorizontalPodAutoscaler": "the workload falls back to its declared replicas under load",
    "Ingress": "outside traffic is cut off until the new one is programmed",
    "IngressClass": _RELEARN,
    "LimitRange": _RELEARN,
    "MutatingWebhookConfiguration": "objects pass unchanged meanwhile",
    "Namespace": "everything in it goes",
    "NetworkPolicy": "traffic is unfiltered, or cut off, meanwhile",
    "PersistentVolume": "its data may go with it",
    "PersistentVolumeClaim": "its data may go with it",
    "PodDisruptionBudget": "nothing protects the pods from a drain meanwhile",
    "PriorityClass": _RELEARN,
    "ReplicaSet": "all its pods go at once",
    "ReplicationController": "all its pods go at once",
    "ResourceQuota": _RELEARN,
    "Role": _RIGHTS,
    "RoleBinding": _RIGHTS,
    "Service": "its address and DNS name go, and every client with an open connection or a cached address fails",
    "ServiceAccount": "tokens of running pods are refused at once",
    "StatefulSet": "its pods go and their volumes are no longer theirs",
    "StorageClass": _RELEARN,
    "ValidatingWebhookConfiguration": "objects pass unchecked meanwhile",
}
LONG_LIVED = frozenset(WHAT_GOES)

#: One run each: a name for each version is how to get round their immutable templates.
_SHORT_LIVED = frozenset({"Job", "Pod"})
#: Content that pods read when they start: a new name for new content, referenced by it, is good practice.
_CONTENT = frozenset({"ConfigMap", "Secret"})
#: What a content hash looks like at the end of a name, as kustomize and sha256sum make it.
_HASH = re.compile(r"^(?P<stem>.+)-(?=[a-z]*[0-9])(?:[0-9a-f]{6,64}|[bcdfghjklmnpqrstvwxz2456789]{8,10})$")

_REMEDY = (
    "let the release's name and values alone decide names; where a rename must be, serve both names for a while, "
    "write the migration down and accept the finding in the contract"
)


@rule(
    "render/stable-names", level=CORE, seed='000 "Avoid renaming resources unless a migration plan exists"',
    needs=("baseline",),
)  # fmt: skip
def stable_names(pair: Pair) -> Iterator[Finding]:
    """Every long-lived object of one version is in the next as well, under the same kind, name and namespace."""
    theirs = pair.after.manifests
    for old in pair.before.manifests:
        new = theirs.get(old.key)
        if old.kind in _SHORT_LIVED or (old.hooks and (new is None or new.hooks)):
            continue
        if new is None and not (old.kind in _CONTENT and _renamed_with_its_content(old, pair)):
            yield _gone(pair, old)
        elif new is not None and bool(new.hooks) != bool(old.hooks):
            yield _hook_or_not(old, pair.before if old.hooks else pair.after, old.hooks or new.hooks)


def _gone(pair: Pair, old: Manifest) -> Finding:
    successor = _successor(old, pair.before.manifests, pair.after.manifests)
    now = f"there it is {successor.key}" if successor else "nothing there takes its place"
    alike = " with nothing changed but the chart's version" if pair.only_version else ""
    goes = WHAT_GOES.get(old.kind, _RELEARN)
    return Finding(
        object=str(old.key),
        expected=f"{old.key}, as in {pair.before.said}",
        observed=f"not in {pair.after.said}{alike}: {now}",
        why=f"the upgrade deletes it{_and_the_way_back(successor)}: {goes}",
        remedy=_REMEDY,
    )


def _and_the_way_back(successor: Manifest | None) -> str:
    if successor is None:
        return " and a rollback makes another one"
    return f", and a rollback deletes {successor.kind}/{successor.name}"


def _hook_or_not(old: Manifest, version: Version, events: tuple[str, ...]) -> Finding:
    return Finding(
        object=str(old.key),
        expected="an object of the release in both versions, or a hook in both",
        observed=f"a hook ({', '.join(events)}) in {version.said} only",
        why="hooks are no part of the release: one direction deletes the object after the hook made it, the other "
        f"meets one that it does not own; {WHAT_GOES.get(old.kind, _RELEARN)}",
        remedy="keep it an object of the release in every version",
    )


def _renamed_with_its_content(old: Manifest, pair: Pair) -> bool:
    """Say whether a ConfigMap or Secret only follows its content: another hash, and nobody names the old one."""
    stem = _HASH.match(old.name)
    if stem is None or _mentions(pair.after, old.name):
        return False
    for new in pair.after.manifests.of(old.kind):
        found = _HASH.match(new.name)
        if found and found["stem"] == stem["stem"] and new.namespace == old.namespace and not new.hooks:
            return True
    return False


def _mentions(version: Version, name: str) -> bool:
    return any(_inside(found.pod_template, name) for found in version.manifests if found.pod_template)


def _inside(value: Any, wanted: str) -> bool:  # noqa: ANN401 - any part of an object
    if isinstance(value, dict):
        return any(_inside(item, wanted) for item in value.values())
    if isinstance(value, list):
        return any(_inside(item, wanted) for item in value)
    return bool(value == wanted)


def _successor(old: Manifest, mine: Manifests, theirs: Manifests) -> Manifest | None:
    """Return the new object that most likely took an old one's place: of the same kind, or of the same name."""
    new = [found for found in theirs if found.key not in mine and not found.hooks]
    same_kind = {found.name: found for found in new if found.kind == old.kind}
    if near := difflib.get_close_matches(old.name, same_kind, 1, 0.4):
        return same_kind[near[0]]
    return next((found for found in new if found.name == old.name), None)
