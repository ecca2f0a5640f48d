"""Load and validate a contract: what one chart promises."""

from __future__ import annotations

from conformance.contract.allowances import Accepted, AllowedWarning, Kept
from conformance.contract.images import ImageLike, image_values
from conformance.contract.load import builtin, load
from conformance.contract.model import COMPONENTS, RUNNER, Contract
from conformance.contract.needs import Lack, lacks
from conformance.contract.parts import (
    ConfigMap,
    Crds,
    Example,
    ImagePaths,
    Phase,
    Secret,
    Service,
    Stub,
    Workload,
)
from conformance.contract.rendered import require_rendered
from conformance.contract.schema import json_schema
from conformance.contract.variables import Migrations

__all__ = [
    "COMPONENTS",
    "RUNNER",
    "Accepted",
    "AllowedWarning",
    "ConfigMap",
    "Contract",
    "Crds",
    "Example",
    "ImageLike",
    "ImagePaths",
    "Kept",
    "Lack",
    "Migrations",
    "Phase",
    "Secret",
    "Service",
    "Stub",
    "Workload",
    "builtin",
    "image_values",
    "json_schema",
    "lacks",
    "load",
    "require_rendered",
]
