"""Run the checks: the scenarios under pytest, or the rules alone."""

from __future__ import annotations

import contextlib
import io
import json
import os
import sys
import time
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from conformance import paths
from conformance.checks import REGISTRY, Outcome
from conformance.contract import Contract, lacks
from conformance.errors import BadInput, ConformanceError
from conformance.options import Options
from conformance.preparation import prepared, rules_alone
from conformance.report import files, text
from conformance.report.result import CheckResult, judged, verdict
from conformance.rules import Rules, load
from conformance.run_report import RunReport, check_of

#: Memory for one cluster and what runs in it, and what the machine keeps for itself; measured 0.5 GiB a cluster.
WORKER_GIB, RESERVED_GIB = 2, 1
#: More clusters than this gain nothing: there are only so many independent journeys.
MOST_WORKERS = 2


def run(options: Options, *, workers: int | None, expression: str | None, mark: str | None) -> int:
    """Judge a chart on real clusters; return the exit status of the command line."""
    words = _arguments(options, expression, mark)
    with _undisturbed():
        checks = _require_checks(words)
        with prepared(options, checks) as preparation:
            workers = workers or workers_carried(preparation.subject.contract)
            report = RunReport(preparation, sys.stdout)
            try:
                with contextlib.redirect_stdout(io.StringIO()):  # of pytest's own words none is for the caller
                    words += ["-n", str(workers)] if workers > 1 else []
                    status = pytest.main(words, plugins=[report])
            except KeyboardInterrupt:  # it came while pytest was about to end
                report.pytest_keyboard_interrupt()
                raise
            print(*text.summary(report.results, preparation.report_dir), sep="\n")  # noqa: T201
    return 3 if status == pytest.ExitCode.INTERNAL_ERROR else report.exit_status


def rules(options: Options, *, as_json: bool) -> int:
    """Judge a chart by the rules alone; return the exit status of the command line."""
    with rules_alone(options) as (judging, subject, context):
        results = judge_rules(judging, subject.contract)
    if as_json:
        sys.stdout.write(json.dumps(files.as_json(context, results), indent=2) + "\n")
    else:
        for note in context.notes:
            print(f"note       {note}")  # noqa: T201
        for result in results:
            print(*text.lines_of(result, "", options.reproducing("rules")), sep="\n")  # noqa: T201
        print(f"verdict    {verdict(results)}")  # noqa: T201
    return verdict(results).exit_status


def judge_rules(judging: Rules, contract: Contract, ids: Collection[str] = ()) -> list[CheckResult]:
    """Return how each rule, or each of `ids`, ended.

    Raises `BadInput` where the chart does not render with the run's own values.
    """
    # Determinism last: its last rendering may have to wait for another second, which the others may as well fill.
    ids = sorted(ids or load(), key=lambda id_: (id_ == "render/deterministic", id_))
    return sorted((_judged(judging, contract, id_) for id_ in ids), key=lambda result: result.id)


def _judged(judging: Rules, contract: Contract, id_: str) -> CheckResult:
    started = time.monotonic()
    try:
        findings = judging.judge(id_)
    except BadInput:
        raise
    except ConformanceError as error:
        # A rule that lacks a need may still find something without it, so it is asked first.
        for lack in lacks(contract, REGISTRY[id_].needs, baseline=judging.baseline is not None):
            return CheckResult.lacking(id_, lack)
        return CheckResult(id_, Outcome.INCOMPLETE, time.monotonic() - started, reason=str(error))
    return judged(id_, findings, contract, time.monotonic() - started)


def workers_carried(promised: Contract) -> int:
    """Return how many clusters this machine carries side by side.

    A cluster keeps a processor busy, and a real application another one.
    """
    processors = len(os.sched_getaffinity(0)) // (1 if promised.stub else 2)
    carried = (psutil.virtual_memory().available / 2**30 - RESERVED_GIB) / WORKER_GIB
    return max(1, min(MOST_WORKERS, processors, int(carried)))


def _require_checks(words: Sequence[str]) -> frozenset[str]:
    """Return the ids of the selected checks.

    Refuses a selection that is none, or selects nothing, before anything is made.
    """
    said, heard = io.StringIO(), _Collection()
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(said):
        status = pytest.main([*words, "--collect-only"], plugins=[heard])
    if heard.interrupted:
        raise KeyboardInterrupt
    if status == pytest.ExitCode.USAGE_ERROR:
        raise BadInput(f"{said.getvalue().strip().removeprefix('ERROR: ')}; see pytest's -k and -m")
    if status == pytest.ExitCode.NO_TESTS_COLLECTED:
        raise BadInput("no check matches the selection; `agents-conformance list` shows the ids")
    return frozenset(heard.checks)


class _Collection:
    """A pytest plugin that tells which checks are selected, and an interrupt, which pytest swallows."""

    interrupted = False

    def __init__(self) -> None:
        self.checks: set[str] = set()

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        self.checks = {id_ for item in session.items if (id_ := check_of(item.nodeid))}

    def pytest_keyboard_interrupt(self) -> None:
        self.interrupted = True


def _arguments(options: Options, expression: str | None, mark: str | None) -> list[str]:
    scenarios = paths.bundle("scenarios")
    own = Path(__file__).with_name("pytest.ini")
    words = ["-c", str(own), f"--rootdir={scenarios}", f"--confcutdir={scenarios}", "--import-mode=importlib"]
    # With the last, an interrupt that a library swallows would be a warning at most; see `interrupts`.
    unwanted = ("no:cacheprovider", "no:tmpdir", "no:warnings", "no:unraisableexception")
    for plugin in ("conformance.plugin", "xdist.plugin", *unwanted):
        words += ["-p", plugin]
    words += ["-qq", "--no-header", "--no-summary", "--tb=no", "--capture=no"]
    words += ["-k", expression] if expression else []
    words += ["-m", mark] if mark else []
    return [*words, *options.as_pytest(), str(scenarios)]


@contextmanager
def _undisturbed() -> Iterator[None]:
    """Keep the caller's pytest settings and other installed plugins out of the run."""
    before = dict(os.environ)
    os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    for name in ("PYTEST_ADDOPTS", "PYTEST_PLUGINS"):
        os.environ.pop(name, None)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)
