"""The section of a contract that says who applies the database's migrations."""

from __future__ import annotations

import json

from pydantic import Field

from conformance.contract.images import below
from conformance.contract.parts import EnvironmentName, Label, Part, Text, ValuePath


class ModeLine(Part):
    """The log line, a JSON object, by which a process says at its start which mode it is in."""

    where: dict[Text, str] = Field(min_length=1)
    """The fields, and their texts, by which the line is known."""
    mode: Text = "mode"
    """The field that says the mode: `skip` or `auto`, or one of their spellings."""

    def read(self, line: str) -> str | None:
        """Return what a line says of the mode, None for any other line."""
        try:
            said = json.loads(line)
        except ValueError:
            return None
        if not isinstance(said, dict) or any(said.get(name) != text for name, text in self.where.items()):
            return None
        mode = said.get(self.mode)
        return mode if isinstance(mode, str) else None


class Migrations(Part):
    """Who applies the database's migrations, and how a variable of the environment says so.

    The mode is `skip` for the spellings listed, in any case and with spaces around them; everything else is
    `auto`, also a variable that is missing or empty. ../shared/seeds 003: "resolveMigrationsMode()".
    """

    variable: EnvironmentName
    """The variable that says the mode."""
    controllers: ValuePath
    """Where the values take variables, by name, of the workloads that must never migrate."""
    control_plane: ValuePath | None = None
    """Where the values take variables, by name, of the workloads that may migrate."""
    shared: ValuePath | None = None
    """Where the values take variables, by name, of both; the chart must not let the controllers migrate by it."""
    sources: tuple[ValuePath, ...] = ()
    """Where the values take the data of ConfigMaps and Secrets of the chart that the controllers read with
    envFrom; the chart must not let the controllers migrate by it either."""
    controllers_role: Label = "controllers"
    """The role of the workloads that must never migrate."""
    control_plane_role: Label = "control-plane"
    """The role of the workloads that may migrate."""
    skip: tuple[Text, ...] = Field(default=("skip", "disabled", "false", "0", "off"), min_length=1)
    """The spellings of `skip`."""
    auto: tuple[str, ...] = Field(
        default=("auto", "true", "1", "on", "enabled", "yes", "no", "none", "skipped"), min_length=1
    )
    """Spellings of `auto` that the chart must refuse; the first is the usual one. More are tried than these."""
    log: ModeLine | None = None
    """How the processes log their mode; left out, `migrations/mode-visible` is incomplete."""
    applied: Text | None = None
    """A query (SQL) whose rows are the migrations that the database has, one column: their names. Left out, the
    checks that watch migrations being applied are incomplete."""
    replicas: ValuePath | None = None
    """Where the values take the number of replicas of the workloads that may migrate."""

    def at(self, place: str) -> str:
        """Return the value path of the variable below a place that takes variables by name."""
        return below(place, self.variable)

    def mode(self, text: str | None) -> str:
        """Return the mode, `skip` or `auto`, that a variable's text means, or None where it is missing."""
        return "skip" if self.skips(text) else "auto"

    def skips(self, text: str | None) -> bool:
        """Say whether the application reads a variable's text, or None where it is missing, as `skip`."""
        return text is not None and _plain(text) in map(_plain, self.skip)


def _plain(text: str) -> str:
    return text.strip().lower()
