"""The pin file, read: every tool, module, image and package version that provisioning uses (law 7)."""

from __future__ import annotations

import functools
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from conformance.errors import BadInput

FILE = Path(__file__).with_name("pins.toml")


@dataclass(frozen=True)
class GoWheel:
    """Go itself: the oldest that will do, and the wheel that brings it where there is none."""

    minimum: str
    wheel: str
    version: str
    sha256: tuple[str, ...]


@dataclass(frozen=True)
class Tool:
    """A command built from a Go module; `oldest` is the oldest version of the same major that will do.

    `kubernetes` is the version that Helm 3's release assumes, told to it at the build; Helm 4 knows by itself.
    """

    name: str
    module: str
    package: str
    version: str
    oldest: str | None = None
    kubernetes: str | None = None


@dataclass(frozen=True)
class Kubernetes:
    """One Kubernetes release and the tags of the images that its kubeadm asks for."""

    minor: str
    version: str
    etcd: str
    coredns: str
    pause: str


@dataclass(frozen=True)
class UpstreamImage:
    """An image that is pulled where that is possible; `digest` is set where it could be known."""

    repository: str
    tag: str
    digest: str | None = None

    def __str__(self) -> str:
        """Return `repository:tag`."""
        return f"{self.repository}:{self.tag}"


@dataclass(frozen=True)
class Wheel:
    """A Python package: its version, and the hashes of the wheels that may be taken."""

    version: str
    sha256: tuple[str, ...]


@dataclass(frozen=True)
class Pins:
    """The whole pin file. `wheels` are those of the reference platform, by name."""

    go: GoWheel
    tools: Mapping[str, Tool]
    modules: Mapping[str, str]
    versions: Mapping[str, str]
    default: str
    releases: Mapping[str, Kubernetes]
    images: Mapping[str, Mapping[str, str]]
    packages: Mapping[str, tuple[str, ...]]
    wheels: Mapping[str, Wheel]

    @property
    def requirements(self) -> str:
        """Return the wheels as a requirements file that names their hashes."""
        return "".join(
            f"{name}=={wheel.version} {' '.join(f'--hash=sha256:{digest}' for digest in wheel.sha256)}\n"
            for name, wheel in self.wheels.items()
        )

    def release(self, asked: str) -> Kubernetes:
        """Return the pinned release of a Kubernetes version such as `1.35`, `v1.35` or `1.35.4`.

        Raises `BadInput`, naming what is supported, for any other.
        """
        found = re.fullmatch(r"v?(\d+\.\d+)(\.\d+)?", asked.strip())
        release = self.releases.get(found[1]) if found else None
        if release is None or (found and found[2] and release.version != f"v{found[1]}{found[2]}"):
            known = ", ".join(f"{minor} ({pinned.version})" for minor, pinned in self.releases.items())
            raise BadInput(f"--kube-version {asked}: not a supported Kubernetes version; use one of {known}")
        return release

    def image(self, name: str, tag: str | None = None) -> UpstreamImage:
        """Return an upstream image, at the tag its release asks for or at its pinned one."""
        image = self.images[name]
        tag = tag or image["tag"]
        return UpstreamImage(image["repository"], tag, image.get("digest"))


@functools.cache
def pins() -> Pins:
    """Return the pin file that is part of this package."""
    data = tomllib.loads(FILE.read_text())
    kubernetes = data["kubernetes"]
    return Pins(
        go=GoWheel(**{**data["go"], "sha256": tuple(data["go"]["sha256"])}),
        tools={name: Tool(name, **tool) for name, tool in data["tools"].items()},
        modules=data["modules"],
        versions=data["versions"],
        default=kubernetes["default"],
        releases={minor: Kubernetes(minor, **release) for minor, release in kubernetes["releases"].items()},
        images=data["images"],
        packages={name: tuple(packages) for name, packages in data["packages"].items()},
        wheels={name: Wheel(wheel["version"], tuple(wheel["sha256"])) for name, wheel in data["wheels"].items()},
    )
