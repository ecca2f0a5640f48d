"""The one process runner: every external command goes through here, is timed, bounded and recorded.

A command sees a small environment of the suite's own making and an empty home, so that the caller's
kubeconfig, Helm settings and registry logins are neither read nor changed. It ends when the suite ends.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import json
import logging
import os
import shlex
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from conformance import interrupts
from conformance.errors import CommandFailed, MachineLacks
from conformance.redact import REDACTOR

log = logging.getLogger(__name__)

#: What a command inherits from the caller: how to find programs, reach the network and the container engine.
INHERITED = (
    "PATH", "TMPDIR", "USER", "LOGNAME", "DOCKER_HOST", "XDG_RUNTIME_DIR",
    "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy",
    "SSL_CERT_FILE", "SSL_CERT_DIR",
)  # fmt: skip

_libc = ctypes.CDLL(None, use_errno=True)
_PR_SET_PDEATHSIG = 1


def _end_with_parent(parent: int) -> None:
    if hasattr(_libc, "prctl"):
        _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:  # it had ended before the line above took effect
            os._exit(1)


@dataclass(frozen=True)
class Result:
    """One finished command. `environment` holds only what the suite set itself; `seconds` is wall time."""

    argv: tuple[str, ...]
    environment: Mapping[str, str]
    status: int
    stdout: str
    stderr: str
    seconds: float

    def __str__(self) -> str:
        """Return the command as a shell would take it, secrets redacted."""
        words = [f"{name}={shlex.quote(value)}" for name, value in self.environment.items()]
        return REDACTOR.scrub(" ".join([*words, shlex.join(self.argv)]))


@dataclass
class Runner:
    """Runs commands with a private home, and records each as one JSON line in `record`, if given.

    `environment` is set for every command of this runner; `home` should be an empty folder of the suite's own.
    """

    home: Path
    environment: Mapping[str, str] = field(default_factory=dict)
    record: Path | None = None
    _writing: threading.Lock = field(default_factory=threading.Lock, repr=False)
    _running: set[int] = field(default_factory=set, init=False, repr=False)

    def with_environment(self, **more: str) -> Runner:
        """Return a runner that sets more variables and records in the same file."""
        return Runner(self.home, {**self.environment, **more}, self.record, self._writing)

    def run(
        self,
        *argv: str | Path,
        timeout: float,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        stdin: str | bytes | None = None,
        check: bool = True,
        hide_output: bool = False,
    ) -> Result:
        """Run a command to its end, at most `timeout` seconds.

        `hide_output` records only the length of what it wrote to its standard output, for output that may hold
        values nobody has told the redactor of.

        Raises `CommandFailed` with the command's own last words when it fails and `check` is set, or when
        it outlives its deadline (its whole process group is then killed); `MachineLacks` when it does not exist.
        """
        words = tuple(map(str, argv))
        own = {**self.environment, **(env or {})}
        started = time.monotonic()
        data = stdin.encode() if isinstance(stdin, str) else stdin
        with self._spawn(words, own, cwd, stdin=subprocess.PIPE if data is not None else subprocess.DEVNULL,
                         stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:  # fmt: skip
            late = False
            self._running.add(process.pid)
            try:
                out, err = process.communicate(data, timeout=timeout)
            except subprocess.TimeoutExpired:
                late = True
                end_group(process.pid)
                out, err = process.communicate()
            except BaseException:
                end_group(process.pid)
                raise
            finally:
                self._running.discard(process.pid)
        result = Result(words, own, process.returncode, out.decode(errors="replace"),
                        err.decode(errors="replace"), time.monotonic() - started)  # fmt: skip
        self._write(result, hide_output=hide_output)
        if late:
            raise CommandFailed(f"{_short(words)} did not end within {timeout:.0f} s: {last_words(result)}")
        if check and result.status:
            raise CommandFailed(f"{_short(words)} ended with status {result.status}: {last_words(result)}")
        return result

    def signal(self, number: int) -> None:
        """Send a signal to the process group of every command that this runner runs, in whatever thread."""
        for pid in tuple(self._running):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(pid, number)

    def start(
        self, *argv: str | Path, output: Path, env: Mapping[str, str] | None = None, cwd: Path | None = None
    ) -> subprocess.Popen[bytes]:
        """Start a command that outlives this call, its output appended to a file; end it with `end_group`.

        It is killed when the calling thread's process ends: start it from a thread that lives as long.
        """
        words = tuple(map(str, argv))
        own = {**self.environment, **(env or {})}
        with output.open("ab") as sink:
            return self._spawn(words, own, cwd, stdin=subprocess.DEVNULL, stdout=sink, stderr=subprocess.STDOUT)

    def _spawn(
        self,
        words: Sequence[str],
        own: Mapping[str, str],
        cwd: Path | None,
        *,
        stdin: int,
        stdout: int | IO[bytes],
        stderr: int,
    ) -> subprocess.Popen[bytes]:
        inherited = {name: os.environ[name] for name in INHERITED if name in os.environ}
        environment = {**inherited, "HOME": str(self.home), "LANG": "C.UTF-8", **own}
        program = shutil.which(words[0], path=environment.get("PATH"))
        if program is None:
            raise MachineLacks(f"{words[0]}: command not found; `agents-conformance doctor` says what is missing")
        log.debug("run %s", _short(words))
        started: list[subprocess.Popen[bytes]] = []
        try:
            # Cut short in the middle of a fork, an interrupt would leave locks of Python's own locked for ever.
            with interrupts.finished():
                started.append(subprocess.Popen(
                    [program, *words[1:]],
                    env=environment,
                    cwd=cwd,
                    stdin=stdin,
                    stdout=stdout,
                    stderr=stderr,
                    start_new_session=True,
                    preexec_fn=functools.partial(_end_with_parent, os.getpid()),
                ))  # fmt: skip
        except BaseException:
            for process in started:
                end_group(process.pid)
                process.wait()
            raise
        return started[0]

    def _write(self, result: Result, *, hide_output: bool) -> None:
        if self.record is None:
            return
        scrub = REDACTOR.scrub
        shown = f"<{len(result.stdout)} characters>" if hide_output else scrub(result.stdout)[-20_000:]
        entry = {
            "command": [scrub(word) for word in result.argv],
            "environment": {name: scrub(value) for name, value in result.environment.items()},
            "status": result.status,
            "seconds": round(result.seconds, 3),
            "stdout": shown,
            "stderr": scrub(result.stderr)[-20_000:],
        }
        with self._writing, self.record.open("a") as sink:
            sink.write(json.dumps(entry, ensure_ascii=False) + "\n")


def end_group(pid: int) -> None:
    """Kill the process group that a started command leads; one that has ended is no error."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGKILL)


def last_words(result: Result, characters: int = 600) -> str:
    """Return the end of what a command said, on one line, for an error message."""
    said = result.stderr.strip() or result.stdout.strip() or "it said nothing"
    return REDACTOR.scrub(" ".join(said.split()))[-characters:]


def _short(words: Sequence[str]) -> str:
    return REDACTOR.scrub(shlex.join([Path(words[0]).name, *words[1:]]))[:200]
