"""Rights: a version gets none that the version before lacks, unless a flag asks for them."""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from conformance.checks import EXTENDED, Finding, rule
from conformance.kube_yaml import at, mapping, mappings
from conformance.manifests import Manifests
from conformance.rules.inputs import Grown
from conformance.wording import several

_ALL = "*"
_MOST = 6


@dataclass(frozen=True, order=True)
class Right:
    """One thing that a subject may do: a verb on a resource, in one namespace or (`*`) in all and in none."""

    namespace: str
    group: str
    resource: str
    name: str
    verb: str

    def covers(self, other: Right) -> bool:
        """Say whether whoever has this right has the other as well."""
        return all(
            mine in (_ALL, theirs)
            for mine, theirs in (
                (self.namespace, other.namespace), (self.group, other.group), (self.name, other.name),
                (self.verb, other.verb),
            )
        ) and _covers(self.resource, other.resource)  # fmt: skip

    def __str__(self) -> str:
        where = "in the whole cluster" if self.namespace == _ALL else f"in {self.namespace}"
        group = f".{self.group}" if self.group else ""
        named = "" if self.name == _ALL else f" {self.name}"
        return f"{self.verb} {self.resource}{group}{named} {where}"


@rule(
    "render/rights-not-widened", level=EXTENDED, needs=("baseline",),
    seed="000 prior behavior after a rollback; catalogue: RBAC-skew",
)  # fmt: skip
def rights_not_widened(grown: Grown) -> Iterator[Finding]:
    """With values that a user of the baseline can have, no account may do more in the candidate than before.

    Rights on the resources that the chart itself defines may come with them; an account of which the baseline
    knows nothing is a new object, and another rule's.
    """
    before, after = _rights(grown.before.manifests), _rights(grown.after.manifests)
    known = set(before) | {_account(found.namespace, found.name) for found in
                           grown.before.manifests.of("ServiceAccount")}  # fmt: skip
    own = {str(at(crd.body, ("spec", "group"))) for crd in grown.after.manifests.of("CustomResourceDefinition")}
    for subject in sorted(known & after.keys()):
        had = before.get(subject, set())
        new = sorted(
            right
            for right in after[subject]
            if right.group not in own and not any(old.covers(right) for old in had)
        )
        if new:
            more = [str(right) for right in _merged(new)]
            yield Finding(
                object=subject,
                expected=f"the rights of {grown.before.said}",
                observed=f"may {several(more, _MOST)} in {grown.after.said}",
                why="the version that needs it loses it in the middle of a rollback, while its pods still run, "
                "and everybody who upgrades grants it without having been asked",
                remedy="put the rule behind a flag of the values that is false by default, narrow it, or accept "
                "the finding with a reason",
            )


def _rights(manifests: Manifests) -> dict[str, set[Right]]:
    """Return what each subject may do by the bindings of a rendering."""
    rules = {
        (found.kind, found.namespace, found.name): mappings(found.body.get("rules"))
        for found in manifests.of({"Role", "ClusterRole"})
    }
    found: dict[str, set[Right]] = defaultdict(set)
    for binding in manifests.of({"RoleBinding", "ClusterRoleBinding"}):
        role = mapping(binding.body.get("roleRef"))
        kind, name = str(role.get("kind")), str(role.get("name"))
        namespace = binding.namespace or _ALL
        known = rules.get((kind, binding.namespace if kind == "Role" else None, name))
        granted = (
            {Right(namespace, "", f"everything that {kind}/{name} allows:", _ALL, "do")}
            if known is None
            else {right for each in known for right in _of_rule(each, namespace)}
        )
        for subject in mappings(binding.body.get("subjects")):
            found[_subject(subject, binding.namespace)] |= granted
    return found


def _of_rule(each: dict[str, Any], namespace: str) -> Iterator[Right]:
    verbs = _texts(each.get("verbs"))
    names = _texts(each.get("resourceNames")) or [_ALL]
    for group, resource, name, verb in itertools.product(
        _texts(each.get("apiGroups")), _texts(each.get("resources")), names, verbs
    ):
        yield Right(namespace, group, resource, name, verb)
    for url, verb in itertools.product(_texts(each.get("nonResourceURLs")), verbs):
        yield Right(namespace, "", url, _ALL, verb)


def _merged(rights: list[Right]) -> list[Right]:
    """Return rights with those that differ in their verb alone as one, for people to read."""
    by_object: dict[Right, list[str]] = defaultdict(list)
    for right in rights:
        by_object[replace(right, verb="")].append(right.verb)
    return [replace(right, verb=", ".join(verbs)) for right, verbs in by_object.items()]


def _subject(subject: dict[str, Any], namespace: str | None) -> str:
    name = str(subject.get("name"))
    if subject.get("kind") == "ServiceAccount":
        return _account(str(subject.get("namespace") or namespace), name)
    return f"{subject.get('kind')}/{name}"


def _account(namespace: str | None, name: str) -> str:
    return f"ServiceAccount/{name} in {namespace}"


def _covers(mine: str, theirs: str) -> bool:
    """Compare resources: `*` covers all, `*/scale` and `/metrics/*` all of their kind."""
    if mine in (_ALL, theirs):
        return True
    if mine.startswith("*/"):
        return theirs.endswith(mine[1:])
    return mine.startswith("/") and mine.endswith("*") and theirs.startswith(mine[:-1])


def _texts(found: Any) -> list[str]:  # noqa: ANN401 - charts get types wrong
    return [str(text) for text in found] if isinstance(found, list) else []
