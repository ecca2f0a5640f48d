"""From a contract's table of variables to as few renderings as tell all of it apart."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from conformance.contract import Environment, Layer, Sample, Variable
from conformance.contract.images import below, steps
from conformance.environment import Seen
from conformance.kube_yaml import at
from conformance.rules.trials import Settings, Trials
from conformance.values import as_text

#: What a variable is where the row's own value decides: a sample, or the text of the default (None: not set).
Outcome = Sample | str | None


@dataclass(frozen=True)
class Case:
    """One row under some settings: what its variable is then in the workloads of each role.

    Cases of different `kind` never share a rendering; `untouched` are values that no other may set.
    """

    row: Variable
    kind: str
    settings: Settings
    expected: Mapping[str, Outcome]
    untouched: tuple[str, ...] = ()


def mapping_cases(environment: Environment, trials: Trials) -> list[Case]:
    """Return every row by default, and set to each of its samples; layers that the run's values use still win."""
    return [
        case
        for row in environment.variables
        for case in (*_default(row, environment, trials), *_samples(row, environment, trials))
        if case.expected
    ]


def precedence_cases(environment: Environment, trials: Trials) -> list[Case]:
    """Return every row, set or by default, with its variable in each layer, and in all layers at once."""
    cases = [case for row in environment.variables for case in _overridden(row, environment, trials)]
    return [case for case in cases if case.expected]


def batches(cases: Iterable[Case]) -> list[list[Case]]:
    """Put cases together that do not disturb each other, so that one rendering judges many."""
    found: list[list[Case]] = []
    for case in cases:
        fitting = next((batch for batch in found if all(_compatible(case, other) for other in batch)), None)
        if fitting is None:
            found.append([case])
        else:
            fitting.append(case)
    return found


def together(batch: Iterable[Case]) -> Settings:
    """Return the settings of all cases of a batch."""
    return {path: value for case in batch for path, value in case.settings.items()}


def fits(seen: Seen, expected: Outcome) -> bool:
    """Say whether what a container sees is what a row says."""
    if isinstance(expected, Sample) and expected.secret is not None:
        return seen.reference == ("Secret", expected.secret.name, expected.secret.key)
    if isinstance(expected, Sample) and "parsed" in expected.model_fields_set:
        try:
            return seen.text is not None and bool(json.loads(seen.text) == expected.parsed)
        except ValueError:
            return False
    text = expected.text if isinstance(expected, Sample) else expected
    return seen.missing if text is None else seen.text == text


def shown(expected: Outcome) -> str:
    """Return what a row says as a finding shows it."""
    if isinstance(expected, Sample) and expected.secret is not None:
        return f"the key {expected.secret.key} of Secret/{expected.secret.name}"
    if isinstance(expected, Sample) and "parsed" in expected.model_fields_set:
        return f"the JSON {json.dumps(expected.parsed)}"
    text = expected.text if isinstance(expected, Sample) else expected
    return "not set" if text is None else repr(text)


def _default(row: Variable, environment: Environment, trials: Trials) -> Iterator[Case]:
    set_by_run = row.value is not None and at(trials.files, steps(row.value)) is not None
    if row.states_default and not set_by_run:
        yield _case(row, "default", dict(row.given), row.default, environment, trials)


def _samples(row: Variable, environment: Environment, trials: Trials) -> Iterator[Case]:
    for sample in row.samples:
        yield _case(row, "sample", {**row.given, str(row.value): sample.value}, sample, environment, trials)


def _overridden(row: Variable, environment: Environment, trials: Trials) -> Iterator[Case]:
    layers = [layer for layer in environment.layers if set(layer.roles) & set(row.roles)]
    outcome: Outcome = row.samples[0] if row.samples else row.default
    settings = {**row.given, str(row.value): row.samples[0].value} if row.samples else dict(row.given)
    for layer in layers:
        text = next(text for text in row.overrides if not fits(Seen(text), outcome))
        over = {**settings, _path(layer, row): text}
        yield _case(row, f"layer {layer.values}", over, outcome, environment, trials)
    if row.samples and not row.states_default:
        return
    everywhere = {_path(layer, row): row.overrides[min(number, 1)] for number, layer in enumerate(layers)}
    if len(layers) > 1:
        yield _case(row, "all layers", {**row.given, **everywhere}, row.default, environment, trials)


def _case(
    row: Variable, kind: str, settings: Settings, outcome: Outcome, environment: Environment, trials: Trials
) -> Case:
    values = trials.values(settings)
    expected = {
        role: _winner(row, role, outcome, environment, values)
        for role in row.roles
        if not _rivalled(row, role, settings, environment, trials)
    }
    untouched = [] if row.value is None or row.value in settings else [row.value]
    untouched += [path for layer in environment.layers if (path := _path(layer, row)) not in settings]
    return Case(row, kind, settings, expected, tuple(untouched))


def _rivalled(row: Variable, role: str, settings: Settings, environment: Environment, trials: Trials) -> bool:
    """Say whether the run sets another row's value for the same variable, which a case does not mention."""
    rivals = [
        other.value
        for other in environment.variables
        if other is not row and other.name == row.name and role in other.roles and other.value is not None
    ]
    return any(
        at(trials.files, steps(rival)) is not None and not any(_nested(path, rival) for path in settings)
        for rival in rivals
    )


def _winner(
    row: Variable, role: str, outcome: Outcome, environment: Environment, values: Mapping[str, Any]
) -> Outcome:
    for layer in reversed(environment.layers_of(role)):
        if layer.values in row.above:
            continue
        found = at(values, [*steps(layer.values), row.name])
        if found is not None:
            return as_text(found)
    return outcome


def _path(layer: Layer, row: Variable) -> str:
    return below(layer.values, row.name)


def _compatible(case: Case, other: Case) -> bool:
    if case.kind != other.kind:
        return False
    if case.row.name == other.row.name and set(case.row.roles) & set(other.row.roles):
        return False
    for path, value in case.settings.items():
        for theirs, their_value in other.settings.items():
            if path == theirs and value != their_value:
                return False
            if path != theirs and _nested(path, theirs):
                return False
    return not (_disturbs(case, other) or _disturbs(other, case))


def _disturbs(case: Case, other: Case) -> bool:
    return any(_nested(path, theirs) for path in case.settings for theirs in other.untouched)


def _nested(one: str, other: str) -> bool:
    """Say whether one path is the other or leads to it."""
    mine, theirs = steps(one), steps(other)
    return mine[: len(theirs)] == theirs[: len(mine)]
