"""The rules that look at two versions: what they find, and what they leave alone."""

from __future__ import annotations

from made_up import pair, plain

from conformance.checks import Finding
from conformance.judge import Answer
from conformance.replacing import Replacement
from conformance.rules.inputs import Replaced
from conformance.rules.replacing import no_immutable_change

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
