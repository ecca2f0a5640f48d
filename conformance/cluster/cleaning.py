"""Remove everything this suite made on the machine, and nothing else."""

from __future__ import annotations

import logging
import re
from pathlib import Path

from conformance import paths
from conformance.cluster import containers
from conformance.cluster.journal import CLUSTER, KEPT, PROCESS, Journal, live_runs, stale_runs
from conformance.cluster.sweeping import sweep_all
from conformance.provision.engine import find
from conformance.run import Runner
from conformance.temporary import private_folder, sweep_stale_folders

log = logging.getLogger(__name__)


def clean(*, everything: bool = False) -> list[str]:
    """Remove what runs that are over left behind, kept clusters included; return what was removed.

    A run that is going on is left alone, and the log says so. With `everything`, what all runs share goes too,
    unless one is going on: the registry, the images, the cache, and the engine if this suite started it.
    Raises `MachineLacks` when there are containers to remove and the engine does not answer.
    """
    sweep_stale_folders()
    removed = sweep_all(stale_runs(), kept=True)
    live = live_runs()
    removed += _orphans({journal.folder for journal in live})
    for journal in live:
        controlling = next(iter(journal.entries(PROCESS)), None)
        process = f" (process {controlling.name})" if controlling else ""
        log.warning("run %s is going on%s and is left alone", journal.run_id, process)
    if everything and not live:
        from conformance.provision import remove

        removed += remove()
    return removed


def _orphans(live: set[Path]) -> list[str]:
    """Remove nodes of ours whose journal is lost, told by the folder of their run that each of them mounts.

    Where the journal is in another state folder, those stay that its run uses or keeps for a person.
    """
    with private_folder() as home:
        engine = find(Runner(home))
        if engine is None:
            return []
        nodes = containers.nodes(engine, patience=containers.MAKING_SECONDS)
        found = [(node, run) for node in nodes if (run := _run_of(node))]
        lost = [node for node, run in found if run not in live and not _wanted(node, Journal(run))]
        containers.remove(engine, lost)
    return [f"container {node.name}" for node in lost]


def _wanted(node: containers.Container, journal: Journal) -> bool:
    kept = {entry.name for entry in journal.entries(CLUSTER) if entry.state == KEPT}
    return not journal.is_over() or node.cluster in kept


def _run_of(node: containers.Container) -> Path | None:
    """Return the folder of the run that made a node, below any user's state folder; None for other people's."""
    for bind in node.binds:
        for folder in bind.parents:
            ours = folder.parent.match(f"{paths.APP}/runs") and re.fullmatch("[0-9a-f]{8}", folder.name)
            if ours and node.name.startswith(f"{paths.APP}-{folder.name}-"):
                return folder
    return None
