"""What the machine's tests share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from control_plane import ControlPlane

from conformance import provision
from conformance.judge import Judge
from conformance.provision import Machine, Tools
from conformance.run import Runner


@pytest.fixture(scope="module")
def machine() -> Machine:
    """The machine as it is, by whatever way it was made ready."""
    return provision.provision()


@pytest.fixture(scope="module")
def tools() -> Tools:
    return provision.tools()


@pytest.fixture(scope="module")
def runner(tmp_path_factory: pytest.TempPathFactory) -> Runner:
    return Runner(tmp_path_factory.mktemp("home"))


@pytest.fixture(scope="module")
def judge(tools: Tools, runner: Runner, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Judge]:
    with Judge(tools.judge, runner, tmp_path_factory.mktemp("judge")) as found:
        yield found


@pytest.fixture(scope="module")
def plane(tools: Tools, runner: Runner, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    """A control plane that the test may stop and start again."""
    running = ControlPlane(tools.judge, runner, tmp_path_factory.mktemp("control-plane"))
    try:
        yield running.start()
    finally:
        running.close()
