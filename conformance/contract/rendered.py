"""Whether a contract is about this chart at all: what it names must be in the chart's rendering."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from conformance.contract.images import ImageLike
from conformance.contract.model import Contract
from conformance.contract.parts import Service, Workload
from conformance.errors import BadInput
from conformance.manifests import Manifest, Manifests


def require_rendered(
    contract: Contract, manifests: Manifests, images: Mapping[str, ImageLike] | None = None
) -> None:
    """Raise `BadInput` with the contract's line where a declared workload, container or Service is not rendered.

    `images` are those set through the image value paths, by workload name: a container that does not run its
    image shows that a value path is wrong.
    """
    for number, workload in enumerate(contract.workloads):
        _workload(contract, number, workload, manifests, (images or {}).get(workload.name))
    for number, service in enumerate(contract.services):
        _service(contract, number, service, manifests)


def _workload(
    contract: Contract, number: int, workload: Workload, manifests: Manifests, image: ImageLike | None
) -> None:
    found = _named(manifests, workload.kind, workload.name)
    if found is None:
        seen = _listed(f"{other.kind}/{other.name}" for other in manifests if other.pod_template)
        where = contract.where(("workloads", number, "name"))
        raise BadInput(f"{where}: expected {workload.kind}/{workload.name} in the chart's rendering, seen {seen}; "
                       "correct the contract or its values")  # fmt: skip
    container = next((each for each in found.containers() if each.get("name") == workload.container), None)
    if container is None:
        seen = _listed(str(each.get("name")) for each in found.containers())
        where = contract.where(("workloads", number, "container"))
        raise BadInput(
            f"{where}: expected a container {workload.container} in {found.key}, seen {seen}; correct it"
        )
    paths = workload.image
    if image is None or paths is None:
        return
    runs = str(container.get("image"))
    pinned = paths.reference or paths.digest or (paths.tag and paths.digest_in_tag)
    mark = image.digest if pinned else f"{image.repository}:{image.tag}"
    if not runs.startswith(image.repository) or mark not in runs:
        raise BadInput(
            f"{contract.where(('workloads', number, 'image'))}: expected {image.repository}@{image.digest} in "
            f"{found.key} once it is set through these value paths, seen {runs}; correct the paths"
        )


def _service(contract: Contract, number: int, service: Service, manifests: Manifests) -> None:
    found = _named(manifests, "Service", service.name)
    if found is None:
        seen = _listed(other.name for other in manifests.of("Service"))
        where = contract.where(("services", number, "name"))
        raise BadInput(f"{where}: expected Service/{service.name} in the chart's rendering, seen {seen}; "
                       "correct the contract or its values")  # fmt: skip
    spec = found.body.get("spec")
    ports = [
        port for port in (spec.get("ports") if isinstance(spec, dict) else None) or () if isinstance(port, dict)
    ]
    if not any(service.port in (port.get("port"), port.get("name")) for port in ports):
        seen = _listed(f"{port.get('name', 'unnamed')} {port.get('port')}" for port in ports)
        where = contract.where(("services", number, "port"))
        raise BadInput(f"{where}: expected a port {service.port} of {found.key}, seen {seen}; correct it")


def _named(manifests: Manifests, kind: str, name: str) -> Manifest | None:
    return next((found for found in manifests.of(kind) if found.name == name), None)


def _listed(names: Iterable[str]) -> str:
    return ", ".join(dict.fromkeys(names)) or "none"
