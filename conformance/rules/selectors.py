"""Selectors stay as they are from version to version, in both directions."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from conformance.checks import CORE, Finding, rule
from conformance.manifests import WORKLOADS, Manifest, Manifests
from conformance.rules.inputs import Pair
from conformance.rules.pods import pod_labels, wanted_labels

#: Kinds whose selector users choose; Jobs and CronJobs get theirs from the API server.
_SELECTING = WORKLOADS - {"Job", "CronJob"}

_CHART_LABELS = "app.kubernetes.io/name, app.kubernetes.io/instance and app.kubernetes.io/component"
_KEEP = f"select by labels that no release changes, such as {_CHART_LABELS}"
_IMMUTABLE = (
    "a workload's selector is immutable: the API server refuses the upgrade, and the rollback of it, half-way"
)
_UNSERVED = (
    "Helm changes Services before workloads: until the first new pod is ready the Service has no endpoint, in the "
    "upgrade and in the rollback"
)


@rule("render/stable-selectors", level=CORE, seed="000 keeping selectors stable", needs=("baseline",))
def stable_selectors(pair: Pair) -> Iterator[Finding]:
    """Workloads and Services select by the same labels in both versions, and pods have the labels."""
    before, after = pair.before.manifests, pair.after.manifests
    for old, new in before.paired_with(after, kinds=_SELECTING):
        if old.selector != new.selector:
            yield _changed(pair, old, new, _IMMUTABLE)
    for old, new in before.paired_with(after, kinds={"Service"}):
        if old.selector != new.selector:
            yield _changed(pair, old, new, _UNSERVED)
        else:
            yield from _lost_pods(pair, old)
    for version in (pair.before, pair.after):
        yield from _selects_itself(version.manifests, version.said)


def _changed(pair: Pair, old: Manifest, new: Manifest, why: str) -> Finding:
    return Finding(
        object=str(old.key),
        expected=f"the selector of {pair.before.said}, {_labels(old)}",
        observed=f"{_labels(new)} in {pair.after.said}{_at_each_release(pair)}",
        why=f"its selector {_difference(old, new)}; {why}",
        remedy=_KEEP,
    )


def _difference(old: Manifest, new: Manifest) -> str:
    was, now = wanted_labels(old), wanted_labels(new)
    names = [name for name in {**was, **now} if was.get(name) != now.get(name)]
    return f"changes {', '.join(names)}" if names else "is written in another form"


def _lost_pods(pair: Pair, service: Manifest) -> Iterator[Finding]:
    """Yield a Service whose unchanged selector matches a workload's pods in one version and none in the other."""
    for has, lacks in ((pair.before, pair.after), (pair.after, pair.before)):
        chosen = _selected(service, has.manifests)
        lost = [
            pods for pods in chosen if (other := lacks.manifests.get(pods.key)) and not _selects(service, other)
        ]
        if chosen and len(lost) == len(chosen):
            names = ", ".join(str(pods.key) for pods in lost)
            yield Finding(
                object=str(service.key),
                expected=f"it selects the pods of {names} in both versions",
                observed=f"their labels match {_labels(service)} in {has.said}, not in {lacks.said}"
                f"{_at_each_release(pair)}",
                why="the Service has no endpoint from the moment the other version's pods are the only ones",
                remedy="keep the labels that Services select on the pod template in every version",
            )


def _selects_itself(manifests: Manifests, said: str) -> Iterator[Finding]:
    for workload in manifests.of(_SELECTING):
        wanted, labels = wanted_labels(workload), pod_labels(workload)
        missing = {name: value for name, value in wanted.items() if labels.get(name) != value}
        if missing and workload.pod_template is not None:
            yield Finding(
                object=str(workload.key),
                expected=f"pods with the labels that it selects, {_labels(workload)}",
                observed=f"its pod template in {said} has {_shown(labels)}",
                why="it would never find its own pods, so the API server refuses it",
                remedy="give the pod template every label of the selector",
            )


def _selected(service: Manifest, manifests: Manifests) -> list[Manifest]:
    return [workload for workload in manifests.of(_SELECTING) if _selects(service, workload)]


def _selects(service: Manifest, workload: Manifest) -> bool:
    wanted, labels = wanted_labels(service), pod_labels(workload)
    same = service.namespace == workload.namespace
    return same and bool(wanted) and all(labels.get(name) == value for name, value in wanted.items())


def _labels(manifest: Manifest) -> str:
    shown = _shown(wanted_labels(manifest))
    expressions = (manifest.selector or {}).get("matchExpressions") if manifest.kind != "Service" else None
    return f"{shown} and {expressions}" if expressions else shown


def _shown(labels: dict[str, Any]) -> str:
    return ", ".join(f"{name}={value}" for name, value in labels.items()) or "nothing"


def _at_each_release(pair: Pair) -> str:
    return ", where nothing changed but the chart's version" if pair.only_version else ""
