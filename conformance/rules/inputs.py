"""What rules look at: renderings, alone, repeated, in pairs, or with the judge's word on them."""

from __future__ import annotations

from dataclasses import dataclass

from conformance.judge import Verdict
from conformance.manifests import Manifests
from conformance.render import Rendering


@dataclass(frozen=True)
class Version:
    """One version of a chart as it renders; `said` names it in findings, as `the candidate 0.9.2`."""

    said: str
    rendering: Rendering

    @property
    def manifests(self) -> Manifests:
        """Return its objects."""
        return self.rendering.manifests


@dataclass(frozen=True)
class Pair:
    """Two versions with the same values: an upgrade in one direction, a rollback in the other.

    With `only_version` nothing differs but the version in Chart.yaml: what changes then changes at every release.
    `where` names the values, unless they are the run's own.
    """

    before: Version
    after: Version
    only_version: bool = False
    where: str = ""


@dataclass(frozen=True)
class Repeats:
    """One chart and values rendered again and again in surroundings that must not matter; the first is plain."""

    renderings: tuple[Rendering, ...]
    where: str = ""


@dataclass(frozen=True)
class Judged:
    """One rendering and the judge's word on each object; `kubernetes` is the version it judged for."""

    version: Version
    verdicts: tuple[Verdict, ...]
    kubernetes: str
    where: str = ""
