"""What is captured when something fails, before anything is cleaned up (law 3), without secrets (law 6)."""

from conformance.cluster.scene import Scene
from conformance.evidence.capture import capture, capture_all

__all__ = ["Scene", "capture", "capture_all"]
