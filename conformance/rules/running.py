"""Run rules: gather what each looks at, and ask it."""

from __future__ import annotations

import dataclasses
import functools
import importlib
import typing
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from conformance.checks import REGISTRY, Check, Finding
from conformance.errors import Incomplete
from conformance.judge import Judge
from conformance.manifests import Manifests
from conformance.render import Renderer, Rendering, ValuesSet, metadata_of
from conformance.rules.bumped import bumped
from conformance.rules.guard import guard
from conformance.rules.inputs import Judged, Pair, Repeats, Version
from conformance.rules.surroundings import all_surroundings, may_ask_the_clock

#: The modules that declare rules.
_FAMILIES = ("determinism", "names", "schema", "selectors")


def load() -> dict[str, Check]:
    """Import every rule and return them by id."""
    for family in _FAMILIES:
        importlib.import_module(f"conformance.rules.{family}")
    return {id_: check for id_, check in sorted(REGISTRY.items()) if check.kind == "rule"}


class Rules:
    """One candidate, perhaps with a baseline, under rules. `values[0]` are the run's own, the rest further sets.

    The renderer and the judge belong to the caller and may serve many charts; without a judge the rules that
    ask for one are incomplete.
    """

    def __init__(
        self, candidate: Path, renderer: Renderer, judge: Judge | None, *, values: Sequence[ValuesSet],
        baseline: Path | None = None,
    ) -> None:  # fmt: skip
        self.candidate, self.baseline = candidate, baseline
        self.values = tuple(values)
        self._renderer, self._judge = renderer, judge
        self._inputs: Mapping[type, Callable[[], Iterator[Any]]] = {
            Pair: self._pairs, Repeats: self._repeats, Judged: self._judged,
        }  # fmt: skip
        load()

    def begin(self) -> None:
        """Start the judge and every rendering that rules will ask for, and return at once."""
        if self._judge is not None:
            self._judge.start()
        for values in self.values:
            for chart in filter(None, (self.candidate, self.baseline, self._bumped)):
                self._renderer.submit(chart, values)
        for values in self.values:
            for surroundings in self._surroundings[: -1 if self._ticks else None]:
                self._renderer.submit(self.candidate, values, surroundings)

    def guard(self) -> None:
        """Refuse, with `BadInput`, charts that must not be installed anywhere, under any values set."""
        for chart in self._charts():
            for values in self.values:
                self._renderer.submit(chart, values)
        guard(self._own(), self._renderer.namespace)
        further = [self._render(chart, values) for chart in self._charts() for values in self.values[1:]]
        guard([rendering for rendering in further if rendering.refusal is None], self._renderer.namespace)

    @property
    def rendered(self) -> Manifests:
        """Return what the candidate renders to with the run's own values; nothing where Helm refuses it."""
        return self._render(self.candidate, self.values[0]).manifests

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
        for rendering in self._own():
            if rendering.refusal is not None:
                guard([rendering], self._renderer.namespace)
        found: dict[tuple[str, str], Finding] = {}
        for seen in self._inputs[_input_of(check.function)]():
            for finding in check.function(seen):
                # What is said of one object once need not be said of it under each values set and version again.
                found.setdefault((finding.object, finding.remedy), _located(finding, seen.where))
        if not found and "baseline" in check.needs and self.baseline is None:
            raise Incomplete("there is no baseline to compare with; name one with --baseline")
        return list(found.values())

    def _charts(self) -> list[Path]:
        return [self.candidate] if self.baseline is None else [self.candidate, self.baseline]

    def _own(self) -> list[Rendering]:
        return [self._render(chart, self.values[0]) for chart in self._charts()]

    def _render(self, chart: Path, values: ValuesSet) -> Rendering:
        return self._renderer.render(chart, values)

    @functools.cached_property
    def _bumped(self) -> Path:
        return bumped(self.candidate, self._renderer.folder)

    @functools.cached_property
    def _ticks(self) -> bool:
        return may_ask_the_clock(self.candidate)

    @functools.cached_property
    def _surroundings(self) -> tuple[Any, ...]:
        return all_surroundings(self._renderer.folder / "surroundings")

    def _version(self, chart: Path, values: ValuesSet) -> Version:
        if chart == self.baseline and chart != self.candidate:
            said = "the baseline"
        else:
            said = "the candidate" if chart == self.candidate else "the same chart as"
        return Version(f"{said} {metadata_of(chart)[1]}", self._render(chart, values))

    def _where(self, values: ValuesSet) -> str:
        return "" if values is self.values[0] else f"with values {values}"

    def _pairs(self) -> Iterator[Pair]:
        """Yield baseline and candidate, then candidate and its next release, where both render."""
        for values in self.values:
            candidate = self._version(self.candidate, values)
            pairs = [Pair(candidate, self._version(self._bumped, values), True, self._where(values))]
            if self.baseline is not None:
                pairs.insert(0, Pair(self._version(self.baseline, values), candidate, False, self._where(values)))
            for pair in pairs:
                if pair.before.rendering.refusal is None and pair.after.rendering.refusal is None:
                    yield pair

    def _repeats(self) -> Iterator[Repeats]:
        submit = functools.partial(self._renderer.submit, self.candidate)
        for values in self.values:
            *first, last = self._surroundings
            begun = [submit(values, surroundings) for surroundings in first]
            plain = begun[0].result()
            # A second that begins after the plain rendering ended; a chart without a clock need not wait for it.
            next_second = float(int(plain.begun + plain.seconds) + 1) if self._ticks else 0.0
            begun.append(submit(values, last, not_before=next_second))
            yield Repeats(tuple(rendering.result() for rendering in begun), self._where(values))

    def _judged(self) -> Iterator[Judged]:
        if self._judge is None:
            raise Incomplete(
                "there is no judge: `agents-conformance provision` makes etcd and kube-apiserver ready"
            )
        for chart in self._charts():
            for values in self.values:
                version = self._version(chart, values)
                # What an older version makes of values that are not its own is no promise of the candidate's.
                if chart == self.candidate or version.rendering.refusal is None:
                    where = ", ".join(filter(None, ("" if chart == self.candidate else f"in {version.said}",
                                                    self._where(values))))  # fmt: skip
                    verdicts = self._judge.review(version.manifests)
                    yield Judged(version, tuple(verdicts), self._judge.version, where)


def _input_of(function: Callable[..., Any]) -> type:
    hints = typing.get_type_hints(function)
    hints.pop("return", None)
    (wanted,) = hints.values()
    return typing.cast(type, wanted)


def _located(finding: Finding, where: str) -> Finding:
    return dataclasses.replace(finding, observed=f"{finding.observed} ({where})") if where else finding
