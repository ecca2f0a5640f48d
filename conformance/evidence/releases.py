"""Evidence of Helm's releases, from what Helm keeps in the cluster: history, manifests and values, no secrets."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby
from typing import Any

import yaml

from conformance.errors import BadInput
from conformance.evidence.files import File, Found, Missing
from conformance.evidence.secrets import HELM_SECRET, StoredRelease, as_yaml, stored_release, stored_releases
from conformance.evidence.snapshot import Snapshot
from conformance.kube_yaml import mapping
from conformance.redact import REDACTOR


def releases(snapshot: Snapshot) -> Iterator[Found]:
    """Yield the history of every release, and each revision's objects and values."""
    secrets = [secret for secret in snapshot.of("Secret") if secret.get("type") == HELM_SECRET]
    for secret in secrets:
        if stored_release(secret) is None:
            yield Missing(f"Secret/{secret['metadata']['name']}", "it holds no release that can be read")
    for (namespace, name), revisions in groupby(
        stored_releases(secrets), lambda found: (found.namespace, found.name)
    ):
        folder = f"helm/{namespace}/{name}"
        rows = []
        for release in revisions:
            rows.append(_row(release))
            yield from _revision(folder, release)
        yield File(f"{folder}/history.txt", "\n".join(rows) + "\n")


def _row(release: StoredRelease) -> str:
    info, chart = (
        mapping(release.content.get("info")),
        mapping(mapping(release.content.get("chart")).get("metadata")),
    )
    words = (release.revision, info.get("status"), f"{chart.get('name')}-{chart.get('version')}",
             f"app {chart.get('appVersion')}", info.get("last_deployed"), info.get("description"))  # fmt: skip
    return "  ".join(str(word).strip() for word in words)


def _revision(folder: str, release: StoredRelease) -> Iterator[Found]:
    path = f"{folder}/revision-{release.revision}"
    try:
        text = as_yaml(manifest.body for manifest in release.manifests())
    except BadInput as error:
        yield Missing(f"{path}.manifest.yaml", str(error))
        text = ""
    else:
        yield File(f"{path}.manifest.yaml", text)
    values = _shown(release.content.get("config") or {}, text)
    yield File(f"{path}.values.yaml", yaml.safe_dump(values, sort_keys=False, width=10_000))


def _shown(value: Any, manifest: str) -> Any:  # noqa: ANN401
    """Hide each text among the values that the objects, Secrets apart, do not show anyway."""
    if isinstance(value, dict):
        return {name: _shown(item, manifest) for name, item in value.items()}
    if isinstance(value, list):
        return [_shown(item, manifest) for item in value]
    return REDACTOR.hash(value) if isinstance(value, str) and value not in manifest else value
