"""Take the evidence of a failure: every collector on its own, all at the same time, in a bounded time."""

from __future__ import annotations

import logging
import re
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from conformance.api import Api
from conformance.cluster.scene import Scene
from conformance.evidence.files import File, Found, Missing
from conformance.evidence.logs import logs
from conformance.evidence.node import commands, node
from conformance.evidence.objects import events, inventory, objects
from conformance.evidence.releases import releases
from conformance.evidence.secrets import learn
from conformance.evidence.snapshot import Deadline, Snapshot
from conformance.evidence.summary import summary
from conformance.evidence.write import write_text
from conformance.run import Runner
from conformance.temporary import private_folder

log = logging.getLogger(__name__)

#: Seconds that taking evidence of one cluster may last. An interrupted run is being waited for.
SECONDS = 20.0

#: The part of it in which the objects are read, before anything is written.
_READING = 0.4

#: The part of it after which collectors give up by themselves, so that they can say what they did not get.
_WORKING = 0.9

Collector = Callable[[], Iterator[Found]]


@dataclass
class _Collection:
    """What one collector has got so far."""

    name: str
    folder: Path
    files: int = 0
    missing: list[Missing] = field(default_factory=list)
    seconds: float | None = None
    closed: bool = False

    def run(self, collector: Collector) -> None:
        started = time.monotonic()
        try:
            for found in collector():
                if self.closed:
                    return
                self._take(found)
        except Exception as error:  # whatever it is, the other collectors go on
            self.missing.append(Missing(self.name, str(error) or type(error).__name__))
            log.debug("collecting %s", self.name, exc_info=True)
        self.seconds = time.monotonic() - started

    def _take(self, found: Found) -> None:
        if isinstance(found, File):
            write_text(self.folder / found.path, found.text)
            self.files += 1
        else:
            self.missing.append(found)


def capture(report: Path, check_id: str, scene: Scene, *, seconds: float = SECONDS) -> Path:
    """Write what can be known about a failure into a folder of the report, named after the check; return it.

    It is called before anything is cleaned up, and raises nothing: what could not be had is named in `index.txt`.
    """
    started, deadline = time.monotonic(), Deadline(seconds)
    working = Deadline(seconds * _WORKING)
    folder = report / re.sub(r"[^\w.-]+", "-", check_id)
    with private_folder() as home:
        collections = _collected(folder, _collectors(scene, Runner(home), working), deadline)
    took = time.monotonic() - started
    try:
        write_text(folder / "index.txt", _index(check_id, scene, collections, took))
    except OSError as error:
        log.warning("the evidence of %s cannot be written: %s", check_id, error)
    return folder


def capture_all(report: Path, scenes: Mapping[str, Scene], *, seconds: float = SECONDS) -> list[Path]:
    """Capture several scenes, by the name of their folder, at the same time and in the time of one."""
    with ThreadPoolExecutor(max(1, len(scenes)), "evidence") as pool:
        taken = pool.map(lambda name: capture(report, name, scenes[name], seconds=seconds), scenes)
        return list(taken)


def _collectors(scene: Scene, runner: Runner, deadline: Deadline) -> Mapping[str, Collector]:
    outside: dict[str, Collector] = {
        "commands": lambda: commands(scene.commands),
        "node": lambda: node(runner, scene.cluster, deadline),
    }
    try:
        pristine = scene.pristine_objects()
    except (OSError, ValueError):
        pristine = {}
    try:
        api = Api.from_kubeconfig(scene.kubeconfig)
        snapshot = Snapshot.take(api, Deadline(deadline.left(deadline.seconds * _READING)), pristine)
        learn(snapshot.objects.values())
    except Exception as error:  # a kubeconfig that is not there yet, or any answer nobody thought of
        return {"the API server": _nothing(f"{error}"), **outside}
    if "secrets" in snapshot.unread:
        # What cannot be redacted is not written.
        return {"the API server": _nothing(f"the Secrets cannot be read: {snapshot.unread['secrets']}"), **outside}
    return {
        "summary": lambda: summary(snapshot),
        "objects": lambda: objects(snapshot),
        "events": lambda: events(snapshot),
        "inventory": lambda: inventory(snapshot),
        "helm": lambda: releases(snapshot),
        "logs": lambda: logs(api, snapshot, deadline),
        **outside,
    }


def _nothing(why: str) -> Collector:
    return lambda: iter([Missing("objects, events, logs and releases", why)])


def _collected(folder: Path, collectors: Mapping[str, Collector], deadline: Deadline) -> list[_Collection]:
    collections, threads = [], []
    for name, collector in collectors.items():
        collection = _Collection(name, folder)
        # Daemons: one that hangs must not keep the process from ending.
        thread = threading.Thread(target=collection.run, args=(collector,), name=f"evidence-{name}", daemon=True)
        thread.start()
        collections.append(collection)
        threads.append(thread)
    for thread in threads:
        thread.join(deadline.left())
    for collection in collections:
        collection.closed = True
        if collection.seconds is None:
            collection.missing.append(
                Missing(f"the rest of {collection.name}", f"not there in {deadline.seconds:.0f} s")
            )
    return collections


def _index(check_id: str, scene: Scene, collections: list[_Collection], seconds: float) -> str:
    lines = [f"evidence of {check_id}, cluster {scene.cluster}, taken in {seconds:.1f} s", "", "captured"]
    for found in collections:
        took = f"{found.seconds:.1f} s" if found.seconds is not None else "not finished"
        lines.append(f"  {found.name:<12} {found.files} files, {took}")
    missing = [f"  {lack.what}: {lack.why}" for found in collections for lack in found.missing]
    return "\n".join([*lines, "", "missing", *(missing or ["  nothing"])]) + "\n"
