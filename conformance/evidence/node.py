"""Evidence from outside the API: the node's container, its services, and the commands that were run."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from conformance.cluster import containers
from conformance.errors import ConformanceError
from conformance.evidence.files import File, Found, Missing
from conformance.evidence.snapshot import Deadline
from conformance.provision.engine import Engine
from conformance.run import Runner

#: What is asked of a node, each on its own, by the name of the file.
_QUESTIONS = {
    "kubelet.log": "journalctl --no-pager --unit kubelet --lines 400",
    "containerd.log": "journalctl --no-pager --unit containerd --lines 300",
    "containers.txt": "ctr --namespace k8s.io containers list",
    "tasks.txt": "ctr --namespace k8s.io tasks list",
    "images.txt": "ctr --namespace k8s.io images list",
    "machine.txt": "uptime; free -m; df -h / /var; ps -eo pid,ppid,stat,pcpu,rss,args --sort=-pcpu | head -40",
}

_MOST_COMMANDS = 300


def node(runner: Runner, cluster: str, deadline: Deadline) -> Iterator[Found]:
    """Yield how the node's container is doing, and what its kubelet and containerd say."""
    engine = containers.running_engine(runner)
    found = containers.nodes(engine, cluster)
    if not found:
        yield Missing(f"the nodes of {cluster}", "there are none")
    for one in found:
        folder = f"node/{one.name}"
        inspect = ("inspect", "--format", "{{json .State}}", one.name)
        yield _answer(engine, f"{folder}/state.json", deadline, *inspect)
        yield _answer(engine, f"{folder}/console.log", deadline, "logs", "--tail", "200", one.name)
        for name, question in _QUESTIONS.items():
            yield _answer(engine, f"{folder}/{name}", deadline, "exec", one.name, "sh", "-c", question)


def commands(record: Path | None) -> Iterator[Found]:
    """Yield the commands that were run, as a shell would take them, with what they said."""
    if record is None or not record.is_file():
        yield Missing("commands.txt", "no record of commands was kept")
        return
    told = []
    for line in record.read_text(errors="replace").splitlines()[-_MOST_COMMANDS:]:
        try:
            entry = json.loads(line)
            told.append(_told(entry))
        except (ValueError, KeyError, TypeError, AttributeError):
            told.append(f"# unreadable: {line[:200]}")
    yield File("commands.txt", "\n\n".join(told) + "\n")


def _told(entry: dict[str, Any]) -> str:
    words = [*(f"{name}={value}" for name, value in entry["environment"].items()), shlex.join(entry["command"])]
    head = f"$ {' '.join(words)}\n# status {entry['status']}, {entry['seconds']} s"
    return "\n".join(filter(None, (head, entry["stdout"].strip(), entry["stderr"].strip())))


def _answer(engine: Engine, path: str, deadline: Deadline, *words: str) -> Found:
    try:
        result = engine.run(*words, timeout=deadline.left(6.0))
    except ConformanceError as error:
        return Missing(path, str(error))
    return File(path, result.stdout + result.stderr)
