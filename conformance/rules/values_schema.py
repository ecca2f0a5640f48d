"""Values that were good for the baseline are good for the candidate."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from conformance.checks import EXTENDED, Finding, rule
from conformance.kube_yaml import mapping
from conformance.refusal import Refusal
from conformance.rules.baseline_values import defaults as defaults_of
from conformance.rules.inputs import Defaults
from conformance.rules.narrowing import Schemas
from conformance.wording import several

_MOST = 5


@rule(
    "render/values-stay-valid", level=EXTENDED, needs=("baseline",),
    seed="000 values changes can be reverted cleanly; catalogue: reuse-values-nil",
)  # fmt: skip
def values_stay_valid(defaults: Defaults) -> Iterator[Finding]:
    """Values files that the baseline takes are taken by the candidate, and so are the baseline's own defaults.

    Helm says so for the run's values, alone and with the baseline's defaults beneath (`--reuse-values`); for all
    others the two values.schema.json are compared. A first schema is asked about the baseline's defaults only.
    """
    name = defaults.after.rendering.name
    for refusal, which in _refusals(defaults):
        yield Finding(
            object=f"Chart/{name}",
            expected=f"{defaults.after.said} renders with {which}, as {defaults.before.said} does",
            observed=str(refusal),
            why="whoever upgrades with the values that have served until now is refused, and cannot go on from "
            "the version that a rollback leads back to",
            remedy="accept the old form beside the new one for a while, and give what is new a default",
        )
    old, new = (_schema(version.rendering.chart) for version in (defaults.before, defaults.after))
    if old is None or new is None:
        return
    supplied = defaults_of(defaults.after.rendering.chart)
    found = [str(one) for one in Schemas(old, new, supplied=supplied).narrower()]
    if found:
        yield Finding(
            object=f"Chart/{name}",
            expected=f"a values.schema.json that accepts all that {defaults.before.said} accepts",
            observed=several(found, _MOST),
            why="a values file that is in use is refused by the candidate, and one that was mended for it may be "
            "refused after the rollback",
            remedy="accept the old form too; refuse it in a version of which it is told beforehand",
        )


def _refusals(defaults: Defaults) -> Iterator[tuple[Refusal, str]]:
    if refusal := defaults.after.rendering.refusal:
        yield refusal, "values that the baseline knows"
    elif refusal := defaults.reused.rendering.refusal:
        yield refusal, "the baseline's defaults, as --reuse-values gives them"


def _schema(chart: Path) -> dict[str, Any] | None:
    try:
        return mapping(json.loads((chart / "values.schema.json").read_text(encoding="utf-8-sig")))
    except (OSError, ValueError):
        return None
