"""What is captured when something fails, before anything is cleaned up (law 3), without secrets (law 6)."""

from conformance.evidence.capture import SECONDS, capture
from conformance.evidence.snapshot import Scene

__all__ = ["SECONDS", "Scene", "capture"]
