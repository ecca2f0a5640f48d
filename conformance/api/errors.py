"""What goes wrong between an API server and us."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from conformance.errors import ConformanceError


class ApiRefusal(ConformanceError):
    """The API server answered with an error: its `status` (HTTP), `reason` and `message`, and the field causes."""

    def __init__(self, status: int, body: Mapping[str, Any]) -> None:
        self.status = status
        self.reason = str(body.get("reason", ""))
        self.message = str(body.get("message", body))
        self.causes: list[Mapping[str, str]] = (body.get("details") or {}).get("causes") or []
        super().__init__(f"the API server refused with {status} {self.reason}: {self.message}")


class ApiUnreachable(ConformanceError):
    """No answer from the API server: its machine is broken or busy, which is never the chart's fail."""
