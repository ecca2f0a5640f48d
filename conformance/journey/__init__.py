"""A chart's life on a cluster, driven once, recorded, and judged under many ids."""

from __future__ import annotations

import inspect
from collections.abc import Mapping

from conformance.checks import REGISTRY
from conformance.journey.beginnings import Beginnings
from conformance.journey.committed import Committed
from conformance.journey.delivery import Delivery
from conformance.journey.git_setting import GitSetting
from conformance.journey.journeys import Blocked, Crowded, Installed, Journey, Lifecycle
from conformance.journey.mishap_setting import MishapSetting
from conformance.journey.mishaps import Mishaps
from conformance.journey.rollouts import Rollouts
from conformance.journey.runs import Runs
from conformance.journey.setting import Setting
from conformance.journey.stage import Stage

__all__ = [
    "JOURNEYS",
    "Beginnings",
    "Blocked",
    "Committed",
    "Crowded",
    "Delivery",
    "GitSetting",
    "Installed",
    "Journey",
    "Lifecycle",
    "MishapSetting",
    "Mishaps",
    "Rollouts",
    "Runs",
    "Setting",
    "Stage",
    "journey_of",
]

#: The journeys by the name under which a scenario asks for one.
JOURNEYS: Mapping[str, type[Journey]] = {
    "delivery": Delivery,
    "installed": Installed,
    "lifecycle": Lifecycle,
    "crowded": Crowded,
    "blocked": Blocked,
    "runs": Runs,
    "rollouts": Rollouts,
    "committed": Committed,
    "mishaps": Mishaps,
    "beginnings": Beginnings,
}


def journey_of(id_: str) -> str:
    """Return the name of the journey that a scenario reads."""
    (name,) = inspect.signature(REGISTRY[id_].function).parameters
    return name
