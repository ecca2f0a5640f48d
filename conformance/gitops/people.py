"""What people do to a cluster around git: look without storing, edit by hand, undo a rollout in an emergency."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from conformance.api import Api, ApiRefusal
from conformance.manifests import Body, Manifest, Manifests, ObjectKey
from conformance.observe.deadlines import Deadline
from conformance.observe.dry_run import FIELD_MANAGER
from conformance.observe.rollout import NO_IMAGE
from conformance.observe.wait import wait_for, wait_for_one

#: An image that nobody has: what an edit by hand leaves behind must show.
BY_HAND = "registry.invalid/edited-by-hand:1"
_STRATEGIC = "application/strategic-merge-patch+json"


@dataclass(frozen=True)
class Running:
    """A declared workload and the container whose image matters."""

    declared: Manifest
    container: str

    @property
    def image(self) -> str:
        """Return the declared image."""
        boxes = self.declared.containers()
        return next((str(box.get("image")) for box in boxes if box.get("name") == self.container), "")

    def rolled_since(self, before: Manifests) -> bool:
        """Say whether its pods are others than what was declared before."""
        was = before.get(self.declared.key)
        return was is not None and was.pod_template != self.declared.pod_template


def refused(api: Api, bodies: Iterable[Body]) -> list[tuple[ObjectKey, str]]:
    """Return what the API server, asked strictly and for nothing to be stored, refuses of objects, and why."""
    query = {"dryRun": "All", "fieldManager": FIELD_MANAGER, "force": "true", "fieldValidation": "Strict"}
    found = []
    for body in bodies:
        try:
            metadata = body["metadata"]
            path = api.resource_of(body).path(metadata.get("namespace"), metadata["name"])
            api.request("PATCH", path, body=body, content_type="application/apply-patch+yaml", query=query)
        except ApiRefusal as refusal:
            found.append((ObjectKey.of(body), refusal.message))
    return found


def set_image(api: Api, running: Running, image: str) -> None:
    """Give a workload's container another image, as `kubectl set image` does."""
    spec = {"template": {"spec": {"containers": [{"name": running.container, "image": image}]}}}
    key = running.declared.key
    path = api.resource_of(running.declared.body).path(key.namespace, key.name)
    api.request("PATCH", path, body={"spec": spec}, content_type=_STRATEGIC)


def undo(kubectl: Callable[..., str], running: Running) -> None:
    """Take a workload's last rollout back, as people do in an emergency. Raises `CommandFailed`."""
    key = running.declared.key
    kubectl("--namespace", str(key.namespace), "rollout", "undo", f"{key.kind.lower()}/{key.name}")


def until_image(api: Api, running: Running, image: str, deadline: Deadline) -> None:
    """Return once a workload's template has an image. Raises `NotReached`."""

    def mismatch(body: Body | None) -> str | None:
        seen = Running(Manifest(body), running.container).image if body else "nothing"
        return None if seen == image else f"{running.declared.key} has {seen} instead of {image}"

    key = running.declared.key
    resource = api.resource_of(running.declared.body)
    wait_for_one(api, resource, key.name, mismatch, namespace=key.namespace, deadline=deadline)


def until_image_missing(api: Api, namespace: str, deadline: Deadline) -> None:
    """Return once a pod waits for an image that cannot be had. Raises `NotReached`."""
    wait_for(api, api.resource("", "Pod"), _all_have_images, namespace=namespace, deadline=deadline)


def _all_have_images(pods: Sequence[Body]) -> str | None:
    for pod in pods:
        for status in pod.get("status", {}).get("containerStatuses") or ():
            if ((status.get("state") or {}).get("waiting") or {}).get("reason") in NO_IMAGE:
                return None
    return "no pod waits for an image that cannot be had"
