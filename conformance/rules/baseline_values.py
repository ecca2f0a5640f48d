"""Values as a user of the baseline can have written them, and what a chart's defaults are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from conformance.render import ValuesSet
from conformance.values import over, readable_values


def defaults(chart: Path) -> dict[str, Any]:
    """Return a chart folder's values.yaml; nothing where it has none or Helm will refuse it."""
    return readable_values(chart / "values.yaml")


def merged(values: ValuesSet) -> dict[str, Any]:
    """Return a values set as one structure, its files merged in Helm's order and `sets` over them."""
    found: dict[str, Any] = {}
    for file in values.files:
        found = over(found, readable_values(file))
    return over(found, values.sets)


def as_before(values: ValuesSet, baseline: Path, candidate: Path) -> ValuesSet:
    """Return a values set without what the candidate's defaults know and the baseline's do not.

    What neither knows stays: it may be an open-ended mapping's, or a subchart's. The same set is returned where
    there is nothing to leave out.
    """
    given = merged(values)
    kept = _known(given, defaults(baseline), defaults(candidate))
    return values if kept == given else ValuesSet(values.name, (), kept)


def reusing(values: ValuesSet, baseline: Path, candidate: Path) -> ValuesSet:
    """Return a values set over the baseline's defaults, which then win over the candidate's own.

    The same set is returned where they are the candidate's as well, as far as they go.
    """
    before, after = _given(defaults(baseline)), defaults(candidate)
    return values if over(after, before) == after else ValuesSet(values.name, (), over(before, merged(values)))


def _given(values: dict[str, Any]) -> dict[str, Any]:
    """Return defaults without those that are null: given by hand, null takes a default away."""
    return {
        name: _given(value) if isinstance(value, dict) else value
        for name, value in values.items()
        if value is not None
    }


def _known(given: dict[str, Any], before: dict[str, Any], after: dict[str, Any]) -> dict[str, Any]:
    kept: dict[str, Any] = {}
    for name, value in given.items():
        if name in after and name not in before:
            continue
        if all(isinstance(found, dict) for found in (value, before.get(name), after.get(name))):
            value = _known(value, before[name], after[name])
        kept[name] = value
    return kept
