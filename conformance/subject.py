"""What a run judges: a candidate and, perhaps, its baseline, under one contract, values and versions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from conformance.chart import Chart
from conformance.contract import Contract, ImageLike, Service, image_values
from conformance.contract.images import merge, steps
from conformance.errors import Incomplete
from conformance.kube_yaml import at
from conformance.manifests import Manifests, ObjectKey
from conformance.observe.calls import Target
from conformance.values import read_values

#: The two sides of a judgement, as errors and the stub's tags name them.
CANDIDATE, BASELINE = "candidate", "baseline"


@dataclass(frozen=True)
class PlaceholderImage:
    """Stands for an image where nothing is run: a reference of the right form that nobody pulls."""

    repository: str
    tag: str
    digest: str = f"sha256:{'0' * 64}"


def placeholders(contract: Contract) -> dict[str, dict[str, ImageLike]]:
    """Return a placeholder for each image that the suite brings, for each side; none where it brings none."""
    names = sorted(contract.image_names)
    return {
        side: {
            name: PlaceholderImage(f"registry.invalid/{'stub' if contract.stub else name}", side) for name in names
        }
        for side in ((CANDIDATE, BASELINE) if names else ())
    }


@dataclass(frozen=True)
class Subject:
    """The charts under judgement and everything they are rendered and installed with.

    `values` are the contract's files and the caller's, in the order Helm merges them. `images` holds the images
    of each side by the contract's names for them, and nothing where the charts run their own; `targets` the
    declared Services' addresses; `overlay` is the GitOps overlay's folder, if there is one.
    """

    contract: Contract
    candidate: Chart
    baseline: Chart | None
    values: tuple[Path, ...]
    kube_version: str
    helm: int
    images: Mapping[str, Mapping[str, ImageLike]] = field(default_factory=dict)
    targets: tuple[Target, ...] = ()
    overlay: Path | None = None

    @property
    def helm_program(self) -> str:
        """Return the name of the Helm that drives the release, among the machine's tools."""
        return f"helm{self.helm}"

    def chart(self, side: str) -> Chart:
        """Return the chart of a side; there is a baseline when anything asks for it."""
        chart = self.candidate if side == CANDIDATE else self.baseline
        if chart is None:
            raise ValueError("the run has no baseline")
        return chart

    def value(self, path: str) -> Any:  # noqa: ANN401 - any value
        """Return what the run's values files say at a value path, None where they say nothing."""
        for file in reversed(self.values):
            if (found := at(read_values(file), steps(path))) is not None:
                return found
        return None

    def image_values(self, side: str) -> dict[str, Any]:
        """Return the values that make a chart run a side's images; none where the charts run their own."""
        values: dict[str, Any] = {}
        if images := self.images.get(side):
            for _, name, paths in self.contract.image_paths():
                merge(values, image_values(paths, images[name]))
        return values

    def missing_image_values(self, number: int) -> dict[str, Any]:
        """Return the values that make the declared workloads run images that nobody has, others for each number.

        Raises `Incomplete` where the contract does not say where the values take any.
        """
        values: dict[str, Any] = {}
        images = self.images.get(CANDIDATE, {})
        for workload in self.contract.workloads:
            here = images.get(workload.role)
            repository = here.repository if here else "registry.invalid/missing"
            merge(values, image_values(workload, PlaceholderImage(repository, "missing", f"sha256:{number:064x}")))
        if not values:
            raise Incomplete("the contract names no workload's `image` paths, so no missing image can be set")
        return values


def targets(contract: Contract, rendered: Manifests) -> tuple[Target, ...]:
    """Return the addresses of the declared Services inside the cluster, named ports by their number."""
    return tuple(_target(service, contract.release.namespace, rendered) for service in contract.services)


def _target(service: Service, namespace: str, rendered: Manifests) -> Target:
    found = rendered.get(ObjectKey("", "Service", namespace, service.name))
    ports = found.body["spec"]["ports"] if found else []
    port = next((port["port"] for port in ports if service.port in (port["port"], port.get("name"))), service.port)
    address = f"{service.name}.{namespace}.svc:{port}"
    if service.probe.http is None:
        return Target(service.target, tcp=address)
    return Target(service.target, url=f"http://{address}{service.probe.http}")
