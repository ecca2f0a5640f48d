"""What brings a release to other values: Helm here, and in `committed` commits that Argo CD syncs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

from conformance.helm import Deployed, Release, Wait
from conformance.manifests import Manifests
from conformance.subject import CANDIDATE

Values = Mapping[str, Any]


class Driver(Protocol):
    """Brings the candidate with some values over the run's own; each returns the revision that it made."""

    def deploy(self, values: Values) -> Deployed:
        """Install it."""
        ...

    def upgrade(self, values: Values, chart: Path | None = None, *, wait: bool = True) -> Deployed:
        """Upgrade to it, or to another chart folder."""
        ...

    def rollback(self, to: int) -> Deployed:
        """Go back to an earlier revision."""
        ...


class ByHelm:
    """Helm drives it. `files` turns values into Helm's files for a side, the run's own first."""

    def __init__(self, release: Release, chart: Path, files: Callable[[str, Values], list[Path]]) -> None:
        self._release, self._chart, self._files = release, chart, files

    def deploy(self, values: Values) -> Deployed:
        """Install it."""
        return self._release.deploy(self._chart, self.written(values))

    def upgrade(self, values: Values, chart: Path | None = None, *, wait: bool = True) -> Deployed:
        """Upgrade to it, or to another chart folder."""
        who = Wait.AUTO if wait else Wait.NONE
        return self._release.upgrade(chart or self._chart, self.written(values), wait=who)

    def rollback(self, to: int) -> Deployed:
        """Roll back to a revision."""
        return self._release.rollback(to)

    def preview(self, values: Values) -> Manifests:
        """Return the objects that an upgrade would declare."""
        return self._release.preview(self._chart, self.written(values))

    def written(self, values: Values) -> list[Path]:
        """Return the files of the run's values and of some over them."""
        return self._files(CANDIDATE, values)
