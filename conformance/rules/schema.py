"""What a cluster would accept, found out before a cluster exists."""

from __future__ import annotations

from collections.abc import Iterator

from conformance.checks import CORE, Finding, rule
from conformance.judge import Verdict
from conformance.manifests import Manifests
from conformance.rules.inputs import Judged
from conformance.wording import several

_MOST_CAUSES = 5

_REJECTED = (
    "the install, the upgrade or a rollback to this version fails half-way, after other objects have changed"
)
_DROPPED = (
    "the API server refuses the field where validation is strict and drops it elsewhere, so that what is written "
    "never takes effect"
)
_TWICE = "only one of the values given twice takes effect, and readers and tools differ on which"


@rule("render/schema-valid", level=CORE, seed='000 "Validation": helm lint and template see no schema')
def schema_valid(judged: Judged) -> Iterator[Finding]:
    """Every rendered object is one that the API server of the target Kubernetes accepts, as the judge says."""
    rendering = judged.version.rendering
    expected = f"an object that the API server of Kubernetes {judged.kubernetes} accepts"
    if rendering.refusal is not None:
        yield Finding(
            object=f"Chart/{rendering.name}",
            expected="a rendering",
            observed=str(rendering.refusal),
            why="the chart does not render with values that its contract declares",
            remedy=f"mend {rendering.refusal.file or 'the template'}, or correct the values",
        )
    for verdict in judged.verdicts:
        if not verdict.accepted:
            message = " ".join(verdict.message.split())
            yield Finding(
                object=str(verdict.manifest.key),
                expected=expected,
                observed=_observed(verdict, message),
                why=_why(message),
                remedy=_remedy(verdict, message),
            )
    released = Manifests(tuple(found for found in rendering.manifests if not found.hooks))
    for key in released.repeated():
        sources = dict.fromkeys(found.source for found in released if found.key == key)
        yield Finding(
            object=str(key),
            expected="one object of this kind and name",
            observed=f"several, from {' and '.join(filter(None, sources)) or 'one template'}",
            why="the second is refused as existing already, or silently replaces the first",
            remedy="give each object a name of its own, or drop all but one",
        )


def _observed(verdict: Verdict, message: str) -> str:
    if not verdict.causes:
        return message
    causes = [": ".join(filter(None, (field, " ".join(said.split())))) for field, said in verdict.causes]
    return several(causes, _MOST_CAUSES)


def _why(message: str) -> str:
    if "already set in map" in message or "duplicate field" in message:
        return _TWICE
    return _DROPPED if "unknown field" in message else _REJECTED


def _remedy(verdict: Verdict, message: str) -> str:
    where = verdict.manifest.source or "the template"
    if message.startswith("no API serves"):
        return (
            f"use a version that is served, ship the CustomResourceDefinition in crds/, or guard {where} with "
            "`.Capabilities.APIVersions.Has`"
        )
    fields = dict.fromkeys(field for field, _ in verdict.causes if field)
    return f"mend {', '.join(fields)} in {where}" if fields else f"mend {where}"
