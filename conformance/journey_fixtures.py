"""The journeys as fixtures of the plugin: a scenario asks for one by its name."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from conformance.cluster import Lease
from conformance.journey import Journey
from conformance.preparation import Preparation


@pytest.fixture(scope="session")
def installed(preparation: Preparation, lease: Lease) -> Iterator[Journey]:
    """Yield the candidate's install on a pristine cluster."""
    with preparation.journey("installed", lease) as journey:
        yield journey


@pytest.fixture(scope="session")
def lifecycle(preparation: Preparation, lease: Lease) -> Iterator[Journey]:
    """Yield the baseline's life on a pristine cluster: upgraded to the candidate and rolled back."""
    with preparation.journey("lifecycle", lease) as journey:
        yield journey


@pytest.fixture(scope="session")
def delivery(preparation: Preparation, lease: Lease) -> Iterator[Journey]:
    """Yield the baseline delivered by git on a pristine cluster, ready for what people do with commits."""
    with preparation.journey("delivery", lease) as journey:
        yield journey


@pytest.fixture(scope="session")
def runs(preparation: Preparation, lease: Lease) -> Iterator[Journey]:
    """Yield the candidate on a pristine cluster, with runs of every kind carried out on it."""
    with preparation.journey("runs", lease) as journey:
        yield journey


@pytest.fixture(scope="session")
def crowded(preparation: Preparation, lease: Lease) -> Iterator[Journey]:
    """Yield the candidate's install with two of each workload that may migrate, on a pristine cluster."""
    with preparation.journey("crowded", lease) as journey:
        yield journey


@pytest.fixture(scope="session")
def blocked(preparation: Preparation, lease: Lease) -> Iterator[Journey]:
    """Yield the baseline's life on a pristine cluster: an upgrade whose migration fails, and the way out."""
    with preparation.journey("blocked", lease) as journey:
        yield journey


@pytest.fixture(scope="session")
def rollouts(preparation: Preparation, lease: Lease) -> Iterator[Journey]:
    """Yield the candidate on a pristine cluster, whose watched objects are rotated."""
    with preparation.journey("rollouts", lease) as journey:
        yield journey


@pytest.fixture(scope="session")
def committed(preparation: Preparation, lease: Lease) -> Iterator[Journey]:
    """Yield the candidate delivered by git on a pristine cluster, whose watched objects are rotated by commits."""
    with preparation.journey("committed", lease) as journey:
        yield journey


@pytest.fixture(scope="session")
def mishaps(preparation: Preparation, lease: Lease) -> Iterator[Journey]:
    """Yield the baseline on a pristine cluster, on which operations go wrong, and the ways out."""
    with preparation.journey("mishaps", lease) as journey:
        yield journey


@pytest.fixture(scope="session")
def beginnings(preparation: Preparation, lease: Lease) -> Iterator[Journey]:
    """Yield a pristine cluster for the candidate's first installs."""
    with preparation.journey("beginnings", lease) as journey:
        yield journey
