"""One release and what can be done to it, on Helm 3 and Helm 4 alike."""

from __future__ import annotations

import contextlib
import enum
import json
import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from conformance.api import Api
from conformance.errors import CommandFailed, ConformanceError
from conformance.helm.chart_hooks import mentions_post_hooks
from conformance.helm.errors import HelmError, InvalidRollbackTarget, message_of
from conformance.helm.program import Helm
from conformance.helm.results import GOOD, Deployed, ReleaseRevision, declared, deployed, revisions
from conformance.manifests import Manifests
from conformance.observe.deadlines import DEADLINES, Deadlines
from conformance.observe.ready import wait_until_ready
from conformance.run import Result

log = logging.getLogger(__name__)

_NOT_FOUND = "release: not found"
_CHANGING = frozenset({"deploy", "upgrade", "rollback", "delete"})


class ValuesMode(enum.Enum):
    """Where an upgrade's values come from, besides the files it is given: Helm's flag for it, if any."""

    DEFAULT = ""
    """Helm's own rule: the chart's defaults, or the last release's values where no file is given."""
    RESET = "--reset-values"
    """The chart's defaults alone."""
    REUSE = "--reuse-values"
    """The last release's, with its chart's defaults: new defaults of the new chart are missed."""
    RESET_THEN_REUSE = "--reset-then-reuse-values"
    """The new chart's defaults, then what the last release was given."""


class Wait(enum.Enum):
    """Who waits until the workloads are ready.

    Helm 3 looks every two seconds, so the suite's own watches are faster; Helm 4 watches as well.
    """

    AUTO = enum.auto()
    """The suite's watches; Helm where something is to follow that only Helm can do: hooks after the workloads are
    ready, undoing a failure."""
    HELM = enum.auto()
    """Helm's `--wait` (Helm 4: `watcher`). A workload that does not become ready fails the revision."""
    NONE = enum.auto()
    """Nobody: the caller watches."""


class Release:
    """A release by its name and namespace. `api` lets the suite's own watches wait in place of Helm.

    Every operation raises `HelmError` with Helm's own message; with `Wait.AUTO` also `NotReached` where Helm was
    content and the workloads did not become ready.
    """

    def __init__(
        self, helm: Helm, name: str, namespace: str, *, api: Api | None = None, deadlines: Deadlines = DEADLINES
    ) -> None:
        self.helm, self.name, self.namespace = helm, name, namespace
        self._api, self._deadlines = api, deadlines
        self._made: dict[int, Deployed] = {}

    def deploy(
        self,
        chart: Path,
        values: Sequence[Path] = (),
        *,
        wait: Wait = Wait.AUTO,
        wait_for_jobs: bool = False,
        undo_on_failure: bool = False,
        create_namespace: bool = False,
        timeout: float | None = None,
    ) -> Deployed:
        """Install a chart, a folder or an archive. Values are files, so that none is seen in a command line."""
        by_helm = self._by_helm(wait, lambda: undo_on_failure or mentions_post_hooks(chart))
        argv: list[str | Path] = ["install", self.name, chart, *_values(values)]
        argv += ["--create-namespace"] if create_namespace else []
        argv += self._options(by_helm, wait_for_jobs, undo_on_failure)
        done = self._changed("deploy", argv, timeout, undo_on_failure=undo_on_failure)
        return self._ready(done, wait, by_helm=by_helm, jobs=wait_for_jobs)

    def upgrade(
        self,
        chart: Path,
        values: Sequence[Path] = (),
        *,
        mode: ValuesMode = ValuesMode.DEFAULT,
        wait: Wait = Wait.AUTO,
        wait_for_jobs: bool = False,
        undo_on_failure: bool = False,
        cleanup_on_failure: bool = False,
        replace: bool = False,
        history_max: int | None = None,
        timeout: float | None = None,
    ) -> Deployed:
        """Upgrade to a chart. `history_max` drops the oldest revisions beyond it (Helm's default is 10)."""
        by_helm = self._by_helm(wait, lambda: undo_on_failure or mentions_post_hooks(chart))
        argv: list[str | Path] = ["upgrade", self.name, chart, *_values(values)]
        argv += [mode.value] if mode.value else []
        argv += ["--cleanup-on-fail"] if cleanup_on_failure else []
        argv += self.helm.flags.replace if replace else ()
        argv += [] if history_max is None else ["--history-max", str(history_max)]
        argv += self._options(by_helm, wait_for_jobs, undo_on_failure)
        done = self._changed("upgrade", argv, timeout, undo_on_failure=undo_on_failure)
        return self._ready(done, wait, by_helm=by_helm, jobs=wait_for_jobs)

    def preview(self, chart: Path, values: Sequence[Path] = ()) -> Manifests:
        """Return the objects that an upgrade would declare, hooks apart, by a dry run that asks the cluster."""
        argv: list[str | Path] = ["upgrade", self.name, chart, *_values(values), "--dry-run=server"]
        said = self._run("preview", [*argv, "--output", "json"], self._deadlines.helm_answer.seconds)
        return deployed(json.loads(said.stdout)).manifest

    def rollback(
        self,
        to: int | None = None,
        *,
        wait: Wait = Wait.AUTO,
        wait_for_jobs: bool = False,
        cleanup_on_failure: bool = False,
        replace: bool = False,
        take_over: bool = False,
        timeout: float | None = None,
    ) -> Deployed:
        """Roll back to a revision, or to the last good one before the current.

        Helm's own choice is the revision before, even one that failed (helm#5237); so it is never left to Helm.
        `take_over` also writes fields that somebody edited by hand. Raises `InvalidRollbackTarget` where no good
        one is left.
        """
        target = self.last_good() if to is None else to
        known = self._made.get(target)
        by_helm = self._by_helm(wait, lambda: self._runs_after_rollback(target))
        argv = ["rollback", self.name, str(target), "--timeout", self._seconds(timeout)]
        argv += ["--cleanup-on-fail"] if cleanup_on_failure else []
        argv += self.helm.flags.replace if replace else ()
        argv += self.helm.flags.take_over if take_over else ()
        argv += self.helm.flags.wait if by_helm else self.helm.flags.no_wait
        argv += ["--wait-for-jobs"] if wait_for_jobs and by_helm else []
        self._run("rollback", argv, self._patience(timeout))
        version = known.chart_version if known else self._chart_version(target)
        done = self._remember(deployed(self._status_json(), version))
        return self._ready(done, wait, by_helm=by_helm, jobs=wait_for_jobs)

    def delete(self, *, wait: bool = True, keep_history: bool = False, timeout: float | None = None) -> None:
        """Uninstall the release; with `wait` until its objects are gone."""
        argv = ["uninstall", self.name, "--timeout", self._seconds(timeout)]
        argv += self.helm.flags.wait if wait else ()
        argv += ["--keep-history"] if keep_history else []
        self._run("delete", argv, self._patience(timeout))
        self._made.clear()

    def status(self) -> ReleaseRevision | None:
        """Return the latest revision, or None where there is no such release."""
        found = self.history(1)
        return found[-1] if found else None

    def latest(self) -> Deployed | None:
        """Return the latest revision with what it declares, however it ended; None where there is no release."""
        found = self.status()
        return None if found is None else deployed(self._status_json(), found.chart_version)

    def history(self, most: int = 256) -> list[ReleaseRevision]:
        """Return the latest revisions, oldest first; none where there is no such release."""
        argv = ["history", self.name, "--max", str(most), "--output", "json"]
        result = self._result("history", argv, self._deadlines.helm_answer.seconds)
        if result.status and _NOT_FOUND in result.stderr:
            return []
        return revisions(json.loads(self._checked("history", result).stdout))

    def manifest(self, revision: int | None = None) -> Manifests:
        """Return the objects of a revision, the latest by default, hooks apart."""
        return self._get("manifest", revision)

    def hooks(self, revision: int | None = None) -> Manifests:
        """Return the hooks of a revision, the latest by default."""
        return self._get("hooks", revision)

    def validate_rollback_target(self, revision: int) -> ReleaseRevision:
        """Return a revision that may be rolled back to.

        Raises `InvalidRollbackTarget` where it is not in the history, failed, or never came to its end.
        """
        history = self.history()
        found = next((one for one in history if one.revision == revision), None)
        if found is None:
            held = ", ".join(str(one.revision) for one in history) or "none"
            raise InvalidRollbackTarget(self.name, revision, f"the history holds revisions {held}")
        if found.status not in GOOD:
            raise InvalidRollbackTarget(self.name, revision, f"it is {found.status}: {found.description}")
        return found

    def last_good(self) -> int:
        """Return the newest good revision before the latest; raises `InvalidRollbackTarget` where none is."""
        earlier = self.history()[:-1]
        good = [one.revision for one in earlier if one.status in GOOD]
        if not good:
            raise InvalidRollbackTarget(self.name, None, "no earlier revision is good")
        return good[-1]

    def _by_helm(self, wait: Wait, hooks_follow: Callable[[], bool]) -> bool:
        if wait is Wait.AUTO:
            return self._api is None or hooks_follow()
        return wait is Wait.HELM

    def _runs_after_rollback(self, target: int) -> bool:
        with contextlib.suppress(HelmError):  # the rollback itself says it better
            hooks = self._made[target].hooks if target in self._made else self.hooks(target)
            return any("post-rollback" in hook.hooks for hook in hooks)
        return False

    def _ready(self, done: Deployed, wait: Wait, *, by_helm: bool, jobs: bool) -> Deployed:
        if wait is Wait.AUTO and not by_helm and self._api is not None:
            wait_until_ready(self._api, done.manifest, deadline=self._deadlines.workloads_ready, jobs=jobs)
        return done

    def _options(self, by_helm: bool, wait_for_jobs: bool, undo_on_failure: bool) -> list[str]:
        flags = self.helm.flags
        return [
            *(flags.wait if by_helm else flags.no_wait),
            *(["--wait-for-jobs"] if wait_for_jobs and by_helm else []),
            *(flags.undo_on_failure if undo_on_failure else ()),
        ]

    def _changed(
        self, operation: str, argv: Sequence[str | Path], timeout: float | None, *, undo_on_failure: bool
    ) -> Deployed:
        argv = [*argv, "--timeout", self._seconds(timeout), "--output", "json"]
        patience = self._patience(timeout) * (2 if undo_on_failure else 1)
        return self._remember(deployed(json.loads(self._run(operation, argv, patience).stdout)))

    def _remember(self, done: Deployed) -> Deployed:
        self._made[done.revision] = done
        return done

    def _status_json(self) -> Any:  # noqa: ANN401 - JSON
        argv = ["status", self.name, "--output", "json"]
        return json.loads(self._run("status", argv, self._deadlines.helm_answer.seconds).stdout)

    def _chart_version(self, revision: int) -> str:
        return next((one.chart_version for one in self.history() if one.revision == revision), "")

    def _get(self, what: str, revision: int | None) -> Manifests:
        argv = ["get", what, self.name, *([] if revision is None else ["--revision", str(revision)])]
        text = self._run(f"get {what}", argv, self._deadlines.helm_answer.seconds).stdout
        return declared(text, self.namespace)

    def _seconds(self, timeout: float | None) -> str:
        return f"{timeout or self._deadlines.helm_operation.seconds:.0f}s"

    def _patience(self, timeout: float | None) -> float:
        """Return when to give Helm up: its timeout holds for hooks before, workloads and hooks after, each."""
        return 3 * (timeout or self._deadlines.helm_operation.seconds) + self._deadlines.helm_answer.seconds

    def _run(self, operation: str, argv: Sequence[str | Path], seconds: float) -> Result:
        return self._checked(operation, self._result(operation, argv, seconds))

    def _result(self, operation: str, argv: Sequence[str | Path], seconds: float) -> Result:
        try:
            return self.helm.run(*argv, timeout=seconds, namespace=self.namespace, check=False, hide_output=True)
        except CommandFailed as error:  # it did not end
            raise HelmError(operation, str(error), self._left_as(operation), self.helm.shown(argv)) from error

    def _checked(self, operation: str, result: Result) -> Result:
        if result.status:
            command = self.helm.shown(result.argv[1:])
            raise HelmError(operation, message_of(result.stderr), self._left_as(operation), command)
        return result

    def _left_as(self, operation: str) -> str | None:
        """Return what a failed operation left the release as, where it may have changed it."""
        with contextlib.suppress(ConformanceError):
            if operation in _CHANGING and (left := self.status()):
                return left.status
        return None


def _values(files: Sequence[Path]) -> list[str]:
    """Return the files as flags; Helm reads each as a row of comma-separated values."""
    return [word for file in files for word in ("--values", _as_csv(str(file)))]


def _as_csv(text: str) -> str:
    return '"' + text.replace('"', '""') + '"' if set(text) & {",", '"', "\n", "\r"} else text
