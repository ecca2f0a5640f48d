"""Remove what a run made, from its journal: at its own end, or after it was killed."""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
import time
from collections.abc import Sequence
from pathlib import Path

import psutil

from conformance.cluster import containers
from conformance.cluster.journal import (
    CLUSTER,
    CONTAINER,
    FOLDER,
    KEPT,
    MAKING,
    NETWORK,
    PROCESS,
    Entry,
    Journal,
    is_running,
    stale_runs,
)
from conformance.provision.engine import Engine
from conformance.run import Runner
from conformance.temporary import sweep_stale_folders

log = logging.getLogger(__name__)

#: What the commands of a run find in their environment, so that those which outlived it can be told.
RUN_VARIABLE = "AGENTS_CONFORMANCE_RUN"

#: Seconds in which the engine may still begin what a killed command had asked it for.
SETTLING_SECONDS = 2.0


def sweep(journal: Journal, *, kept: bool = False) -> list[str]:
    """Remove everything that a run's journal records, and the journal; return what was removed.

    Kept clusters stay, with their journal, unless `kept` is set. The caller holds the run's lock; it is let go.
    Raises `MachineLacks` when there are containers to remove and the engine does not answer: the journal then
    stays for the next sweep.
    """
    removed: list[str] = []
    try:
        end_processes(journal)
        stay = [] if kept else [entry for entry in journal.entries() if entry.state == KEPT]
        for entry in stay:
            log.info("%s %s of run %s is kept until `clean`", entry.kind, entry.name, journal.run_id)
        containerised = [entry for entry in journal.entries(CLUSTER, CONTAINER, NETWORK) if entry not in stay]
        if containerised:
            engine = containers.running_engine(Runner(journal.make_folder("home")))
            # The last made goes first: a network cannot go before what is in it.
            for entry in reversed(containerised):
                removed += [str(entry)] if _remove(engine, journal, entry) else []
                journal.done(entry.kind, entry.name)
        for entry in journal.entries(FOLDER):
            if entry not in stay and Path(entry.name).is_dir():
                shutil.rmtree(entry.name, ignore_errors=True)
                removed.append(str(entry))
        if not stay:
            journal.discard()
    finally:
        journal.close()
    return removed


def sweep_stale_runs() -> list[str]:
    """Remove what runs that are over left behind, but for their kept clusters; return what was removed."""
    sweep_stale_folders()
    return sweep_all(stale_runs())


def sweep_all(journals: Sequence[Journal], *, kept: bool = False) -> list[str]:
    """Sweep several runs; the locks of those that were not come to are let go when one cannot be swept."""
    try:
        return [line for journal in journals for line in sweep(journal, kept=kept)]
    finally:
        for journal in journals:
            journal.close()


def remove_cluster(engine: Engine, journal: Journal, name: str) -> bool:
    """Remove the nodes that this run made for a cluster, in whatever state they are; say whether there were any.

    One that was never finished is looked for more than once: its making may have been cut short, and the engine
    may yet begin what was asked for last.
    """
    unfinished = any(entry.name == name and entry.state == MAKING for entry in journal.entries(CLUSTER))
    last = time.monotonic() + (SETTLING_SECONDS if unfinished else 0.0)
    found = False
    while True:
        nodes = containers.nodes(engine, name, patience=containers.MAKING_SECONDS)
        ours = [node for node in nodes if node.mounts_from(journal.folder)]
        if foreign := [node.name for node in nodes if node not in ours]:
            log.warning("%s: made by someone else, left alone", ", ".join(foreign))
        containers.remove(engine, ours)
        found = found or bool(ours)
        if time.monotonic() >= last:
            return found
        time.sleep(0.2)


def _remove(engine: Engine, journal: Journal, entry: Entry) -> bool:
    if entry.kind == CLUSTER:
        return remove_cluster(engine, journal, entry.name)
    if engine.inspect(entry.kind, entry.name) is None:
        return False
    if entry.kind == CONTAINER:
        containers.remove(engine, [entry.name])
    else:
        containers.ask(engine, "network", "rm", entry.name)
    return True


def end_processes(journal: Journal) -> None:
    """Kill the run's worker processes and the commands that outlived them, with what those start meanwhile."""
    own = {os.getpid(), *(parent.pid for parent in psutil.Process().parents())}
    recorded = {int(entry.name) for entry in journal.entries(PROCESS) if is_running(entry)}
    gone: list[psutil.Process] | None = None
    while gone is None or gone:
        killed = []
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                marked = process.environ().get(RUN_VARIABLE) == journal.run_id
                if process.pid not in own and (marked or process.pid in recorded):
                    process.kill()
                    killed.append(process)
        gone, _ = psutil.wait_procs(killed, timeout=5)
