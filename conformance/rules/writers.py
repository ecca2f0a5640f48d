"""Every field has one writer: what an autoscaler or another workload decides, no template sets as well."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from itertools import combinations

from conformance.checks import EXTENDED, Finding, rule
from conformance.kube_yaml import at, mapping
from conformance.manifests import Manifest, Manifests
from conformance.rules.inputs import Rendered
from conformance.rules.pods import chosen, matches, pod_labels, with_pods

#: Kinds whose selector decides which pods are theirs.
_OWNERS = {"DaemonSet", "Deployment", "ReplicaSet", "StatefulSet"}


@rule(
    "render/single-writer", level=EXTENDED, seed="000 rollback within one sync; public report helm#12650",
)  # fmt: skip
def single_writer(rendered: Rendered) -> Iterator[Finding]:
    """No template sets replicas that an autoscaler decides, and no pod has two autoscalers, budgets or owners."""
    yield from _autoscaled(rendered.manifests)
    yield from _budgets(rendered.manifests)
    yield from _owners(rendered.manifests)


def _autoscaled(manifests: Manifests) -> Iterator[Finding]:
    scalers: dict[tuple[str | None, str, str], list[Manifest]] = defaultdict(list)
    for scaler in manifests.of("HorizontalPodAutoscaler"):
        target = mapping(at(scaler.body, ("spec", "scaleTargetRef")))
        scalers[scaler.namespace, str(target.get("kind")), str(target.get("name"))].append(scaler)
    for workload in manifests:
        mine = scalers.get((workload.namespace, workload.kind, workload.name), [])
        replicas = at(workload.body, ("spec", "replicas"))
        if mine and replicas is not None:
            yield Finding(
                object=str(workload.key),
                expected=f"no replicas, because {mine[0].key} decides them",
                observed=f"replicas: {replicas}",
                why=f"every upgrade and rollback puts {replicas} in place of what the load needs, and GitOps "
                "reports a difference for ever",
                remedy="leave replicas out where the autoscaler is on",
            )
        if len(mine) > 1:
            yield Finding(
                object=str(workload.key),
                expected="one HorizontalPodAutoscaler",
                observed=", ".join(scaler.name for scaler in mine),
                why="each undoes what the other decides",
                remedy="keep one of them",
            )


def _budgets(manifests: Manifests) -> Iterator[Finding]:
    over = {
        budget: {found.key for found in chosen(budget.selector, budget.namespace, manifests)}
        for budget in manifests.of("PodDisruptionBudget")
        if budget.selector
    }
    for one, another in combinations(over, 2):
        if shared := over[one] & over[another]:
            yield Finding(
                object=str(one.key),
                expected="pods that no other PodDisruptionBudget selects",
                observed=f"{another.key} selects those of {', '.join(map(str, sorted(shared)))} as well",
                why="the API server refuses to evict a pod with two budgets: no node can be drained",
                remedy="let each select by labels of one component",
            )


def _owners(manifests: Manifests) -> Iterator[Finding]:
    workloads = [found for found in with_pods(manifests) if found.kind in _OWNERS and found.selector]
    for one, another in combinations(workloads, 2):
        if one.namespace == another.namespace:
            for owner, other in ((one, another), (another, one)):
                if matches(mapping(owner.selector), pod_labels(other)):
                    yield Finding(
                        object=str(owner.key),
                        expected="a selector that matches its own pods only",
                        observed=f"it matches the pods of {other.key} as well",
                        why="both take the same pods for theirs: they scale and roll each other's, and after a "
                        "rollback nobody can say which pods serve",
                        remedy="select by a label of this component alone",
                    )
                    break
