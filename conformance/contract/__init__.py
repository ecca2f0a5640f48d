"""Load and validate a contract: what one chart promises."""

from __future__ import annotations

from conformance.contract.allowances import Accepted, AllowedWarning, Kept
from conformance.contract.checksums import Checksums, Watching
from conformance.contract.environment import Environment, Layer, Sample, Source, Variable
from conformance.contract.images import ImageLike, image_values
from conformance.contract.load import builtin, load
from conformance.contract.migrations import Migrations
from conformance.contract.model import COMPONENTS, RUNNER, Contract
from conformance.contract.needs import Lack, declared, lacks
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

__all__ = [
    "COMPONENTS",
    "RUNNER",
    "Accepted",
    "AllowedWarning",
    "Checksums",
    "ConfigMap",
    "Contract",
    "Crds",
    "Environment",
    "Example",
    "ImageLike",
    "ImagePaths",
    "Kept",
    "Lack",
    "Layer",
    "Migrations",
    "Phase",
    "Sample",
    "Secret",
    "Service",
    "Source",
    "Stub",
    "Variable",
    "Watching",
    "Workload",
    "builtin",
    "declared",
    "image_values",
    "json_schema",
    "lacks",
    "load",
    "require_rendered",
]
