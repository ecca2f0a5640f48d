"""What the section `checksums` may not say: see `consistency`."""

from __future__ import annotations

import re
from collections.abc import Iterator

from conformance.contract.model import Contract
from conformance.located_yaml import Place


def of_checksums(contract: Contract) -> Iterator[tuple[Place, str]]:
    """Yield the place and the sentence of each contradiction."""
    if contract.checksums is None:
        return
    if not contract.checksums.secrets and not contract.checksums.config_maps:
        yield ("checksums",), "expected at least one name in `secrets` or `configMaps`, seen none"
    found = contract.checksums.values
    for name in found.data if found else ():
        if name not in (*contract.checksums.secrets, *contract.checksums.config_maps):
            yield (
                ("checksums", "values", "data", name),
                f"expected a name under `secrets` or `configMaps`, seen {name}; add it there",
            )
    workloads = {workload.name for workload in contract.workloads}
    for name in found.only if found else ():
        if name not in workloads:
            yield (
                ("checksums", "values", "only", name),
                f"expected the name of a workload, seen {name}; known are {', '.join(sorted(workloads))}",
            )
    forms = {
        "secretAnnotation": contract.checksums.secret_annotation,
        "configMapAnnotation": contract.checksums.config_map_annotation,
    }
    for key, form in forms.items():
        if not re.fullmatch(r"([-a-z0-9.]{1,253}/)?[A-Za-z0-9]([-\w.]*[A-Za-z0-9])?", form.replace("<name>", "x")):
            yield (
                ("checksums", key),
                f"expected an annotation's key, seen {form}; a key has one slash at most, before its name",
            )
