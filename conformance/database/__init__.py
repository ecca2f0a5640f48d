"""A real database server in the cluster, for one chart's life, and what its log says of the schema."""

from __future__ import annotations

from conformance.database.ledger import Ledger, Statement
from conformance.database.server import CONTROLLERS, OWNER, Postgres

__all__ = ["CONTROLLERS", "OWNER", "Ledger", "Postgres", "Statement"]
