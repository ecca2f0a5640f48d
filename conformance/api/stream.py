"""Answers of an API server that have no end: logs, and the changes of a watch."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from dataclasses import dataclass

import urllib3

from conformance.api.errors import ApiRefusal, ApiUnreachable
from conformance.api.resources import Body


@dataclass(frozen=True)
class Event:
    """One line of a watch: `ADDED`, `MODIFIED`, `DELETED` or `BOOKMARK`, and the object."""

    type: str
    object: Body


class Stream:
    """The lines of an answer as they come; `close` ends it, also from another thread, without an error."""

    def __init__(self, response: urllib3.BaseHTTPResponse, what: str) -> None:
        self._response = response
        self._what = what
        self._closed = False

    def __iter__(self) -> Iterator[bytes]:
        """Yield the lines; raises `ApiUnreachable` when the connection breaks."""
        pending = b""
        try:
            for chunk in self._response.read_chunked():
                *lines, pending = (pending + chunk).split(b"\n")
                yield from filter(None, lines)
        except Exception as error:
            if self._closed:
                return  # closed in the middle of a read, which then fails in one of many ways
            if isinstance(error, urllib3.exceptions.HTTPError | OSError | ValueError):
                raise ApiUnreachable(f"the stream of {self._what} broke: {error}") from error
            raise
        finally:
            self._response.close()

    def close(self) -> None:
        """End the stream; a reader in another thread sees its end at once."""
        self._closed = True
        with contextlib.suppress(ValueError, RuntimeError, OSError):  # it has ended by itself
            self._response.shutdown()


class Watch:
    """The changes of a resource type as they come, from `Api.watch`; `close` works as a stream's."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        self.close = stream.close

    def __iter__(self) -> Iterator[Event]:
        """Yield the changes; raises `ApiRefusal` where the server ends the watch with an error."""
        for line in self._stream:
            said = json.loads(line)
            if said["type"] == "ERROR":
                raise ApiRefusal(int(said["object"].get("code", 500)), said["object"])
            yield Event(said["type"], said["object"])
