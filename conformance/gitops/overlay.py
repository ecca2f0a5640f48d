"""An overlay: the folder of an Argo CD Application whose kustomization renders a chart (seed 000, "GitOps").

It is written into a repository as the contract's folder is, with the chart where the kustomization looks for it
and the suite's images in its values.
"""

from __future__ import annotations

import copy
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from conformance.chart import Chart
from conformance.errors import BadInput, Incomplete
from conformance.manifests import Body, Manifests
from conformance.run import Runner
from conformance.values import over

APPLICATION, KUSTOMIZATION = "application.yaml", "kustomization.yaml"
#: Where kustomize looks for charts unless it is told another place.
CHART_HOME = "charts"
#: What of a kustomization decides how a chart is inflated.
_INFLATING = ("apiVersion", "kind", "namespace", "helmGlobals", "helmCharts")
#: Seconds that one build may take; it takes tenths.
BUILD_SECONDS = 60.0


@dataclass(frozen=True)
class Overlay:
    """The overlay in a folder of the caller's, which is only read."""

    folder: Path

    def documents(self) -> list[Body]:
        """Return the objects of application.yaml."""
        return [body for body in yaml.safe_load_all(self._text(APPLICATION)) if body]

    @property
    def application(self) -> Body:
        """Return the one Application. Raises `Incomplete` for forms that the suite does not follow."""
        found = [body for body in self.documents() if body.get("kind") == "Application"]
        if len(found) != 1 or "source" not in (found[0].get("spec") or {}):
            raise Incomplete(f"{self.folder.name}/{APPLICATION}: expected one Application with one spec.source")
        return found[0]

    @property
    def kustomization(self) -> dict[str, Any]:
        """Return the kustomization as it stands."""
        found = yaml.safe_load(self._text(KUSTOMIZATION))
        return found if isinstance(found, dict) else {}

    def inflation(self, chart: str) -> dict[str, Any]:
        """Return the entry of `helmCharts` for a chart. Raises `Incomplete` where there is none."""
        return _entry(self.kustomization, chart, self.folder)

    @property
    def path(self) -> Path:
        """Return the overlay's place in the repository, as the Application names it. Raises `BadInput`."""
        return _inside(Path(str(self.application["spec"]["source"].get("path") or ".")), "spec.source.path")

    def chart_place(self, chart: str) -> Path:
        """Return where in the repository kustomize looks for a chart. Raises `BadInput` for places outside."""
        home = (self.kustomization.get("helmGlobals") or {}).get("chartHome") or CHART_HOME
        return _inside(self.path / str(home) / chart, "helmGlobals.chartHome")

    def ships(self, chart: str) -> bool:
        """Say whether the overlay holds a copy of the chart itself, at the place that kustomize looks at."""
        place, path = self.chart_place(chart), self.path
        return place.is_relative_to(path) and (self.folder / place.relative_to(path)).exists()

    def write(self, tree: Path, chart: Chart, values: Mapping[str, Any]) -> None:
        """Write the overlay and the chart into a work tree, in place of what is there of them.

        The kustomization asks for the chart's version; its values file gets the suite's `values` over its own.
        A copy of the chart that the overlay ships is what its cluster would get, so it stays.
        """
        self.write_chart(tree, chart)
        target = tree / self.path
        kept = self.chart_place(chart.name)
        _empty(target, keep=tree / kept if not self.ships(chart.name) else None)
        shutil.copytree(self.folder, target, dirs_exist_ok=True)
        kustomization = copy.deepcopy(self.kustomization)
        entry = _entry(kustomization, chart.name, self.folder)
        entry["version"] = str(chart.version)
        entry.pop("repo", None)  # the chart is in the repository
        (target / KUSTOMIZATION).write_text(yaml.safe_dump(kustomization, sort_keys=False))
        file = target / str(entry.get("valuesFile", "values.yaml"))
        merged = over(yaml.safe_load(file.read_text()) or {}, values)
        file.write_text(yaml.safe_dump(merged, sort_keys=False))

    def write_chart(self, tree: Path, chart: Chart) -> None:
        """Write the chart where kustomize looks for it, in place of an earlier version of it."""
        place = tree / self.chart_place(chart.name)
        if not self.ships(chart.name):
            shutil.rmtree(place, ignore_errors=True)
            shutil.copytree(chart.folder, place)

    def values(self, tree: Path, chart: str) -> Path:
        """Return the values file of a written overlay."""
        return tree / self.path / str(self.inflation(chart).get("valuesFile", "values.yaml"))

    def keep_inflation(self, tree: Path, chart: str) -> None:
        """Leave of a written overlay what inflates the chart: no further resources, patches or transformers."""
        file = tree / self.path / KUSTOMIZATION
        said = yaml.safe_load(file.read_text())
        kept = {name: said[name] for name in _INFLATING if name in said}
        kept["helmCharts"] = [_entry(said, chart, self.folder)]
        file.write_text(yaml.safe_dump(kept, sort_keys=False))

    def render(self, tree: Path, runner: Runner, kustomize: Path, helm: Path, kube_version: str) -> Manifests:
        """Return what a written overlay renders to, as Argo CD has it rendered. Raises `CommandFailed`."""
        said = runner.run(
            kustomize, "build", "--enable-helm", "--helm-command", helm, "--helm-kube-version", kube_version,
            tree / self.path, timeout=BUILD_SECONDS, hide_output=True,
        )  # fmt: skip
        namespace = self.application["spec"]["destination"].get("namespace")
        return Manifests.parse(said.stdout, namespace)

    def _text(self, name: str) -> str:
        return (self.folder / name).read_text(encoding="utf-8")


def _entry(kustomization: Mapping[str, Any], chart: str, folder: Path) -> dict[str, Any]:
    for entry in kustomization.get("helmCharts") or ():
        if isinstance(entry, dict) and entry.get("name") == chart:
            return entry
    raise Incomplete(f"{folder.name}/{KUSTOMIZATION}: expected a helmCharts entry named {chart}, seen none")


def _inside(path: Path, what: str) -> Path:
    """Return a path relative to the repository's root, without `..`."""
    found = Path(os.path.normpath(path))
    if found.is_absolute() or ".." in found.parts:
        raise BadInput(f"{what}: expected a place inside the repository, seen {path}")
    return found


def _empty(folder: Path, keep: Path | None) -> None:
    """Remove what an earlier version of the overlay left, apart from the chart."""
    if not folder.is_dir():
        return
    for path in sorted((path for path in folder.rglob("*") if path.is_file() or path.is_symlink()), reverse=True):
        if keep is None or not path.is_relative_to(keep):
            path.unlink()
