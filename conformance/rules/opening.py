"""From what a run judges to its rules: a renderer and a judge of the run's own, closed at the end."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from conformance.contract import Contract, require_rendered
from conformance.judge import Judge
from conformance.manifests import Manifests
from conformance.provision import Tools
from conformance.render import Renderer, ValuesSet
from conformance.rules.building import Overlays
from conformance.rules.inputs import Built, Given
from conformance.rules.running import Rules
from conformance.run import Runner
from conformance.subject import CANDIDATE, Subject

#: How findings name the values that the caller and the contract give every run.
OWN = "of the run"


@contextmanager
def opened(
    subject: Subject, tools: Tools, runner: Runner, folder: Path, *, judge: Judge | None = None,
    trials: bool = True, ahead: bool = True,
) -> Iterator[Rules]:  # fmt: skip
    """Begin to render the charts and to start a judge, or use one that serves others as well.

    `folder` is a private one of the suite's own. Whether the charts may be used at all, `require_usable` says.
    Without `trials` no rule that chooses values may be asked; without `ahead` nothing is rendered before a rule
    asks for it, which is better where few are asked.
    """
    with contextlib.ExitStack() as stack:
        renderer = stack.enter_context(_renderer(subject, tools, runner, folder))
        judge = judge or stack.enter_context(Judge(tools.judge, runner, _room(folder, "judge")))
        overlays = (
            Overlays(subject, renderer, tools, runner, _room(folder, "overlays")) if subject.overlay else None
        )
        rules = _rules(subject, renderer, judge, trials=trials, built=overlays.built if overlays else None)
        if ahead:
            rules.begin()
        yield rules


def require_usable(subject: Subject, tools: Tools, runner: Runner, folder: Path) -> Manifests:
    """Refuse charts that must not be installed anywhere or are not what the contract describes.

    Return what the candidate renders to with the run's own values. Raises `BadInput`.
    """
    with _renderer(subject, tools, runner, folder) as renderer:
        return usable(subject, _rules(subject, renderer, None))


def usable(subject: Subject, rules: Rules) -> Manifests:
    """Do as `require_usable` does, on renderings that rules have begun already."""
    rules.guard()
    images = {
        workload.name: subject.images[CANDIDATE][workload.role]
        for workload in subject.contract.workloads
        if subject.images
    }
    require_rendered(subject.contract, rules.rendered, images)
    return rules.rendered


def values_sets(subject: Subject) -> list[ValuesSet]:
    """Return the run's own values, then each further set of the contract, under the caller's values as well."""
    callers = [file for file in subject.values if file not in subject.contract.values_files]
    images = subject.image_values(CANDIDATE)
    further = subject.contract.values_sets.items()
    return [
        ValuesSet(OWN, subject.values, images),
        *(ValuesSet(name, (*files, *callers), images) for name, files in further),
    ]


def _renderer(subject: Subject, tools: Tools, runner: Runner, folder: Path) -> Renderer:
    release = subject.contract.release
    return Renderer(
        tools.helm(subject.helm), subject.helm, runner,
        release=release.name, namespace=release.namespace, kube_version=subject.kube_version,
        folder=_room(folder, "renderings"),
    )  # fmt: skip


def _rules(
    subject: Subject, renderer: Renderer, judge: Judge | None, *, trials: bool = True,
    built: Callable[[], Iterator[Built]] | None = None,
) -> Rules:  # fmt: skip
    baseline = subject.baseline.folder if subject.baseline else None
    return Rules(
        subject.candidate.folder, renderer, judge, values=values_sets(subject), baseline=baseline,
        given=given(subject.contract), contract=subject.contract if trials else None, built=built,
    )  # fmt: skip


def given(contract: Contract) -> Given:
    """Return what a contract says of a chart's surroundings."""
    paths = {workload.name: workload.image for workload in contract.workloads if workload.image}
    return Given(
        contract.release.namespace,
        secrets={secret.name: frozenset(secret.keys) for secret in contract.prerequisites.secrets},
        config_maps=contract.config_map_keys,
        kept=contract.kept,
        rollback_section=contract.readme.rollback_section if contract.readme else "",
        pinned=frozenset(
            name for name, image in paths.items() if image.digest or (image.tag and image.digest_in_tag)
        ),
    )


def _room(folder: Path, name: str) -> Path:
    return Path(tempfile.mkdtemp(prefix=f"{name}-", dir=folder))
