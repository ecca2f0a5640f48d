"""The local registry: one container, shared by all runs, that nodes pull workload images from by digest."""

from __future__ import annotations

import logging
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import urllib3

from conformance import paths
from conformance.errors import MachineLacks
from conformance.loopback import free_port
from conformance.provision.engine import Engine
from conformance.provision.node_image import LABEL, NAMESPACE
from conformance.provision.oci import Entry, ImageFile, write_archive, write_layer
from conformance.provision.pins import pins
from conformance.provision.programs import registry_program
from conformance.provision.progress import step, until_there
from conformance.provision.store import Store, remove_tree
from conformance.provision.upstream import known
from conformance.temporary import private_folder

log = logging.getLogger(__name__)

NAME = "agents-conformance-registry"
#: The network that kind's nodes are on; kind makes it with this IPv6 range, derived from its name.
NETWORK, RANGE = "kind", "fc00:f853:ccd:e793::/64"
PORT = 5000
#: Seconds in which a started registry answers; it takes well under one.
START_SECONDS = 30

CONFIG = """\
version: 0.1
log: {level: warn, accesslog: {disabled: true}}
storage: {filesystem: {rootdirectory: /var/lib/registry}}
http: {addr: ":5000"}
"""


@dataclass(frozen=True)
class Registry:
    """The running registry: `push` is its `host:port` on this machine, `pull` its `name:port` in a cluster.

    `hosts` is the folder that tells a node's containerd how to reach it.
    """

    push: str
    pull: str
    hosts: Path


def hosts_toml() -> str:
    """Return what a node's containerd has to know about the registry: that it speaks plain HTTP."""
    address = f"http://{NAME}:{PORT}"
    return f'server = "{address}"\n\n[host."{address}"]\n  capabilities = ["pull", "resolve"]\n'


def here(engine: Engine) -> Registry | None:
    """Return the registry if it runs and answers, and a node can be told how to reach it."""
    container = engine.inspect("container", NAME)
    if not container or not container["State"]["Running"] or not _has_storage(container):
        return None
    registry = _registry(container)
    return registry if _answers(registry) and (_hosts() / f"{NAME}:{PORT}/hosts.toml").is_file() else None


def ensure(engine: Engine, image: str) -> Registry:
    """Return the registry, made or started first where need be; several runs share it.

    Raises `MachineLacks` when it does not answer.
    """
    if registry := here(engine):
        return registry
    hosts = _hosts() / f"{NAME}:{PORT}"
    hosts.mkdir(parents=True, exist_ok=True)
    (hosts / "hosts.toml").write_text(hosts_toml())
    with step("starting the local registry"):
        container = engine.inspect("container", NAME)
        if container and not _is_ours(container):
            raise MachineLacks(f"there is a container {NAME} that this suite did not make; rename or remove it")
        started = container and _has_storage(container) and engine.run("start", NAME, check=False).status == 0
        if not started:  # its port is taken, or its storage gone, or there is none: nothing is lost with it
            engine.run("rm", "--force", NAME, check=False)
            _create(engine, image)
        registry = until_there(lambda: here(engine), seconds=START_SECONDS, every=0.05)
    if registry is None:
        said = " ".join(engine.run("logs", "--tail", "5", NAME, check=False).stderr.split())
        raise MachineLacks(f"the local registry did not answer in {START_SECONDS} s; it said: {said}")
    return registry


def image_here(engine: Engine) -> str | None:
    """Return the reference of the registry's image in the engine, pulled or built."""
    for reference in (known(pins().image("registry")), tag()):
        if reference and engine.inspect("image", reference):
            return reference
    return None


def load(engine: Engine, store: Store) -> None:
    """Load the registry's image, made of its program, into the engine."""
    program = store.path(registry_program().artefact) / "registry"
    config = "/etc/distribution/config.yml"
    with private_folder() as folder:
        entries = [Entry("/usr/bin/registry", program), Entry(config, CONFIG.encode(), mode=0o644)]
        layer = write_layer(folder / "layer.tar", entries)
        image = ImageFile((layer,), entrypoint=("/usr/bin/registry",), command=("serve", config))
        write_archive(folder / "image.tar", {tag(): image})
        engine.run("load", "--quiet", "--input", folder / "image.tar")


def tag() -> str:
    """Return the reference, in the engine, of the registry image that we build."""
    artefact = registry_program().artefact
    return f"{NAMESPACE}/registry:{pins().versions['registry']}-{artefact.key}"


def remove(engine: Engine) -> list[str]:
    """Remove the registry with all it stores, and the nodes' network if we made it; return what was removed."""
    removed = []
    container = engine.inspect("container", NAME)
    if container and _is_ours(container):
        engine.run("rm", "--force", "--volumes", NAME)
        removed.append(f"container {NAME}")
    remove_tree(_folder())
    network = engine.inspect("network", NETWORK)
    # Docker keeps a network that other people's clusters are on.
    if network and LABEL in network["Labels"] and engine.run("network", "rm", NETWORK, check=False).status == 0:
        removed.append(f"network {NETWORK}")
    return removed


def ensure_network(engine: Engine) -> None:
    """Make the network that kind's nodes are on, the way kind does, where it is missing."""
    if engine.inspect("network", NETWORK):
        return
    masquerade = "com.docker.network.bridge.enable_ip_masquerade=true"
    words = ("network", "create", "--label", f"{LABEL}=network", "--driver=bridge", "--opt", masquerade)
    if engine.run(*words, "--ipv6", "--subnet", RANGE, NETWORK, check=False).status:
        engine.run(*words, NETWORK)  # as kind does where the machine has no IPv6


def _create(engine: Engine, image: str) -> None:
    storage = _folder() / "storage"
    storage.mkdir(parents=True, exist_ok=True)
    ensure_network(engine)
    # What a rootless engine calls root is the caller already.
    user = [] if engine.rootless else ["--user", f"{os.getuid()}:{os.getgid()}"]
    engine.run(
        "run", "--detach", "--name", NAME, "--label", f"{LABEL}=registry", "--network", NETWORK, *user,
        "--publish", f"127.0.0.1:{free_port()}:{PORT}", "--volume", f"{storage}:/var/lib/registry",
        "--env", "OTEL_TRACES_EXPORTER=none", image,
    )  # fmt: skip


def _is_ours(container: dict[str, Any]) -> bool:
    return (container["Config"].get("Labels") or {}).get(LABEL) == "registry"


def _has_storage(container: dict[str, Any]) -> bool:
    return all(Path(mount["Source"]).is_dir() for mount in container["Mounts"])


def _registry(container: dict[str, Any]) -> Registry:
    port = container["HostConfig"]["PortBindings"][f"{PORT}/tcp"][0]["HostPort"]
    return Registry(f"127.0.0.1:{port}", f"{NAME}:{PORT}", _hosts())


def _answers(registry: Registry) -> bool:
    try:
        return urllib3.request("GET", f"http://{registry.push}/v2/", retries=False, timeout=5.0).status == 200
    except urllib3.exceptions.HTTPError:
        return False


def _folder() -> Path:
    return paths.cache() / "registry"


def _hosts() -> Path:
    return _folder() / "hosts"
