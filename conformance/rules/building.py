"""Build the overlay with kustomize, as Argo CD does, for the rules that hold it against Helm's own rendering."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from conformance.chart import Chart
from conformance.errors import BadInput, CommandFailed, Incomplete
from conformance.gitops.overlay import Overlay
from conformance.manifests import Manifest, Manifests
from conformance.provision import Tools
from conformance.render import Renderer, ValuesSet
from conformance.rules.inputs import Built, Version
from conformance.run import Runner
from conformance.subject import BASELINE, CANDIDATE, Subject

#: How findings name the overlay's values.
WHERE = "with the overlay's values"


class Overlays:
    """The overlay's builds of a subject's charts, made when they are asked for, in a private folder."""

    def __init__(self, subject: Subject, renderer: Renderer, tools: Tools, runner: Runner, folder: Path) -> None:
        if subject.overlay is None:
            raise ValueError("the contract declares no overlay")
        self._overlay = Overlay(subject.overlay)
        self._subject, self._renderer, self._tools, self._runner = subject, renderer, tools, runner
        self._folder = folder
        self._made: list[Built] | None = None

    def built(self) -> Iterator[Built]:
        """Yield the build of each version; that of the candidate in a folder that held the baseline before.

        Raises `Incomplete` for an overlay of a form that the suite does not follow.
        """
        if self._made is None:
            self._made = list(self._builds())
        yield from self._made

    def _builds(self) -> Iterator[Built]:
        tree = self._folder / "tree"
        before: Built | None = None
        for side in (BASELINE, CANDIDATE) if self._subject.baseline else (CANDIDATE,):
            before = self._build(tree, self._subject.chart(side), side, before)
            yield before

    def _build(self, tree: Path, chart: Chart, side: str, before: Built | None) -> Built:
        self._overlay.write(tree, chart, self._subject.image_values(side))
        self._overlay.keep_inflation(tree, chart.name)
        rendering = self._renderer.render(chart.folder, self._values(tree, chart))
        version, refusal, built = Version(f"the {side} {chart.version}", rendering), "", Manifests()
        try:
            built = self._overlay.render(
                tree, self._runner, self._tools.kustomize, self._tools.helm(self._subject.helm),
                self._subject.kube_version,
            )  # fmt: skip
        except (BadInput, CommandFailed) as error:
            refusal = " ".join(str(error).split())[-500:]
        entry = self._overlay.inflation(chart.name)
        left_out = {name for name in ("skipHooks", "skipTests") if entry.get(name)}
        wanted = Manifests(tuple(found for found in version.manifests if not _is_left_out(found, left_out)))
        if rendering.refusal is not None:
            refusal = f"Helm refuses the overlay's values: {rendering.refusal}"
        return Built(version, wanted, built, refusal, before, WHERE)

    def _values(self, tree: Path, chart: Chart) -> ValuesSet:
        entry = self._overlay.inflation(chart.name)
        if entry.get("valuesMerge", "override") != "override" and entry.get("valuesInline"):
            raise Incomplete("the overlay merges valuesInline in a way that Helm cannot be told")
        home = self._overlay.values(tree, chart.name).parent
        further = tuple(home / str(name) for name in entry.get("additionalValuesFiles") or ())
        # A copy: each version's values file has its own images.
        own = self._folder / f"values-{chart.version}.yaml"
        own.write_bytes(self._overlay.values(tree, chart.name).read_bytes())
        return ValuesSet("overlay", (own, *further), entry.get("valuesInline") or {})


def _is_left_out(manifest: Manifest, left_out: set[str]) -> bool:
    if not manifest.hooks:
        return False
    tests = all(hook.startswith("test") for hook in manifest.hooks)
    return "skipHooks" in left_out or ("skipTests" in left_out and tests)
