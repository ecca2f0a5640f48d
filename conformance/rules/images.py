"""Images: what a version runs is told by its rendering, today and on the day of a rollback."""

from __future__ import annotations

import re
from collections.abc import Iterator

from conformance.checks import EXTENDED, Finding, rule
from conformance.manifests import Manifest
from conformance.rules.inputs import Given, Rendered
from conformance.rules.pods import containers, with_pods

#: Tags that move by their name: whoever publishes them says that they mean another image tomorrow.
FLOATING = frozenset(
    {
        "canary",
        "dev",
        "develop",
        "edge",
        "head",
        "latest",
        "main",
        "master",
        "mainline",
        "nightly",
        "snapshot",
        "stable",
    }
)
#: Hooks that only `helm test` runs: nothing of them serves, or is rolled back.
TESTS = frozenset({"test", "test-success", "test-failure"})
_DIGEST = re.compile(r"@sha256:[0-9a-f]{64}$")


@rule("render/images-pinned", level=EXTENDED, seed="000 both Deployments rolled back to the prior image digests")
def images_pinned(rendered: Rendered) -> Iterator[Finding]:
    """Images of workloads that the contract pins have digests; no other image goes by a tag that moves.

    A chart whose contract names no digest may go by tags, but not by `latest`, a branch or no tag at all.
    """
    for manifest in with_pods(rendered.manifests):
        if manifest.hooks and set(manifest.hooks) <= TESTS:
            continue
        pinned = _pinned(manifest, rendered.given)
        loose = [
            f"{path} runs {container.get('image')}{why}"
            for path, container in containers(manifest)
            if (why := _loose(str(container.get("image") or ""), pinned=pinned))
        ]
        if loose:
            yield Finding(
                object=str(manifest.key),
                expected="images pinned by digest" if pinned else "tags that stay",
                observed="; ".join(loose),
                why="the same rendering runs another image later: a rollback restores the text, not what ran",
                remedy="pin it as repository@sha256:…, or take a digest from the values",
            )


def _pinned(manifest: Manifest, given: Given) -> bool:
    return manifest.namespace == given.namespace and manifest.name in given.pinned


def _loose(image: str, *, pinned: bool) -> str:
    """Return what is wrong with an image's reference; nothing where it is well."""
    if not image or _DIGEST.search(image):
        return ""
    _, _, tag = image.rpartition("/")[2].partition(":")
    if not tag:
        return ", which is `latest`"
    if tag.lower() in FLOATING:
        return f", and {tag} moves"
    return ", without a digest" if pinned else ""
