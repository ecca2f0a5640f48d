"""Whether a rollback brings running pods back to the digests of before, workload by workload."""

from __future__ import annotations

from collections.abc import Iterator

from conformance.checks import Finding
from conformance.contract import Contract, Workload
from conformance.journey.stage import Stage
from conformance.manifests import Manifest
from conformance.observe import rollout


def not_prior(contract: Contract, before: Stage, after: Stage) -> Iterator[Finding]:
    """Yield each declared workload whose running pods have another digest than before, or none runs any more.

    The digest of before is the pinned one, else those that ran. A workload that a hook makes, which no manifest
    of a release holds, is judged like any other (seed 000, "both Deployments rolled back").
    """
    for workload in contract.workloads:
        key = contract.key_of(workload)
        declared = before.declaration(key)
        if declared is None:
            continue
        prior = _pinned(declared, workload) or _running(before, contract, workload)
        running = rollout.running_images(after.inventory, key, workload.container)
        if not prior:
            continue
        others = {pod: image for pod, image in running.items() if _digest(image) not in prior}
        if others or not running:
            yield Finding(
                object=str(key),
                expected=f"container {workload.container} of every running pod has {' or '.join(sorted(prior))}",
                observed="\n".join(f"{pod} has {image or 'not started'}" for pod, image in others.items())
                or "no pod is running",
                why=f"the {after.operation} left the workload at another image than before",
                remedy="let the release own the workload (a hook's objects are no part of it), and let its values "
                "alone decide the image",
            )


def _pinned(declared: Manifest, workload: Workload) -> set[str]:
    images = (str(box.get("image", "")) for box in declared.containers() if box.get("name") == workload.container)
    return {_digest(image) for image in images if "@" in image}


def _running(stage: Stage, contract: Contract, workload: Workload) -> set[str]:
    found = rollout.running_images(stage.inventory, contract.key_of(workload), workload.container)
    return {_digest(image) for image in found.values() if image}


def _digest(image: str) -> str:
    return image.rpartition("@")[2]
