"""Runs that are interrupted or killed at any moment: how they end, what they leave, and what cleans it up."""

from __future__ import annotations

import json
import re
import signal
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest
from command_line import STUBBED, CommandLine, Said, Started, until

from conformance import paths
from conformance.cluster import containers
from conformance.interrupts import INTERRUPTED, SAME_SECONDS
from conformance.provision import Machine

pytestmark = pytest.mark.machine

INSTALL, ROLLBACK = "install/becomes-ready", "rollback/leaves-no-orphans"


def _is_loading(started: Started) -> bool:
    """Say whether the process handles SIGTERM, which it does from its first lines on."""
    status = Path(f"/proc/{started.process.pid}/status").read_text()
    (caught,) = re.findall(r"^SigCgt:\s*(\w+)$", status, re.MULTILINE)
    return bool(int(caught, 16) >> (signal.SIGTERM - 1) & 1)


def _says(words: str, times: int = 1) -> Callable[[Started], bool]:
    return lambda started: started.saw(words, times)


def _two_install(started: Started) -> bool:
    """Say whether both workers wait for what they have installed."""
    return all(started.saw(f"{worker}: Deployment/agents") for worker in ("gw0", "gw1"))


@dataclass(frozen=True)
class Case:
    """A run that gets a signal, alone or with its process group, once a moment has come."""

    moment: str
    reached: Callable[[Started], bool]
    number: signal.Signals
    group: bool
    workers: int
    expression: str = ROLLBACK
    empty_cache: bool = False

    def __str__(self) -> str:
        to = "group" if self.group else "process"
        return f"{self.moment}-{self.number.name}-to-{to}-n{self.workers}".replace(" ", "-")


@dataclass(frozen=True)
class Ending:
    """How a run ended, and what it left: files, processes, and containers of its own."""

    said: Said
    report: Path
    left: list[Path]
    processes: list[str]
    containers: list[str]


INT, TERM = signal.SIGINT, signal.SIGTERM
BOTH_JOURNEYS = f"{INSTALL} or {ROLLBACK}"

NOTHING_MADE = [
    Case("loading", _is_loading, INT, group=True, workers=1),
    Case("loading", _is_loading, TERM, group=False, workers=2),
    Case("making Helm", _says("making Helm"), TERM, group=True, workers=1, empty_cache=True),
    Case("rendering", _says("/helm template "), INT, group=False, workers=2),
    Case("asking the engine", _says("run docker info"), TERM, group=True, workers=1),
]
CREATING = [
    Case("creating", _says("run kind create"), TERM, group=False, workers=1),
    Case("creating two", _says("run kind create", 2), INT, group=True, workers=2, expression=BOTH_JOURNEYS),
]
LIVING = [
    Case("upgrading", _says("upgrade: "), TERM, group=True, workers=1),
    # One of them is watched for a minute after it is ready, so that both live, however slow the machine.
    Case("installing two", _two_install, INT, group=False, workers=2, expression=f"install/ or {ROLLBACK}"),
]


def _interrupted(case: Case, machine: Machine, root: Path) -> Ending:
    caller = CommandLine(root, environment={"XDG_CACHE_HOME": str(root / "cache")} if case.empty_cache else {})
    run = caller.start("--verbose", "run", *STUBBED, "-k", case.expression, "-n", str(case.workers))
    until(lambda: case.reached(run), case.moment)
    run.signal(case.number, group=case.group)
    said = run.ended()
    nodes = [node.name for node in containers.nodes(machine.engine) if node.mounts_from(caller.state)]
    return Ending(said, caller.here / "report", caller.left(), caller.processes(), nodes)


@pytest.fixture(scope="module")
def endings(
    request: pytest.FixtureRequest, machine: Machine, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[Case, Future[Ending]]]:
    """Begin all selected cases, two at a time, so that runs go on beside each other as well."""
    cases = [
        item.callspec.params["case"]
        for item in request.session.items
        if isinstance(item, pytest.Function) and "endings" in item.fixturenames
    ]
    with ThreadPoolExecutor(2) as pool:
        yield {case: pool.submit(_interrupted, case, machine, tmp_path_factory.mktemp("run")) for case in cases}
        pool.shutdown(cancel_futures=True)


def _ended(endings: dict[Case, Future[Ending]], case: Case) -> Ending:
    """Return how a case ended, which holds for all of them: in one line, and with nothing left running."""
    ending = endings[case].result()
    assert (ending.said.status, ending.said.errors) == (INTERRUPTED, ["agents-conformance: interrupted"])
    assert (ending.containers, ending.processes) == ([], [])
    return ending


@pytest.mark.parametrize("case", NOTHING_MADE, ids=str)
def test_before_anything_is_made_nothing_is_left(endings: dict[Case, Future[Ending]], case: Case) -> None:
    ending = _ended(endings, case)
    assert ending.left == []
    assert ending.said.stdout == ""


@pytest.mark.parametrize("case", CREATING + LIVING, ids=str)
def test_a_run_leaves_its_evidence_and_report_alone(endings: dict[Case, Future[Ending]], case: Case) -> None:
    ending = _ended(endings, case)
    assert [path for path in ending.left if not path.is_relative_to(ending.report)] == []
    said = json.loads((ending.report / "report.json").read_text())
    assert said["interrupted"] is True
    assert said["verdict"] == "incomplete"
    assert "verdict    incomplete" in ending.said.stdout
    captured = sorted(ending.report.glob(f"interrupted-{paths.APP}-*"))
    assert len(captured) == case.workers
    for folder in captured:
        assert (folder / "index.txt").is_file()
        assert case in CREATING or (folder / "objects" / "agents" / "Deployment.yaml").is_file()


@pytest.fixture
def foreign(machine: Machine) -> Iterator[str]:
    """A node of a kind cluster that someone else made, as kind labels it; its id."""
    name = f"{paths.APP}-is-not-its-maker-control-plane"
    words = ("--detach", "--name", name, "--label", f"{containers.KIND_LABEL}=theirs", "--entrypoint", "sleep")
    made = machine.engine.run("run", *words, machine.node.reference, "infinity")
    try:
        yield made.stdout.strip()
    finally:
        machine.engine.run("rm", "--force", "--volumes", name)


def test_what_a_run_left_is_cleaned_up_and_nothing_else(machine: Machine, foreign: str, tmp_path: Path) -> None:
    """A second Ctrl-C, a kill, `clean` and the next run, beside a run that goes on; all with one state folder."""

    def caller(name: str) -> CommandLine:
        return CommandLine(tmp_path, name)

    def begun(name: str, expression: str) -> Started:
        return caller(name).start("run", *STUBBED, "-k", expression, "-n", "1")

    before = machine.engine.inspect("container", foreign)
    goes_on = begun("goes-on", BOTH_JOURNEYS)
    stopped, killed = begun("stopped", ROLLBACK), begun("killed", ROLLBACK)
    for run in (goes_on, stopped, killed):
        until(lambda run=run: run.saw("install: "), "three runs to install")

    killed.process.kill()
    killed.process.wait()
    refused = caller("next").run("run", "--chart", "nowhere")
    assert refused.status == 2
    assert len(re.findall(rf"left cluster {paths.APP}-\w{{8}}-main-1: removed", refused.stderr)) == 1

    stopped.signal(INT, group=True)
    until(lambda: stopped.saw("interrupted: taking the evidence"), "the first to be heard")
    time.sleep(SAME_SECONDS)  # until then it would still be the first
    stopped.signal(INT, group=True)
    said = stopped.ended(10)
    assert said.status == INTERRUPTED
    assert said.errors[-1] == (
        "agents-conformance: stopped at once; `agents-conformance clean` removes what is left"
    )
    cleaned = caller("cleans").run("clean")
    assert cleaned.status == 0
    # Beside it, nodes of runs whose journal is lost would go, wherever that was.
    assert len(re.findall(rf"^removed cluster {paths.APP}-\w{{8}}-main-1$", cleaned.stdout, re.MULTILINE)) == 1
    assert cleaned.stderr.count("is going on") == 1

    assert goes_on.process.poll() is None, "a run went on beside all this"
    ended = goes_on.ended(600)
    assert ended.status == 0, ended
    assert json.loads((tmp_path / "goes-on" / "report" / "report.json").read_text())["summary"]["pass"] == 2
    assert caller("goes-on").processes() == []
    nodes = containers.nodes(machine.engine)
    assert [node.name for node in nodes if node.mounts_from(tmp_path)] == []
    after = machine.engine.inspect("container", foreign)
    assert before is not None
    assert after is not None
    assert after["State"] == before["State"]
    assert list((tmp_path / "tmp").iterdir()) == []
    assert not (tmp_path / "state" / paths.APP / "runs").exists()
