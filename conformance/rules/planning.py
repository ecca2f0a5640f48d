"""Begin the trials that rules will ask for, before they do: rendering is most of what they take."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Any

from conformance.contract import Contract
from conformance.kube_yaml import NotYaml, mapping, read
from conformance.render import Renderer, Rendering, ValuesSet, metadata_of
from conformance.rules import environment, migrations, rollouts
from conformance.rules.trials import Trials, put, structure
from conformance.values import overlaid


def trials(contract: Contract, chart: Path, values: Sequence[ValuesSet], renderer: Renderer) -> Trials:
    """Return the trials of a chart folder; `values[0]` are the run's own."""
    own = values[0]

    def submit(settings: Mapping[str, Any]) -> Future[Rendering]:
        if not settings:
            return renderer.submit(chart, own)
        sets = copy.deepcopy(dict(own.sets))
        put(sets, settings)
        return renderer.submit(chart, ValuesSet(own.name, own.files, sets))

    def as_given() -> Sequence[tuple[Mapping[str, Any], Rendering]]:
        return [(overlaid(defaults, _merged(found)), renderer.render(chart, found)) for found in values]

    defaults = _read(chart / "values.yaml")
    return Trials(metadata_of(chart)[0], contract, defaults, _merged(own), submit, as_given)


def planned(found: Trials) -> None:
    """Begin every rendering that the rules will ask for, and return at once."""
    for settings in (*migrations.plan(found), *environment.plan(found), *rollouts.plan(found)):
        found.submit(structure(settings))


def _merged(values: ValuesSet) -> dict[str, Any]:
    return overlaid(*map(_read, values.files), values.sets)


def _read(file: Path) -> dict[str, Any]:
    """Return a values file; nothing where there is none, or none that can be read: Helm then says so."""
    try:
        return mapping(read(file.read_text(encoding="utf-8")))
    except (OSError, UnicodeDecodeError, NotYaml):
        return {}
