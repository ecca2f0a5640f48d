"""The section of a contract about the database that the application uses."""

from __future__ import annotations

from typing import Literal

from conformance.contract.parts import DataKey, Name, Part, SecretKey


class ConfigMapKey(Part):
    """One key of a ConfigMap that the suite makes."""

    name: Name
    """Name of the ConfigMap."""
    key: DataKey
    """The key in it."""


class Database(Part):
    """The database that the application uses."""

    secret: SecretKey
    """Where the application finds the database's URL; the Secret is also one of the prerequisites."""
    controllers_secret: SecretKey | None = None
    """Where the controllers find a URL of their own, whose role may change data but not the schema; also one of
    the prerequisites. Left out, all workloads share `secret`."""
    server: Literal["postgres"] | None = None
    """The server that the suite brings up before each install; the URLs lead to it. Left out, the keys above get
    random values, and checks that need a database are incomplete."""
    certificate: ConfigMapKey | None = None
    """The ConfigMap in which the suite leaves the server's certificate (PEM), to be verified against. Connections
    are then refused without TLS, and the URLs ask for `sslmode=verify-full`."""
