"""What each tool that renders the chart makes of the same values, to hold it against what the cluster has."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from conformance.chart import Chart
from conformance.gitops.overlay import Overlay
from conformance.journey.driving import ByHelm
from conformance.journey.rotating import Rotator
from conformance.journey.watched import Watched
from conformance.manifests import Manifest, Manifests, ObjectKey
from conformance.provision import Tools
from conformance.render import Renderer, ValuesSet
from conformance.rules.pods import pod_annotations
from conformance.run import Runner
from conformance.subject import Subject
from conformance.values import overlaid, read_values

#: The annotation of a watched object on a workload's pods, None where there is none.
Checksums = Mapping[tuple[ObjectKey, Watched], str | None]


@dataclass(frozen=True)
class Shown:
    """The checksums that a tool shows, and those that it must show."""

    tool: str
    expected: Checksums
    seen: Checksums


class Showing:
    """The tools of the machine, for one subject. `folder` is a private one of the suite's own."""

    def __init__(self, subject: Subject, tools: Tools, runner: Runner, folder: Path) -> None:
        self._subject, self._tools, self._runner, self._folder = subject, tools, runner, folder

    def all(self, rotator: Rotator, helm: ByHelm) -> Iterator[Shown]:
        """Show the values that a rotator asks for now with each tool, beside the pods of the cluster.

        What is looked up is left to the tool that asks the cluster. Raises `CommandFailed` where an overlay does
        not build.
        """
        chart, files = self._subject.candidate, helm.written(rotator.wanted)
        live = Manifests(tuple(rotator.workloads()))
        known = [one for one in rotator.watched if str(one) not in rotator.asked.looked_up]
        for major in (3, 4):
            rendered = self._rendered(major, chart, ValuesSet("as installed", tuple(files)))
            yield self._shown(f"helm {major} template", known, live, rendered)
        yield self._shown("helm upgrade --dry-run=server", rotator.watched, live, helm.preview(rotator.wanted))
        if self._subject.overlay is not None:
            given = overlaid(*map(read_values, files))
            yield self._shown("kustomize build --enable-helm", known, *self._built(chart, given))

    def _rendered(self, major: int, chart: Chart, values: ValuesSet) -> Manifests:
        release = self._subject.contract.release
        with Renderer(
            self._tools.helm(major), major, self._runner, release=release.name, namespace=release.namespace,
            kube_version=self._subject.kube_version, folder=self._room(),
        ) as renderer:  # fmt: skip
            return renderer.render(chart.folder, values).manifests

    def _built(self, chart: Chart, given: dict[str, Any]) -> tuple[Manifests, Manifests]:
        """Return what Helm, and what kustomize makes of the overlay with some values over its own."""
        overlay, tree = Overlay(self._subject.overlay or self._folder), self._room()
        overlay.write(tree, chart, given)
        overlay.keep_inflation(tree, chart.name)
        entry = overlay.inflation(chart.name)
        home = overlay.values(tree, chart.name)
        further = tuple(home.parent / str(name) for name in entry.get("additionalValuesFiles") or ())
        values = ValuesSet("overlay", (home, *further), entry.get("valuesInline") or {})
        helm = self._rendered(self._subject.helm, chart, values)
        program = self._tools.helm(self._subject.helm)
        return helm, overlay.render(tree, self._runner, self._tools.kustomize, program, self._subject.kube_version)

    def _shown(self, tool: str, known: list[Watched], expected: Manifests, seen: Manifests) -> Shown:
        contract = self._subject.contract
        keys = [contract.key_of(found) for found in contract.workloads]
        return Shown(tool, _checksums(keys, known, expected), _checksums(keys, known, seen))

    def _room(self) -> Path:
        return Path(tempfile.mkdtemp(prefix="shown-", dir=self._folder))


def _checksums(keys: list[ObjectKey], known: list[Watched], manifests: Manifests) -> Checksums:
    return {(key, one): _annotation(manifests.get(key), one.annotation) for key in keys for one in known}


def _annotation(workload: Manifest | None, name: str) -> str | None:
    return pod_annotations(workload).get(name) if workload else None
