"""A kind cluster's life: create, pristine, reset, delete; the journal of a run, and what removes its leavings."""

from conformance.cluster.cleaning import clean
from conformance.cluster.cluster import Cluster
from conformance.cluster.journal import Journal, live_runs, stale_runs
from conformance.cluster.lease import Lease
from conformance.cluster.pristine import NotPristine, departures
from conformance.cluster.sweeping import sweep, sweep_stale_runs

__all__ = [
    "Cluster",
    "Journal",
    "Lease",
    "NotPristine",
    "clean",
    "departures",
    "live_runs",
    "stale_runs",
    "sweep",
    "sweep_stale_runs",
]
