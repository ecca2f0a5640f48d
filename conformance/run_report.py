"""The controlling process's view of a run under pytest: it collects results, and it ends the run well."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import TextIO

import pytest

from conformance.checks import REGISTRY, Outcome
from conformance.preparation import Preparation
from conformance.report import files, text
from conformance.report.result import CheckResult, verdict

log = logging.getLogger(__name__)

PROPERTY = "conformance"


class RunReport:
    """A pytest plugin that hears of every check's end and writes the report.

    However the run ends, each selected check has a result: one that never ran is incomplete.
    """

    def __init__(self, preparation: Preparation, out: TextIO | None = None) -> None:
        self.preparation = preparation
        self._out = out
        self.interrupted = False
        self._results: dict[str, CheckResult] = {}
        self._selected: set[str] = set()

    @property
    def results(self) -> list[CheckResult]:
        """Return the result of every known check."""
        return [self._results.get(id_) or self._unheard(id_) for id_ in sorted(REGISTRY)]

    @property
    def exit_status(self) -> int:
        """Return what the run's process should end with."""
        return 130 if self.interrupted else verdict(self.results).exit_status

    def _unheard(self, id_: str) -> CheckResult:
        if id_ in self._selected:
            return CheckResult(id_, Outcome.INCOMPLETE, reason="the run ended before it could be judged")
        return CheckResult(id_, Outcome.DESELECTED)

    def _select(self, nodeids: list[str]) -> None:
        self._selected.update(filter(None, map(check_of, nodeids)))

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Note which checks this process will run."""
        self._select([item.nodeid for item in session.items])

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_node_collection_finished(self, ids: list[str]) -> None:
        """Note which checks the workers will run."""
        self._select(ids)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Keep a check's result; a worker that died without one leaves its check incomplete."""
        said = dict(report.user_properties).get(PROPERTY)
        id_ = check_of(report.nodeid)
        if said is not None:
            result = CheckResult.from_json(str(said))
        elif id_ and report.failed and id_ not in self._results:
            result = CheckResult(id_, Outcome.INCOMPLETE, reason=str(report.longrepr).strip().splitlines()[-1])
        else:
            return
        if result.id not in self._results:
            self._results[result.id] = result
            self._say(result)

    def _say(self, result: CheckResult) -> None:
        if result.outcome is not Outcome.DESELECTED:
            again = self.preparation.options.reproducing("run", result.id)
            said = text.lines_of(result, self.preparation.report_dir.name, again)
            print(*said, sep="\n", file=self._out, flush=True)

    def pytest_report_teststatus(self, report: pytest.TestReport) -> tuple[str, str, str] | None:
        """Keep pytest's own letters out of the way of ours."""
        return ("", "", "") if check_of(report.nodeid) else None

    def pytest_internalerror(self, excinfo: pytest.ExceptionInfo[BaseException]) -> None:
        """Tell a fault of pytest or of a plugin: what it left unjudged is incomplete."""
        log.error("the run broke: %s", excinfo.exconly())
        log.debug("what led to it", exc_info=excinfo.value)

    def pytest_keyboard_interrupt(self) -> None:
        """End the workers at once, and take the evidence while there is something to be seen."""
        self.interrupted = True
        self.preparation.end_workers()
        self.preparation.capture_interrupted()
        self.write()

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_sessionfinish(self) -> Iterator[None]:
        """Write the report, once everything has come to its end."""
        try:
            yield
        finally:
            self.write()

    def write(self) -> None:
        """Write the report as far as it is known."""
        files.write(
            self.preparation.report_dir, self.preparation.context(), self.results, interrupted=self.interrupted
        )


def check_of(nodeid: str) -> str | None:
    """Return the id of the check that a pytest node runs, if it runs one."""
    name = nodeid.rpartition("::")[2].split("@")[0]
    function, _, parameter = name.partition("[")
    if parameter.rstrip("]") in REGISTRY:
        return parameter.rstrip("]")
    return next((id_ for id_, check in REGISTRY.items() if check.function.__name__ == function), None)
