"""Run rules: gather what each looks at, and ask it."""

from __future__ import annotations

import dataclasses
import importlib
import typing
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from conformance.checks import REGISTRY, Check, Finding
from conformance.contract import Contract
from conformance.errors import Incomplete
from conformance.judge import Judge
from conformance.manifests import Manifests
from conformance.render import Renderer, ValuesSet
from conformance.rules.gathering import Gathering
from conformance.rules.guard import guard
from conformance.rules.inputs import Built, Given
from conformance.rules.trials import Trials

#: The modules that declare rules.
_FAMILIES = (
    "additions", "crds", "defaults", "determinism", "environment", "images", "keeping", "lint", "lists",
    "migrations", "names", "overlays", "ports", "readme", "references", "replacing", "rights", "rollouts",
    "schema", "selecting", "selectors", "values_schema", "writers",
)  # fmt: skip


def load() -> dict[str, Check]:
    """Import every rule and return them by id."""
    for family in _FAMILIES:
        importlib.import_module(f"conformance.rules.{family}")
    return {id_: check for id_, check in sorted(REGISTRY.items()) if check.kind == "rule"}


class Rules:
    """One candidate, perhaps with a baseline, under rules. `values[0]` are the run's own, the rest further sets.

    The renderer and the judge belong to the caller and may serve many charts; without a judge or a contract the
    rules that ask for one are incomplete.
    """

    def __init__(
        self, candidate: Path, renderer: Renderer, judge: Judge | None, *, values: Sequence[ValuesSet],
        baseline: Path | None = None, given: Given = Given(),  # noqa: B008 - frozen
        contract: Contract | None = None, built: Callable[[], Iterator[Built]] | None = None,
    ) -> None:  # fmt: skip
        self.candidate, self.baseline = candidate, baseline
        self.values = tuple(values)
        self._renderer = renderer
        self._gathered = Gathering(
            candidate,
            renderer,
            judge,
            values=values,
            baseline=baseline,
            given=given,
            contract=contract,
            built=built,
        )
        load()

    def begin(self) -> None:
        """Start the judge and every rendering that rules will ask for, and return at once."""
        self._gathered.begin()

    def guard(self) -> None:
        """Refuse, with `BadInput`, charts that must not be installed anywhere, under any values set."""
        for chart in self._gathered.charts():
            for values in self.values:
                self._renderer.submit(chart, values)
        guard(self._gathered.own(), self._renderer.namespace)
        further = [
            self._renderer.render(chart, values) for chart in self._gathered.charts() for values in self.values[1:]
        ]
        guard([rendering for rendering in further if rendering.refusal is None], self._renderer.namespace)

    @property
    def rendered(self) -> Manifests:
        """Return what the candidate renders to with the run's own values; nothing where Helm refuses it."""
        return self._renderer.render(self.candidate, self.values[0]).manifests

    @property
    def helm_seconds(self) -> float:
        """Return the seconds that Helm has taken so far, all renderings together."""
        return self._renderer.helm_seconds

    def judge(self, id_: str) -> list[Finding]:
        """Return what a rule finds.

        Raises `BadInput` when the chart does not render with the run's own values; `Incomplete` when the rule
        needs a baseline or a judge that is not there, and finds nothing without it.
        """
        check = load()[id_]
        for rendering in self._gathered.own():
            if rendering.refusal is not None:
                guard([rendering], self._renderer.namespace)
        found: dict[tuple[str, str], Finding] = {}
        for seen in self._gathered.of(_input_of(check.function)):
            for finding in check.function(seen):
                # What is said of one object once need not be said of it under each values set and version again.
                found.setdefault((finding.object, finding.remedy), _located(finding, seen.where))
        if not found and "baseline" in check.needs and self.baseline is None:
            raise Incomplete("there is no baseline to compare with; name one with --baseline")
        return list(found.values())


def chooses_values(id_: str) -> bool:
    """Say whether a rule renders with values of its own choice, which takes most of the time of all rules."""
    return _input_of(load()[id_].function) is Trials


def builds_overlay(id_: str) -> bool:
    """Say whether a rule has the overlay built by kustomize, which takes longer than Helm."""
    return _input_of(load()[id_].function) is Built


def _input_of(function: Callable[..., Any]) -> type:
    hints = typing.get_type_hints(function)
    hints.pop("return", None)
    (wanted,) = hints.values()
    return typing.cast(type, wanted)


def _located(finding: Finding, where: str) -> Finding:
    return dataclasses.replace(finding, observed=f"{finding.observed} ({where})") if where else finding
