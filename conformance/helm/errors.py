"""How a Helm operation fails: with Helm's own message, and the state it left the release in."""

from __future__ import annotations

import re

from conformance.errors import ConformanceError

#: What Helm and its Kubernetes client write beside the error itself: structured logs, warnings, klog lines.
_NOISE = re.compile(r"^(?:level=\w+ |time=\S+ |WARNING: |[IWE]\d{4} \d\d:\d\d:\d\d)")


class HelmError(ConformanceError):
    """A Helm operation failed.

    `operation` is the handler's word for it, `message` Helm's own, `release_status` what Helm says of the release
    afterwards (None where there is none), `command` the command as a shell would take it, secrets redacted.
    """

    def __init__(self, operation: str, message: str, release_status: str | None, command: str) -> None:
        self.operation = operation
        self.message = message
        self.release_status = release_status
        self.command = command
        left = f" (the release is {release_status})" if release_status else ""
        super().__init__(f"Helm's {operation} failed: {message}{left}")


class InvalidRollbackTarget(ConformanceError):
    """A revision that must not be rolled back to: it is not in the history, or it never was good.

    A rollback to a failed revision brings the failure back (helm#5237).
    """

    def __init__(self, release: str, revision: int | None, reason: str) -> None:
        self.revision = revision
        self.reason = reason
        target = "any revision" if revision is None else f"revision {revision}"
        super().__init__(f"Release/{release} cannot be rolled back to {target}: {reason}")


def message_of(stderr: str) -> str:
    """Return Helm's own message out of what it wrote: from its `Error: ` on, logs and warnings left out."""
    lines = [line for line in stderr.splitlines() if line.strip() and not _NOISE.match(line)]
    starts = [number for number, line in enumerate(lines) if line.startswith("Error: ")]
    if starts:
        lines = [lines[starts[0]].removeprefix("Error: "), *lines[starts[0] + 1 :]]
    return "\n".join(line.rstrip() for line in lines) or stderr.strip() or "it said nothing"
