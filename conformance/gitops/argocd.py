"""Argo CD in a cluster: its core install, in the suite's own namespace, and the git server it reads from."""

from __future__ import annotations

import base64
import logging
import secrets
import time
from collections.abc import Iterator
from typing import Any

import yaml

from conformance.api import Api
from conformance.errors import Incomplete
from conformance.git_settings import as_environment
from conformance.manifests import Body, Manifest, ObjectKey
from conformance.observe.deadlines import DEADLINES, Deadlines
from conformance.observe.ready import wait_until_ready
from conformance.observe.wait import NotReached
from conformance.provision import ArgoCd
from conformance.redact import REDACTOR

log = logging.getLogger(__name__)

GIT = "git"
GIT_PORT = 9418
#: The parts of the core install that a single Application does without.
_LEFT_OUT = (
    "argocd-applicationset-controller",
    "argocd-notifications-controller",
    "applicationsets.argoproj.io",
)
_LEFT_OUT_KINDS = ("NetworkPolicy",)
#: Nothing in a cluster of the suite's gives an Ingress an address, and Helm does not wait for one either.
_HEALTHY_WITHOUT_ADDRESS = {
    "resource.customizations.health.networking.k8s.io_Ingress": 'return {status = "Healthy"}',
}
#: Where the pod that serves git has the node's folder.
_SERVED = "/srv/git"
#: What git asks for before it serves what another user owns.
_TRUSTING = as_environment({"safe.directory": "*"})


class Controller:
    """Argo CD in one cluster. `start` returns at once, `ready` waits; `made` are its objects.

    `served` is the folder of the node, with repositories in it, that is served to the cluster's pods.
    """

    def __init__(
        self, api: Api, argocd: ArgoCd, *, namespace: str, served: str, deadlines: Deadlines = DEADLINES
    ) -> None:
        self._api, self._deadlines, self.namespace = api, deadlines, namespace
        self._bodies = [*_core_install(argocd, namespace), *_git_server(argocd.image, namespace, served)]
        self.made = frozenset(ObjectKey.of(body) for body in self._bodies)
        self._started = 0.0

    def url(self, repository: str) -> str:
        """Return the URL by which pods reach a repository of the served folder."""
        return f"git://{GIT}.{self.namespace}.svc:{GIT_PORT}/{repository}"

    def start(self) -> None:
        """Make the objects, in a namespace that exists, and return at once."""
        self._started = time.monotonic()
        definitions = [body for body in self._bodies if body["kind"] == "CustomResourceDefinition"]
        rest = [body for body in self._bodies if body["kind"] != "CustomResourceDefinition"]
        for body in [*definitions, *rest]:
            self._api.create(body)

    def ready(self) -> None:
        """Return once every part runs. Raises `Incomplete`: what the suite itself runs is no fault of a chart."""
        try:
            for body in _project(self.namespace):
                self._api.create(body)
            workloads = [Manifest(body) for body in self._bodies if body["kind"] in {"Deployment", "StatefulSet"}]
            wait_until_ready(self._api, workloads, deadline=self._deadlines.argocd_ready)
        except NotReached as error:
            raise Incomplete(f"the suite's Argo CD does not run: {error}") from error
        log.info("Argo CD was ready after %.1f s", time.monotonic() - self._started)

    def stop(self) -> None:
        """End it at once, so that it does not heal what is being taken away. What is gone already is no error."""
        for body in self._bodies:
            if body["kind"] in {"Deployment", "StatefulSet"}:
                metadata, resource = body["metadata"], self._api.resource_of(body)
                self._api.delete(resource, metadata["namespace"], metadata["name"], propagationPolicy="Background")
        pods = self._api.resource("", "Pod")
        for pod in self._api.list(pods, self.namespace)["items"]:
            self._api.delete(pods, self.namespace, pod["metadata"]["name"], gracePeriodSeconds="0")


def _core_install(argocd: ArgoCd, namespace: str) -> Iterator[Body]:
    """Yield Argo CD's own core install, fitted to one node, one namespace and images that are there."""
    password = secrets.token_hex(16)
    REDACTOR.add(password)
    extra = {
        "argocd-cm": {"kustomize.buildOptions": "--enable-helm", **_HEALTHY_WITHOUT_ADDRESS},
        "argocd-secret": {"server.secretkey": secrets.token_hex(16)},
    }
    yield _secret("argocd-redis", {"auth": password}, namespace)
    for body in yaml.load_all(argocd.manifests.read_text(encoding="utf-8"), yaml.CSafeLoader):
        if not body or body["kind"] in _LEFT_OUT_KINDS or body["metadata"]["name"] in _LEFT_OUT:
            continue
        if body["kind"] not in {"CustomResourceDefinition", "ClusterRole", "ClusterRoleBinding"}:
            body["metadata"]["namespace"] = namespace
        for subject in body.get("subjects") or ():
            subject["namespace"] = namespace
        if values := extra.get(body["metadata"]["name"]):
            field = "stringData" if body["kind"] == "Secret" else "data"
            body[field] = {**(body.get(field) or {}), **values}
        if body["kind"] in {"Deployment", "StatefulSet"}:
            _fit(body["spec"]["template"]["spec"], argocd)
        yield body


def _fit(pod: dict[str, Any], argocd: ArgoCd) -> None:
    """Run a pod of Argo CD's from our images, without what takes it seconds to start."""
    # They copy a program for plugins, and make a password that is given here.
    pod.pop("initContainers", None)
    pod.pop("affinity", None)
    for container in pod["containers"]:
        is_redis = container["name"] == "redis"
        container["image"] = argocd.redis if is_redis else argocd.image
        container["imagePullPolicy"] = "IfNotPresent"
        if is_redis:
            container["command"] = ["redis-server"]
        else:
            container["command"], container["args"] = container["args"][:1], container["args"][1:]
            container["env"] = [*container.get("env", ()), {"name": "ARGOCD_GPG_ENABLED", "value": "false"}]
        container.pop("livenessProbe", None)
        if probe := container.get("readinessProbe"):
            probe |= {"initialDelaySeconds": 0, "periodSeconds": 1, "failureThreshold": 30}


def _project(namespace: str) -> Iterator[Body]:
    anything = [{"group": "*", "kind": "*"}]
    yield {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "AppProject",
        "metadata": {"name": "default", "namespace": namespace},
        "spec": {
            "sourceRepos": ["*"],
            "destinations": [{"namespace": "*", "server": "*"}],
            "clusterResourceWhitelist": anything,
        },
    }


def _git_server(image: str, namespace: str, served: str) -> Iterator[Body]:
    """Yield a git server, read-only, for what the machine wrote into the node's folder."""
    labels = {"app.kubernetes.io/name": GIT, "app.kubernetes.io/part-of": "agents-conformance"}
    metadata = {"name": GIT, "namespace": namespace, "labels": labels}
    command = ["git", "daemon", f"--base-path={_SERVED}", "--export-all", "--reuseaddr", f"--port={GIT_PORT}"]
    container = {
        "name": GIT,
        "image": image,
        "command": command,
        "env": [{"name": name, "value": value} for name, value in {**_TRUSTING, "HOME": "/tmp"}.items()],  # noqa: S108
        "ports": [{"containerPort": GIT_PORT}],
        "readinessProbe": {"tcpSocket": {"port": GIT_PORT}, "periodSeconds": 1},
        "volumeMounts": [{"name": GIT, "mountPath": _SERVED, "readOnly": True}],
        "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
    }
    spec = {
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": 0,
        "securityContext": {"runAsNonRoot": True, "runAsUser": 999, "runAsGroup": 999},
        "containers": [container],
        "volumes": [{"name": GIT, "hostPath": {"path": served, "type": "Directory"}}],
    }
    template = {"metadata": {"labels": labels}, "spec": spec}
    yield {"apiVersion": "v1", "kind": "Service", "metadata": metadata,
           "spec": {"selector": labels, "ports": [{"port": GIT_PORT}]}}  # fmt: skip
    yield {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata,
           "spec": {"selector": {"matchLabels": labels}, "template": template}}  # fmt: skip


def _secret(name: str, data: dict[str, str], namespace: str) -> Body:
    encoded = {key: base64.b64encode(value.encode()).decode() for key, value in data.items()}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name, "namespace": namespace},
            "data": encoded}  # fmt: skip
