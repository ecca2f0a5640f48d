"""Interrupts: the first is an exception at a good moment, the second the end."""

from __future__ import annotations

import subprocess
import sys
import textwrap

from conformance.interrupts import INTERRUPTED

PREPARED = """
    import os, signal, sys, time
    from conformance import interrupts
    interrupts.handle()
    me = os.getpid()
"""


def ran(script: str) -> tuple[int, str]:
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(PREPARED) + textwrap.dedent(script)],
        capture_output=True, text=True, timeout=30, check=False,
    )  # fmt: skip
    return done.returncode, done.stdout + done.stderr


def test_both_signals_interrupt():
    for name in ("SIGINT", "SIGTERM"):
        script = f"""
            try:
                os.kill(me, signal.{name})
            except KeyboardInterrupt:
                print("interrupted")
        """
        assert ran(script) == (0, "interrupted\n")


def test_what_has_to_be_finished_is_finished_first():
    script = """
        try:
            with interrupts.finished():
                with interrupts.finished():
                    os.kill(me, signal.SIGTERM)
                print("finished")
            print("not reached")
        except KeyboardInterrupt:
            print("interrupted")
    """
    assert ran(script) == (0, "finished\ninterrupted\n")


def test_the_same_signal_twice_in_a_moment_is_one():
    script = """
        try:
            os.kill(me, signal.SIGINT)
        except KeyboardInterrupt:
            os.kill(me, signal.SIGINT)
            os.kill(me, signal.SIGTERM)
            print("cleaned")
    """
    assert ran(script) == (0, "cleaned\n")


def test_a_second_one_ends_at_once():
    script = """
        interrupts.SAME_SECONDS = 0.01
        try:
            os.kill(me, signal.SIGINT)
        except KeyboardInterrupt:
            time.sleep(0.05)
            with interrupts.finished():
                os.kill(me, signal.SIGINT)
        print("not reached")
    """
    status, said = ran(script)
    assert status == INTERRUPTED
    assert said == "\nagents-conformance: stopped at once; `agents-conformance clean` removes what is left\n"


def test_children_started_meanwhile_hear_nothing_and_the_parent_hears_it_afterwards():
    script = """
        import subprocess
        child = [
            "import os, signal", "from conformance import interrupts", "os.kill(os.getpid(), signal.SIGTERM)",
            "interrupts.ignore()", "os.kill(os.getpid(), signal.SIGINT)", "print('lives', flush=True)",
        ]
        try:
            with interrupts.kept_from_children():
                os.kill(me, signal.SIGINT)
                subprocess.run([sys.executable, "-c", "; ".join(child)], check=True)
        except KeyboardInterrupt:
            print("interrupted")
    """
    assert ran(script) == (0, "lives\ninterrupted\n")


def test_one_that_a_library_in_c_has_swallowed_comes_again():
    script = """
        class Swallows:
            def __del__(self):
                os.kill(me, signal.SIGINT)
                time.sleep(0)
        try:
            Swallows()
            time.sleep(5)
        except KeyboardInterrupt:
            print("interrupted")
    """
    assert ran(script) == (0, "interrupted\n")


def test_a_command_is_started_whole_and_then_ended():
    script = """
        import subprocess
        from pathlib import Path
        import psutil
        from conformance.run import Runner

        class Interrupted(subprocess.Popen):
            def __init__(self, *words, **more):
                super().__init__(*words, **more)
                os.kill(me, signal.SIGINT)
                print("started", flush=True)

        subprocess.Popen = Interrupted
        try:
            Runner(Path.cwd()).run("sleep", "60", timeout=60)
        except KeyboardInterrupt:
            print("interrupted", psutil.Process().children())
    """
    assert ran(script) == (0, "started\ninterrupted []\n")


def test_a_line_of_the_log_is_written_whole():
    script = """
        import logging
        from conformance import progress

        class Interrupting:
            def write(self, text):
                os.kill(me, signal.SIGINT)
                print("written", flush=True)

            def flush(self):
                pass

        progress.show(stream=Interrupting())
        try:
            logging.getLogger("conformance.x").info("x")
            print("not reached")
        except KeyboardInterrupt:
            print("interrupted")
    """
    assert ran(script) == (0, "written\ninterrupted\n")
