"""Drive releases with Helm 3 and Helm 4 alike: operations, history, typed results, Helm's own words on failure.

The operations are named as the Helm handler's are (seed 002, "Enhanced Operations Interface").
"""

from conformance.helm.errors import HelmError, InvalidRollbackTarget
from conformance.helm.program import Helm
from conformance.helm.release import Release, ValuesMode, Wait
from conformance.helm.results import Deployed, ReleaseRevision

__all__ = [
    "Deployed",
    "Helm",
    "HelmError",
    "InvalidRollbackTarget",
    "Release",
    "ReleaseRevision",
    "ValuesMode",
    "Wait",
]
