"""What the database and the processes say of migrations, as an operation left it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from conformance.api import Api
from conformance.contract import Contract
from conformance.database import Ledger, Postgres, Statement
from conformance.errors import Incomplete
from conformance.manifests import Body, ObjectKey
from conformance.observe.history import Story
from conformance.observe.logs import log_lines
from conformance.observe.ownership import controller
from conformance.observe.rollout import is_current

#: What Postgres says of a table that nobody has made yet.
_NO_TABLE = "does not exist"


@dataclass(frozen=True)
class Attempt:
    """One attempt to change the schema, with the pod that made it and that pod's workload where they are known.

    `earlier` says that the pod was there before the operation.
    """

    statement: Statement
    pod: str
    workload: ObjectKey | None
    earlier: bool = False

    def __str__(self) -> str:
        """Return who did what, on one line."""
        return f"Pod/{self.pod}, {self.statement}" if self.pod else str(self.statement)


@dataclass(frozen=True)
class SaidMode:
    """What one process logged of its migrations' mode."""

    pod: str
    workload: ObjectKey
    text: str


@dataclass(frozen=True)
class Schema:
    """`applied` are the migrations that the database has; `attempts` to change its schema during the operation.

    `modes` is what the operation's new processes logged, of those that still run; `started` are their pods, by
    name. `applied` is None where the contract has no query for it.
    """

    applied: tuple[str, ...] | None
    attempts: tuple[Attempt, ...]
    modes: tuple[SaidMode, ...]
    started: dict[str, ObjectKey]

    @classmethod
    def read(
        cls, api: Api, contract: Contract, database: Postgres, stories: Sequence[Story], begun: float, ended: float
    ) -> Schema:
        """Return it, between two moments (Unix time). Raises `Incomplete` where the server does not answer."""
        owners = {name: workload for name, (_, workload) in seen_pods(stories)}
        new = [story.last for story in stories if story.key.kind == "Pod" and not (story.before or story.gone)]
        running = [pod for pod in new if is_current(pod) and owners.get(pod["metadata"]["name"])]
        started = {pod["metadata"]["name"]: owners[pod["metadata"]["name"]] for pod in running}
        return cls(
            applied=_applied(contract, database),
            attempts=attributed(database.ledger().between(begun, ended), stories),
            modes=tuple(_modes(api, contract, running, started)),
            started=started,
        )

    def by(self, workloads: Iterable[ObjectKey]) -> list[Attempt]:
        """Return the attempts that new pods of some workloads made.

        One that was there before was made by another operation, and does as that had told it until it is gone.
        """
        wanted = set(workloads)
        return [attempt for attempt in self.attempts if attempt.workload in wanted and not attempt.earlier]


def attributed(ledger: Ledger, stories: Sequence[Story]) -> tuple[Attempt, ...]:
    """Return a ledger's attempts with the pods that made them, told by their addresses."""
    pods = dict(seen_pods(stories))
    by_host = {address: name for name, (address, _) in pods.items() if address}
    earlier = {story.key.name for story in stories if story.key.kind == "Pod" and story.before}
    made = ((statement, by_host.get(statement.host, "")) for statement in ledger.statements)
    return tuple(Attempt(found, pod, pods[pod][1] if pod else None, pod in earlier) for found, pod in made)


def seen_pods(stories: Iterable[Story]) -> Iterator[tuple[str, tuple[str, ObjectKey]]]:
    """Yield of each pod that was seen its name, with its address and the workload that it was made for."""
    last = {story.uid: story for story in stories}
    for story in last.values():
        if story.key.kind != "Pod":
            continue
        owner = story
        while (above := last.get(str(controller(owner.last).get("uid")))) is not None:
            owner = above
        address = next(
            (found for moment in story.moments if (found := (moment.body.get("status") or {}).get("podIP"))), ""
        )
        yield story.key.name, (address, owner.key)


def _applied(contract: Contract, database: Postgres) -> tuple[str, ...] | None:
    query = contract.migrations.applied if contract.migrations else None
    if query is None:
        return None
    try:
        return tuple(str(row) for row in database.ask(query))
    except Incomplete as refused:
        if _NO_TABLE in str(refused):  # nobody has migrated yet
            return ()
        raise


def _modes(
    api: Api, contract: Contract, pods: Sequence[Body], started: dict[str, ObjectKey]
) -> Iterator[SaidMode]:
    log = contract.migrations.log if contract.migrations else None
    if log is None:
        return
    for line in log_lines(api, pods):
        if (text := log.read(line.text)) is not None:
            yield SaidMode(line.pod, started[line.pod], text)
