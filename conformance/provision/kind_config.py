"""The configuration of a kind cluster for this machine and node image: nothing is patched without need."""

from __future__ import annotations

import os
from typing import Any

import yaml

from conformance.provision.engine import Engine
from conformance.provision.node_image import NodeImage
from conformance.provision.registry import Registry

CONTAINERD = 'plugins."io.containerd.grpc.v1.cri"'
#: Where containerd looks for how to reach a registry.
CERTS = "/etc/containerd/certs.d"


def kind_config(node: NodeImage, engine: Engine, registry: Registry) -> dict[str, Any]:
    """Return the kind configuration of a one-node cluster that pulls from the local registry.

    Only an image of ours brings its own network; only an engine without CAP_SYS_RESOURCE keeps containerd from
    lowering OOM scores; only on cgroup v1 has the kubelet to be told that it will do.
    """
    containerd = [f'[{CONTAINERD}.registry]\n  config_path = "{CERTS}"\n']
    if engine.bounded:
        containerd.append(f"[{CONTAINERD}]\n  restrict_oom_score_adj = true\n")
    mount = {"hostPath": str(registry.hosts), "containerPath": CERTS, "readOnly": True}
    config: dict[str, Any] = {
        "kind": "Cluster",
        "apiVersion": "kind.x-k8s.io/v1alpha4",
        "nodes": [{"role": "control-plane", "image": node.reference, "extraMounts": [mount]}],
        "containerdConfigPatches": containerd,
    }
    if node.built:
        config["networking"] = {"disableDefaultCNI": True}
    if engine.cgroup == 1:
        kubelet = {"kind": "KubeletConfiguration", "failCgroupV1": False}
        config["kubeadmConfigPatches"] = [yaml.safe_dump(kubelet)]
    return config


def proxy_exception(registry: Registry) -> dict[str, str]:
    """Return the environment in which kind's nodes reach the local registry though the caller has a proxy.

    kind hands the caller's proxy on to them, so that they can pull what only it reaches.
    """
    names = ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy")
    if not any(os.environ.get(name) for name in names):
        return {}
    callers = os.environ.get("NO_PROXY") or os.environ.get("no_proxy")
    own = ",".join(filter(None, [callers, registry.pull.partition(":")[0]]))
    return {"NO_PROXY": own, "no_proxy": own}
