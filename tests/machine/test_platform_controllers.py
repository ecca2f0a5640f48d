"""The reference platform's controllers on a real API server; the test plays the Job controller and the kubelet."""

from __future__ import annotations

import datetime
import re
import threading
from collections.abc import Iterator
from typing import Any

import pytest
import yaml
from command_line import until
from control_plane import ControlPlane
from lightkube import Client, KubeConfig
from reference_platform.jobs import job, job_name
from reference_platform.reconciler import Reconciler
from reference_platform.settings import Settings

from conformance import paths
from conformance.api import Api, Body

pytestmark = pytest.mark.machine

GROUP = "agents.proompteng.ai/v1alpha1"
CRDS = paths.bundle("fixtures") / "charts" / "agents" / "crds"


class Forgetting:
    """Records nothing."""

    def put(self, run: Body) -> None:
        """Forget it."""


@pytest.fixture(scope="module")
def server(plane: ControlPlane) -> ControlPlane:
    for file in sorted(CRDS.glob("*.yaml")):
        plane.api.create(yaml.safe_load(file.read_text()))
    until(lambda: {"Agent", "AgentProvider", "AgentRun"} <= served(plane.api), "the definitions to be served")
    return plane


def served(api: Api) -> set[str]:
    return {resource.kind for resource in api.resources(refresh=True)}


class Place:
    """A namespace with an agent and its provider, and what happens in it."""

    def __init__(self, server: ControlPlane, namespace: str) -> None:
        self.api, self.namespace, self.kubeconfig = server.api, namespace, server.kubeconfig
        self.api.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}})
        self.make("AgentProvider", "p", {"image": "runner:1"})
        self.make("Agent", "a", {"providerRef": {"name": "p"}, "maxConcurrentRuns": 2})
        self.ended: list[threading.Event] = []

    def make(self, kind: str, name: str, spec: dict[str, Any]) -> Body:
        metadata = {"name": name, "namespace": self.namespace}
        return self.api.create({"apiVersion": GROUP, "kind": kind, "metadata": metadata, "spec": spec})

    def run(self, name: str, **spec: Any) -> Body:
        return self.make("AgentRun", name, {"agentRef": {"name": "a"}, "implementation": {"text": "x"}, **spec})

    def start(self, **limits: int | str) -> threading.Event:
        """Start controllers and return what ends them."""
        given = {f"JANGAR_AGENTS_CONTROLLER_{name.upper()}": str(value) for name, value in limits.items()}
        settings = Settings.of({"JANGAR_AGENTS_CONTROLLER_NAMESPACES": self.namespace, **given})
        ended = threading.Event()
        reconciler = Reconciler(Client(KubeConfig.from_file(self.kubeconfig)), settings, Forgetting())
        threading.Thread(target=reconciler.run, args=(ended,), daemon=True).start()
        self.ended.append(ended)
        return ended

    def get(self, name: str) -> Body | None:
        return self.api.get(self.api.resource("agents.proompteng.ai", "AgentRun"), self.namespace, name)

    def phase(self, name: str) -> str:
        status = (self.get(name) or {}).get("status") or {}
        return f"{status.get('phase')} {status.get('reason')}"

    def jobs(self) -> list[str]:
        return [
            found["metadata"]["name"]
            for found in self.api.list(self.api.resource("batch", "Job"), self.namespace)["items"]
        ]

    def complete(self, name: str) -> None:
        """Let a run's Job be complete."""
        now = datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        run = self.get(name)
        assert run
        kinds = ("SuccessCriteriaMet", "Complete")
        conditions = [{"type": kind, "status": "True", "reason": "CompletionsReached", "lastTransitionTime": now,
                       "lastProbeTime": now, "message": ""} for kind in kinds]  # fmt: skip
        status = {"startTime": now, "completionTime": now, "succeeded": 1, "conditions": conditions}
        path = self.api.resource("batch", "Job").path(self.namespace, job_name(run), "status")
        self.api.request("PATCH", path, body={"status": status}, content_type="application/merge-patch+json")


@pytest.fixture
def place(server: ControlPlane, request: pytest.FixtureRequest) -> Iterator[Place]:
    found = Place(server, re.sub(r"[^a-z0-9]+", "-", request.node.name.lower())[-50:].strip("-"))
    yield found
    for ended in found.ended:
        ended.set()


def becomes(place: Place, name: str, said: str) -> None:
    until(lambda: place.phase(name) == said, f"{name} to be {said}", 60)


def test_a_run_in_flight_is_picked_up(place: Place) -> None:
    """Controllers that died between creating the Job and telling of it are followed by others."""
    run = place.run("one")
    agent, provider = ({"metadata": {}, "spec": {}} for _ in range(2))
    place.api.create(job(run, agent, {**provider, "spec": {"image": "runner:1"}}, "", 60))
    first = place.start()
    becomes(place, "one", "Pending JobCreated")
    first.set()
    place.complete("one")
    place.start()
    becomes(place, "one", "Succeeded JobCompleted")
    assert place.jobs() == [job_name(run)]


def test_a_job_that_is_lost_is_not_made_again(place: Place) -> None:
    place.start()
    place.run("one")
    becomes(place, "one", "Pending JobCreated")
    place.api.delete(
        place.api.resource("batch", "Job"), place.namespace, place.jobs()[0], propagationPolicy="Background"
    )
    becomes(place, "one", "Failed JobLost")
    assert place.jobs() == []


def test_a_cancelled_run_ends_with_its_job(place: Place) -> None:
    place.start()
    place.run("one")
    becomes(place, "one", "Pending JobCreated")
    path = place.api.resource("agents.proompteng.ai", "AgentRun").path(place.namespace, "one")
    place.api.request("PATCH", path, body={"spec": {"cancel": True}}, content_type="application/merge-patch+json")
    becomes(place, "one", "Cancelled Cancelled")
    until(lambda: not place.jobs(), "the Job to be deleted")


@pytest.mark.parametrize(
    ("limits", "message"),
    [({}, "2 runs of the agent"), ({"concurrency_namespace": 1}, "1 runs of the namespace"),
     ({"concurrency_cluster": 1}, "1 runs of the cluster")],
    ids=["agent", "namespace", "cluster"],
)  # fmt: skip
def test_runs_wait_for_each_other(place: Place, limits: dict[str, int], message: str) -> None:
    count = int(message[0])
    place.start(**limits)
    for number in range(count + 1):
        place.run(f"r{number}")
        becomes(place, f"r{number}", "Pending JobCreated" if number < count else "Pending ConcurrencyLimit")
    waiting = place.get(f"r{count}")
    assert waiting
    assert message in waiting["status"]["message"]
    assert len(place.jobs()) == count
    place.complete("r0")
    becomes(place, f"r{count}", "Pending JobCreated")


@pytest.mark.parametrize("how", ["its own time", "the retention"])
def test_a_finished_run_is_removed_in_time(place: Place, how: str) -> None:
    own: dict[str, Any] = {"ttlSecondsAfterFinished": 1} if how == "its own time" else {}
    place.start(agentrun_retention_seconds=3600 if own else 1)
    place.run("one", **own)
    becomes(place, "one", "Pending JobCreated")
    place.complete("one")
    until(lambda: place.get("one") is None, "the run to be removed")


@pytest.mark.parametrize(
    ("spec", "said"),
    [({"agentRef": {"name": "nobody"}}, "Failed AgentNotFound"), ({"secrets": ["kept"]}, "Failed SecretBlocked")],
)
def test_what_cannot_be_started_fails_with_a_reason(place: Place, spec: dict[str, Any], said: str) -> None:
    place.start(blocked_secrets="kept")
    place.run("one", **spec)
    becomes(place, "one", said)
    assert place.jobs() == []


def test_agents_and_providers_say_whether_they_are_ready(place: Place) -> None:
    place.start()
    place.make("Agent", "lost", {"providerRef": {"name": "nobody"}})

    def ready(name: str) -> str:
        body = place.api.get(place.api.resource("agents.proompteng.ai", "Agent"), place.namespace, name) or {}
        return str([found["status"] for found in (body.get("status") or {}).get("conditions") or ()])

    until(lambda: (ready("a"), ready("lost")) == ("['True']", "['False']"), "the agents' conditions", 60)
