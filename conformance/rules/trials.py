"""Renderings with values that a rule chooses: what a chart makes of them is what it promises about them."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any

from conformance.contract import Contract, Workload
from conformance.contract.images import nested
from conformance.environment import Seen, seen
from conformance.manifests import Manifest
from conformance.render import Rendering
from conformance.values import over, overlaid
from conformance.wording import short

#: Values to set on top of the run's own, by their paths.
Settings = Mapping[str, Any]


@dataclass(frozen=True)
class Trials:
    """The candidate under values of the rules' own choice, on top of the run's, and the contract that judges it.

    `name` is the chart's; `defaults` are its own values, `files` what the run's files and images say on top.
    """

    name: str
    contract: Contract
    defaults: Mapping[str, Any]
    files: Mapping[str, Any]
    submit: Callable[[Mapping[str, Any]], Future[Rendering]]
    #: The run's own values and each further set, unchanged: the whole of the values, and what they render to.
    as_given: Callable[[], Sequence[tuple[Mapping[str, Any], Rendering]]]
    #: Every trial says itself with which values it was made.
    where: str = ""

    def render(self, settings: Iterable[Settings]) -> list[Rendering]:
        """Return the renderings with each of the settings, made side by side."""
        begun = [self.submit(structure(setting)) for setting in settings]
        return [rendering.result() for rendering in begun]

    def values(self, settings: Settings) -> dict[str, Any]:
        """Return the values that the templates see with these settings."""
        return overlaid(self._given, structure(settings))

    @functools.cached_property
    def _given(self) -> dict[str, Any]:
        return overlaid(self.defaults, self.files)

    def of_roles(self, rendering: Rendering, roles: Iterable[str]) -> list[tuple[Workload, Manifest | None]]:
        """Return the declared workloads of some roles, each as the rendering has it."""
        workloads = self.contract.workloads_of(*roles)
        return [(found, rendering.manifests.get(self.contract.key_of(found))) for found in workloads]


def structure(settings: Settings) -> dict[str, Any]:
    """Return settings as Helm takes them: paths become mappings in each other."""
    result: dict[str, Any] = {}
    for path, value in settings.items():
        result = over(result, nested(path, value))
    return result


def sees(variable: str, workload: Workload, manifest: Manifest, rendering: Rendering) -> Seen:
    """Return what the declared container of a workload sees of a variable."""
    return seen(variable, manifest, workload.container, rendering.manifests)


def told(settings: Settings) -> str:
    """Return settings as a finding names them."""
    shown = [f"{path}={short(json.dumps(value, ensure_ascii=False), 60)}" for path, value in settings.items()]
    return " and ".join(shown) or "the run's own values"
