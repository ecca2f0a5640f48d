"""The suite against a plain shell script: install, upgrade, rollback, with the same programs, cluster included.

Issue 3, section 8: at most 1.10 times, and below 250 MB of resident memory a worker.
"""

from __future__ import annotations

import json
import secrets
import tempfile
import time
from pathlib import Path
from typing import Any

import yaml

from benchmarks.figures import Figure, alternating
from benchmarks.suite import agents_conformance
from conformance import paths
from conformance.cluster import Cluster
from conformance.cluster.journal import CLUSTER
from conformance.options import Options
from conformance.preparation import Preparation, prepared
from conformance.run import Runner
from conformance.subject import BASELINE, CANDIDATE

LIMIT, MEMORY_LIMIT = 1.10, 250.0
#: A stub in place of the application: its start is no work of the suite's, and the script brings no database.
CONTRACT = paths.bundle("fixtures") / "contracts" / "agents-stub.yaml"
#: The checks that read one journey: install, upgrade, rollback.
CHECKS = "upgrade/in-place or rollback/"
PLAIN_SECONDS = 600.0


def measure(rounds: int) -> list[Figure]:
    """Return the ratio of the two, and the suite's memory."""
    seen: list[dict[str, Any]] = []
    memory: list[float] = []
    with (
        tempfile.TemporaryDirectory() as made,
        prepared(Options(contract=CONTRACT, report_dir=Path(made, "prepared"))) as preparation,
    ):

        def suite() -> float:
            with tempfile.TemporaryDirectory() as folder:
                ran = agents_conformance(
                    Path(folder),
                    "run",
                    "--contract",
                    str(CONTRACT),
                    "-n",
                    "1",
                    "-k",
                    CHECKS,
                    "--report-dir",
                    f"{folder}/r",
                )
                said = json.loads(Path(folder, "r/report.json").read_text())["summary"]
            memory.append(ran.peak_mb)
            if said["pass"] < 4:
                raise ValueError(f"the suite did not judge what was asked: {said}")
            return ran.seconds

        for number, (busy, plain, with_suite) in enumerate(
            alternating(rounds, lambda: _plain(preparation, Path(made)), suite)
        ):
            ratio = with_suite / plain
            seen.append({"busy": busy, "plain": plain, "suite": with_suite, "ratio": ratio, "mb": memory[number]})
    return [
        Figure("overhead", "install, upgrade, rollback by the suite / by a shell script, clusters included",
               "x", tuple(one["ratio"] for one in seen), LIMIT, tuple(seen)),
        Figure("memory", "peak resident memory of the Python processes of these runs, a worker", "MB",
               tuple(memory), MEMORY_LIMIT, tuple(seen)),
    ]  # fmt: skip


def _plain(preparation: Preparation, folder: Path) -> float:
    """Run the script with everything it needs at hand, and return the seconds it took."""
    subject, machine, journal = preparation.subject, preparation.machine, preparation.journal
    release = subject.contract.release
    # Journalled as the suite's own, so that a benchmark that is killed leaves no cluster either.
    name = journal.name("plain", secrets.token_hex(2))
    runner = Runner(journal.make_folder("home"), record=folder / "commands.jsonl")
    cluster = Cluster(name, machine, runner, journal)
    settings = {
        "KIND": machine.kind,
        "KUBECTL": machine.kubectl,
        "HELM": machine.tools.helm(subject.helm),
        "CLUSTER": name,
        "NODE_IMAGE": machine.node.reference,
        "KIND_CONFIG": cluster.configuration(),
        "KUBECONFIG": cluster.kubeconfig,
        "REQUIRED": _required(preparation, cluster.path),
        "RELEASE": release.name,
        "NAMESPACE": release.namespace,
        "BASELINE": subject.chart(BASELINE).folder,
        "CANDIDATE": subject.chart(CANDIDATE).folder,
        "BASELINE_VALUES": _values(preparation, BASELINE, cluster.path),
        "CANDIDATE_VALUES": _values(preparation, CANDIDATE, cluster.path),
    }
    environment = {**machine.engine.environment, **{key: str(value) for key, value in settings.items()}}
    journal.record(CLUSTER, name, kubeconfig=cluster.kubeconfig)
    started = time.monotonic()
    runner.run("sh", Path(__file__).with_name("plain.sh"), timeout=PLAIN_SECONDS, env=environment)
    seconds = time.monotonic() - started
    cluster.delete()
    return seconds


def _required(preparation: Preparation, folder: Path) -> Path:
    contract = preparation.subject.contract
    namespace = contract.release.namespace
    objects: list[dict[str, Any]] = [{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}}]
    for secret in contract.prerequisites.secrets:
        metadata = {"name": secret.name, "namespace": namespace}
        values = {key: secrets.token_urlsafe(24) for key in secret.keys}
        objects.append({"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "stringData": values})
    file = folder / "required.yaml"
    file.write_text(yaml.safe_dump_all(objects))
    return file


def _values(preparation: Preparation, side: str, folder: Path) -> str:
    """Return the values files of a side as Helm reads them in one flag: the run's own, then the stub's image."""
    subject = preparation.subject
    images = folder / f"{side}-images.yaml"
    images.write_text(yaml.safe_dump(subject.image_values(side)))
    return ",".join(map(str, [*subject.values, images]))
