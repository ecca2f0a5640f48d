"""Values become the environment variables that the contract's table says, and the declared layer wins."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from conformance.checks import EXTENDED, Finding, rule
from conformance.contract import Environment, Source, declared
from conformance.contract.images import steps
from conformance.environment import sources
from conformance.kube_yaml import at, mapping
from conformance.render import Rendering
from conformance.rules.environment_cases import (
    Case,
    batches,
    fits,
    mapping_cases,
    precedence_cases,
    shown,
    together,
)
from conformance.rules.trials import Settings, Trials, sees, told

#: Names of objects that no chart and no cluster has.
_NAMES = ("conformance-first", "conformance-second")


@rule(
    "render/environment-mapping",
    level=EXTENDED,
    seed='001 and 003 "Values → env var mapping"',
    needs=("environment",),
)
def environment_mapping(trials: Trials) -> Iterator[Finding]:
    """Each value of the contract's table becomes its variable in its workloads, by default and when it is set."""
    environment = _environment(trials)
    yield from _judged(trials, mapping_cases(environment, trials))
    for source in environment.sources:
        yield from _source(trials, source)


@rule(
    "render/environment-precedence",
    level=EXTENDED,
    seed='003 "Env var merge/precedence"',
    needs=("environment",),
)
def environment_precedence(trials: Trials) -> Iterator[Finding]:
    """Where several layers set one variable the declared one wins, alone and with all others set."""
    yield from _judged(trials, precedence_cases(_environment(trials), trials))


def plan(trials: Trials) -> list[Settings]:
    """Return every setting that the rules of this module will ask for of a sound chart."""
    environment = trials.contract.environment
    if environment is None:
        return []
    cases = [*batches(mapping_cases(environment, trials)), *batches(precedence_cases(environment, trials))]
    return [*map(together, cases), *(_named(source) for source in environment.sources)]


def _environment(trials: Trials) -> Environment:
    return declared(trials.contract.environment, "`environment`")


def _judged(trials: Trials, cases: Sequence[Case]) -> Iterator[Finding]:
    grouped = batches(cases)
    for batch, rendering in zip(grouped, trials.render(map(together, grouped)), strict=True):
        for case in batch:
            if not _wrong(trials, case, rendering):
                continue
            # Others in the batch may have had a part in it: what counts is what the case does alone.
            (alone,) = trials.render([case.settings])
            yield from _wrong(trials, case, alone)


def _wrong(trials: Trials, case: Case, rendering: Rendering) -> list[Finding]:
    if rendering.refusal is not None:
        return [_finding(f"Chart/{rendering.name}", case, "a rendering", str(rendering.refusal))]
    found = []
    for workload, manifest in trials.of_roles(rendering, case.expected):
        expected = f"{case.row.name} {shown(case.expected[workload.role])} in the container {workload.container}"
        if manifest is None:
            name = f"{workload.kind}/{workload.name}"
            found.append(_finding(name, case, expected, "the workload is not rendered"))
            continue
        seen = sees(case.row.name, workload, manifest, rendering)
        if not fits(seen, case.expected[workload.role]):
            found.append(_finding(str(manifest.key), case, expected, f"{case.row.name} is {seen}"))
    return found


def _finding(object_: str, case: Case, expected: str, observed: str) -> Finding:
    row = case.row
    origin = f"{row.value} says it" if row.value else "the templates set it"
    return Finding(
        object=object_,
        expected=f"{expected}, with {told(case.settings)}",
        observed=observed,
        why="the application does not get what its operator wrote",
        remedy=f"set {row.name} as {origin}, below the layers that win over it, for {' and '.join(row.roles)}",
    )


def _named(source: Source) -> Settings:
    return {source.values: list(_NAMES)}


def _source(trials: Trials, source: Source) -> Iterator[Finding]:
    own = at(trials.values({}), steps(source.values))
    tried: list[Settings] = [{}, _named(source)]
    for settings, names, rendering in zip(
        tried, (own if isinstance(own, list) else [], list(_NAMES)), trials.render(tried), strict=True
    ):
        for workload, manifest in trials.of_roles(rendering, source.roles):
            containers = manifest.containers() if manifest else []
            body = next((found for found in containers if found.get("name") == workload.container), {})
            seen = [name for kind, name, _ in sources(mapping(body)) if kind == source.kind and name in names]
            if seen != names:
                yield Finding(
                    object=str(manifest.key if manifest else f"{workload.kind}/{workload.name}"),
                    expected=f"envFrom {', '.join(f'{source.kind}/{name}' for name in names)} in the container "
                    f"{workload.container}, in this order, with {told(settings)}",
                    observed=str(rendering.refusal or ", ".join(seen) or "none of them"),
                    why="the variables in it do not reach the process, or another one of the same name wins",
                    remedy=f"list each name of {source.values} in envFrom of {' and '.join(source.roles)}",
                )
