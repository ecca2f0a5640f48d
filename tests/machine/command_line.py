"""The real command line as its users meet it: a process of its own, in folders where all that is left is seen."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from conformance import paths

#: What progress looks like on standard error.
_PROGRESS = re.compile(r" *\d+\.\d s  ")

#: A chart of one file, and the contract that goes with it.
CHART = "apiVersion: v2\nname: mine\nversion: 1.0.0\n"
DEPLOYMENT = """\
apiVersion: apps/v1
kind: Deployment
metadata: {name: mine, namespace: {{ .Release.Namespace }}}
spec:
  selector: {matchLabels: {app: mine}}
  template:
    metadata: {labels: {app: mine}}
    spec: {containers: [{name: server, image: "registry.invalid/server:1"}]}
"""
CONTRACT = """\
apiVersion: conformance/v1
release: {name: mine, namespace: mine}
workloads:
  - {name: mine, kind: Deployment, role: web, container: server}
absent:
  - {need: crds, reason: the chart has none}
"""


@dataclass(frozen=True)
class Said:
    """How the command line ended, and what it said."""

    status: int
    stdout: str
    stderr: str

    @property
    def errors(self) -> list[str]:
        """Return the lines on standard error that are no progress."""
        return [line for line in self.stderr.splitlines() if not _PROGRESS.match(line)]


@dataclass(frozen=True)
class CommandLine:
    """A caller in the folder `here`, whose temporary and state folders are below `root` and otherwise empty."""

    root: Path
    environment: Mapping[str, str] = field(default_factory=dict)

    @property
    def here(self) -> Path:
        return self.root / "here"

    @property
    def _private(self) -> dict[str, str]:
        return {"TMPDIR": str(self.root / "tmp"), "XDG_STATE_HOME": str(self.root / "state")}

    def start(self, *words: str | Path) -> subprocess.Popen[str]:
        """Start the command line in a process group of its own, as a shell does; `words` are its arguments."""
        for folder in ("here", "tmp", "state"):
            (self.root / folder).mkdir(parents=True, exist_ok=True)
        environment = {
            **os.environ, "XDG_CACHE_HOME": str(paths.cache().parent), **self._private, **self.environment
        }  # fmt: skip
        return subprocess.Popen(
            [sys.executable, "-m", "conformance", *map(str, words)], cwd=self.here, env=environment, text=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, process_group=0,
        )  # fmt: skip

    def run(self, *words: str | Path, seconds: float = 120.0) -> Said:
        """Run the command line to its end."""
        return ended(self.start(*words), seconds)

    def left(self) -> list[Path]:
        """Return every file and folder that is left in the three folders."""
        return sorted(path for folder in ("here", "tmp", "state") for path in (self.root / folder).rglob("*"))

    def processes(self) -> list[str]:
        """Return the command lines of what still runs of all that was started here."""
        return [" ".join(process.cmdline()) for process in self._running()]

    def _running(self) -> Iterator[psutil.Process]:
        for process in psutil.process_iter():
            try:
                if process.environ().get("TMPDIR") == self._private["TMPDIR"]:
                    yield process
            except psutil.Error:
                continue


def ended(process: subprocess.Popen[str], seconds: float) -> Said:
    """Wait for the end of a command line; one that does not end is killed with all it started, and a failure."""
    try:
        stdout, stderr = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        stdout, stderr = process.communicate()
        raise AssertionError(f"it did not end within {seconds:.0f} s:\n{stdout}\n{stderr}") from None
    return Said(process.returncode, stdout, stderr)


def until(happened, what: str, seconds: float = 180.0) -> None:
    """Wait until something happened; a failure names it."""
    end = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < end, f"waited {seconds:.0f} s for {what}"
        time.sleep(0.05)


def write_chart(folder: Path, files: Mapping[str, str] | None = None) -> Path:
    """Write the small chart into a new folder, with further or other files, and return the folder."""
    for name, text in {"Chart.yaml": CHART, "templates/deployment.yaml": DEPLOYMENT, **(files or {})}.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder
