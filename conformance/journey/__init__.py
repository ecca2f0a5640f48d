"""A chart's life on a cluster, driven once, recorded, and judged under many ids."""

from conformance.journey.journeys import Installed, Lifecycle
from conformance.journey.setting import Setting
from conformance.journey.stage import Stage

__all__ = ["Installed", "Lifecycle", "Setting", "Stage"]
