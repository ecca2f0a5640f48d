"""Begin the trials that rules will ask for, before they do: rendering is most of what they take."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Any

from conformance.contract import Contract
from conformance.render import Renderer, Rendering, ValuesSet, metadata_of
from conformance.rules import environment, migrations, rollouts
from conformance.rules.baseline_values import defaults as defaults_of
from conformance.rules.trials import Trials, structure
from conformance.values import over, overlaid, readable_values


def trials(contract: Contract, chart: Path, values: Sequence[ValuesSet], renderer: Renderer) -> Trials:
    """Return the trials of a chart folder; `values[0]` are the run's own."""
    own = values[0]

    def submit(settings: Mapping[str, Any]) -> Future[Rendering]:
        if not settings:
            return renderer.submit(chart, own)
        return renderer.submit(chart, ValuesSet(own.name, own.files, over(own.sets, settings)))

    def as_given() -> Sequence[tuple[Mapping[str, Any], Rendering]]:
        return [(overlaid(defaults, _given(found)), renderer.render(chart, found)) for found in values]

    defaults = defaults_of(chart)
    return Trials(metadata_of(chart)[0], contract, defaults, _given(own), submit, as_given)


def planned(found: Trials) -> None:
    """Begin every rendering that the rules will ask for, and return at once."""
    for settings in (*migrations.plan(found), *environment.plan(found), *rollouts.plan(found)):
        found.submit(structure(settings))


def _given(values: ValuesSet) -> dict[str, Any]:
    """Return what a values set comes to in the templates, beside the chart's defaults."""
    return overlaid(*map(readable_values, values.files), values.sets)
