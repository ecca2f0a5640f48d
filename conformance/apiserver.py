"""The life of an API server without nodes: etcd and kube-apiserver as plain processes on loopback.

It runs no pods. Measured on two processors: it answers 0.9 s after `start`, 2.9 s with everything at its default.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import secrets
import ssl
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from conformance.api import Api, ApiRefusal, ApiUnreachable
from conformance.errors import MachineLacks
from conformance.loopback import free_port
from conformance.redact import REDACTOR
from conformance.run import Runner, end_group

#: Seconds until the judge must answer; it takes one, and ten on a machine that does much else.
READY_SECONDS = 60.0
#: Another process may take a free port before the server listens on it: how often to choose anew.
_PORTS = 5

#: What needs other objects first, or controllers, or nodes: a pod alone is judged without them.
_NO_ADMISSION = "ServiceAccount,Priority,RuntimeClass"
#: Ready only a second later, and not needed: priority classes are not looked up.
_NOT_AWAITED = "poststarthook/scheduling/bootstrap-system-priority-classes"
_CERTIFICATE = "certificates/apiserver.crt"
_KEY = "certificates/apiserver.key"

_Process = tuple[str, subprocess.Popen[bytes]]


class ApiServer:
    """One API server without nodes. `folder` is an empty, private folder of the suite's own.

    `start` returns at once; who asks for `api` waits until the server answers. It dies with this process.
    """

    def __init__(self, etcd: Path, kube_apiserver: Path, runner: Runner, folder: Path) -> None:
        self._programs = {"etcd": etcd, "kube-apiserver": kube_apiserver}
        self._runner, self._folder = runner, folder
        self._answers = threading.Event()
        self._closing = threading.Event()
        self._thread: threading.Thread | None = None
        self._starting = threading.Lock()
        self._api: Api | None = None
        self._failure: Exception | None = None

    def start(self) -> None:
        """Begin to start, if nobody has, and return at once."""
        with self._starting:
            if self._thread is None:
                # The processes are killed when the thread that made them ends, so one thread keeps them for life.
                self._thread = threading.Thread(target=self._live, name="judge", daemon=True)
                self._thread.start()

    def close(self) -> None:
        """Kill both processes and wait for their end."""
        self._closing.set()
        if self._thread is not None:
            self._thread.join()

    @property
    def api(self) -> Api:
        """Return the API server, once it is ready.

        Raises `MachineLacks` with the log's last words when it does not start within `READY_SECONDS`.
        """
        self.start()
        self._answers.wait()
        if self._api is None:
            raise self._failure or MachineLacks("the judge is closed")
        return self._api

    def _live(self) -> None:
        try:
            with self._etcd() as etcd, self._apiserver(etcd) as api:
                self._api = api
                self._answers.set()
                self._closing.wait()
        except Exception as error:  # whoever asks is told
            self._failure = error
        finally:
            self._api = None
            self._answers.set()

    @contextlib.contextmanager
    def _process(self, name: str, *argv: str | Path, **environment: str) -> Iterator[_Process]:
        process = self._runner.start(
            self._programs[name], *argv, output=self._log_of(name), env=environment, cwd=self._folder
        )
        try:
            yield name, process
        finally:
            end_group(process.pid)
            process.wait()

    @contextlib.contextmanager
    def _etcd(self) -> Iterator[_Process]:
        # Sockets in the private folder: no port to clash with, and nobody else can write to it. Relative names,
        # because a socket's path may have only 107 characters; etcd wants a port number in any peer address.
        client, peer = "unix://client:1", "unix://peer:1"
        (self._folder / "certificates").mkdir(mode=0o700)
        argv = [
            "--data-dir", "etcd", "--unsafe-no-fsync", "--heartbeat-interval", "10", "--election-timeout", "50",
            "--listen-client-urls", client, "--advertise-client-urls", client, "--listen-peer-urls", peer,
            "--initial-advertise-peer-urls", peer, "--initial-cluster", f"default={peer}",
        ]  # fmt: skip
        with self._process("etcd", *argv) as process:
            self._wait([process], (self._folder / "client:1").is_socket)
            yield process

    @contextlib.contextmanager
    def _apiserver(self, etcd: _Process) -> Iterator[Api]:
        token = secrets.token_hex(16)
        REDACTOR.add(token)
        tokens, certificate = self._folder / "tokens", self._folder / _CERTIFICATE
        tokens.touch(mode=0o600)
        tokens.write_text(f"{token},judge,judge,system:masters\n")
        for attempt in range(1, _PORTS + 1):
            with contextlib.ExitStack() as stack:
                port = free_port()
                server = stack.enter_context(self._process(
                    "kube-apiserver",
                    "--etcd-servers", "unix://client:1", "--bind-address", "127.0.0.1", "--secure-port", str(port),
                    # The server makes a key for its certificate before it reads the one it signs tokens with.
                    "--cert-dir", "certificates", "--service-account-issuer", "https://judge.invalid",
                    "--service-account-key-file", _KEY, "--service-account-signing-key-file", _KEY,
                    "--service-cluster-ip-range", "10.96.0.0/16", "--token-auth-file", tokens,
                    "--anonymous-auth=false", "--authorization-mode", "AlwaysAllow",
                    "--disable-admission-plugins", _NO_ADMISSION, "--enable-priority-and-fairness=false",
                    "--watch-cache=false", "--etcd-compaction-interval", "0",
                    GOGC="400",  # it collects garbage for a third of its first second otherwise
                ))  # fmt: skip
                try:
                    self._wait([server, etcd], lambda: "BEGIN CERT" in _text(certificate))
                    api = stack.enter_context(contextlib.closing(_client(port, token, certificate)))
                    self._wait([server, etcd], functools.partial(_ready, api))
                except MachineLacks as error:
                    if attempt < _PORTS and "address already in use" in str(error):
                        continue
                    raise
                yield api
                return

    def _wait(self, processes: list[_Process], happened: Callable[[], bool]) -> None:
        ends = time.monotonic() + READY_SECONDS
        while not happened():
            for name, process in processes:
                if (status := process.poll()) is not None:
                    raise MachineLacks(f"the judge's {name} ended with status {status}: {self._last_words(name)}")
            if self._closing.is_set():
                raise MachineLacks("the judge was closed before it was ready")
            if time.monotonic() > ends:
                words = self._last_words("kube-apiserver")
                raise MachineLacks(f"the judge did not answer within {READY_SECONDS:.0f} s: {words}")
            time.sleep(0.005)

    def _log_of(self, name: str) -> Path:
        return self._folder / f"{name}.log"

    def _last_words(self, name: str) -> str:
        lines = [line for line in _text(self._log_of(name)).splitlines() if line.strip()]
        telling = [line for line in lines if line.startswith(("E", "F", "Error", "panic")) or '"fatal"' in line]
        return REDACTOR.scrub(" ".join((telling or lines or ["it said nothing"])[-1].split()))[-400:]


def _client(port: int, token: str, certificate: Path) -> Api:
    """Return a client that takes this very certificate and no other: the port may be somebody else's by now."""
    der = ssl.PEM_cert_to_DER_cert(_text(certificate).partition("-----END CERTIFICATE-----")[0].strip()
                                   + "\n-----END CERTIFICATE-----\n")  # fmt: skip
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # its own knows no authorities: to read them takes long
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return Api(f"https://127.0.0.1:{port}", headers={"Authorization": f"Bearer {token}"}, ssl_context=context,
               cert_reqs="CERT_NONE", assert_fingerprint=hashlib.sha256(der).hexdigest())  # fmt: skip


def _ready(api: Api) -> bool:
    try:
        api.read("GET", "/readyz", query={"exclude": _NOT_AWAITED}, timeout=5.0)
    except (ApiRefusal, ApiUnreachable):
        return False
    return True


def _text(file: Path) -> str:
    try:
        return file.read_text(errors="replace")
    except OSError:
        return ""
