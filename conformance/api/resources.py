"""The resource types that an API server serves, as its discovery tells them."""

from __future__ import annotations

import urllib.parse
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

#: One object as the API server says it.
Body = dict[str, Any]

#: The form of discovery that names every resource type of every group at once.
DISCOVERY = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"


@dataclass(frozen=True)
class Resource:
    """One resource type that the server serves, at its preferred version."""

    group: str
    version: str
    plural: str
    kind: str
    namespaced: bool
    verbs: frozenset[str]

    @property
    def api_version(self) -> str:
        """Return `group/version`, or `version` alone in the core group."""
        return f"{self.group}/{self.version}" if self.group else self.version

    def path(self, namespace: str | None = None, name: str | None = None, subresource: str | None = None) -> str:
        """Return the URL path of the collection, or of one object or its subresource."""
        parts = ["apis", self.group, self.version] if self.group else ["api", self.version]
        if self.namespaced and namespace:
            parts += ["namespaces", namespace]
        parts += [self.plural, *(part for part in (name, subresource) if part)]
        return "/" + "/".join(urllib.parse.quote(part, safe="") for part in parts)


def discovered(answer: Body) -> Iterator[Resource]:
    """Yield the resource types in an answer to discovery, each once, at its preferred version."""
    for group in answer["items"]:
        seen: set[str] = set()
        for version in group["versions"]:  # the server's preferred version comes first
            for found in version.get("resources", ()):
                kind = (found.get("responseKind") or {}).get("kind")
                if not kind or found["resource"] in seen:
                    continue
                seen.add(found["resource"])
                yield Resource(
                    (group.get("metadata") or {}).get("name", ""), version["version"], found["resource"], kind,
                    found["scope"] == "Namespaced", frozenset(found["verbs"]),
                )  # fmt: skip
