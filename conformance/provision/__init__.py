"""Make a machine able to run: pinned tools, container engine, node image, images, registry."""

from __future__ import annotations

from conformance.judge import JudgeBinaries
from conformance.provision.argocd_image import ArgoCd
from conformance.provision.argocd_image import provision as provision_argocd
from conformance.provision.database_image import push as push_database
from conformance.provision.doctor import Row, doctor
from conformance.provision.engine import Engine
from conformance.provision.images import Image, push_stub
from conformance.provision.kind_config import kind_config, proxy_exception
from conformance.provision.machine import Machine, Tools, provision, tools
from conformance.provision.node_image import NodeImage
from conformance.provision.platform import push_platform
from conformance.provision.registry import Registry, hosts_toml
from conformance.provision.removal import remove

__all__ = [
    "ArgoCd",
    "Engine",
    "Image",
    "JudgeBinaries",
    "Machine",
    "NodeImage",
    "Registry",
    "Row",
    "Tools",
    "doctor",
    "hosts_toml",
    "kind_config",
    "provision",
    "provision_argocd",
    "proxy_exception",
    "push_database",
    "push_platform",
    "push_stub",
    "remove",
    "tools",
]
