"""Gather what rules look at: every rendering, pair and answer of a judge, each made once."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from conformance.contract import Contract
from conformance.errors import Incomplete
from conformance.judge import Judge
from conformance.render import Renderer, Rendering, ValuesSet, metadata_of
from conformance.replacing import Replacer
from conformance.rules.baseline_values import as_before, reusing
from conformance.rules.bumped import bumped
from conformance.rules.change_notes import readme_of
from conformance.rules.inputs import (
    Built,
    Defaults,
    Documented,
    Given,
    Grown,
    Judged,
    Linted,
    Pair,
    Rendered,
    Repeats,
    Replaced,
    Version,
)
from conformance.rules.planning import planned, trials
from conformance.rules.surroundings import all_surroundings, may_ask_the_clock
from conformance.rules.trials import Trials


class Gathering:
    """What rules look at, for one candidate and perhaps a baseline. `values[0]` are the run's own."""

    def __init__(
        self, candidate: Path, renderer: Renderer, judge: Judge | None, *, values: Sequence[ValuesSet],
        baseline: Path | None = None, given: Given = Given(),  # noqa: B008 - frozen
        contract: Contract | None = None, built: Callable[[], Iterator[Built]] | None = None,
    ) -> None:  # fmt: skip
        self.candidate, self.baseline = candidate, baseline
        self.values = tuple(values)
        self._renderer, self._judge, self._given, self._contract = renderer, judge, given, contract
        self._inputs: Mapping[type, Callable[[], Iterator[Any]]] = {
            Built: built or _no_overlay, Defaults: self._defaults, Documented: self._documented,
            Grown: self._grown, Judged: self._judged, Linted: self._linted,
            Pair: self._pairs, Rendered: self._rendered, Repeats: self._repeats,
            Replaced: self._replaced, Trials: self._trials,
        }  # fmt: skip

    def of(self, wanted: type) -> Iterator[Any]:
        """Yield everything there is of one type of `conformance.rules.inputs`."""
        return self._inputs[wanted]()

    def begin(self) -> None:
        """Start the judge and every rendering that rules will ask for, and return at once."""
        if self._judge is not None:
            self._judge.start()
        for values in self.values:
            for chart in filter(None, (self.candidate, self.baseline, self._bumped)):
                self._renderer.submit(chart, values)
            if self.baseline is not None:
                self._renderer.submit(self.candidate, self._as_before(values))
                self._renderer.submit(self.candidate, self._reused(values))
            self._renderer.submit_lint(self.candidate, values)
        for values in self.values:
            for surroundings in self._surroundings[: -1 if self._ticks else None]:
                self._renderer.submit(self.candidate, values, surroundings)
        for found in self._trials() if self._contract else ():
            planned(found)

    def charts(self) -> list[Path]:
        """Return the candidate, and the baseline where there is one."""
        return [self.candidate] if self.baseline is None else [self.candidate, self.baseline]

    def own(self) -> list[Rendering]:
        """Return each chart's rendering with the run's own values."""
        return [self.render(chart, self.values[0]) for chart in self.charts()]

    def render(self, chart: Path, values: ValuesSet) -> Rendering:
        """Return a rendering, made now or earlier."""
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

    def _as_before(self, values: ValuesSet) -> ValuesSet:
        return self._values_before[self.values.index(values)]

    @functools.cached_property
    def _values_before(self) -> list[ValuesSet]:
        """Return each values set as a user of the baseline can have written it."""
        if self.baseline is None:
            return list(self.values)
        return [as_before(values, self.baseline, self.candidate) for values in self.values]

    def _reused(self, values: ValuesSet) -> ValuesSet:
        before = self._as_before(values)
        return reusing(before, self.baseline, self.candidate) if self.baseline else before

    def _version(self, chart: Path, values: ValuesSet) -> Version:
        if chart == self.baseline and chart != self.candidate:
            said = "the baseline"
        else:
            said = "the candidate" if chart == self.candidate else "the same chart as"
        return Version(f"{said} {metadata_of(chart)[1]}", self.render(chart, values))

    def _where(self, values: ValuesSet) -> str:
        return "" if values is self.values[0] else f"with values {values}"

    def _both(self, chart: Path, version: Version, values: ValuesSet) -> str:
        """Name the version, where it is not the candidate, and the values, where they are not the run's own."""
        within = "" if chart == self.candidate else f"in {version.said}"
        return ", ".join(filter(None, (within, self._where(values))))

    def _pairs(self) -> Iterator[Pair]:
        """Yield baseline and candidate, then candidate and its next release, where both render."""
        for values in self.values:
            candidate = self._version(self.candidate, values)
            where, given = self._where(values), self._given
            pairs = [Pair(candidate, self._version(self._bumped, values), True, where, given)]
            if self.baseline is not None:
                pairs.insert(0, Pair(self._version(self.baseline, values), candidate, False, where, given))
            for pair in pairs:
                if pair.before.rendering.refusal is None and pair.after.rendering.refusal is None:
                    yield pair

    def _grown(self) -> Iterator[Grown]:
        for values in self.values if self.baseline is not None else ():
            before = self._version(self.baseline or self.candidate, values)
            after = self._version(self.candidate, self._as_before(values))
            if before.rendering.refusal is None and after.rendering.refusal is None:
                yield Grown(before, after, self._where(values))

    def _defaults(self) -> Iterator[Defaults]:
        for values in self.values if self.baseline is not None else ():
            found = Defaults(
                self._version(self.baseline or self.candidate, values),
                self._version(self.candidate, self._as_before(values)),
                self._version(self.candidate, self._reused(values)),
                self._where(values),
            )
            if found.before.rendering.refusal is None:
                yield found

    def _documented(self) -> Iterator[Documented]:
        if not self._given.rollback_section:
            raise Incomplete("the contract declares no `readme`")
        version, section = metadata_of(self.candidate)[1], self._given.rollback_section
        yield Documented(f"the candidate {version}", version, readme_of(self.candidate), section)

    def _linted(self) -> Iterator[Linted]:
        for values in self.values:
            problems = self._renderer.lint(self.candidate, values)
            yield Linted(self._version(self.candidate, values), problems, self._where(values))

    def _rendered(self) -> Iterator[Rendered]:
        for chart in self.charts():
            for values in self.values:
                version = self._version(chart, values)
                if version.rendering.refusal is None:
                    yield Rendered(version, self._given, self._both(chart, version, values))

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
        judge = self._require_judge()
        for chart in self.charts():
            for values in self.values:
                version = self._version(chart, values)
                # What an older version makes of values that are not its own is no promise of the candidate's.
                if chart == self.candidate or version.rendering.refusal is None:
                    verdicts = judge.review(version.manifests)
                    yield Judged(version, tuple(verdicts), judge.version, self._both(chart, version, values))

    def _replaced(self) -> Iterator[Replaced]:
        replacer = Replacer(self._require_judge())
        for pair in self._pairs():
            found = replacer.replacements(pair.before.manifests, pair.after.manifests)
            yield Replaced(pair, tuple(found))

    def _trials(self) -> Iterator[Trials]:
        if self._contract is None:
            raise Incomplete("there is no contract that says what values come to")
        yield trials(self._contract, self.candidate, self.values, self._renderer)

    def _require_judge(self) -> Judge:
        if self._judge is None:
            raise Incomplete(
                "there is no judge: `agents-conformance provision` makes etcd and kube-apiserver ready"
            )
        return self._judge


def _no_overlay() -> Iterator[Built]:
    raise Incomplete("the contract declares no `gitops` overlay")
