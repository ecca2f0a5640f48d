"""Temporary folders: gone at the end, and after a kill by the next command."""

from __future__ import annotations

import signal
import subprocess
import sys
import tempfile
import textwrap
from pathlib import Path

import pytest

from conformance.temporary import private_folder, sweep_stale_folders


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def test_a_folder_is_private_and_goes_at_the_end(temporary):
    with private_folder() as folder:
        assert list(folder.iterdir()) == []
        assert folder.stat().st_mode & 0o77 == 0 or folder.parent.stat().st_mode & 0o77 == 0
        assert temporary in folder.parents
    assert list(temporary.iterdir()) == []


def test_what_a_killed_process_left_is_removed_and_what_is_in_use_stays(temporary):
    script = """
        import os
        from conformance.temporary import private_folder
        with private_folder() as folder:
            (folder / "x").touch()
            print(flush=True)
            os.read(0, 1)
    """
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(script)], env={"TMPDIR": str(temporary)},
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    )  # fmt: skip
    with process:
        assert process.stdout is not None
        process.stdout.readline()
        others = temporary / "agents-conformance-report"
        others.mkdir()
        (others / "lock").touch()
        sweep_stale_folders()
        assert len(list(temporary.rglob("x"))) == 1
        process.send_signal(signal.SIGKILL)
        process.wait()
        with private_folder():
            sweep_stale_folders()
            assert list(temporary.rglob("x")) == []
            assert len(list(temporary.iterdir())) == 2
    assert list(temporary.iterdir()) == [others]
