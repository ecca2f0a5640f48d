"""A Postgres server in the suite's own namespace of a cluster, brought up before the install."""

from __future__ import annotations

import json
import logging
import secrets
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from conformance.api import Api
from conformance.database import pod
from conformance.database.ledger import Ledger
from conformance.errors import ConformanceError, Incomplete
from conformance.manifests import Body
from conformance.observe.deadlines import DEADLINES, Deadlines
from conformance.observe.rollout import holds, why_not_ready
from conformance.observe.wait import NotReached, wait_for_one
from conformance.redact import REDACTOR

log = logging.getLogger(__name__)

#: Runs a command in the cluster's kubectl and returns what it said; `Cluster.kubectl` is one.
Kubectl = Callable[..., str]

#: The database, and the role that owns it; the role that may change data but not the schema.
OWNER, CONTROLLERS = "application", "controllers"


@dataclass(frozen=True)
class Credentials:
    """The two roles' passwords, random for each server, and hidden from whatever the suite writes."""

    application: str = field(default_factory=lambda: secrets.token_hex(16), repr=False)
    controllers: str = field(default_factory=lambda: secrets.token_hex(16), repr=False)

    def of(self, role: str) -> str:
        """Return a role's password."""
        return {OWNER: self.application, CONTROLLERS: self.controllers}[role]


#: Where the suite's own objects are in the application's database, out of the application's sight; see start.sh.
_OWN = "conformance"
#: Commands after which a change to the schema fails, the suite's own apart (PostgreSQL's "Event Triggers").
_REFUSE = f"""
CREATE FUNCTION {_OWN}.refuse() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN
  IF session_user <> 'postgres' THEN
    RAISE insufficient_privilege USING MESSAGE = 'permission denied: no change to this schema for now';
  END IF;
END $$
"""
_REFUSAL = (
    _REFUSE,
    f"CREATE EVENT TRIGGER {_OWN}_refuse ON ddl_command_start EXECUTE FUNCTION {_OWN}.refuse()",
)


class Postgres:
    """One server. `start` returns at once, `ready` waits; it ends when its namespace goes.

    `image` is by digest. With `tls_only` it refuses connections without TLS, and URLs ask to verify it.
    """

    def __init__(
        self, api: Api, kubectl: Kubectl, image: str, *, namespace: str, tls_only: bool = False,
        deadlines: Deadlines = DEADLINES,
    ) -> None:  # fmt: skip
        self._api, self._kubectl, self._image, self._deadlines = api, kubectl, image, deadlines
        self.namespace, self._tls_only = namespace, tls_only
        self._credentials = Credentials()
        self._started = 0.0
        REDACTOR.add(self._credentials.application, self._credentials.controllers)

    @property
    def host(self) -> str:
        """Return the name by which pods of any namespace reach it, and that its certificate has."""
        return f"{pod.NAME}.{self.namespace}.svc"

    def url(self, role: str) -> str:
        """Return the URL of a role, with its password."""
        verified = "?sslmode=verify-full" if self._tls_only else ""
        password = self._credentials.of(role)
        return f"postgresql://{role}:{password}@{self.host}:{pod.PORT}/{OWNER}{verified}"

    def start(self) -> None:
        """Make the pod and what it needs, in a namespace that exists, and return at once."""
        self._started = time.monotonic()
        passwords = {f"{role.upper()}_PASSWORD": self._credentials.of(role) for role in (OWNER, CONTROLLERS)}
        made = (
            pod.secret(passwords),
            pod.service(),
            pod.pod(self._image, self.host, tls_only=self._tls_only),
        )
        for body in made:
            self._api.create(body, self.namespace)

    def ready(self) -> None:
        """Return once it answers. Raises `Incomplete`: a server of the suite's that does not start is no fault."""
        try:
            wait_for_one(
                self._api, self._api.resource("", "Pod"), pod.NAME, _not_ready, namespace=self.namespace,
                deadline=self._deadlines.database_ready,
            )  # fmt: skip
        except NotReached as error:
            raise Incomplete(f"the suite's database server does not run: {error}") from error
        log.info("the database server answered after %.1f s", time.monotonic() - self._started)

    def certificate(self) -> str:
        """Return the certificate (PEM) that it shows, which is its own authority. Raises `Incomplete`."""
        return self._execute("cat", "/tmp/server.crt")  # noqa: S108 - in the pod

    def ask(self, sql: str) -> list[Any]:
        """Return the rows of a query, run by the server's superuser; values as JSON has them, one column bare.

        Raises `Incomplete` with the server's error.
        """
        query = sql.strip().rstrip(";")  # of the contract, or of the suite
        said = self._psql(f"SELECT coalesce(json_agg(r), '[]') FROM ({query}) r")  # noqa: S608
        rows: list[dict[str, Any]] = json.loads(said)
        return [next(iter(row.values())) if len(row) == 1 else row for row in rows]

    def tell(self, *commands: str) -> None:
        """Run commands as the server's superuser, outside of every ledger. Raises `Incomplete`."""
        self._psql(*commands)

    def refuse_changes(self) -> None:
        """Refuse every change to the schema from now on, whoever owns it, as a migration that fails is refused."""
        self.tell(*_REFUSAL)

    def allow_changes(self) -> None:
        """Allow changes to the schema again."""
        self.tell(f"DROP FUNCTION {_OWN}.refuse() CASCADE")

    def ledger(self) -> Ledger:
        """Return every attempt to change the schema so far, from the server's own log."""
        path = self._api.resource("", "Pod").path(self.namespace, pod.NAME, "log")
        return Ledger.parse(self._api.read("GET", path, timeout=self._deadlines.logs_read.seconds))

    def _psql(self, *commands: str) -> str:
        options = [word for command in commands for word in ("--command", command)]
        return self._execute(
            "psql", "--no-psqlrc", "--quiet", "--tuples-only", "--no-align", "--set=ON_ERROR_STOP=1",
            f"--host={pod.SOCKET}", "--username=postgres", f"--dbname={OWNER}", *options,
        )  # fmt: skip

    def _execute(self, *argv: str) -> str:
        try:
            return self._kubectl("--namespace", self.namespace, "exec", pod.NAME, "--", *argv)
        except ConformanceError as error:
            raise Incomplete(f"the suite's database server did not answer: {error}") from error


def _not_ready(body: Body | None) -> str | None:
    if body is None:
        return f"Pod/{pod.NAME} is missing"
    if holds(body, "Ready"):
        return None
    said: Sequence[str] = why_not_ready([body])
    return "; ".join(said) or f"Pod/{pod.NAME} is not ready"
