"""The database server on a real cluster: who may do what, over TLS, and what its log says of it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from conformance import paths
from conformance.cluster import Cluster, Journal, Lease, sweep
from conformance.database import CONTROLLERS, OWNER, Postgres
from conformance.errors import CommandFailed, Incomplete
from conformance.journey.setting import OWN_NAMESPACE
from conformance.observe.availability import ensure_namespace
from conformance.provision import Machine, push_database
from conformance.run import Runner

pytestmark = pytest.mark.machine


@pytest.fixture(scope="module")
def server(machine: Machine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Cluster, Postgres]]:
    image = push_database(machine.database, machine.engine, machine.registry).reference
    journal = Journal.open_new(tmp_path_factory.mktemp("state") / paths.APP / "runs")
    runner = Runner(journal.make_folder("home"))
    with Lease(machine, runner, journal, "database", [image]) as lease:
        cluster = lease.pristine_cluster()
        ensure_namespace(cluster.api, OWN_NAMESPACE)
        postgres = Postgres(cluster.api, cluster.kubectl, image, namespace=OWN_NAMESPACE, tls_only=True)
        postgres.start()
        postgres.ready()
        yield cluster, postgres
    assert sweep(journal) == []


def _psql(cluster: Cluster, url: str, sql: str) -> str:
    """Run SQL over the network from the server's own pod, as an application would from its own."""
    certificate = f"PGSSLROOTCERT={Path('/tmp/server.crt')}"
    return cluster.kubectl("--namespace", OWN_NAMESPACE, "exec", "postgres", "--", "env", certificate,
                           "psql", "--quiet", "--tuples-only", "--no-align", url, "--command", sql)  # fmt: skip


def test_its_image_is_in_the_node_before_the_pod(server: tuple[Cluster, Postgres]) -> None:
    cluster, _ = server
    events = cluster.api.list(cluster.api.resource("", "Event"), OWN_NAMESPACE)["items"]
    said = [event["message"] for event in events if event["reason"] == "Pulled"]
    assert said
    assert all("already present on machine" in message for message in said)


def test_the_owner_changes_the_schema_and_the_controllers_only_data(server: tuple[Cluster, Postgres]) -> None:
    cluster, postgres = server
    _psql(cluster, postgres.url(OWNER), "CREATE TABLE runs (id serial PRIMARY KEY, name text)")
    _psql(cluster, postgres.url(CONTROLLERS), "INSERT INTO runs (name) VALUES ('a')")
    for sql in ("CREATE TABLE other (id int)", "ALTER TABLE runs ADD x int", "DROP TABLE runs",
                "CREATE TEMPORARY TABLE passing (id int)"):  # fmt: skip
        with pytest.raises(CommandFailed, match=r"permission denied|must be owner"):
            _psql(cluster, postgres.url(CONTROLLERS), sql)
    assert postgres.ask("SELECT name FROM runs") == ["a"]
    ledger = postgres.ledger().statements
    assert [(found.role, bool(found.refused)) for found in ledger] == [(OWNER, False), *[(CONTROLLERS, True)] * 4]
    assert {found.application for found in ledger} == {"psql"}


def test_a_change_from_within_a_block_is_in_the_ledger(server: tuple[Cluster, Postgres]) -> None:
    cluster, postgres = server
    _psql(cluster, postgres.url(OWNER), "DO $$ BEGIN EXECUTE 'CREATE TABLE inner_one (id int)'; END $$")
    assert postgres.ledger().statements[-1].text.startswith("CREATE TABLE within: DO")


def test_changes_can_be_refused_for_a_while_and_are_in_the_ledger(server: tuple[Cluster, Postgres]) -> None:
    cluster, postgres = server
    postgres.refuse_changes()
    with pytest.raises(CommandFailed, match="no change to this schema"):
        _psql(cluster, postgres.url(OWNER), "CREATE TABLE later (id int)")
    assert "no change" in postgres.ledger().statements[-1].refused
    postgres.allow_changes()
    _psql(cluster, postgres.url(OWNER), "CREATE TABLE later (id int)")
    assert postgres.ledger().statements[-1].refused == ""


def test_it_speaks_tls_alone_and_can_be_verified(server: tuple[Cluster, Postgres]) -> None:
    cluster, postgres = server
    encrypted = "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()"
    assert _psql(cluster, postgres.url(OWNER), encrypted).strip() == "t"
    assert "BEGIN CERTIFICATE" in postgres.certificate()
    with pytest.raises(CommandFailed, match="no encryption"):
        _psql(cluster, postgres.url(OWNER).replace("verify-full", "disable"), encrypted)


def test_a_question_that_it_refuses_is_no_answer(server: tuple[Cluster, Postgres]) -> None:
    _, postgres = server
    with pytest.raises(Incomplete, match="does not exist"):
        postgres.ask("SELECT version FROM nothing")
