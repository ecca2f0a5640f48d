"""The reference chart: its first version in full, the others as patches upon it, and its mutants as one more."""

from __future__ import annotations

import shutil
from pathlib import Path

import semver

from conformance import paths
from conformance.errors import BadInput
from conformance.patching import patched
from conformance.run import Runner


def versions() -> list[str]:
    """Return the versions of the reference chart, oldest first."""
    root = paths.bundle("fixtures") / "charts"
    patched = sorted(semver.Version.parse(patch.stem) for patch in (root / "patches").glob("*.patch"))
    first = [line.partition(":")[2].strip() for line in (root / "agents" / "Chart.yaml").read_text().splitlines()
             if line.startswith("version:")]  # fmt: skip
    return [*first, *map(str, patched)]


def materialise(version: str, into: Path, runner: Runner, patch: Path | None = None) -> Path:
    """Make the new folder `into` with one version of the reference chart, `patch` applied last.

    Patches name files from the chart's top. Raises `BadInput` for a version that does not exist, `CommandFailed`
    for a patch that does not fit.
    """
    root, known = paths.bundle("fixtures") / "charts", versions()
    if version not in known:
        raise BadInput(
            f"chart reference:{version}: expected one of {', '.join(known)}, seen {version}; name one of them"
        )
    shutil.copytree(root / "agents", into)
    steps = [root / "patches" / f"{step}.patch" for step in known[1 : known.index(version) + 1]]
    return patched(into, [*steps, *([patch] if patch else [])], runner)
