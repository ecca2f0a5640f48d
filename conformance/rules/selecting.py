"""Services and disruption budgets select pods that the chart has."""

from __future__ import annotations

from collections.abc import Iterator

from conformance.checks import EXTENDED, Finding, rule
from conformance.manifests import Manifest
from conformance.rules.inputs import Rendered
from conformance.rules.pods import chosen, pod_labels, selected, wanted_labels, with_pods

_WHY = {
    "Service": "it has no endpoint: whoever calls it fails, after an upgrade and after a rollback to this version",
    "PodDisruptionBudget": "it protects nothing: a drain may end all pods at once while a rollback is under way",
}


@rule(
    "render/selectors-find-pods", level=EXTENDED, seed="000 keeping selectors stable",
)  # fmt: skip
def selectors_find_pods(rendered: Rendered) -> Iterator[Finding]:
    """Every Service and PodDisruptionBudget with a selector selects pods of the same rendering.

    A chart with custom resources is left alone, because their controllers may make the pods.
    """
    manifests = rendered.manifests
    if any(map(_custom, manifests)):
        return
    for manifest in manifests.of({"Service", "PodDisruptionBudget"}):
        selector = manifest.selector
        if not selector:
            continue
        if manifest.kind == "Service":
            found = selected(manifest, manifests)
        else:
            found = chosen(selector, manifest.namespace, manifests)
        if not found:
            yield Finding(
                object=str(manifest.key),
                expected="pods of the chart that it selects",
                observed=f"it selects {_shown(manifest)}; {_nearest(manifest, list(with_pods(manifests)))}",
                why=_WHY[manifest.kind],
                remedy="select by labels that the pod template has",
            )


def _custom(manifest: Manifest) -> bool:
    """Say whether an object is of no kind of Kubernetes' own: those have groups without a dot, or its own."""
    group = manifest.key.group
    return "." in group and not group.endswith(".k8s.io")


def _shown(manifest: Manifest) -> str:
    wanted = wanted_labels(manifest)
    return ", ".join(f"{name}={value}" for name, value in wanted.items()) or str(manifest.selector)


def _nearest(manifest: Manifest, pods: list[Manifest]) -> str:
    wanted = wanted_labels(manifest)
    here = [found for found in pods if found.namespace == manifest.namespace]
    if not here:
        return f"the chart has no pods in {manifest.namespace}"
    near = max(here, key=lambda found: sum(pod_labels(found).get(key) == value for key, value in wanted.items()))
    differing = [key for key, value in wanted.items() if pod_labels(near).get(key) != value]
    said = ", ".join(f"{key}={pod_labels(near).get(key, '(none)')}" for key in differing)
    return f"the pods of {near.key} have {said or 'other labels'}"
