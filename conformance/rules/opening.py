"""From what a run judges to its rules: a renderer and a judge of the run's own, closed at the end."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from conformance.judge import Judge
from conformance.render import Renderer, ValuesSet
from conformance.rules.guard import Declared
from conformance.rules.running import Rules
from conformance.run import Runner

if TYPE_CHECKING:
    from conformance.contract import Contract
    from conformance.provision import Tools
    from conformance.subject import Subject

#: How findings name the values that the caller and the contract give every run.
OWN = "of the run"


@contextmanager
def opened(subject: Subject, tools: Tools, runner: Runner, folder: Path) -> Iterator[Rules]:
    """Begin to render the charts and to start the judge; `folder` is a private one of the suite's own.

    Raises `BadInput` for charts that must not be installed anywhere or are not what the contract describes.
    """
    rooms = [Path(tempfile.mkdtemp(prefix=f"{name}-", dir=folder)) for name in ("renderings", "judge")]
    release = subject.contract.release
    with (
        Judge(tools.judge, runner, rooms[1]) as judge,
        Renderer(
            tools.helm3 if subject.helm == 3 else tools.helm4, subject.helm, runner,
            release=release.name, namespace=release.namespace, kube_version=subject.kube_version, folder=rooms[0],
        ) as renderer,
    ):  # fmt: skip
        baseline = subject.baseline.folder if subject.baseline else None
        rules = Rules(subject.candidate.folder, renderer, judge, values=values_sets(subject), baseline=baseline)
        rules.begin()
        rules.guard(declared(subject.contract))
        yield rules


def values_sets(subject: Subject) -> list[ValuesSet]:
    """Return the run's own values, then each further set of the contract, under the caller's values as well."""
    callers = [file for file in subject.values if file not in subject.contract.values_files]
    further = subject.contract.values_sets.items()
    return [ValuesSet(OWN, subject.values), *(ValuesSet(name, (*files, *callers)) for name, files in further)]


def declared(contract: Contract) -> list[Declared]:
    """Return the workloads with their containers and the Services that a contract declares."""
    workloads = [Declared(found.kind, found.name, (found.container,)) for found in contract.workloads]
    return [*workloads, *(Declared("Service", found.name) for found in contract.services)]
