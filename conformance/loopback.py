"""This machine's own network, which nobody else reaches."""

from __future__ import annotations

import socket


def free_port() -> int:
    """Return a port that nobody listens on; another process may take it at any moment."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])
