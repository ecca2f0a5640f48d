"""Render charts with `helm template`: side by side, bounded, and each rendering only once.

A rendering is what one chart, values and tool produce, or why they produce nothing. Hooks belong to it and are
known by `Manifest.hooks`; CustomResourceDefinitions of `crds/` come first.
"""

from __future__ import annotations

import functools
import json
import signal
import threading
import time
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from conformance.errors import BadInput, CommandFailed
from conformance.kube_yaml import NotYaml, mapping, read
from conformance.manifests import Manifests, secret_values
from conformance.redact import REDACTOR
from conformance.refusal import Refusal
from conformance.run import Runner, last_words

#: Seconds one rendering may take; real charts take tenths.
RENDER_SECONDS = 30.0
#: Bytes one rendering may have, and Helm's memory; a loop in a template soon has more.
MOST_BYTES = 64 * 2**20
_MOST_MEMORY = 4 * 2**30
#: Renderings at a time: Helm spends its tenth of a second computing, on the two processors there are at least.
_SIDE_BY_SIDE = 2

#: The shell does what no parent can do before Helm runs: bound it, and send its output to a private file.
_BOUNDED = (
    f'umask 077; ulimit -v {_MOST_MEMORY // 1024} 2>/dev/null; ulimit -f {MOST_BYTES // 512}; '
    'exec "$0" "$@" >"$RENDERED"'
)  # fmt: skip


@dataclass(frozen=True)
class ValuesSet:
    """Values to render with: files in the order Helm merges them, then `sets`, a structure that wins over them."""

    name: str
    files: tuple[Path, ...] = ()
    sets: Mapping[str, Any] = field(default_factory=dict, hash=False)

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True)
class Surroundings:
    """What must not matter to a rendering: variables of the environment and the working folder."""

    name: str = "plain"
    environment: Mapping[str, str] = field(default_factory=dict, hash=False)
    folder: Path | None = None


PLAIN = Surroundings()


@dataclass(frozen=True)
class Rendering:
    """What one chart, values and tool produced, or the refusal that says why there is nothing.

    `text` is the output as it was; `begun` is a wall-clock time and `seconds` the time Helm took.
    """

    chart: Path
    values: ValuesSet
    tool: str
    text: str
    manifests: Manifests
    refusal: Refusal | None
    surroundings: Surroundings
    begun: float
    seconds: float

    @property
    def name(self) -> str:
        """Return the chart's name."""
        return metadata_of(self.chart)[0]


class Renderer:
    """Renders for one release with one Helm. Safe to use from several threads; close it when done.

    `folder` is an empty, private folder of the suite's own; `kube_version` is what the chart is told.
    """

    def __init__(
        self, helm: Path, major: int, runner: Runner, *, release: str, namespace: str, kube_version: str,
        folder: Path, seconds: float = RENDER_SECONDS,
    ) -> None:  # fmt: skip
        self.tool = f"helm {major}"
        self.release, self.namespace, self.kube_version = release, namespace, kube_version
        self.folder = folder
        #: Seconds that Helm has taken in all calls together.
        self.helm_seconds = 0.0
        # A runner of its own, so that `close` ends no command of others. Collecting garbage is a third of a Helm's
        # short life; only one that needs much memory does.
        self._runner = runner.with_environment(GOGC="off", GOMEMLIMIT=str(_MOST_MEMORY // 4))
        self._helm, self._seconds = helm, seconds
        self._pool = ThreadPoolExecutor(_SIDE_BY_SIDE, thread_name_prefix="render")
        self._known: dict[tuple[object, ...], Future[Rendering]] = {}
        self._linted: dict[tuple[object, ...], Future[tuple[str, ...]]] = {}
        self._parsed: dict[str, Manifests | Refusal] = {}
        self._lock = threading.Lock()
        self._count = 0

    def __enter__(self) -> Renderer:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the threads and what they run: nobody will ask for it. What has not begun never will."""
        self._pool.shutdown(wait=False, cancel_futures=True)
        begun: list[Future[Any]] = [*self._known.values(), *self._linted.values()]
        while not all(found.done() for found in begun):
            self._runner.signal(signal.SIGKILL)
            time.sleep(0.01)

    def render(self, chart: Path, values: ValuesSet, surroundings: Surroundings = PLAIN) -> Rendering:
        """Return the rendering of a chart folder (or packaged chart), made now or earlier."""
        return self.submit(chart, values, surroundings).result()

    def submit(
        self, chart: Path, values: ValuesSet, surroundings: Surroundings = PLAIN, *, not_before: float = 0.0
    ) -> Future[Rendering]:
        """Begin a rendering if nobody has, no earlier than a wall-clock time, and return at once."""
        key = (chart, values.files, json.dumps(values.sets, sort_keys=True), surroundings)
        with self._lock:
            if key not in self._known:
                self._count += 1
                self._known[key] = self._pool.submit(
                    self._render, chart, values, surroundings, self._count, not_before
                )
            return self._known[key]

    def lint(self, chart: Path, values: ValuesSet) -> tuple[str, ...]:
        """Return what `helm lint --strict` complains of, line by line; nothing where it is content."""
        return self.submit_lint(chart, values).result()

    def submit_lint(self, chart: Path, values: ValuesSet) -> Future[tuple[str, ...]]:
        """Begin to lint a chart if nobody has, and return at once."""
        key = (chart, values.files, json.dumps(values.sets, sort_keys=True))
        with self._lock:
            if key not in self._linted:
                self._count += 1
                self._linted[key] = self._pool.submit(self._lint, chart, values, self._count)
            return self._linted[key]

    def _lint(self, chart: Path, values: ValuesSet, number: int) -> tuple[str, ...]:
        argv = [
            "lint", "--strict", "--quiet", str(chart.absolute()), "--namespace", self.namespace,
            "--kube-version", self.kube_version,
        ]  # fmt: skip
        for file in (*values.files, *self._written(values.sets, number)):
            argv += ["--values", str(file.absolute())]
        output = self.folder / f"linted-{number}"
        try:
            result = self._runner.run(
                "sh", "-c", _BOUNDED, self._helm, *argv,
                timeout=self._seconds, env={"RENDERED": str(output)}, cwd=self.folder, check=False,
            )  # fmt: skip
        except CommandFailed:
            return (f"the linting did not end within {self._seconds:g} s",)
        if not result.status:
            return ()
        said = output.read_text(errors="replace") if output.exists() else ""
        lines = [" ".join(line.split()) for line in said.splitlines()]
        return tuple(line for line in lines if line.startswith(("[WARNING]", "[ERROR]"))) or (last_words(result),)

    def _render(
        self, chart: Path, values: ValuesSet, surroundings: Surroundings, number: int, not_before: float
    ) -> Rendering:
        time.sleep(max(0.0, not_before - time.time()))
        argv = [
            "template", self.release, str(chart.absolute()), "--namespace", self.namespace, "--include-crds",
            "--kube-version", self.kube_version,
        ]  # fmt: skip
        for file in (*values.files, *self._written(values.sets, number)):
            argv += ["--values", str(file.absolute())]
        output = self.folder / f"rendered-{number}.yaml"
        environment = {**surroundings.environment, "RENDERED": str(output)}
        begun, started = time.time(), time.monotonic()
        refusal: Refusal | None = None
        try:
            result = self._runner.run(
                "sh", "-c", _BOUNDED, self._helm, *argv,
                timeout=self._seconds, env=environment,
                cwd=surroundings.folder or self.folder, check=False,
            )  # fmt: skip
        except CommandFailed:
            refusal = Refusal(f"the rendering did not end within {self._seconds:g} s")
            result = None
        seconds = time.monotonic() - started
        text = ""
        if output.exists():
            if output.stat().st_size >= MOST_BYTES:
                refusal = Refusal(f"the rendering has more than {MOST_BYTES // 2**20} MiB")
            elif refusal is None:
                text = output.read_text(errors="replace")
            output.unlink()
        if result is not None and result.status and refusal is None:
            refusal = _refusal(result.stderr, last_words(result))
        manifests = Manifests()
        if refusal is None:
            parsed = self._parse(text)
            manifests, refusal = (parsed, None) if isinstance(parsed, Manifests) else (manifests, parsed)
        with self._lock:
            self.helm_seconds += seconds
        return Rendering(chart, values, self.tool, text, manifests, refusal, surroundings, begun, seconds)

    def _parse(self, text: str) -> Manifests | Refusal:
        """Return the objects of an output; equal outputs, as in repeated renderings, are read once."""
        with self._lock:
            known = self._parsed.get(text)
        if known is None:
            try:
                known = Manifests.parse(text, self.namespace)
            except BadInput as error:
                known = Refusal(str(error))
            else:
                REDACTOR.add(*(value for manifest in known for value in secret_values(manifest.body)))
            with self._lock:
                known = self._parsed.setdefault(text, known)
        return known

    def _written(self, sets: Mapping[str, Any], number: int) -> list[Path]:
        if not sets:
            return []
        file = self.folder / f"values-{number}.yaml"
        file.touch(mode=0o600)
        file.write_text(json.dumps(sets))  # JSON is YAML
        return [file]


@functools.lru_cache(maxsize=256)
def metadata_of(chart: Path) -> tuple[str, str]:
    """Return name and version in a chart folder's Chart.yaml; the folder's name and `unknown` without one."""
    try:
        metadata = mapping(read((chart / "Chart.yaml").read_text()))
    except (OSError, NotYaml):
        metadata = {}
    return str(metadata.get("name") or chart.name), str(metadata.get("version") or "unknown")


def _refusal(stderr: str, words: str) -> Refusal:
    if "out of memory" in stderr and "goroutine" in stderr:
        return Refusal(f"the rendering needs more than {_MOST_MEMORY // 2**30} GiB of memory")
    return Refusal.from_helm(stderr) if stderr.strip() else Refusal(words)
