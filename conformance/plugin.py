"""The pytest plugin: options, fixtures, and how a scenario's findings become its result.

It is loaded by `-p conformance.plugin`, never by an entry point, so that it is in nobody else's pytest run. The
controlling process prepares everything before pytest-xdist starts its workers, since those are ended ten
seconds after an interrupt; it alone captures evidence then, sweeps and writes the report.
"""

from __future__ import annotations

import contextlib
import logging
import pickle
import time
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import pytest

from conformance import interrupts, paths, progress
from conformance.checks import REGISTRY, Outcome
from conformance.cluster import Lease
from conformance.contract import lacks
from conformance.errors import ConformanceError, Incomplete
from conformance.journey_fixtures import (  # noqa: F401 - fixtures of the plugin
    beginnings,
    blocked,
    committed,
    crowded,
    delivery,
    installed,
    lifecycle,
    mishaps,
    rollouts,
    runs,
)
from conformance.options import HELM, KUBE_VERSION, Options
from conformance.preparation import Preparation, prepared
from conformance.report.result import CheckResult, judged
from conformance.rules import Rules
from conformance.run_report import PROPERTY, RunReport
from conformance.scheduling import ByJourney, group, together
from conformance.subject import Subject

log = logging.getLogger(__name__)

_PREPARATION = pytest.StashKey[Preparation]()
_LEASE = pytest.StashKey[Lease]()
_RESULT = pytest.StashKey[CheckResult]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Declare the options of a run; `agents-conformance run` documents them."""
    group = parser.getgroup("conformance")
    group.addoption("--contract", type=Path, metavar="F", help="what the chart promises")
    group.addoption("--chart", metavar="SRC", help="the candidate: folder, .tgz, git:REPO@REF:PATH or oci://")
    group.addoption("--baseline", metavar="SRC", help="the version upgraded from, likewise")
    group.addoption("--values", type=Path, action="append", default=[], metavar="F", help="one more values file")
    group.addoption("--kube-version", default=KUBE_VERSION, metavar="V", help="Kubernetes minor version")
    group.addoption("--helm", type=int, choices=(3, 4), default=HELM, help="Helm's major version")
    group.addoption("--report-dir", type=Path, metavar="DIR", help="a new or empty folder for the report")
    group.addoption("--keep-cluster", action="store_true", help="keep a cluster in which a check failed")
    group.addoption("--no-install-engine", action="store_true", help="never install or start a container engine")


def options_of(config: pytest.Config) -> Options:
    """Return the run's options as pytest was given them."""
    asked = config.getoption
    return Options(
        contract=asked("--contract"),
        chart=asked("--chart"),
        baseline=asked("--baseline"),
        values=tuple(asked("--values")),
        kube_version=asked("--kube-version"),
        helm=asked("--helm"),
        report_dir=asked("--report-dir"),
        keep_cluster=asked("--keep-cluster"),
        install_engine=not asked("--no-install-engine"),
    )


def _is_worker(config: pytest.Config) -> bool:
    return hasattr(config, "workerinput")


def _judges(config: pytest.Config) -> bool:
    """Say whether this pytest run judges a chart; the suite's own unit tests load the plugin too."""
    scenarios = paths.bundle("scenarios").resolve()
    asked = [Path(str(arg).split("::")[0]).resolve() for arg in config.args]
    return any(path == scenarios or scenarios in path.parents for path in asked)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_sessionstart(session: pytest.Session) -> Generator[None, None, None]:
    """Prepare the run in the controlling process; take over what it prepared in a worker."""
    config = session.config
    if not _judges(config) or config.option.collectonly:
        return (yield)
    if _is_worker(config):
        _take_part(config)
    else:
        _take_charge(config)
    with interrupts.kept_from_children():  # pytest-xdist starts the workers
        return (yield)


def _take_charge(config: pytest.Config) -> None:
    report = next(filter(lambda plugin: isinstance(plugin, RunReport), config.pluginmanager.get_plugins()), None)
    if report is None:
        report = RunReport(_prepared(config))
        config.pluginmanager.register(report)
    config.stash[_PREPARATION] = report.preparation


def _prepared(config: pytest.Config) -> Preparation:
    """Prepare a run that pytest was started for directly; it is over when pytest is."""
    progress.show()
    interrupts.handle()
    over = contextlib.ExitStack()
    config.add_cleanup(over.close)
    try:
        return over.enter_context(prepared(options_of(config)))
    except ConformanceError as error:
        pytest.exit(str(error), returncode=error.exit_status)


def _take_part(config: pytest.Config) -> None:
    interrupts.ignore()
    preparation: Preparation = pickle.loads(config.workerinput[PROPERTY])  # type: ignore[attr-defined] # noqa: S301
    progress.show(who=_worker(config))
    preparation.take_part()
    config.stash[_PREPARATION] = preparation


def _worker(config: pytest.Config) -> str:
    return str(config.workerinput["workerid"]) if _is_worker(config) else "main"  # type: ignore[attr-defined]


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:  # noqa: ANN401 - pytest-xdist's
    """Let pytest-xdist keep each journey on one worker."""
    return ByJourney(config, log) if _PREPARATION in config.stash else None


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:  # noqa: ANN401 - pytest-xdist's WorkerController
    """Hand a starting worker what the controlling process prepared."""
    if _PREPARATION in node.config.stash:
        node.workerinput[PROPERTY] = pickle.dumps(node.config.stash[_PREPARATION])


def pytest_itemcollected(item: pytest.Item) -> None:
    """Let `-k` match check ids as they are written in the report."""
    if id_ := _check_id(item):
        item.extra_keyword_matches.add(id_)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep the checks of one journey together, whatever files they are in."""
    items[:] = [items[place] for place in together([group(_check_id(item)) for item in items])]


def _check_id(item: pytest.Item) -> str | None:
    if not isinstance(item, pytest.Function):
        return None
    parameters = item.callspec.params if hasattr(item, "callspec") else {}
    found = getattr(item.function, "check_id", None) or parameters.get("check_id")
    return found if found in REGISTRY else None


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Stop a check whose needs are not met before its fixtures make anything."""
    id_ = _check_id(item)
    if id_ is None or _PREPARATION not in item.config.stash or REGISTRY[id_].kind == "rule":
        return
    _require_needs(item, id_, item.config.stash[_PREPARATION].subject)


def _require_needs(item: pytest.Item, id_: str, subject: Subject) -> None:
    """Stop a check whose needs are not met: told as incomplete, or left out where the contract says why."""
    for lack in lacks(subject.contract, REGISTRY[id_].needs, baseline=subject.baseline is not None):
        item.stash[_RESULT] = CheckResult.lacking(id_, lack)
        if not lack.declared:
            pytest.fail(f"it needs {lack.need}: {lack.reason}", pytrace=False)
        pytest.skip(f"the contract declares {lack.need} absent: {lack.reason}")


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Run a check and turn what it found into its result."""
    id_ = _check_id(pyfuncitem)
    if id_ is None:
        return None
    wanted = pyfuncitem._fixtureinfo.argnames
    started = time.monotonic()
    subject = pyfuncitem.config.stash[_PREPARATION].subject
    try:
        findings = pyfuncitem.obj(**{name: pyfuncitem.funcargs[name] for name in wanted})
    except Incomplete:
        # A rule that lacks a need may still find something without it, so it is asked first.
        _require_needs(pyfuncitem, id_, subject)
        raise
    result = judged(id_, findings, subject.contract, time.monotonic() - started)
    pyfuncitem.stash[_RESULT] = result
    if result.outcome is Outcome.FAIL:
        pytest.fail("\n".join(map(str, result.findings)), pytrace=False)
    return True


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Attach a check's result to pytest's report, with the evidence of what kept it from passing."""
    report = yield
    id_ = _check_id(item)
    if id_ is None or report.when == "teardown" or (report.when == "setup" and report.passed):
        return report
    result = item.stash.get(_RESULT, None)
    if result is None:
        result = CheckResult(id_, Outcome.INCOMPLETE, call.duration, reason=_why_incomplete(call.excinfo))
    lease = item.config.stash.get(_LEASE, None)
    if lease and call.excinfo is not None and REGISTRY[id_].kind == "scenario" and result.without is None:
        result = item.config.stash[_PREPARATION].with_evidence(result, lease)
    report.user_properties.append((PROPERTY, result.as_json()))
    return report


def _why_incomplete(excinfo: pytest.ExceptionInfo[BaseException] | None) -> str:
    if excinfo is None:
        return "it ended without a result"
    error = excinfo.value
    if isinstance(error, ConformanceError):
        return str(error)
    # Not the chart's doing: a fault of the suite or of the machine, told with the place to look at.
    place = excinfo.traceback[-1]
    return f"{type(error).__name__}: {error} (at {Path(str(place.path)).name}:{place.lineno + 1})"


@pytest.fixture(scope="session")
def preparation(request: pytest.FixtureRequest) -> Preparation:
    """Return what the run stands on: the charts, the contract, the machine."""
    return request.config.stash[_PREPARATION]


@pytest.fixture(scope="session")
def lease(request: pytest.FixtureRequest, preparation: Preparation) -> Iterator[Lease]:
    """Lend the worker its one cluster; it is made when first asked for."""
    with preparation.lease(_worker(request.config)) as lease:
        request.config.stash[_LEASE] = lease
        yield lease


@pytest.fixture(scope="session")
def rules(preparation: Preparation) -> Iterator[Rules]:
    """Render the charts and start the judge."""
    with preparation.rules() as rules:
        yield rules
