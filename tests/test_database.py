"""The ledger: what a server's log says of attempts to change the schema."""

from conformance.database import Ledger

LOG = """\
2026 LOG of another form
1795000000.100|11|[local]|postgres|application|psql|LOG:  statement: CREATE TABLE suite (id int)
1795000001.100|21|10.244.0.7|application|application|control|plane|LOG:  statement: CREATE TABLE runs (
\t  id int
\t)
1795000001.200|22|10.244.0.8|controllers|application|controllers|LOG:  execute <unnamed>: ALTER TABLE runs ADD x
1795000001.300|22|10.244.0.8|controllers|application|controllers|ERROR:  must be owner of table runs
1795000001.300|22|10.244.0.8|controllers|application|controllers|STATEMENT:  ALTER TABLE runs ADD x int
1795000001.400|22|10.244.0.8|controllers|application|controllers|ERROR:  division by zero
1795000002.000|23|10.244.0.9|application|application||LOG:  statement: CREATE TABLE  runs ( id int )
1795000002.000|23|10.244.0.9|application|application||LOG:  statement: CREATE TABLE IF NOT EXISTS versions ()
1795000003.000|24|10.244.0.7|application|application||LOG:  statement: create table if not exists versions ()
1795000004.000|24|10.244.0.7|application|application||LOG:  connection received: host=1
1795000005.000|24|10.244.0.7|application|application||LOG:  statement: DROP TABLE runs"""


def test_attempts_are_read_with_who_made_them_and_what_was_refused() -> None:
    first, second, *_ = Ledger.parse(LOG).statements
    assert (first.at, first.process, first.host, first.role) == (1795000001.1, 21, "10.244.0.7", "application")
    assert first.application == "control|plane"
    assert first.text == "CREATE TABLE runs (\n  id int\n)"
    assert first.refused == ""
    assert (second.role, second.text) == ("controllers", "ALTER TABLE runs ADD x")
    assert second.refused == "must be owner of table runs"


def test_the_suites_own_and_other_lines_are_left_out() -> None:
    found = Ledger.parse(LOG).statements
    assert len(found) == 6
    assert found[-1].text == "DROP TABLE runs"


def test_a_moments_attempts() -> None:
    assert [found.process for found in Ledger.parse(LOG).between(1795000001.2, 1795000002.0).statements] == [
        22, 23, 23,
    ]  # fmt: skip


def test_what_several_hosts_tried_without_a_guard_is_repeated() -> None:
    ((one, other),) = Ledger.parse(LOG).repeated()
    assert (one.process, other.process) == (21, 23)


def test_a_statement_says_who_did_it() -> None:
    assert str(Ledger.parse(LOG).statements[1]) == (
        "role controllers (controllers) at 10.244.0.8: ALTER TABLE runs ADD x "
        "[refused: must be owner of table runs]"
    )
