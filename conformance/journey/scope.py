"""What controllers do, and may do, in a namespace that they are not told to work in."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from conformance.api import Api, Resource
from conformance.checks import Finding
from conformance.contract import Contract
from conformance.contract.runs import Runs
from conformance.journey.carrying import at
from conformance.manifests import Body

#: What a run needs of a namespace, as verb and kind of the core and batch groups; what it may never do beside.
NEEDED = (("create", "batch", "Job"), ("list", "", "Pod"))
BESIDE = (("get", "", "Secret"), ("delete", "", "Pod"), ("create", "", "Pod"))


@dataclass(frozen=True)
class Outside:
    """A run in another namespace, the names of the Jobs made for it, and the controllers' rights there.

    `rights` holds every right that was asked about, as `verb kind by account`, and whether it is granted.
    """

    namespace: str
    run: Body | None
    jobs: tuple[str, ...]
    rights: dict[str, bool]

    def granted(self) -> list[str]:
        """Return the rights that are granted."""
        return [right for right, allowed in self.rights.items() if allowed]


def look(api: Api, contract: Contract, runs: Runs, kind: Resource, namespace: str, name: str) -> Outside:
    """Return what is there of a run in another namespace."""
    jobs: list[Body] = api.list(api.resource("batch", "Job"), namespace)["items"]
    return Outside(
        namespace,
        api.get(kind, namespace, name),
        tuple(job["metadata"]["name"] for job in jobs),
        dict(_rights(api, contract, runs, kind, namespace)),
    )


def touched(runs: Runs, outside: Outside) -> Iterator[Finding]:
    """Yield what controllers did, or may do, in a namespace that they are not told to work in."""
    phase = at(outside.run, runs.phase)
    name = at(outside.run, "metadata.name")
    if phase is not None or outside.jobs:
        yield Finding(
            object=f"{runs.kind}/{name} in {outside.namespace}",
            expected="no phase and no Job: its namespace is not one that the controllers are told of",
            observed=f"{phase or 'no phase'}; Jobs: {', '.join(outside.jobs) or 'none'}",
            why="the controllers act in a namespace that they are not told to work in",
            remedy="let them list and watch in the configured namespaces only",
        )
    if granted := outside.granted():
        yield Finding(
            object=f"Namespace/{outside.namespace}",
            expected="the controllers' accounts hold no right in a namespace that they are not told of",
            observed="\n".join(granted),
            why="the controllers may act where they are not told to work",
            remedy="grant rights by a Role in each configured namespace, not by a ClusterRole",
        )


def not_reached(runs: Runs, outside: Outside) -> Iterator[Finding]:
    """Yield what keeps runs of another namespace from being carried out, though controllers work in all."""
    phase = at(outside.run, runs.phase)
    name = at(outside.run, "metadata.name")
    if phase not in runs.terminal:
        yield Finding(
            object=f"{runs.kind}/{name} in {outside.namespace}",
            expected="it is carried out to its end, since the controllers work in every namespace",
            observed=phase or "no phase",
            why="the values that make the controllers work in every namespace do not",
            remedy="tell the controllers of every namespace, and bind their ClusterRole for the cluster",
        )
    lacking = [right for right, allowed in outside.rights.items() if not allowed and _is_needed(right)]
    if lacking:
        yield Finding(
            object=f"Namespace/{outside.namespace}",
            expected="the controllers hold the rights that a run needs, in every namespace",
            observed="not granted: " + ", ".join(lacking),
            why="the controllers lack rights in namespaces that they are told to work in",
            remedy="bind the controllers' ClusterRole with a ClusterRoleBinding",
        )


def _is_needed(right: str) -> bool:
    return not any(right.startswith(f"{verb} {kind} ") for verb, _, kind in BESIDE)


def _rights(
    api: Api, contract: Contract, runs: Runs, kind: Resource, namespace: str
) -> Iterator[tuple[str, bool]]:
    asked = [("list", kind), ("watch", kind)]
    asked += [(verb, api.resource(group, name)) for verb, group, name in (*NEEDED, *BESIDE)]
    for account in sorted(_accounts(api, contract, runs)):
        for verb, resource in asked:
            yield f"{verb} {resource.kind} by {account}", _allowed(api, account, verb, resource, namespace)


def _accounts(api: Api, contract: Contract, runs: Runs) -> set[str]:
    """Return the users that the controllers' pods are, by what their workloads declare."""
    found = set()
    for key in contract.keys_of(runs.controllers_role):
        body = api.get(api.resource(key.group, key.kind), key.namespace, key.name)
        account = at(body, "spec.template.spec.serviceAccountName") or "default"
        found.add(f"system:serviceaccount:{key.namespace}:{account}")
    return found


def _allowed(api: Api, user: str, verb: str, resource: Resource, namespace: str) -> bool:
    own = user.split(":")[2]
    groups = ["system:serviceaccounts", f"system:serviceaccounts:{own}", "system:authenticated"]
    asked = {"namespace": namespace, "verb": verb, "group": resource.group, "resource": resource.plural}
    review = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SubjectAccessReview",
        "spec": {"user": user, "groups": groups, "resourceAttributes": asked},
    }
    answer = api.request("POST", "/apis/authorization.k8s.io/v1/subjectaccessreviews", body=review)
    return bool(answer["status"].get("allowed"))
