"""A run's journal: on the disk before anything is made, locked as long as the run lives, safe to share."""

import json
import os
import pickle
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from conformance.cluster import journal as journal_
from conformance.cluster.journal import CLUSTER, FOLDER, PROCESS, Journal, live_runs, stale_runs
from conformance.errors import ConformanceError, MachineLacks


@pytest.fixture
def root(tmp_path):
    return tmp_path / "state" / "runs"


def _states(journal, *kinds):
    return {entry.name: entry.state for entry in journal.entries(*kinds)}


def _start(script, *arguments):
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(script), *map(str, arguments)],
        stdout=subprocess.PIPE,
        text=True,
        env={"PYTHONPATH": str(Path(__file__).parents[1])},
    )


def _python(script, *arguments):
    """Start a Python process that prints one line when it is where the test wants it."""
    process = _start(script, *arguments)
    return process, process.stdout.readline().strip()


def test_what_is_recorded_is_there_until_it_is_done(root):
    journal = Journal.open_new(root)
    first, second = journal.name("gw0"), journal.name("gw1")
    journal.record(CLUSTER, first, kubeconfig=Path("/somewhere"))
    journal.record(CLUSTER, second)
    journal.record(FOLDER, "/tmp/x")
    journal.made(CLUSTER, first, port=1)
    journal.done(CLUSTER, second)
    journal.keep(CLUSTER, first)
    assert _states(journal, CLUSTER, FOLDER) == {first: "kept", "/tmp/x": "making"}
    assert journal.entries(CLUSTER)[0].details == {"kubeconfig": "/somewhere", "port": 1}


def test_names_carry_the_run_so_that_nothing_else_is_ever_removed(root):
    journal = Journal.open_new(root)
    with pytest.raises(ValueError, match="its name has to contain the run's"):
        journal.record(CLUSTER, "production")
    assert journal.entries(CLUSTER) == []


def test_a_half_written_line_spoils_no_other(root):
    journal = Journal.open_new(root)
    journal.record(FOLDER, "one")
    with (journal.folder / "journal").open("a") as sink:
        sink.write('{"kind": "folder", "na')
    journal.record(FOLDER, "two")
    assert [entry.name for entry in journal.entries(FOLDER)] == ["one", "two"]


def test_many_processes_append_to_one_journal(root):
    journal = Journal.open_new(root)
    script = """
        import sys; from pathlib import Path
        from conformance.cluster.journal import Journal
        journal = Journal(Path(sys.argv[1])).join()
        for number in range(50): journal.record("folder", f"{sys.argv[2]}-{number}", text="x" * 300)
    """
    processes = [_start(script, journal.folder, worker) for worker in range(3)]
    assert [process.wait() for process in processes] == [0, 0, 0]
    assert len(journal.entries(FOLDER)) == 150
    assert {int(entry.name) for entry in journal.entries(PROCESS)} == {os.getpid(), *(p.pid for p in processes)}


def test_two_runs_at_once_are_two_journals(root):
    one, other = Journal.open_new(root), Journal.open_new(root)
    assert one.run_id != other.run_id
    assert {run.run_id for run in live_runs(root)} == {one.run_id, other.run_id}
    assert stale_runs(root) == []


def test_a_run_is_over_once_its_lock_is_let_go(root):
    journal = Journal.open_new(root)
    journal.close()
    (stale,) = stale_runs(root)
    assert stale.run_id == journal.run_id
    assert stale_runs(root) == [], "who found it holds its lock"
    stale.close()
    assert live_runs(root) == []


def test_a_killed_run_is_over_and_a_living_one_is_not(root):
    script = """
        import sys, time; from pathlib import Path
        from conformance.cluster.journal import Journal
        journal = Journal.open_new(Path(sys.argv[1]))
        journal.record("cluster", journal.name("gw0"))
        print(journal.run_id, flush=True); time.sleep(60)
    """
    process, run_id = _python(script, root)
    try:
        assert [run.run_id for run in live_runs(root)] == [run_id]
        assert stale_runs(root) == []
    finally:
        process.kill()
        process.wait()
    (stale,) = stale_runs(root)
    assert [entry.name for entry in stale.entries(CLUSTER)] == [f"agents-conformance-{run_id}-gw0"]
    stale.discard()
    assert not root.parent.exists()


def test_what_a_killed_run_was_starting_does_not_keep_it_alive(root):
    begin = """
        import os, sys, time
        from pathlib import Path
        from conformance.cluster.journal import Journal
        journal = Journal.open_new(Path(sys.argv[1]))
        if os.fork() == 0:
            time.sleep(0.3)  # between fork and exec, as on a busy machine
            os._exit(0)
        print(journal.run_id, flush=True)
        time.sleep(60)
    """
    process, run_id = _python(begin, root)
    process.kill()
    process.wait()
    assert [journal.run_id for journal in stale_runs(root)] == [run_id]


def test_a_run_killed_while_it_began_is_over_too(root):
    (root / "0123abcd").mkdir(parents=True)
    (stale,) = stale_runs(root)
    stale.discard()
    assert not root.exists()


def test_a_worker_ends_with_its_controlling_process(root):
    script = """
        import subprocess, sys, time; from pathlib import Path
        from conformance.cluster.journal import Journal
        journal = Journal.open_new(Path(sys.argv[1]))
        worker = f"import time; from pathlib import Path; from conformance.cluster.journal import Journal; "
        worker += f"Journal(Path({str(journal.folder)!r})).join(); print('joined', flush=True); time.sleep(60)"
        child = subprocess.Popen([sys.executable, "-c", worker], stdout=subprocess.PIPE, text=True)
        child.stdout.readline()
        print(child.pid, flush=True); time.sleep(60)
    """
    process, worker = _python(script, root)
    process.kill()
    process.wait()
    for _ in range(200):
        state = Path(f"/proc/{worker}/stat")
        if not state.exists() or state.read_text().rpartition(")")[2].split()[0] == "Z":
            break
        time.sleep(0.01)
    else:
        os.kill(int(worker), signal.SIGKILL)
        pytest.fail("the worker outlived its controlling process")


def test_nobody_joins_a_run_that_is_over(root):
    journal = Journal.open_new(root)
    (journal.folder / "journal").write_text(
        json.dumps({"kind": PROCESS, "name": "4194304", "state": "making", "details": {"started": 1.0}})
    )
    script = """
        import sys; from pathlib import Path
        from conformance.cluster.journal import Journal
        try: Journal(Path(sys.argv[1])).join()
        except Exception as error: print(error, flush=True)
    """
    process, said = _python(script, journal.folder)
    process.wait()
    assert said == f"the controlling process of run {journal.run_id} has ended; nothing was made"


def test_a_swept_run_records_nothing_more(root):
    journal = Journal.open_new(root)
    journal.discard()
    with pytest.raises(MachineLacks, match="No such file"):
        journal.record(FOLDER, "late")
    assert not journal.folder.exists()


def test_a_pickled_journal_is_the_same_record_without_the_lock(root):
    journal = Journal.open_new(root)
    copy = pickle.loads(pickle.dumps(journal))  # noqa: S301
    copy.record(FOLDER, "one")
    copy.close()
    assert [entry.name for entry in journal.entries(FOLDER)] == ["one"]
    assert stale_runs(root) == []


def test_a_full_disk_is_what_the_machine_lacks(root, monkeypatch):
    journal = Journal.open_new(root)
    monkeypatch.setattr(journal_.os, "write", lambda _, data: len(data) // 2)
    with pytest.raises(MachineLacks, match="No space left on device; make room"):
        journal.record(FOLDER, "one")


def test_a_state_folder_that_cannot_be_made_is_one_line(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(MachineLacks, match="set XDG_STATE_HOME to another folder") as raised:
        Journal.open_new(tmp_path / "file" / "runs")
    assert "\n" not in str(raised.value)
    assert isinstance(raised.value, ConformanceError)
