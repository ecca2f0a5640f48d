"""What is said of a contract that contradicts itself: where, and in which words."""

from __future__ import annotations

from conformance.contract.model import Contract
from conformance.located_yaml import Place

#: The place in the contract, and the sentence: what was expected, what was seen, what to do.
Contradiction = tuple[Place, str]


def unknown_role(contract: Contract, role: str) -> str | None:
    """Return what to say of a role that no workload has; None for one that some have."""
    known = dict.fromkeys(workload.role for workload in contract.workloads)
    return None if role in known else f"expected the role of a workload, one of {', '.join(known)}, seen {role}"
