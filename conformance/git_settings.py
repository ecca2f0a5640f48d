"""How git is told its configuration without a file: in its environment, where no argument shows it."""

from __future__ import annotations

from collections.abc import Mapping


def as_environment(settings: Mapping[str, str]) -> dict[str, str]:
    """Return the variables by which git takes settings (git's documentation, "git-config", Environment)."""
    variables = {"GIT_CONFIG_COUNT": str(len(settings))}
    for number, (key, value) in enumerate(settings.items()):
        variables |= {f"GIT_CONFIG_KEY_{number}": key, f"GIT_CONFIG_VALUE_{number}": value}
    return variables
