"""The journeys as fixtures of the plugin: a scenario asks for one by its name."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from conformance.cluster import Lease
from conformance.journey import Journey
from conformance.preparation import Preparation


def _fixture(name: str) -> Any:  # noqa: ANN401 - pytest's
    """Return the fixture that yields a journey on a pristine cluster; its class says what it goes through."""

    @pytest.fixture(scope="session", name=name)
    def journey(preparation: Preparation, lease: Lease) -> Iterator[Journey]:
        with preparation.journey(name, lease) as going:
            yield going

    return journey


installed = _fixture("installed")
lifecycle = _fixture("lifecycle")
delivery = _fixture("delivery")
runs = _fixture("runs")
crowded = _fixture("crowded")
blocked = _fixture("blocked")
rollouts = _fixture("rollouts")
committed = _fixture("committed")
mishaps = _fixture("mishaps")
beginnings = _fixture("beginnings")
