"""What a commit is to say, and what it led to."""

from __future__ import annotations

from dataclasses import dataclass, field

from conformance.errors import Incomplete
from conformance.gitops import Application
from conformance.gitops.repository import Commit
from conformance.journey.configuration import Configurations
from conformance.journey.stage import Stage
from conformance.manifests import Body

#: Stands for images that nobody has.
BROKEN = "nobody"
#: Further looks at git, during which nothing may change (issue: three refreshes).
REFRESHES = 3


@dataclass(frozen=True)
class Wanted:
    """What a commit is to say: whose chart, whose images, which values set of the contract, and what more."""

    chart: str
    images: str
    values: str = ""
    more: Body = field(default_factory=dict, hash=False, repr=False)

    def __str__(self) -> str:
        """Return it as a commit's subject says it."""
        images = self.images if self.images == BROKEN else f"the {self.images}"
        said = self.chart if self.chart == self.images else f"chart of the {self.chart}, images of {images}"
        return f"{said}, values {self.values}" if self.values else said


@dataclass(frozen=True)
class GitStage(Stage):
    """What one commit led to: the Application at its end, and the successful syncs that it took.

    `configurations` is what the processes then saw of their environment.
    """

    commit: Commit = field(kw_only=True)
    application: Application = field(kw_only=True)
    syncs: int = field(kw_only=True)
    configurations: Configurations = field(kw_only=True, default_factory=dict)

    @property
    def declared_by(self) -> str:
        """Return what declares the objects, as findings name it."""
        return f"commit {self.commit}"

    def settled(self) -> GitStage:
        """Return it. Raises `Incomplete` where it did not end synced and healthy."""
        if self.failure is not None:
            raise Incomplete(f"{self} did not end synced and healthy: {self.failure}")
        return self

    def __str__(self) -> str:
        """Return the operation as a sentence names it."""
        return f"the {self.operation} of commit {self.commit}"
