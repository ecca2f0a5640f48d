"""The rules that look at two versions: what they find, and what they leave alone."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from made_up import grown, pair, plain

from conformance.checks import Finding
from conformance.contract.allowances import Kept
from conformance.judge import Answer
from conformance.replacing import Replacement
from conformance.rules.additions import new_objects_gated, no_new_hooks
from conformance.rules.inputs import Given, Replaced
from conformance.rules.keeping import resource_policy_stable
from conformance.rules.replacing import no_immutable_change
from conformance.rules.rights import rights_not_widened

# --- rollback/no-immutable-change ---


def replaced(forth: Answer, back: Answer, *, only_version: bool = False) -> list[Finding]:
    old = (
        plain("RoleBinding", "a", "rbac.authorization.k8s.io/v1")
        + "\nroleRef: {kind: Role, name: a}\nsubjects: []"
    )
    seen = pair([old], [old.replace("name: a}\nsub", "name: b}\nsub")], only_version=only_version)
    ((before, after),) = seen.before.manifests.paired_with(seen.after.manifests)
    return list(no_immutable_change(Replaced(seen, (Replacement(before, after, forth, back),))))


YES, NO = Answer(True), Answer(False, "it is invalid", (("roleRef", "cannot change roleRef"),))


def test_a_refusal_names_field_values_and_direction() -> None:
    assert replaced(YES, YES) == []
    (finding,) = replaced(YES, NO)
    assert finding.object == "RoleBinding/a in agents"
    assert finding.expected == "roleRef.name: 'a', as in the baseline 1.0.0"
    assert finding.observed == "roleRef.name: 'b' in the candidate 1.1.0"
    assert finding.why.startswith("the API server refuses the rollback: roleRef: cannot change roleRef")
    (both,) = replaced(NO, NO, only_version=True)
    assert "the upgrade" in both.why
    assert "the rollback" in both.why
    assert "nothing changed but the chart's version" in both.observed


# --- render/new-objects-gated, rollback/no-new-hooks ---


def new(rule: Any, before: list[str], after: list[str]) -> list[str]:
    return [finding.object for finding in rule(grown(before, after))]


A, B = plain("ConfigMap", "a"), plain("ConfigMap", "b")
RBAC = "rbac.authorization.k8s.io/v1"


def hook(name: str, events: str, kind: str = "Job") -> str:
    return plain(kind, name, annotations=f"helm.sh/hook: '{events}'")


def test_new_objects_are_found_and_renamed_ones_are_not() -> None:
    assert new(new_objects_gated, [A], [A]) == []
    assert new(new_objects_gated, [A], [A, B]) == ["ConfigMap/b in agents"]
    assert new(new_objects_gated, [A], [B]) == []
    assert new(new_objects_gated, [plain("Job", "a-1")], [plain("Job", "a-2")]) == []
    assert new(new_objects_gated, [A], [A, hook("b", "pre-upgrade")]) == []
    assert (
        new(new_objects_gated, [A], [A, plain("CustomResourceDefinition", "x", "apiextensions.k8s.io/v1")]) == []
    )
    assert new(new_objects_gated, [A, B], [A]) == []


@pytest.mark.parametrize(("before", "after", "found"), [
    ([A], [A, hook("b", "pre-upgrade")], True), ([A], [A, hook("b", "test")], False),
    ([hook("b", "pre-install")], [hook("b", "pre-install,pre-upgrade")], True),
    ([hook("b-1", "pre-upgrade")], [hook("b-2", "pre-upgrade")], False),
    ([hook("b", "pre-upgrade")], [hook("b", "pre-upgrade")], False), ([hook("b", "pre-upgrade")], [A], False),
    ([A], [A, plain("Job", "b", annotations="argocd.argoproj.io/hook: PreSync")], True),
    ([A], [A, plain("Job", "b", annotations="argocd.argoproj.io/hook: Skip")], False),
])  # fmt: skip
def test_new_hooks_are_found(before: list[str], after: list[str], found: bool) -> None:
    assert bool(new(no_new_hooks, before, after)) is found


# --- rollback/resource-policy-stable ---


def kept(kind: str, name: str, word: str = "helm.sh/resource-policy: keep") -> str:
    return plain(kind, name, annotations=word)


@pytest.mark.parametrize(("before", "after", "found"), [
    ([], [kept("ConfigMap", "a")], True), ([], [kept("PersistentVolumeClaim", "a")], False),
    ([A], [kept("ConfigMap", "a")], False), ([kept("ConfigMap", "a")], [A], True),
    ([kept("ConfigMap", "a")], [kept("ConfigMap", "a")], False),
    ([], [kept("ConfigMap", "a", "argocd.argoproj.io/sync-options: 'ServerSideApply=true,Prune=false'")], True),
    ([], [kept("ConfigMap", "a", "argocd.argoproj.io/sync-options: ServerSideApply=true")], False),
    ([], [kept("ConfigMap", "told")], False),
])  # fmt: skip
def test_only_data_is_kept_and_stays_so(before: list[str], after: list[str], found: bool) -> None:
    told = Given(kept=(Kept(object="ConfigMap/told", why="it is told"),))
    seen = dataclasses.replace(pair(before, after), given=told)
    assert bool(list(resource_policy_stable(seen))) is found


# --- render/rights-not-widened ---


def role(rules: str, kind: str = "Role") -> str:
    return f"apiVersion: {RBAC}\nkind: {kind}\nmetadata: {{name: a}}\nrules: [{rules}]"


def bound(kind: str = "RoleBinding", role: str = "Role", name: str = "a", account: str = "a") -> str:
    return (
        f"apiVersion: {RBAC}\nkind: {kind}\nmetadata: {{name: a}}\nroleRef: {{kind: {role}, name: {name}}}\n"
        f"subjects: [{{kind: ServiceAccount, name: {account}, namespace: agents}}]"
    )


PODS = "{apiGroups: [''], resources: [pods], verbs: [get, list]}"
ANY = "{apiGroups: ['*'], resources: ['*'], verbs: ['*']}"


OTHERS = [
    text.replace("data: {name: a}", "data: {name: b}") for text in (role(ANY), bound(name="b", account="other"))
]


@pytest.mark.parametrize(("before", "after", "seen"), [
    ([role(PODS), bound()], [role(PODS), bound()], None), ([role(ANY), bound()], [role(PODS), bound()], None),
    ([role(PODS), bound()], [role(ANY), bound()], "may * *.* in agents"),
    ([role(PODS), bound()], [role(PODS.replace("list", "list, delete")), bound()], "may delete pods in agents"),
    ([role(PODS), bound()], [role(PODS.replace("pods", "pods, secrets")), bound()], "list secrets in agents"),
    ([role(PODS), bound()], [role(PODS, "ClusterRole"), bound("ClusterRoleBinding", "ClusterRole")],
     "may get, list pods in the whole cluster"),
    ([role(PODS, "ClusterRole"), bound("ClusterRoleBinding", "ClusterRole")], [role(PODS), bound()], None),
    ([role(PODS), bound()], [bound(role="ClusterRole", name="admin")], "everything that ClusterRole/admin allows"),
    ([bound(role="ClusterRole", name="view")], [bound(role="ClusterRole", name="view")], None),
    ([role(PODS), bound()], [role(PODS), bound(), *OTHERS], None),
    ([plain("ServiceAccount", "a")], [role(PODS), bound()], "may get, list pods in agents"),
    ([role("{apiGroups: [''], resources: ['*/log', pods], verbs: [get, list]}"), bound()],
     [role("{apiGroups: [''], resources: [pods, pods/log], verbs: [get]}"), bound()], None),
])  # fmt: skip
def test_more_rights_are_found(before: list[str], after: list[str], seen: str | None) -> None:
    found = list(rights_not_widened(grown(before, after)))
    assert bool(found) is bool(seen)
    for finding in found:
        assert finding.object == "ServiceAccount/a in agents"
        assert seen is not None
        assert seen in finding.observed


def test_rights_on_a_charts_own_resources_come_with_them() -> None:
    own = "apiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\nmetadata: {name: f.x.io}\n"
    more = role(PODS + ", {apiGroups: [x.io], resources: [foos], verbs: ['*']}")
    assert new(rights_not_widened, [role(PODS), bound()], [more, bound(), own + "spec: {group: x.io}"]) == []
    assert new(rights_not_widened, [role(PODS), bound()], [more, bound()]) == ["ServiceAccount/a in agents"]
