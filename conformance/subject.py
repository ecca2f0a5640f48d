"""What a run judges: a candidate and, perhaps, its baseline, under one contract, values and versions."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from conformance.chart import Chart
from conformance.contract import Contract


@dataclass(frozen=True)
class Subject:
    """The charts under judgement and everything they are rendered and installed with.

    `values` are the contract's files and the caller's, in the order Helm merges them.
    """

    contract: Contract
    candidate: Chart
    baseline: Chart | None
    values: tuple[Path, ...]
    kube_version: str
    helm: int
