"""An Application of Argo CD: a typed view of it, and waits by watch."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from conformance.api import Api
from conformance.manifests import Body, ObjectKey
from conformance.observe.deadlines import DEADLINES, Deadlines
from conformance.observe.wait import wait_for, wait_for_one

GROUP = "argoproj.io"
#: Asks the controller to look at git at once; it removes the annotation once it has.
REFRESH = "argocd.argoproj.io/refresh"
#: The phases of an operation that has not ended.
_RUNNING = frozenset({"Running", "Terminating"})
#: How an operation ends without having synced.
_FAILED = frozenset({"Failed", "Error"})


@dataclass(frozen=True)
class ResourceStatus:
    """One object of an Application as Argo CD sees it."""

    key: ObjectKey
    sync: str
    health: str
    message: str
    to_prune: bool


@dataclass(frozen=True)
class Operation:
    """The latest sync operation: its phase, the commit it brings, its words and how often it was tried again."""

    phase: str
    revision: str
    message: str
    started: str
    retries: int


@dataclass(frozen=True)
class Application:
    """What an Application says of itself; `body` is all of it."""

    body: Mapping[str, Any]

    @property
    def name(self) -> str:
        """Return its name."""
        return str(self.body["metadata"]["name"])

    @property
    def sync(self) -> str:
        """Return `Synced`, `OutOfSync` or `Unknown`."""
        return str(self._status("sync").get("status", "Unknown"))

    @property
    def revision(self) -> str:
        """Return the commit that the cluster was last compared with."""
        return str(self._status("sync").get("revision", ""))

    @property
    def health(self) -> str:
        """Return `Healthy`, `Progressing`, `Degraded`, `Missing`, `Suspended` or `Unknown`."""
        return str(self._status("health").get("status", "Unknown"))

    @property
    def operation(self) -> Operation | None:
        """Return the latest operation, None before the first."""
        state = self._status("operationState")
        if not state:
            return None
        revision = (state.get("syncResult") or {}).get("revision") or (
            (state.get("operation") or {}).get("sync") or {}
        ).get("revision", "")
        return Operation(state["phase"], revision, state.get("message", ""), state.get("startedAt", ""),
                         int(state.get("retryCount", 0)))  # fmt: skip

    @property
    def hooks_run(self) -> frozenset[tuple[str, str]]:
        """Return kind and name of each hook that the latest operation ran to a good end."""
        rows = (self._status("operationState").get("syncResult") or {}).get("resources") or ()
        return frozenset(
            (row["kind"], row["name"])
            for row in rows
            if row.get("hookType") and row.get("hookPhase") == "Succeeded"
        )

    @property
    def synced(self) -> tuple[tuple[int, str], ...]:
        """Return the number and the commit of each sync that succeeded, the oldest first."""
        history = (self.body.get("status") or {}).get("history") or ()
        return tuple((int(row["id"]), str(row.get("revision", ""))) for row in history)

    @property
    def resources(self) -> tuple[ResourceStatus, ...]:
        """Return its objects."""
        return tuple(
            ResourceStatus(
                ObjectKey(row.get("group", ""), row["kind"], row.get("namespace"), row["name"]),
                row.get("status", ""),
                (row.get("health") or {}).get("status", ""),
                (row.get("health") or {}).get("message", ""),
                bool(row.get("requiresPruning")),
            )
            for row in (self.body.get("status") or {}).get("resources") or ()
        )

    @property
    def conditions(self) -> tuple[str, ...]:
        """Return its errors and warnings, each as `Type: message`."""
        rows = (self.body.get("status") or {}).get("conditions") or ()
        return tuple(f"{row['type']}: {row.get('message', '')}" for row in rows)

    @property
    def refreshing(self) -> bool:
        """Say whether it was asked to look at git and has not yet."""
        return REFRESH in (self.body["metadata"].get("annotations") or {})

    def unlike(self, revision: str) -> str | None:
        """Return what keeps it from being synced to a commit and healthy, None when nothing does."""
        if self.refreshing or self.revision != revision:
            return self._said(f"has not compared the cluster with commit {revision[:8]}")
        operation = self.operation
        if operation and operation.phase in _RUNNING:
            return self._said(f"is syncing: {operation.message}")
        if self.sync != "Synced":
            other = [f"{found.key} {found.sync}" for found in self.resources if found.sync not in {"", "Synced"}]
            return self._said(f"is {self.sync}: {', '.join(other) or 'no object named'}")
        if self.health != "Healthy":
            ill = [
                f"{found.key} {found.health} {found.message}".rstrip()
                for found in self.resources
                if found.health not in {"", "Healthy"}
            ]
            return self._said(f"is {self.health}: {', '.join(ill) or 'no object named'}")
        return None

    def failed(self, revision: str) -> str | None:
        """Return why its sync to a commit failed for good, None while it may yet succeed."""
        operation = self.operation
        if operation is None or operation.revision != revision:
            return None
        if operation.phase in _FAILED:
            return self._said(f"could not sync: {operation.message}")
        left = [str(found.key) for found in self.resources if found.to_prune]
        automated = ((self.body.get("spec") or {}).get("syncPolicy") or {}).get("automated")
        if operation.phase == "Succeeded" and left and automated is not None and not automated.get("prune"):
            return self._said(f"does not prune what is no longer declared: {', '.join(left)}")
        return None

    def _said(self, what: str) -> str:
        return "; ".join([f"Application/{self.name} {what}", *self.conditions])

    def _status(self, part: str) -> Mapping[str, Any]:
        return (self.body.get("status") or {}).get(part) or {}


def of_repository(body: Body, *, url: str, branch: str, namespace: str) -> Body:
    """Return an overlay's Application as the suite's Argo CD is to run it: on the suite's repository.

    Without finalizers, which would keep the namespace from going with the cluster's reset.
    """
    made = copy.deepcopy(body)
    made.pop("status", None)
    made["metadata"] = {
        "name": body["metadata"]["name"],
        "namespace": namespace,
        **({"annotations": dict(body["metadata"]["annotations"])} if body["metadata"].get("annotations") else {}),
    }
    spec = made["spec"]
    spec["project"] = "default"
    spec["source"] |= {"repoURL": url, "targetRevision": branch}
    spec["destination"] = {
        "server": "https://kubernetes.default.svc",
        "namespace": spec["destination"].get("namespace"),
    }
    return made


class Applications:
    """The Applications of one Argo CD, in the namespace where it runs."""

    def __init__(self, api: Api, namespace: str, deadlines: Deadlines = DEADLINES) -> None:
        self._api, self._namespace, self._deadlines = api, namespace, deadlines

    def create(self, body: Body) -> None:
        """Create one, in the namespace."""
        self._api.create(body, self._namespace)

    def read(self, name: str) -> Application:
        """Return one as it is now. Raises `ApiRefusal` where there is none."""
        path = self._api.resource(GROUP, "Application").path(self._namespace, name)
        return Application(self._api.request("GET", path))

    def refresh(self, name: str) -> None:
        """Have the controller look at git at once."""
        self._patch(name, {"metadata": {"annotations": {REFRESH: "normal"}}})

    def sync(self, name: str, revision: str) -> None:
        """Sync one that does not sync by itself, as a person would, pruning."""
        options = (self.read(name).body["spec"].get("syncPolicy") or {}).get("syncOptions") or []
        asked = {"sync": {"revision": revision, "prune": True, "syncOptions": options}}
        self._patch(name, {"operation": {"initiatedBy": {"username": "agents-conformance"}, **asked}})

    def end_operation(self, name: str) -> None:
        """End one's operation, if it has one that runs, and return once it has ended. Raises `NotReached`."""

        def mismatch(body: Body | None) -> str | None:
            operation = Application(body).operation if body else None
            runs = operation is not None and operation.phase in _RUNNING
            return f"the operation of Application/{name} does not end" if runs else None

        operation = self.read(name).operation
        if operation is not None and operation.phase in _RUNNING:
            self._patch(name, {"status": {"operationState": {"phase": "Terminating"}}})
            applications = self._api.resource(GROUP, "Application")
            deadline = self._deadlines.application_refreshed
            wait_for_one(self._api, applications, name, mismatch, deadline=deadline, namespace=self._namespace)

    def set_spec(self, name: str, **fields: object) -> None:
        """Change fields of one's spec, by their names; None removes one."""
        self._patch(name, {"spec": fields})

    def until_settled(self, name: str, revision: str) -> Application:
        """Return one once it is synced to a commit and healthy.

        Raises `NotReached`, at once where the sync to the commit has failed for good.
        """

        def unlike(bodies: Sequence[Body]) -> str | None:
            return Application(bodies[0]).unlike(revision) if bodies else f"Application/{name} is missing"

        found = wait_for(
            self._api, self._api.resource(GROUP, "Application"), unlike,
            deadline=self._deadlines.application_settled, namespace=self._namespace,
            failed=lambda bodies: Application(bodies[0]).failed(revision) if bodies else None,
            query={"fieldSelector": f"metadata.name={name}"},
        )  # fmt: skip
        return Application(found[0])

    def until_begun(self, name: str, revision: str) -> None:
        """Return once the sync of one to a commit has begun. Raises `NotReached`."""

        def mismatch(body: Body | None) -> str | None:
            operation = Application(body).operation if body else None
            begun = operation is not None and operation.revision == revision
            return None if begun else f"Application/{name} does not sync commit {revision[:8]} yet"

        applications = self._api.resource(GROUP, "Application")
        deadline = self._deadlines.application_refreshed
        wait_for_one(self._api, applications, name, mismatch, deadline=deadline, namespace=self._namespace)

    def until_refreshed(self, name: str) -> Application:
        """Return one once the controller has looked at git again. Raises `NotReached`."""
        found = wait_for_one(
            self._api,
            self._api.resource(GROUP, "Application"),
            name,
            lambda body: (
                f"Application/{name} was not refreshed" if body and Application(body).refreshing else None
            ),
            deadline=self._deadlines.application_refreshed,
            namespace=self._namespace,
        )
        return Application(found or {})

    def _patch(self, name: str, body: Body) -> None:
        self._api.merge(self._api.resource(GROUP, "Application"), self._namespace, name, body)
