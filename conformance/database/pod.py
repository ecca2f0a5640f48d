"""The objects that are the server: a pod, its Service, and the Secret with its passwords."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from conformance.manifests import Body

NAME = "postgres"
PORT = 5432
#: The number that the official image and ours give the user `postgres`.
USER = 999
#: Where psql in the pod finds the server.
SOCKET = "/tmp"  # noqa: S108 - in the pod
START = Path(__file__).with_name("start.sh")

_LABELS = {"app.kubernetes.io/name": NAME, "app.kubernetes.io/part-of": "agents-conformance"}


def secret(passwords: Mapping[str, str]) -> Body:
    """Return the Secret with the passwords, by the name of the variable that the server's start reads."""
    return {"apiVersion": "v1", "kind": "Secret", "metadata": _metadata(), "stringData": dict(passwords)}


def service() -> Body:
    """Return the Service. It leads to the pod before that is ready, so that nobody waits for kube-proxy then."""
    spec = {"selector": _LABELS, "ports": [{"port": PORT}], "publishNotReadyAddresses": True}
    return {"apiVersion": "v1", "kind": "Service", "metadata": _metadata(), "spec": spec}


def pod(image: str, host: str, *, tls_only: bool) -> Body:
    """Return the pod that runs `image` (by digest) and is known to its certificate as `host`."""
    container = {
        "name": NAME,
        "image": image,
        "command": ["sh", "-c", START.read_text(encoding="utf-8")],
        "env": [{"name": "HOST", "value": host}, {"name": "LISTEN", "value": "hostssl" if tls_only else "host"}],
        "envFrom": [{"secretRef": {"name": NAME}}],
        "ports": [{"containerPort": PORT}],
        # Asked until it answers, and never again: each call starts a process in the node.
        "startupProbe": {
            "exec": {"command": ["pg_isready", "--quiet", f"--host={SOCKET}"]},
            "periodSeconds": 1,
            "timeoutSeconds": 5,
            "failureThreshold": 600,
        },
        "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
    }
    spec = {
        "restartPolicy": "Never",  # its data would be gone without a word
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": USER,
            "runAsGroup": USER,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [container],
    }
    return {"apiVersion": "v1", "kind": "Pod", "metadata": _metadata(), "spec": spec}


def _metadata() -> Body:
    return {"name": NAME, "labels": _LABELS}
