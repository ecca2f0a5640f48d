"""The container engine: find a running Docker, or install and start one that is ours to end."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import struct
import sys
import urllib.parse
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from conformance import paths
from conformance.errors import MachineLacks
from conformance.provision import runc_bounded
from conformance.provision.debian import install
from conformance.provision.pins import pins
from conformance.provision.progress import step, until_there
from conformance.provision.store import remove_tree
from conformance.run import Result, Runner

#: Where Docker's command line looks when DOCKER_HOST names no other place.
SOCKET = "unix:///var/run/docker.sock"
#: The runtime of ours in Docker's configuration; it is the default one only where it is needed.
RUNTIME = "agents-conformance-bounded"
#: The capability that kind's privileged nodes ask for and that containers and small machines often lack.
NEEDED = "CAP_SYS_RESOURCE"
#: Seconds: an engine answers in milliseconds; a fresh one was up after 2 s, a busy machine takes longer.
ANSWER_SECONDS, START_SECONDS, STOP_SECONDS = 30.0, 90, 60.0


@dataclass(frozen=True)
class Engine:
    """A Docker that answers. `environment` is what docker and kind need to reach it and nothing of the caller's.

    `bounded` says that its containers cannot have CAP_SYS_RESOURCE; `cgroup` is 1 or 2; `runtime` is its default.
    """

    docker: Path
    version: str
    cgroup: int
    bounded: bool
    rootless: bool
    runtime: str
    environment: Mapping[str, str]
    runner: Runner = field(repr=False, compare=False)

    def __reduce__(self) -> tuple[Any, ...]:
        """Let worker processes have the engine: a runner's lock stays where it is."""
        values = {name: value for name, value in vars(self).items() if name != "runner"}
        return _engine, (values, self.runner.home, self.runner.environment, self.runner.record)

    def run(self, *words: str | Path, timeout: float = 120.0, check: bool = True) -> Result:
        """Run a docker command. Raises `CommandFailed`."""
        return self.runner.run(self.docker, *words, timeout=timeout, env=self.environment, check=check)

    def inspect(self, kind: str, name: str) -> dict[str, Any] | None:
        """Return what Docker says of an `image`, a `container` or a `network`, or None where there is none."""
        result = self.run(kind, "inspect", name, check=False)
        found = json.loads(result.stdout) if result.status == 0 else []
        return found[0] if found else None

    def digests(self, reference: str) -> dict[str, str]:
        """Return the digests by which an image that is here is known, by its repository's names."""
        said = self.inspect("image", reference) or {}
        found = (known_as.partition("@") for known_as in said.get("RepoDigests") or ())
        return {name: digest for name, _, digest in found}


def _engine(values: Mapping[str, Any], *runner: Any) -> Engine:  # noqa: ANN401
    return Engine(**values, runner=Runner(*runner))


def client_environment() -> dict[str, str]:
    """Return what keeps docker from the caller's logins and contexts, and where its engine is."""
    host = os.environ.get("DOCKER_HOST")
    return {"DOCKER_CONFIG": str(paths.state() / "docker"), **({"DOCKER_HOST": host} if host else {})}


def find(runner: Runner) -> Engine | None:
    """Return the engine that answers, ours or not; None where none does."""
    docker = shutil.which("docker")
    if docker is None:
        return None
    environment = client_environment()
    asked = runner.run(
        docker, "info", "--format", "{{json .}}", timeout=ANSWER_SECONDS, env=environment, check=False
    )
    info = json.loads(asked.stdout) if asked.stdout.startswith("{") else {}
    if asked.status or not info.get("ServerVersion"):
        return None
    return Engine(
        docker=Path(docker),
        version=info["ServerVersion"],
        cgroup=int(info.get("CgroupVersion") or 1),
        bounded=NEEDED not in _held(environment.get("DOCKER_HOST", SOCKET)),
        rootless=any("rootless" in option for option in info.get("SecurityOptions") or ()),
        runtime=str(info.get("DefaultRuntime", "runc")),
        environment=environment,
        runner=runner,
    )


def check(engine: Engine) -> None:
    """Raise `MachineLacks` where a running engine cannot run kind's privileged nodes, or not on this machine."""
    host = engine.environment.get("DOCKER_HOST", SOCKET)
    if urllib.parse.urlsplit(host).hostname not in (None, "localhost", "127.0.0.1"):
        raise MachineLacks(
            f"DOCKER_HOST is {host}: clusters and registry there cannot be reached from here; use an engine on "
            "this machine"
        )
    if engine.bounded and engine.runtime == "runc":
        raise MachineLacks(
            f"the running Docker lacks {NEEDED}, so it cannot start kind's privileged nodes; stop it, and "
            "`agents-conformance provision` starts one whose runtime asks for no more than this machine holds"
        )


def ensure(runner: Runner, *, install_engine: bool = True) -> Engine:
    """Return the engine that answers, or install (as root on Debian) and start one.

    Raises `MachineLacks`, saying what to install, where that is forbidden or not possible.
    """
    engine = find(runner)
    if engine is None:
        may_start(install_engine)
        if not all(shutil.which(name, path=_with_sbin()["PATH"]) for name in ("dockerd", "docker", "iptables")):
            install(runner, pins().packages["engine"])
            if shutil.which("docker") is None:
                install(runner, pins().packages["client"])
        engine = find(runner) or _start(runner)  # Debian's package may have started it
    check(engine)
    return engine


def stop(engine: Engine | None) -> list[str]:
    """End the engine that we started, remove its data and return what was removed; any other is left alone."""
    removed = []
    process = _ours()
    if process is not None:
        with step("stopping the container engine"):
            if engine:
                engine.run("network", "prune", "--force", check=False)  # else their bridges outlive it
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(STOP_SECONDS)
            except psutil.TimeoutExpired:
                process.kill()
                process.wait(STOP_SECONDS)
        removed.append(f"container engine (process {process.pid})")
    remove_tree(_data())
    remove_tree(_folder())
    return removed


def may_start(install_engine: bool) -> None:
    """Raise `MachineLacks`, saying what to install, where an engine must not be installed and started here."""
    if host := os.environ.get("DOCKER_HOST"):
        raise MachineLacks(
            f"DOCKER_HOST is {host}, where no container engine answers; start it, or unset DOCKER_HOST"
        )
    here = Path("/etc/debian_version").exists() and os.geteuid() == 0
    if not install_engine or not here:
        why = "installing one is forbidden by option" if here else "only root on Debian may install one by itself"
        raise MachineLacks(
            f"no container engine answers, and {why}; install Docker and start it (on Debian: apt-get install "
            f"{' '.join(pins().packages['engine'])}), or set DOCKER_HOST"
        )


def _start(runner: Runner) -> Engine:
    folder = _folder()
    folder.mkdir(parents=True, exist_ok=True)
    config: dict[str, Any] = {
        "data-root": str(_data()),
        "pidfile": str(folder / "pid"),
        "hosts": [SOCKET],
    }
    if NEEDED not in runc_bounded.bounding_set(Path("/proc/self/status").read_text()):
        config |= {"default-runtime": RUNTIME, "runtimes": {RUNTIME: {"path": str(_shim(folder))}}}
    (folder / "daemon.json").write_text(json.dumps(config, indent=2))
    (folder / "pid").unlink(missing_ok=True)  # of an engine that was killed; its number may be another's by now
    log = folder / "log"
    with step("starting a container engine"):
        # It outlives the run: setsid forks, which also ends its tie to the life of this process.
        command = 'exec setsid --fork dockerd --config-file "$0" >>"$1" 2>&1 </dev/null'
        runner.run("sh", "-c", command, folder / "daemon.json", log, timeout=ANSWER_SECONDS, env=_with_sbin())
        engine = until_there(lambda: find(runner), seconds=START_SECONDS, every=0.2)
    if engine is None:
        said = " ".join(log.read_text(errors="replace").splitlines()[-3:])[-600:]
        raise MachineLacks(
            f"the container engine did not answer {START_SECONDS} s after its start; {log} ends: {said}"
        )
    return engine


def _with_sbin() -> dict[str, str]:
    """Return a PATH on which dockerd finds iptables and runc, also where the caller's has no sbin."""
    return {"PATH": f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin:/usr/bin:/bin"}


def _shim(folder: Path) -> Path:
    """Write the runtime as a program that needs nothing of this Python environment, which may vanish."""
    # The interpreter behind a virtual environment, which the engine must not depend on.
    python = Path(getattr(sys, "_base_executable", sys.executable)).resolve()
    shim = folder / "runc-bounded"
    shim.write_text(f"#!{python} -IS\n{Path(runc_bounded.__file__).read_text()}")
    shim.chmod(0o755)
    return shim


def _held(host: str) -> set[str]:
    """Return the capabilities that the engine behind a local socket holds; all, where that cannot be known."""
    everything = {f"CAP_{name}" for name in runc_bounded.CAPABILITIES}
    if not host.startswith("unix://"):
        return everything
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as client:
        client.connect(host.removeprefix("unix://"))
        peer = client.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
        pid = struct.unpack("3i", peer)[0]
        if pid > 0:  # 0: it lives in another process namespace, whose /proc we do not see
            return runc_bounded.bounding_set(Path(f"/proc/{pid}/status").read_text())
    return everything


def _ours() -> psutil.Process | None:
    """Return the engine that we started, if it lives."""
    config = str(_folder() / "daemon.json")
    with contextlib.suppress(OSError, ValueError, psutil.Error):
        process = psutil.Process(int((_folder() / "pid").read_text()))
        if config in process.cmdline():
            return process
    return None


def _folder() -> Path:
    return paths.state() / "engine"


def _data() -> Path:
    return paths.cache() / "engine"
