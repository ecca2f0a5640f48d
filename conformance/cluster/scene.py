"""What evidence needs to know of a cluster, also when the process that made it is gone."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from conformance.cluster.journal import Entry
from conformance.manifests import Body, ObjectKey


@dataclass(frozen=True)
class Scene:
    """Where evidence is taken.

    `pristine` is a file with the objects that were there before anything was done, a JSON list; `commands` the
    runner's record of what was done.
    """

    cluster: str
    kubeconfig: Path
    pristine: Path | None = None
    commands: Path | None = None

    @classmethod
    def of(cls, entry: Entry) -> Scene:
        """Return the scene of a cluster that a journal records."""
        about = entry.details
        pristine, commands = (Path(about[name]) if about.get(name) else None for name in ("pristine", "commands"))
        return cls(entry.name, Path(about["kubeconfig"]), pristine, commands)

    def pristine_objects(self) -> dict[ObjectKey, Body]:
        """Return the objects that were there from the beginning; none where that is not known."""
        if self.pristine is None or not self.pristine.is_file():
            return {}
        return {ObjectKey.of(body): body for body in json.loads(self.pristine.read_text())}
