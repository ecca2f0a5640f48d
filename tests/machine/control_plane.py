"""An API server that can be killed and started again on the same port, its etcd living on."""

from __future__ import annotations

import json
import subprocess
import time
from pathlib import Path

from conformance.api import Api, ApiRefusal, ApiUnreachable
from conformance.judge import JudgeBinaries
from conformance.loopback import free_port
from conformance.observe.deadlines import DEADLINES
from conformance.observe.wait import wait_for_one
from conformance.run import Runner, end_group

_PKI = "certificates/apiserver"
_TOKEN = "restarted"


class ControlPlane:
    """etcd and kube-apiserver as plain processes, started by the calling thread and no other."""

    def __init__(self, binaries: JudgeBinaries, runner: Runner, folder: Path) -> None:
        self._binaries, self._runner, self._folder = binaries, runner, folder
        self._server: subprocess.Popen[bytes] | None = None
        self._port = free_port()
        (folder / "certificates").mkdir()
        (folder / "tokens").write_text(f"{_TOKEN},admin,admin,system:masters\n")
        self._etcd = runner.start(
            binaries.etcd, "--data-dir", "etcd", "--unsafe-no-fsync", "--listen-client-urls", "unix://client:1",
            "--advertise-client-urls", "unix://client:1", "--listen-peer-urls", "unix://peer:1",
            "--initial-advertise-peer-urls", "unix://peer:1", "--initial-cluster", "default=unix://peer:1",
            output=folder / "etcd.log", cwd=folder,
        )  # fmt: skip
        self.api = self.client()

    def client(self) -> Api:
        """Return a new client of the server, whether it runs or not."""
        headers = {"Authorization": f"Bearer {_TOKEN}"}
        return Api(f"https://127.0.0.1:{self._port}", headers=headers, ca_certs=str(self._folder / f"{_PKI}.crt"))

    @property
    def kubeconfig(self) -> Path:
        """Return a kubeconfig for Helm."""
        file = self._folder / "kubeconfig"
        cluster = {"server": f"https://127.0.0.1:{self._port}", "insecure-skip-tls-verify": True}
        file.write_text(json.dumps({
            "apiVersion": "v1", "kind": "Config", "current-context": "x",
            "clusters": [{"name": "x", "cluster": cluster}], "users": [{"name": "x", "user": {"token": _TOKEN}}],
            "contexts": [{"name": "x", "context": {"cluster": "x", "user": "x"}}],
        }))  # fmt: skip
        return file

    def start(self) -> ControlPlane:
        """Start the API server and wait until it is ready."""
        self._server = self._runner.start(
            self._binaries.kube_apiserver, "--etcd-servers", "unix://client:1", "--bind-address", "127.0.0.1",
            "--secure-port", str(self._port), "--cert-dir", "certificates", "--authorization-mode", "AlwaysAllow",
            "--service-account-issuer", "https://test.invalid", "--service-account-key-file", f"{_PKI}.key",
            "--service-account-signing-key-file", f"{_PKI}.key", "--service-cluster-ip-range", "10.96.0.0/16",
            "--token-auth-file", "tokens", "--disable-admission-plugins", "ServiceAccount",
            output=self._folder / "apiserver.log", cwd=self._folder,
        )  # fmt: skip
        end = time.monotonic() + 60
        while time.monotonic() < end:
            try:
                self.api.read("GET", "/readyz", timeout=5)
            except (ApiRefusal, ApiUnreachable):
                time.sleep(0.05)
            else:
                self._wait_for_its_own_service()
                return self
        raise AssertionError((self._folder / "apiserver.log").read_text()[-2000:])

    def _wait_for_its_own_service(self) -> None:
        """Wait until nothing more is made by the server itself."""
        services = self.api.resource("", "Service")
        wait_for_one(
            self.api, services, "kubernetes", lambda found: None if found else "its own Service is missing",
            namespace="default", deadline=DEADLINES.object_there,
        )  # fmt: skip

    def stop(self) -> None:
        """Kill the API server; etcd lives on."""
        if self._server is not None:
            end_group(self._server.pid)
            self._server.wait()
            self._server = None

    def close(self) -> None:
        self.stop()
        end_group(self._etcd.pid)
        self._etcd.wait()
