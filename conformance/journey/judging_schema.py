"""What a recorded stage says of the schema: each function yields the findings of one promise."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator

from conformance.checks import Finding
from conformance.contract import Contract, Migrations
from conformance.database import Ledger
from conformance.errors import Incomplete
from conformance.journey.schema import SaidMode, Schema
from conformance.journey.stage import Stage
from conformance.manifests import ObjectKey
from conformance.observe.calls import Calls

#: Seconds without an answer after which a Service is said not to serve; single calls fail on a busy machine.
LONGEST_GAP = 1.0


def schema_of(stage: Stage) -> Schema:
    """Return what a stage says of the schema. Raises `Incomplete` where the contract declares too little."""
    if stage.schema is None:
        raise Incomplete("the contract declares no `migrations`, or no `database` with a `server`")
    return stage.schema


def applied_by(stage: Stage) -> tuple[str, ...]:
    """Return the migrations that the database had after a stage. Raises `Incomplete` where nobody can tell."""
    applied = schema_of(stage).applied
    if applied is None:
        raise Incomplete("the contract has no `migrations.applied`, so nobody can tell what was applied")
    return applied


def tried(schema: Schema, workloads: Iterable[ObjectKey], why: str) -> Iterator[Finding]:
    """Yield each of some workloads whose pods tried to change the schema, as the database's own log tells."""
    for key in workloads:
        if attempts := schema.by([key]):
            more = f" and {len(attempts) - 1} more" if len(attempts) > 1 else ""
            yield Finding(
                object=str(key),
                expected="no change to the database's schema, not even an attempt",
                observed=f"{attempts[0]}{more}",
                why=why,
                remedy="let the process resolve its migrations' mode before it touches the database, and obey it",
            )


def several_migrators(contract: Contract, migrations: Migrations, stage: Stage) -> Iterator[Finding]:
    """Yield who else than one process of the control plane changed the schema of an empty database, or did twice.

    A Job of the chart's may do it as well (seed 003, Goals). Raises `Incomplete` where no two of the control plane
    were started together, or none migrated.
    """
    schema, control_plane = schema_of(stage), contract.keys_of(migrations.control_plane_role)
    others = [key for key in map(contract.key_of, contract.workloads) if key not in control_plane]
    yield from tried(schema, others, "only the control plane migrates")
    made = [attempt for attempt in schema.attempts if attempt.workload not in others]
    if unknown := [attempt for attempt in made if attempt.workload is None]:
        yield Finding(
            object=f"Release/{stage.chart.name}",
            expected="only pods of the release change the schema",
            observed=str(unknown[0]),
            why="only the control plane migrates",
            remedy="let the control plane do it",
        )
    if repeated := next(Ledger(tuple(attempt.statement for attempt in made)).repeated(), ()):
        yield Finding(
            object=str(control_plane[0]),
            expected="each change to the schema is made by one process",
            observed="\n".join(map(str, repeated)),
            why="two processes migrate at once: the later fails, or changes what the earlier has made",
            remedy="take a lock in the database (pg_advisory_lock) and look again under it at what is missing",
        )
    twice = [name for name, count in Counter(schema.applied or ()).items() if count > 1]
    if twice:
        yield Finding(
            object=f"Release/{stage.chart.name}",
            expected="each migration is applied once",
            observed=f"applied more than once: {', '.join(twice)}",
            why="a migration that is applied twice may lose data",
            remedy="take a lock in the database (pg_advisory_lock) and look again under it at what is missing",
        )
    started = Counter(schema.started.values())
    if alone := [key for key in control_plane if started[key] < 2]:
        raise Incomplete(f"{alone[0]} has {started[alone[0]]} new pods, not 2 that could migrate at once")
    if not made:
        raise Incomplete("nobody changed the schema of an empty database, so nobody migrated")


def skip_ignored(contract: Contract, migrations: Migrations, before: Stage, stage: Stage) -> Iterator[Finding]:
    """Yield how a control plane that was told to skip a migration which was still to do did not."""
    control_plane = contract.keys_of(migrations.control_plane_role)
    yield from tried(schema_of(stage), control_plane, f"{migrations.variable} told it to skip migrations")
    for said in modes(stage, control_plane):
        if migrations.mode(said.text) != "skip":
            yield wrong_mode(said, "skip", f"{migrations.variable} says {migrations.skip[0]}")
    if applied_by(stage) != applied_by(before):
        yield Finding(
            object=str(control_plane[0]),
            expected=f"the schema stays at {_listed(applied_by(before))}",
            observed=_listed(applied_by(stage)),
            why=f"{migrations.variable} told it to skip migrations",
            remedy="obey the mode wherever migrations are applied",
        )


def not_blocked(contract: Contract, migrations: Migrations, before: Stage, stage: Stage) -> Iterator[Finding]:
    """Yield how a migration that fails did not keep the new control plane from serving, or harmed the old one.

    Raises `Incomplete` where the candidate brings no migration that could fail.
    """
    control_plane = contract.keys_of(migrations.control_plane_role)
    if not schema_of(stage).by(control_plane):
        raise Incomplete("the candidate tried no change to the baseline's schema: it brings no migration")
    if stage.failure is None:
        yield Finding(
            object=str(control_plane[0]),
            expected="a new control plane whose migration fails does not become ready",
            observed="it became ready",
            why="it serves with a schema that it could not bring up to date",
            remedy="end with an error where a migration fails in mode auto",
        )
    for key in control_plane:
        if key.kind == "Deployment" and not stage.seen.least_available(key):
            yield Finding(
                object=str(key),
                expected="the old pods go on serving while a migration fails",
                observed="at some moment none was available",
                why="a failing migration must not take the running control plane down",
                remedy="roll with maxUnavailable 0, and be ready only once the schema is",
            )
    if applied_by(stage) != applied_by(before):
        yield Finding(
            object=str(control_plane[0]),
            expected=f"the schema stays at {_listed(applied_by(before))} where every change to it is refused",
            observed=_listed(applied_by(stage)),
            why="a migration that failed is recorded as applied, and will never be applied",
            remedy="record a migration in the transaction that applies it",
        )


def not_recovered(migrations: Migrations, blocked: Stage, stage: Stage) -> Iterator[Finding]:
    """Yield which migration was not applied once the database allowed it again."""
    if stage.failure is None and len(applied_by(stage)) <= len(applied_by(blocked)):
        yield Finding(
            object=f"Release/{stage.chart.name}",
            expected="the migration that failed is applied once it can be",
            observed=f"the schema is still at {_listed(applied_by(stage))}",
            why="the schema stays behind without a word",
            remedy=f"apply what is missing whenever {migrations.variable} says {migrations.auto[0]}",
        )


def undone_schema(installed: Stage, upgraded: Stage, rolled_back: Stage) -> Iterator[Finding]:
    """Yield what a rollback changed in the schema that the upgrade had brought ahead.

    Raises `Incomplete` where the upgrade brought no migration.
    """
    before, ahead, after = map(applied_by, (installed, upgraded, rolled_back))
    if not set(ahead) - set(before):
        raise Incomplete(f"the upgrade applied no migration: the schema stayed at {_listed(before)}")
    if after != ahead:
        yield Finding(
            object=f"Release/{rolled_back.chart.name}",
            expected=f"the schema stays ahead, at {_listed(ahead)}",
            observed=_listed(after),
            why="a rollback that undoes migrations loses what the newer version had stored",
            remedy="never migrate down on start; let a version work with a schema that is ahead of it",
        )


def silent(made: Iterable[Calls], when: str) -> Iterator[Finding]:
    """Yield each declared Service that did not answer for a second or longer at some time."""
    for calls in made:
        if calls.failures and (calls.failures == calls.made or calls.longest_gap >= LONGEST_GAP):
            yield Finding(
                object=f"Service/{calls.target}",
                expected=f"it answers {when}",
                observed=f"{calls.failures} of {calls.made} calls failed, for {calls.longest_gap:.1f} s none was "
                f"answered, the last with: {calls.last_error}",
                why=f"the earlier version does not serve {when}",
                remedy="let a version be ready with a schema that is at least what it needs, and roll with "
                "maxUnavailable 0",
            )


def modes(stage: Stage, workloads: Iterable[ObjectKey]) -> list[SaidMode]:
    """Return what the new processes of some workloads logged of their mode."""
    wanted = set(workloads)
    return [said for said in schema_of(stage).modes if said.workload in wanted]


def wrong_mode(said: SaidMode, expected: str, why: str) -> Finding:
    """Return the finding of a process in another mode than `expected`."""
    return Finding(
        object=f"Pod/{said.pod}",
        expected=f"the process says that its mode is {expected}",
        observed=f"it says {said.text}",
        why=why,
        remedy="resolve the mode from the variable alone, and log what was resolved",
    )


def _listed(applied: tuple[str, ...]) -> str:
    return ", ".join(applied) or "no migration"
