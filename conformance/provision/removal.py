"""Remove all that provisioning made and that runs share; a run that comes later makes it anew."""

from __future__ import annotations

import logging

from conformance import paths
from conformance.provision import engine as engines
from conformance.provision import registry, upstream
from conformance.provision.engine import Engine
from conformance.provision.machine import default_runner
from conformance.provision.node_image import LABEL, NAMESPACE
from conformance.provision.pins import pins
from conformance.provision.store import remove_tree, store

log = logging.getLogger(__name__)

#: Images beside the nodes' that provisioning pulls where it can.
_PULLED = ("registry", "postgres", "argocd", "redis")


def remove() -> list[str]:
    """Remove the registry, our images, the engine if we started it, and the cache; return what was removed.

    Images that were pulled for us go too. An engine that we did not start stays, with all else in it; so do
    packages that were installed, and the record of image digests, which later pulls are checked against.
    """
    removed = [f"cache {paths.cache()}"] if paths.cache().is_dir() else []
    with store().lock():
        engine = engines.find(default_runner())
        if engine:
            removed += registry.remove(engine)
            removed += _images(engine)
        removed += engines.stop(engine)
        remove_tree(paths.cache())
    return removed


def _images(engine: Engine) -> list[str]:
    left = engine.run("ps", "--all", "--quiet", "--filter", f"label={LABEL}=build").stdout.split()
    if left:
        engine.run("rm", "--force", "--volumes", *left, check=False)
    listed = engine.run("image", "ls", "--format", "{{.Repository}}:{{.Tag}}", f"{NAMESPACE}/*").stdout.split()
    nodes = [pins().image("node", release.version) for release in pins().releases.values()]
    pulled = [image for image in (*nodes, *map(pins().image, _PULLED)) if upstream.known(image)]
    listed += [name for image in pulled for name in (upstream.source(image), str(upstream.known(image)))]
    return [f"image {image}" for image in listed if engine.run("image", "rm", image, check=False).status == 0]
