"""What a contract says of its application, the images and the runs, must fit the rest of it."""

from __future__ import annotations

from collections.abc import Iterator

from conformance.contract.contradiction import Contradiction, unknown_role
from conformance.contract.model import COMPONENTS, Contract


def of_platform(contract: Contract) -> Iterator[Contradiction]:
    """Yield what the images of the reference platform lack or exclude."""
    images = contract.images
    if images.runner and images.platform is None:
        yield ("images", "runner"), "expected `platform: reference` beside it, seen none; add it or drop `runner`"
    if images.platform is None:
        return
    if images.stub:
        yield ("images", "platform"), "expected either `stub` or `platform`, seen both; drop one"
    for number, workload in enumerate(contract.workloads):
        if workload.role not in COMPONENTS:
            yield (
                ("workloads", number, "role"),
                (
                    f"expected a component of the reference platform ({', '.join(COMPONENTS)}), "
                    f"seen {workload.role}"
                ),
            )


def of_runs(contract: Contract) -> Iterator[Contradiction]:
    """Yield what the section about runs says of others that these do not have."""
    found = contract.runs
    if found is None:
        return
    if contract.crds is None:
        yield ("runs",), "expected `crds` with the definition of the runs' kind, seen none; declare it"
    if said := unknown_role(contract, found.controllers_role):
        yield ("runs", "controllersRole"), said
    for key, phase in (("succeeded", found.succeeded), ("failed", found.failed)):
        if phase not in found.terminal:
            yield ("runs", key), f"expected one of the terminal phases {', '.join(found.terminal)}, seen {phase}"
