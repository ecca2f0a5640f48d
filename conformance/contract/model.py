"""The contract itself: its sections, and what they say when asked."""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from pydantic import Field, PrivateAttr

from conformance.chart.address import seen_from
from conformance.contract.allowances import Absent, Accepted, AllowedWarning, Kept
from conformance.contract.checksums import Checksums
from conformance.contract.database import Database
from conformance.contract.environment import Environment
from conformance.contract.going_back import Gitops, Readme
from conformance.contract.migrations import Migrations
from conformance.contract.parts import (
    Crds,
    Example,
    ImagePaths,
    Images,
    Part,
    Policies,
    Prerequisites,
    Release,
    Service,
    Stub,
    Text,
    Values,
    Workload,
)
from conformance.contract.runs import Runs
from conformance.located_yaml import Located, Place, dotted
from conformance.manifests import ObjectKey

#: Names of images that are no workload's: what the application's own Jobs run, and further ones of the stub.
RUNNER, FURTHER = "runner", "further"
#: The components of the reference platform, which workloads run by their role.
COMPONENTS = ("control-plane", "controllers")


class Contract(Part):
    """What one chart promises. The suite knows no name of a chart that does not stand here."""

    api_version: Literal["conformance/v1"]
    """Version of this format."""
    release: Release
    """The Helm release that the suite installs."""
    chart: Text | None = None
    """The chart to judge when none is named: a folder or .tgz (seen from the contract's folder),
    `git:<repo>@<ref>:<path>`, `oci://…`."""
    baseline: Text | None = None
    """The version to upgrade from and roll back to when none is named; written like `chart`."""
    values: Values = Values()
    """The values that the chart is rendered and installed with."""
    workloads: tuple[Workload, ...] = Field(min_length=1)
    """The workloads that the chart installs."""
    services: tuple[Service, ...] = ()
    """The Services that must go on answering."""
    images: Images = Images()
    """What the workloads run."""
    prerequisites: Prerequisites = Prerequisites()
    """What must exist before the install."""
    crds: Crds | None = None
    """The CustomResourceDefinitions that the chart brings."""
    examples: tuple[Example, ...] = ()
    """Example resources of those definitions."""
    gitops: Gitops | None = None
    """How the chart is deployed from git."""
    readme: Readme | None = None
    """What the chart's README must tell."""
    checksums: Checksums | None = None
    """The pod annotations by which a changed Secret or ConfigMap rolls its consumers."""
    database: Database | None = None
    """The database that the application uses."""
    environment: Environment | None = None
    """Which values become which variables of the containers' environment."""
    runs: Runs | None = None
    """The custom resource of which each is one run, carried out as a Job."""
    migrations: Migrations | None = None
    """Who applies the database's migrations, and how a variable of the environment says so."""
    policies: Policies = Policies()
    """What the chart promises where both answers are sound."""
    allowed_warnings: tuple[AllowedWarning, ...] = ()
    """Warning events that are no fault of the chart's."""
    kept: tuple[Kept, ...] = ()
    """Objects that stay on purpose when the release no longer declares them."""
    absent: tuple[Absent, ...] = ()
    """Needs of checks that the chart cannot meet."""
    accepted: tuple[Accepted, ...] = ()
    """Findings that are known and accepted for a time."""

    _file: Path = PrivateAttr(default=Path("contract.yaml"))
    _located: Located = PrivateAttr(default_factory=lambda: Located({}, {}))

    def placed(self, file: Path, located: Located) -> Contract:
        """Return this contract, knowing the file it was read from and the line of everything in it."""
        self._file, self._located = file, located
        return self

    @property
    def file(self) -> Path:
        """Return the file that the contract was read from."""
        return self._file

    @property
    def folder(self) -> Path:
        """Return the folder that the contract's paths start from."""
        return self._file.absolute().parent

    def where(self, place: Place) -> str:
        """Return `file:line: path` of a place in the contract, for an error message."""
        return f"{self._file}:{self._located.line(place)}: {dotted(place)}"

    @property
    def candidate_source(self) -> str | None:
        """Return where the chart to judge comes from when none is named, readable from any folder."""
        return self.chart and seen_from(self.folder, self.chart)

    @property
    def baseline_source(self) -> str | None:
        """Return where the baseline comes from when none is named, readable from any folder."""
        return self.baseline and seen_from(self.folder, self.baseline)

    @property
    def values_files(self) -> tuple[Path, ...]:
        """Return the values files of every run, in Helm's order."""
        return tuple(self.folder / file for file in self.values.files)

    @property
    def values_sets(self) -> dict[str, tuple[Path, ...]]:
        """Return the further values sets by name: the run's files, then the set's own."""
        return {
            found.name: (*self.values_files, *(self.folder / file for file in found.files))
            for found in self.values.sets
        }

    @property
    def overlay(self) -> Path | None:
        """Return the folder of the GitOps overlay, if one is declared."""
        return self.folder / self.gitops.overlay if self.gitops else None

    @property
    def stub(self) -> Stub | None:
        """Return what stands in for the chart's images, if that is declared."""
        return self.images.stub

    @property
    def config_map_keys(self) -> dict[str, frozenset[str]]:
        """Return the ConfigMaps that the suite makes before the install, with their keys."""
        made = {found.name: frozenset(found.data) for found in self.prerequisites.config_maps}
        if self.database and (certificate := self.database.certificate):
            made[certificate.name] = frozenset({certificate.key})
        return made

    def workloads_of(self, *roles: str) -> tuple[Workload, ...]:
        """Return the workloads of some roles."""
        return tuple(workload for workload in self.workloads if workload.role in roles)

    def key_of(self, workload: Workload) -> ObjectKey:
        """Return what makes a workload the same object."""
        return ObjectKey("apps", workload.kind, self.release.namespace, workload.name)

    def keys_of(self, role: str) -> list[ObjectKey]:
        """Return the keys of the workloads of a role."""
        return [self.key_of(workload) for workload in self.workloads_of(role)]

    def image_paths(self) -> Iterator[tuple[Place, str, ImagePaths]]:
        """Yield every place of the contract that says where values take an image, with that image's name.

        A workload's image has the name of its role.
        """
        for number, workload in enumerate(self.workloads):
            if workload.image:
                yield ("workloads", number, "image"), workload.role, workload.image
        if self.images.runner:
            yield ("images", "runner"), RUNNER, self.images.runner
        for number, further in enumerate(self.stub.further_images if self.stub else ()):
            yield ("images", "stub", "furtherImages", number), FURTHER, further

    @property
    def image_names(self) -> frozenset[str]:
        """Return the names of the images that the suite brings; none where the charts run their own."""
        if self.stub is None and self.images.platform is None:
            return frozenset()
        return frozenset(name for _, name, _ in self.image_paths())

    def example_files(self, chart: Path) -> list[tuple[Example, Path]]:
        """Return each example with its file, given the unpacked chart's folder; the file may be missing there."""
        return [
            (example, chart / example.in_chart if example.in_chart else self.folder / str(example.file))
            for example in self.examples
        ]

    def accepts(self, check_id: str, object_: str, today: datetime.date) -> Accepted | None:
        """Return the entry that accepts a check's finding about an object today, if there is one."""
        return next((entry for entry in self.accepted if entry.covers(check_id, object_, today)), None)

    def expired(self, today: datetime.date) -> list[Accepted]:
        """Return the accepted findings that count again."""
        return [entry for entry in self.accepted if today > entry.expires]

    def allows_warning(self, reason: str, object_: str, message: str) -> AllowedWarning | None:
        """Return the entry that allows a warning event about `object_` (`Kind/name`), if there is one."""
        return next((entry for entry in self.allowed_warnings if entry.allows(reason, object_, message)), None)

    def keeps(self, object_: str) -> Kept | None:
        """Return the entry that lets an object stay, if there is one."""
        return next((entry for entry in self.kept if entry.covers(object_)), None)
