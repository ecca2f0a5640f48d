"""No version asks for a change that the API server never makes, neither forth nor back."""

from __future__ import annotations

from collections.abc import Iterator

from conformance.checks import EXTENDED, Finding, rule
from conformance.judge import Answer
from conformance.manifests import Change, difference
from conformance.replacing import Replacement
from conformance.rules.inputs import Replaced
from conformance.wording import several, short

_MOST_FIELDS = 4
_LONGEST_VALUE = 80

_REMEDY = (
    "keep what can never change as it is, or give the changed object another name and keep the old one for a "
    "while; a Job gets a name per version or becomes a hook"
)


@rule(
    "rollback/no-immutable-change", level=EXTENDED, needs=("baseline",),
    seed='000 "changes can be reverted cleanly"; Kubernetes: some fields are immutable',
)  # fmt: skip
def no_immutable_change(replaced: Replaced) -> Iterator[Finding]:
    """Each object of one version can take the place of the other's, as the API server says, in both directions."""
    for found in replaced.replacements:
        if found.forth.accepted and found.back.accepted:
            continue
        refusals = (("the upgrade", found.forth), ("the rollback", found.back))
        refused = [(way, answer) for way, answer in refusals if not answer.accepted]
        changes = _changes(found, [answer for _, answer in refused])
        alike = " where nothing changed but the chart's version" if replaced.pair.only_version else ""
        yield Finding(
            object=str(found.before.key),
            expected=f"{_shown(changes, 'expected')}, as in {replaced.pair.before.said}",
            observed=f"{_shown(changes, 'observed')} in {replaced.pair.after.said}{alike}",
            why="; ".join(f"the API server refuses {way}: {_reason(answer)}" for way, answer in refused)
            + ". Helm and GitOps stop half-way, other objects changed already",
            remedy=_REMEDY,
        )


def _reason(answer: Answer) -> str:
    if not answer.causes:
        return " ".join(answer.message.split())
    causes = [f"{field}: {said}" if field else said for field, said in answer.causes]
    return several(causes, _MOST_FIELDS)


def _changes(found: Replacement, refused: list[Answer]) -> list[Change]:
    """Return what differs below the fields that the server refuses; everything where it names none."""
    changes = [
        change
        for change in difference(found.before.body, found.after.body)
        if not change.path.startswith(("metadata.labels", "metadata.annotations"))
    ]
    fields = [field for answer in refused for field, _ in answer.causes if field]
    below = [change for change in changes if any(change.path.startswith(field) for field in fields)]
    return below or changes


def _shown(changes: list[Change], side: str) -> str:
    shown = [f"{change.path}: {_short(getattr(change, side))}" for change in changes]
    return several(shown, _MOST_FIELDS, "more fields")


def _short(value: object) -> str:
    return short(repr(value), _LONGEST_VALUE)
