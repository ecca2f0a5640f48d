"""Upstream images: where they are taken from, and which content is the right one (law 7)."""

from __future__ import annotations

import json
import logging
import os
from pathlib import Path

from conformance import paths
from conformance.errors import MachineLacks
from conformance.provision.pins import UpstreamImage

log = logging.getLogger(__name__)

#: Names a registry, `host:port` or `host/path`, from which all upstream images are taken instead of their own.
MIRROR = "AGENTS_CONFORMANCE_IMAGE_MIRROR"


def source(image: UpstreamImage) -> str:
    """Return where an image is taken from: its own registry, or the mirror that the caller names."""
    mirror = os.environ.get(MIRROR)
    return f"{mirror.rstrip('/')}/{str(image).partition('/')[2]}" if mirror else str(image)


def digest(image: UpstreamImage) -> str | None:
    """Return an image's digest, pinned or recorded at its first pull, by its own name and not a mirror's."""
    return image.digest or _recorded().get(str(image))


def known(image: UpstreamImage) -> str | None:
    """Return the reference by digest of an image that was pulled before, or whose digest is pinned."""
    found = digest(image)
    return f"{source(image).rpartition(':')[0]}@{found}" if found else None


def verify(image: UpstreamImage, found: str) -> None:
    """Compare the digest that a registry has under an image's tag with the right one; record the first.

    Raises `MachineLacks` where the content is another than before.
    """
    right = digest(image)
    if right is None:
        log.info("%s has digest %s: recorded, and checked from now on", image, found)
        _records().parent.mkdir(parents=True, exist_ok=True)
        fresh = _records().with_suffix(".new")
        fresh.write_text(json.dumps(_recorded() | {str(image): found}, indent=2) + "\n")
        fresh.replace(_records())
    elif right != found:
        raise MachineLacks(
            f"{source(image)} has digest {found}, but {right} was {'pinned' if image.digest else 'recorded'}: the "
            f"registry's content changed under the tag; if that is right, remove its line from {_records()}"
        )


def _records() -> Path:
    return paths.state() / "digests.json"


def _recorded() -> dict[str, str]:
    return dict(json.loads(_records().read_text())) if _records().exists() else {}
