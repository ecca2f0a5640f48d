"""A kind cluster, made of what the machine has at hand, journalled, and gone when it is over.

pytest-kind's own class writes into the current folder, downloads tools, takes over a cluster that happens to have
its name and runs commands that nobody records. Here every one of these is replaced.
"""

from __future__ import annotations

import json
import logging
import re
import shutil
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NoReturn

import yaml
from pytest_kind import KindCluster

from conformance.api import Api, preload
from conformance.cluster import containers
from conformance.cluster.journal import CLUSTER, Journal
from conformance.cluster.limits import inotify_exhausted
from conformance.cluster.pristine import restore, settle
from conformance.cluster.scene import Scene
from conformance.cluster.sweeping import RUN_VARIABLE, remove_cluster
from conformance.errors import BadInput, CommandFailed, ConformanceError, MachineLacks
from conformance.observe.inventory import Inventory
from conformance.provision import Machine, kind_config, proxy_exception
from conformance.provision.kind_config import CERTS
from conformance.run import Runner

log = logging.getLogger(__name__)

#: Seconds that kind may take: it needs 8 to 15, and several times that on a busy machine.
CREATE_SECONDS = 240.0
COMMAND_SECONDS = 60.0

#: For kind's own pod and Service networks: a pod that lives has a narrower route, and what a pod sends to a living
#: Service has another address by the time it is forwarded. The node itself may go on calling Services.
KEEP_INSIDE = "ip route add unreachable 10.244.0.0/16; iptables -A FORWARD -d 10.96.0.0/16 -j REJECT"

#: Pulls the images that are its arguments into a node's containerd, as the kubelet would, and names the others.
PULL = f'for image; do ctr -n k8s.io images pull --hosts-dir {CERTS} "$image" >/dev/null || echo "$image"; done'

#: Where a node mounts its part of the run's folder, read-only: the proof of who made it, with patches in it.
_MARK = "/etc/agents-conformance"


def _flags(*flags: str) -> list[dict[str, str]]:
    return [{"op": "add", "path": "/spec/containers/0/command/-", "value": flag} for flag in flags]


#: There is nobody else to be elected, and asking again for a lease that cannot be had yet takes seconds.
_ALONE = "--leader-elect=false"

#: What kubeadm changes in what it makes (`kubeadm init --patches`), so that a cluster is usable sooner.
_PATCHES: dict[str, object] = {
    "corednsdeployment+strategic.yaml": {
        "spec": {
            # Two replicas on one node help nobody.
            "replicas": 1,
            "template": {
                "spec": {
                    "containers": [
                        {
                            "name": "coredns",
                            # A first probe that fails costs ten seconds otherwise.
                            "readinessProbe": {"periodSeconds": 1},
                            # It need not wait for kube-proxy to find the API server.
                            "env": [
                                {
                                    "name": "KUBERNETES_SERVICE_HOST",
                                    "valueFrom": {"fieldRef": {"fieldPath": "status.hostIP"}},
                                },
                                {"name": "KUBERNETES_SERVICE_PORT", "value": "6443"},
                            ],
                        }
                    ]
                }
            },
        }
    },
    # Nothing has to survive a power cut.
    "etcd+json.yaml": _flags("--unsafe-no-fsync"),
    # Its forty controllers each ask for an account and a token: at 20 requests a second that takes five seconds.
    "kube-controller-manager+json.yaml": _flags("--kube-api-qps=500", "--kube-api-burst=1000", _ALONE),
    "kube-scheduler+json.yaml": _flags(_ALONE),
}


class Cluster(KindCluster):  # type: ignore[misc]  # pytest-kind is not typed
    """One kind cluster of one run, known to the run's journal; `folder` holds its private files.

    `images` are in its node once it is made, by reference, so that nothing in it waits for them.
    """

    def __init__(
        self, name: str, machine: Machine, runner: Runner, journal: Journal, folder: Path | None = None,
        images: Sequence[str] = (),
    ) -> None:  # fmt: skip
        # Not super().__init__(), which makes a folder in the current one.
        self.name = name
        self.path = folder or journal.make_folder("clusters", name)
        self.image = machine.node.reference
        self.kubeconfig_path = self.path / "kubeconfig"
        self.kind_path = machine.kind
        self.kubectl_path = machine.kubectl
        self.machine = machine
        self.journal = journal
        self.runner = runner.with_environment(**machine.engine.environment, **{RUN_VARIABLE: journal.run_id})
        self._images = tuple(images)
        self._api: Api | None = None
        self._pristine: Inventory | None = None

    @property
    def kubeconfig(self) -> Path:
        """Return the kubeconfig that knows this cluster and no other."""
        return Path(self.kubeconfig_path)

    @property
    def scene(self) -> Scene:
        """Return what evidence needs to know of the cluster."""
        return Scene(self.name, self.kubeconfig, self.pristine_file, self.runner.record)

    @property
    def created(self) -> bool:
        """Say whether it was made, to the end."""
        return self._pristine is not None

    @property
    def pristine_file(self) -> Path:
        """Return the file that keeps the pristine objects for other processes, a JSON list."""
        return Path(self.path) / "pristine.json"

    @property
    def api(self) -> Api:
        """Return the cluster's API server, once kind has made it."""
        if self._api is None:
            self._api = Api.from_kubeconfig(self.kubeconfig)
        return self._api

    @property
    def pristine(self) -> Inventory:
        """Return everything the cluster held when it was made."""
        if self._pristine is None:
            raise ValueError(f"{self.name} was not created yet")
        return self._pristine

    def create(self, config_file: str | Path | None = None) -> None:
        """Make the cluster and wait until it has settled; `config_file` replaces the machine's configuration.

        Raises `BadInput` where someone else has a cluster of that name, which is left alone; `MachineLacks` where
        the engine, its disk or a port is not to be had; `CommandFailed` and `NotReached` for other failures.
        """
        started = time.monotonic()
        self._refuse_a_foreign_one()
        self.journal.record(CLUSTER, self.name, kubeconfig=self.kubeconfig, pristine=self.pristine_file,
                            commands=self.runner.record)  # fmt: skip
        config = Path(config_file) if config_file else self.configuration()
        log.info("creating cluster %s", self.name)
        preload()
        if lack := inotify_exhausted():
            log.warning("cluster %s may fail: %s", self.name, lack)
        try:
            # A failed one is retained for the evidence, and deleted by who asked for it.
            self.runner.run(self.kind_path, "create", "cluster", "--name", self.name, "--image", self.image,
                            "--kubeconfig", self.kubeconfig, "--config", config, "--retain",
                            timeout=CREATE_SECONDS, env=proxy_exception(self.machine.registry))  # fmt: skip
            made = time.monotonic() - started
            with ThreadPoolExecutor(2) as beside:
                pulled = beside.submit(self._pull_images)
                kept_inside = beside.submit(self._keep_inside)
                self._pristine = settle(self.api)
                kept_inside.result()
                pulled.result()
        except ConformanceError as error:
            if lack := inotify_exhausted():
                raise MachineLacks(f"cluster {self.name} cannot be made: {lack}") from error
            if isinstance(error, CommandFailed) and (explained := _explained(error)) is not error:
                raise explained from error
            raise
        self.pristine_file.touch(0o600)
        self.pristine_file.write_text(json.dumps(list(self._pristine.values())))
        self.journal.made(CLUSTER, self.name)
        log.info(
            "cluster %s was made in %.1f s and settled after %.1f s", self.name, made, time.monotonic() - started
        )

    def _pull_images(self) -> None:
        """Pull images into the node while the cluster settles; one that cannot be had is the kubelet's to tell."""
        if not self._images:
            return
        started = time.monotonic()
        node = f"{self.name}-control-plane"
        done = self.runner.run(
            "docker", "exec", node, "sh", "-c", PULL, "sh", *self._images, timeout=CREATE_SECONDS
        )
        for image in done.stdout.split():
            log.info("%s could not be pulled beforehand", image)
        log.info("%d images were in cluster %s after another %.1f s", len(self._images), self.name,
                 time.monotonic() - started)  # fmt: skip

    def _keep_inside(self) -> None:
        """Let calls to pods and Services that are gone end in the node: the default route leads out of it."""
        self.runner.run(
            "docker", "exec", f"{self.name}-control-plane", "sh", "-ec", KEEP_INSIDE, timeout=COMMAND_SECONDS
        )

    def reset(self) -> None:
        """Bring the cluster back to pristine and verify it; raises `NotPristine` where it has to be replaced."""
        started = time.monotonic()
        restore(self.api, self.pristine)
        log.info("cluster %s is pristine again after %.1f s", self.name, time.monotonic() - started)

    def shared_folder(self, name: str) -> tuple[Path, str]:
        """Return a folder that the node sees, read-only, empty at first: its place here and its place there."""
        folder = Path(self.path) / "mark" / name
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        folder.chmod(0o755)
        return folder, f"{_MARK}/{name}"

    def delete(self) -> None:
        """Remove the cluster, in whatever state it is, with its private files."""
        if self._api is not None:
            self._api.close()
            self._api = None
        remove_cluster(self.machine.engine, self.journal, self.name)
        self.journal.done(CLUSTER, self.name)
        shutil.rmtree(self.path, ignore_errors=True)

    def keep(self) -> str:
        """Leave the cluster for a person until `clean`; return how to look inside."""
        self.journal.keep(CLUSTER, self.name)
        return (
            f"cluster {self.name} is kept until `agents-conformance clean`; look inside with\n"
            f"  export KUBECONFIG={self.kubeconfig}\n"
            f"  {self.kubectl_path} get all --all-namespaces\n"
            f"  docker exec -it {self.name}-control-plane bash"
        )

    def kubectl(self, *args: str, timeout: float = COMMAND_SECONDS) -> str:
        """Run kubectl against the cluster and return what it said. Raises `CommandFailed`."""
        return self.runner.run(self.kubectl_path, *args, env={"KUBECONFIG": str(self.kubeconfig)},
                               timeout=timeout).stdout  # fmt: skip

    def load_docker_image(self, docker_image: str) -> None:
        """Copy an image from the engine into the node. Raises `CommandFailed`."""
        self.runner.run(self.kind_path, "load", "docker-image", "--name", self.name, docker_image,
                        timeout=CREATE_SECONDS)  # fmt: skip

    def port_forward(self, *_: object, **__: object) -> NoReturn:
        """Refuse: the inherited one runs an unrecorded command; calls are made from inside the cluster."""
        raise NotImplementedError("see conformance.observe.availability for calls to Services")

    def ensure_kind(self) -> None:
        """Do nothing: the machine has been provisioned, and nothing is downloaded."""

    def ensure_kubectl(self) -> None:
        """Do nothing, as `ensure_kind`."""

    def _refuse_a_foreign_one(self) -> None:
        nodes = containers.nodes(self.machine.engine, self.name)
        if foreign := [node.name for node in nodes if not node.mounts_from(self.journal.folder)]:
            raise BadInput(
                f"cluster {self.name}: expected no kind cluster of that name, seen one that this run did not make "
                f"({', '.join(foreign)}); it is left alone, delete or rename it"
            )
        containers.remove(self.machine.engine, nodes)

    def configuration(self) -> Path:
        """Return the file with the configuration that kind makes this cluster by."""
        config = kind_config(self.machine.node, self.machine.engine, self.machine.registry)
        mark = Path(self.path) / "mark"
        mark.mkdir(exist_ok=True)
        for name, patch in _PATCHES.items():
            (mark / name).write_text(yaml.safe_dump(patch))
        mount = {"hostPath": str(mark), "containerPath": _MARK, "readOnly": True}
        for node in config["nodes"]:
            node["extraMounts"] = [*node.get("extraMounts", ()), mount]
        patches = yaml.safe_dump({"kind": "InitConfiguration", "patches": {"directory": _MARK}})
        config["kubeadmConfigPatches"] = [*config.get("kubeadmConfigPatches", ()), patches]
        file = Path(self.path) / "kind.yaml"
        file.write_text(yaml.safe_dump(config))
        return file


def _explained(error: CommandFailed) -> ConformanceError:
    if re.search(r"port is already allocated|address already in use|failed to bind host port", str(error)):
        return MachineLacks(f"a port that the cluster needs is in use; end what listens there: {error}")
    if re.search(r"No such image|pull access denied|failed to pull image", str(error)):
        return MachineLacks(
            f"the node image is gone from the engine; `agents-conformance provision` mends it: {error}"
        )
    return containers.explained(error)
