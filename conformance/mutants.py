"""The mutants: deliberate defects of the reference chart or platform, and the checks that must catch them."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import yaml

from conformance import paths
from conformance.chart import Chart, reference_chart
from conformance.errors import BadInput
from conformance.patching import patched
from conformance.run import Runner
from conformance.subject import BASELINE, CANDIDATE

#: The version of the reference chart on each side of a run.
VERSIONS: Mapping[str, str] = {CANDIDATE: "0.9.2", BASELINE: "0.9.1"}
#: How the source of a chart begins that is a mutant.
_SOURCE = "mutant:"
#: The side of a mutant that breaks both versions alike.
BOTH = "both"


@dataclass(frozen=True)
class Mutant:
    """One deliberate defect: what it is, the public report it follows, and the ids that must catch it.

    The first of `caught_by` is the named catcher. `side` is broken, in its own version or both alike; `values` are
    further values files it needs.
    """

    name: str
    about: str
    report: str
    caught_by: tuple[str, ...]
    side: str
    folder: Path

    @property
    def values(self) -> tuple[Path, ...]:
        """Return the values files that the defect needs to show."""
        return tuple(sorted(self.folder.glob("values*.yaml")))

    def breaks(self, side: str) -> bool:
        """Say whether a side of the run is broken."""
        return self.side in (side, BOTH)

    def chart(self, side: str, into: Path, runner: Runner) -> Chart:
        """Return the chart of a side, broken or not, made below `into`."""
        patch = self.folder / "chart.patch"
        broken = self.breaks(side) and patch.is_file()
        return reference_chart(VERSIONS[side], into, runner, patch if broken else None)

    def platform(self, side: str, into: Path, runner: Runner) -> Path | None:
        """Return the source of a side's broken platform, made as the new folder `into`; None where it is whole."""
        patch = self.folder / "platform.patch"
        if not (self.breaks(side) and patch.is_file()):
            return None
        shutil.copytree(paths.bundle("fixtures") / "platform", into, ignore=shutil.ignore_patterns("__pycache__"))
        return patched(into, [patch], runner)

    @property
    def breaks_overlay(self) -> bool:
        """Say whether the GitOps overlay is broken."""
        return (self.folder / "overlay.patch").is_file()

    def overlay(self, healthy: Path | None, into: Path, runner: Runner) -> Path | None:
        """Return the GitOps overlay, broken as the new folder `into`; the healthy one where it is whole."""
        if healthy is None or not self.breaks_overlay:
            return healthy
        shutil.copytree(healthy, into)
        return patched(into, [self.folder / "overlay.patch"], runner)


def mutants() -> list[Mutant]:
    """Return every mutant, by name."""
    return [_read(file) for file in sorted((paths.bundle("fixtures") / "mutants").glob("*/mutant.yaml"))]


def one_for_each(found: Iterable[Mutant]) -> list[Mutant]:
    """Return the first of the mutants that each named check has to catch."""
    first: dict[str, Mutant] = {}
    for one in found:
        first.setdefault(one.caught_by[0], one)
    return list(first.values())


def asked_for(source: str | None) -> Mutant | None:
    """Return the mutant that a chart's source `mutant:NAME` means, None for all others. Raises `BadInput`."""
    return mutant(source.removeprefix(_SOURCE)) if source and source.startswith(_SOURCE) else None


def mutant(name: str) -> Mutant:
    """Return one mutant. Raises `BadInput` where there is none of that name."""
    known = {found.name: found for found in mutants()}
    if name not in known:
        raise BadInput(f"mutant {name}: there is none of that name; known are {', '.join(known)}")
    return known[name]


def _read(file: Path) -> Mutant:
    said = yaml.safe_load(file.read_text(encoding="utf-8"))
    return Mutant(
        name=said["name"],
        about=" ".join(said["about"].split()),
        report=said["report"],
        caught_by=tuple(said["caught_by"]),
        side=said.get("side", CANDIDATE),
        folder=file.parent,
    )
