"""Availability: calls from inside the cluster at a steady rate, so that a gap of a twentieth of a second is seen.

The stub image's probe mode makes the calls in a pod in a namespace of the suite's own, and writes a line a second
and target. A gap that nobody called into proves nothing, so fewer calls than promised are told apart from none
that failed.
"""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Sequence
from types import TracebackType
from typing import Self

import tenacity

from conformance.api import Api, ApiRefusal, ApiUnreachable, Stream
from conformance.errors import Incomplete
from conformance.manifests import Body
from conformance.observe.calls import RATE, Calls, Lines, Target
from conformance.observe.deadlines import DEADLINES, Deadlines
from conformance.observe.rollout import container_statuses, failed, why_not_ready
from conformance.observe.wait import NotReached, wait_for_one

log = logging.getLogger(__name__)

_CONTAINER = "probe"
_MODE = "conformance-probe"
_NOBODY = 65532


def ensure_namespace(api: Api, namespace: str, deadlines: Deadlines = DEADLINES) -> None:
    """Make a namespace of the suite's own where it is missing, and wait until pods can be made in it."""
    try:
        api.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}})
    except ApiRefusal as refusal:
        if refusal.reason != "AlreadyExists":
            raise
    wait_for_one(
        api, api.resource("", "ServiceAccount"), "default",
        lambda found: None if found else f"ServiceAccount/default in {namespace} is missing",
        namespace=namespace, deadline=deadlines.object_there,
    )  # fmt: skip


class Availability:
    """A pod that calls targets from inside the cluster until it is stopped.

    `with Availability(api, image, targets, namespace=…) as probe:` starts it; the calls begin before any target
    answers. `answered` waits for the first answers, `calls` counts between two moments. `image` is the stub, by
    digest; `namespace` is the suite's own and is made where it is missing.
    """

    def __init__(
        self, api: Api, image: str, targets: Sequence[Target], *, namespace: str, rate: float = RATE,
        deadlines: Deadlines = DEADLINES,
    ) -> None:  # fmt: skip
        self._api, self._image, self._targets, self._rate = api, image, tuple(targets), rate
        self.namespace, self._deadlines = namespace, deadlines
        self._lines = Lines((target.name for target in targets), rate)
        self._stopped = threading.Event()
        self._stream: Stream | None = None
        self._reader: threading.Thread | None = None
        self._pod: Body | None = None
        self._failure: Exception | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Make the pod and return at once."""
        ensure_namespace(self._api, self.namespace, self._deadlines)
        self._pod = self._api.create(_pod(self._image, self._targets, self._rate), self.namespace)
        self._reader = threading.Thread(target=self._read, name="availability", daemon=True)
        self._reader.start()

    def answered(self) -> None:
        """Return once every target has answered a call.

        Raises `NotReached` naming those that have not, with their last error; `Incomplete` where the probe itself
        does not run.
        """
        deadline = self._deadlines.calls_answered
        with self._lines.changed:
            self._lines.changed.wait_for(self._all_answered_or_failed, deadline.seconds)
        self._intact()
        if silent := self._lines.unanswered():
            raise NotReached(silent, deadline.seconds, deadline)

    def calls(self, begin: float, end: float) -> tuple[Calls, ...]:
        """Return the calls of each target between two moments (Unix time), whole seconds; in the targets' order.

        Waits until the last second is counted, which takes 3 s where calls are not answered. Raises
        `Incomplete` where the probe does not report.
        """
        deadline = self._deadlines.calls_counted
        with self._lines.changed:
            counted = self._lines.changed.wait_for(
                lambda: self._failure or self._lines.counted(end), deadline.seconds
            )
        self._intact()
        if not counted:
            raise Incomplete(f"the suite's probe of {self._names()} reported nothing for {deadline}")
        return self._lines.calls(begin, end)

    def stop(self) -> None:
        """Delete the pod; what was counted stays."""
        self._stopped.set()
        if self._stream is not None:
            self._stream.close()
        if self._pod is not None:
            pods, name = self._api.resource("", "Pod"), self._pod["metadata"]["name"]
            self._api.delete(pods, self.namespace, name, gracePeriodSeconds="0")
            self._pod = None
        if self._reader is not None:
            self._reader.join()
            self._reader = None

    def _all_answered_or_failed(self) -> bool:
        return self._failure is not None or self._lines.unanswered() is None

    def _names(self) -> str:
        return ", ".join(target.name for target in self._targets)

    def _intact(self) -> None:
        if self._failure is not None:
            raise Incomplete(
                f"the suite's probe of {self._names()} does not run: {self._failure}"
            ) from self._failure

    def _read(self) -> None:
        """Follow the pod's log until the end; after a break read it from its beginning, rows are told apart."""
        patient = tenacity.Retrying(
            retry=tenacity.retry_if_exception_type(ApiUnreachable),
            wait=tenacity.wait_random_exponential(multiplier=0.05, max=1),
            stop=tenacity.stop_after_delay(self._deadlines.api_server_back.seconds)
            | tenacity.stop_when_event_set(self._stopped),
            sleep=tenacity.sleep_using_event(self._stopped),
            reraise=True,
        )
        try:
            while not self._stopped.is_set():
                patient(self._follow)
        except Exception as error:  # whoever asks is told
            with self._lines.changed:
                if not self._stopped.is_set():
                    self._failure = error
                self._lines.changed.notify_all()

    def _follow(self) -> None:
        if self._pod is None:
            return
        name, pods = self._pod["metadata"]["name"], self._api.resource("", "Pod")
        wait_for_one(
            self._api, pods, name, self._not_running, namespace=self.namespace,
            deadline=self._deadlines.calls_answered,
        )  # fmt: skip
        self._stream = self._api.stream(
            pods.path(self.namespace, name, "log"), {"follow": "true", "container": _CONTAINER},
            accept="*/*", timeout=self._deadlines.api_server_back.seconds,
        )  # fmt: skip
        if self._stopped.is_set():
            self._stream.close()
        for line in self._stream:
            self._lines.take(line)

    def _not_running(self, pod: Body | None) -> str | None:
        if pod is None or self._stopped.is_set():
            return None
        if failed(pod):
            raise Incomplete(str(failed(pod)))
        if any("running" in (status.get("state") or {}) for status in container_statuses(pod)):
            return None
        return "; ".join(why_not_ready([pod])) or "its container does not run yet"


def _pod(image: str, targets: Sequence[Target], rate: float) -> Body:
    variables = {
        "PROBE_TARGETS": json.dumps([target.as_json() for target in targets]),
        "PROBE_RATE": f"{rate:g}",
    }
    container = {
        "name": _CONTAINER,
        "image": image,
        "args": [_MODE],
        "env": [{"name": name, "value": value} for name, value in variables.items()],
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
    }
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "generateName": "availability-",
            "labels": {"app.kubernetes.io/part-of": "agents-conformance"},
        },
        "spec": {
            "restartPolicy": "Never",
            "automountServiceAccountToken": False,
            "enableServiceLinks": False,
            "securityContext": {
                "runAsNonRoot": True,
                "runAsUser": _NOBODY,
                "seccompProfile": {"type": "RuntimeDefault"},
            },
            "containers": [container],
        },
    }


__all__ = ["Availability", "Calls", "Target", "ensure_namespace"]
