"""What git says of a chart: the overlay that inflates it."""

from conformance.gitops.overlay import Overlay

__all__ = ["Overlay"]
