"""Speak to an API server in plain JSON: a kind cluster's, or the judge's.

Objects stay as the server says them, because law 4 compares whole states: a typed client drops the fields
it does not know. The `kubernetes` client reads the kubeconfig; its models are not used.
"""

from __future__ import annotations

from conformance.api.client import Api, preload
from conformance.api.errors import ApiRefusal, ApiUnreachable
from conformance.api.resources import Body, Resource
from conformance.api.stream import Event, Stream, Watch

__all__ = ["Api", "ApiRefusal", "ApiUnreachable", "Body", "Event", "Resource", "Stream", "Watch", "preload"]
