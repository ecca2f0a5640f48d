"""What a recorded stage says of the migrations' mode: each function yields the findings of one promise."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from conformance.checks import Finding
from conformance.contract import Contract, Migrations
from conformance.environment import Seen, seen
from conformance.errors import Incomplete
from conformance.journey.judging_schema import modes, schema_of, tried, wrong_mode
from conformance.journey.overriding import Overridden
from conformance.journey.stage import Stage
from conformance.manifests import Manifest, Manifests, ObjectKey

#: Log lines of a process that a finding shows.
_LAST_LINES = 5


def not_skipping_by_default(contract: Contract, migrations: Migrations, stage: Stage) -> Iterator[Finding]:
    """Yield each workload of the controllers that, with nothing set for it, is not told to skip, or does not.

    Raises `Incomplete` where nobody migrated: then nothing was there that the controllers could have done.
    """
    for key, given in _given(contract, migrations, stage, migrations.controllers_role):
        if given.text is None or not migrations.skips(given.text):
            yield Finding(
                object=str(key),
                expected=f"{migrations.variable} says {migrations.skip[0]} where the values say nothing for it",
                observed=f"{migrations.variable} is {given}",
                why="without a default the controllers may migrate the database during a rollout",
                remedy=f"set {migrations.variable}: {migrations.skip[0]} in the template unless the controllers' "
                "values set it",
            )
    yield from tried(schema_of(stage), contract.keys_of(migrations.controllers_role), "controllers never migrate")
    for said in modes(stage, contract.keys_of(migrations.controllers_role)):
        if migrations.mode(said.text) != "skip":
            yield wrong_mode(said, "skip", "controllers never migrate")
    if not schema_of(stage).attempts:
        raise Incomplete("nobody changed the schema of an empty database, so nothing was there to be skipped")


def hidden_modes(contract: Contract, migrations: Migrations, stage: Stage) -> Iterator[Finding]:
    """Yield each workload whose mode is not in its manifest, or not in its log, or which says two things."""
    if migrations.log is None:
        raise Incomplete("the contract has no `migrations.log`, so nobody can tell the line with the mode")
    line = " ".join(f"{name}={text}" for name, text in migrations.log.where.items())
    for role in (migrations.control_plane_role, migrations.controllers_role):
        for key, given in _given(contract, migrations, stage, role):
            if given.text is None:
                yield Finding(
                    object=str(key),
                    expected=f"{migrations.variable} stands in the manifest",
                    observed=f"{migrations.variable} is {given}",
                    why="nobody can see from the manifest whether this workload migrates",
                    remedy=f"render {migrations.variable} with its effective value",
                )
                continue
            said = modes(stage, [key])
            silent = sorted(
                {pod for pod, of in schema_of(stage).started.items() if of == key} - {one.pod for one in said}
            )
            if silent:
                yield Finding(
                    object=f"Pod/{silent[0]}",
                    expected=f"one JSON line with {line} and the field {migrations.log.mode}",
                    observed="no such line in its log",
                    why="nobody can see from the log whether this process migrates",
                    remedy="log the effective mode once, at the start of the process",
                )
            for one in said:
                if migrations.mode(one.text) != migrations.mode(given.text):
                    yield wrong_mode(one, migrations.mode(given.text), f"its manifest says {given}")


def not_refused(migrations: Migrations, tries: Iterable[Overridden]) -> Iterator[Finding]:
    """Yield each way in which controllers that are told to migrate did not refuse to start."""
    for found in tries:
        told = f"{migrations.variable}={found.value}" if found.value is not None else f"no {migrations.variable}"
        if found.ready or not found.exit_code:
            yield Finding(
                object=str(found.workload),
                expected=f"with {told} the process ends with a status other than 0",
                observed="it became ready"
                if found.ready
                else f"it ended with status {found.exit_code}"
                if found.exit_code is not None
                else "it neither ended nor became ready",
                why="controllers that may migrate must not start",
                remedy=f"end with an error before anything else where {migrations.variable} does not say "
                f"{migrations.skip[0]}",
            )
        elif not any(_actionable(migrations, line) for line in found.lines):
            yield Finding(
                object=str(found.workload),
                expected=f"with {told} one line that names {migrations.variable} and a value that mends it",
                observed="\n".join(found.lines[-_LAST_LINES:]) or "it logged nothing",
                why="whoever finds the pod failing is not told what to do",
                remedy=f"say: set {migrations.variable}={migrations.skip[0]}",
            )
        if found.workload.kind == "Deployment" and not found.least_available:
            yield Finding(
                object=str(found.workload),
                expected=f"with {told} the pods that were there go on serving",
                observed="at some moment none was available",
                why="a refused start must not take the running controllers down",
                remedy="roll with maxUnavailable 0",
            )
        if found.attempts:
            yield Finding(
                object=str(found.workload),
                expected=f"with {told} no attempt to change the schema",
                observed=str(found.attempts[0]),
                why="controllers never migrate",
                remedy="refuse to start before the database is touched",
            )


def _given(
    contract: Contract, migrations: Migrations, stage: Stage, role: str
) -> Iterator[tuple[ObjectKey, Seen]]:
    """Yield the workloads of a role with what their container gets of the variable, from the live objects."""
    live = Manifests(tuple(Manifest(body) for body in stage.inventory.values()))
    for found in contract.workloads_of(role):
        key = contract.key_of(found)
        if (workload := live.get(key)) is not None:
            yield key, seen(migrations.variable, workload, found.container, live)


def _actionable(migrations: Migrations, line: str) -> bool:
    """Say whether a line, other than the one with the mode, names the variable and what it must say."""
    if migrations.log is not None and migrations.log.read(line) is not None:
        return False
    return migrations.variable in line and any(word in line.lower() for word in map(str.lower, migrations.skip))
