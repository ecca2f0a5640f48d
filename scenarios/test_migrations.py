"""Who applies the database's migrations: the control plane, once; the controllers never."""

from __future__ import annotations

from collections.abc import Iterator

from conformance.checks import CORE, EXTENDED, Finding, scenario
from conformance.errors import Incomplete
from conformance.journey import Blocked, Crowded, Installed, judging, judging_modes, judging_schema


@scenario(
    "migrations/controllers-skip-by-default",
    level=CORE,
    seed="003 Current State; Contract: controllers MUST always run with migrations disabled",
    needs=("application", "database", "migrations"),
)
def test_controllers_skip_by_default(installed: Installed) -> Iterator[Finding]:
    """With nothing set for them the controllers are told to skip migrations, and leave the schema alone."""
    migrations = installed.migrations
    if (given := installed.given(migrations.at(migrations.controllers))) is not None:
        raise Incomplete(f"the values set {migrations.at(migrations.controllers)} to {given}: no default is seen")
    yield from judging_modes.not_skipping_by_default(installed.contract, migrations, installed.ready())


@scenario(
    "migrations/mode-visible",
    level=CORE,
    seed="003 Acceptance: the effective mode is visible in rendered manifests and logs",
    needs=("application", "database", "migrations"),
)
def test_mode_visible(installed: Installed) -> Iterator[Finding]:
    """The effective mode stands in each workload's manifest and in its processes' logs, and is the same."""
    yield from judging_modes.hidden_modes(installed.contract, installed.migrations, installed.ready())


@scenario(
    "migrations/startup-refuses-auto",
    level=EXTENDED,
    seed="003 Controller startup validation",
    needs=("application", "database", "migrations"),
)
def test_startup_refuses_auto(installed: Installed) -> Iterator[Finding]:
    """Controllers told to migrate past the chart end with an actionable error, and the old ones go on serving."""
    yield from judging_modes.not_refused(installed.migrations, installed.refusals())


@scenario(
    "migrations/one-migrator",
    level=EXTENDED,
    seed="003 Goals: keep migrations in the control plane only",
    needs=("application", "database", "migrations"),
)
def test_one_migrator(crowded: Crowded) -> Iterator[Finding]:
    """Two of the control plane and the controllers start on an empty database: one of the former migrates it."""
    stage = crowded.ready()
    yield from judging.not_ready(stage)
    yield from judging_schema.several_migrators(crowded.contract, crowded.migrations, stage)


@scenario(
    "migrations/control-plane-skip-honoured",
    level=EXTENDED,
    seed="003 Failure Modes: skip on the control plane as an emergency fallback",
    needs=("baseline", "application", "database", "migrations"),
)
def test_control_plane_skip_honoured(blocked: Blocked) -> Iterator[Finding]:
    """A control plane that is told to skip leaves a migration alone that is still to do."""
    before, stage = blocked.blocked(), blocked.skipping()
    yield from judging_schema.skip_ignored(blocked.contract, blocked.migrations, before, stage)


@scenario(
    "migrations/broken-migration-recovers",
    level=EXTENDED,
    seed="003 Failure Modes: control plane migration failures block startup",
    needs=("baseline", "application", "database", "migrations"),
)
def test_broken_migration_recovers(blocked: Blocked) -> Iterator[Finding]:
    """A migration that fails blocks the new control plane while the old serves; skipping and mending recover."""
    stage = blocked.blocked()
    yield from judging_schema.not_blocked(blocked.contract, blocked.migrations, blocked.installed(), stage)
    yield from judging_schema.silent(blocked.calls(stage), "while a migration fails")
    yield from judging.not_ready(blocked.skipping())
    yield from judging.not_ready(blocked.recovered())
    yield from judging_schema.not_recovered(blocked.migrations, stage, blocked.recovered())
