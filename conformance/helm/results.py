"""What Helm answers, typed: a revision of a release, and one with everything it declares."""

from __future__ import annotations

import datetime
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import semver

from conformance.manifests import Manifests, secret_values
from conformance.redact import REDACTOR

#: What a revision says of itself when its objects were once all applied: it may be rolled back to.
GOOD = frozenset({"deployed", "superseded"})


@dataclass(frozen=True)
class ReleaseRevision:
    """One row of a release's history (seed 002, `ReleaseRevision`); `status` is Helm's own word."""

    revision: int
    chart_version: str
    status: str
    deployed_at: datetime.datetime
    description: str

    @property
    def pending(self) -> bool:
        """Return whether an operation on the revision has begun and not ended."""
        return self.status.startswith("pending-") or self.status == "uninstalling"


@dataclass(frozen=True)
class Deployed(ReleaseRevision):
    """A revision with what it declares: `manifest` is its objects, `hooks` those that are the release's hooks.

    The values it was made with are not held.
    """

    manifest: Manifests = field(repr=False)
    hooks: Manifests = field(repr=False)


def revisions(rows: Iterable[Mapping[str, Any]]) -> list[ReleaseRevision]:
    """Return the rows of `helm history --output json`, oldest first."""
    found = [
        ReleaseRevision(
            revision=int(row["revision"]),
            chart_version=chart_version(row.get("chart", "")),
            status=row["status"],
            deployed_at=moment(row["updated"]),
            description=row.get("description", ""),
        )
        for row in rows
    ]
    return sorted(found, key=lambda one: one.revision)


def deployed(answer: Mapping[str, Any], version: str | None = None) -> Deployed:
    """Return what `helm install|upgrade|status --output json` says of a revision.

    `version` is the chart's, where the answer does not hold it (`status`).
    """
    info, namespace = answer["info"], answer.get("namespace")
    chart = (answer.get("chart") or {}).get("metadata") or {}
    return Deployed(
        revision=int(answer["version"]),
        chart_version=version or chart.get("version", ""),
        status=info["status"],
        deployed_at=moment(info["last_deployed"]),
        description=info.get("description", ""),
        manifest=declared(answer.get("manifest") or "", namespace),
        hooks=declared("\n---\n".join(hook["manifest"] for hook in answer.get("hooks") or ()), namespace),
    )


def declared(text: str, namespace: str | None) -> Manifests:
    """Return the objects of a manifest; values of its Secrets are hidden from everything written from here on."""
    manifests = Manifests.parse(text, namespace)
    for manifest in manifests:
        REDACTOR.add(*secret_values(manifest.body))
    return manifests


def chart_version(chart: str) -> str:
    """Return the version out of Helm's `name-version`: the longest end that is one; all of it where none is."""
    for found in re.finditer("-", chart):
        version = chart[found.end() :]
        if semver.Version.is_valid(version):
            return version
    return chart


def moment(text: str) -> datetime.datetime:
    """Return a time of Helm's, which has up to nine digits of a second."""
    return datetime.datetime.fromisoformat(re.sub(r"(\.\d{6})\d+", r"\1", text))
