"""A git repository on this machine: commit, revert, tag, read history. A cluster's node may serve it to its pods.

No hooks, no configuration of the caller's or the machine's, and the same author at every commit.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from conformance.errors import MachineLacks
from conformance.git_settings import as_environment
from conformance.run import Runner

#: The branch that everything is committed to.
BRANCH = "main"
#: Seconds that one git command may take; on a few files it takes hundredths.
GIT_SECONDS = 60.0
#: Who commits.
_AUTHOR = {"NAME": "agents-conformance", "EMAIL": "agents-conformance@localhost"}


@dataclass(frozen=True)
class Commit:
    """One commit: its full id and the first line of its message."""

    id: str
    subject: str

    def __str__(self) -> str:
        """Return the short id and the subject, as people read commits."""
        return f"{self.id[:8]} {self.subject}"


class Repository:
    """A repository at `served`, a folder that is made, with its work tree in the private `tree`.

    Everyone may read what is served, so that a process of another user can serve it. Raises `MachineLacks` where
    there is no git; all methods raise `CommandFailed` where git fails.
    """

    def __init__(self, runner: Runner, served: Path, tree: Path) -> None:
        if shutil.which("git") is None:
            raise MachineLacks("no git on PATH; GitOps needs it: apt-get install git")
        self.served, self.tree = served, tree
        people = {f"GIT_{who}_{what}": value for who in ("AUTHOR", "COMMITTER") for what, value in _AUTHOR.items()}
        settings = {"core.hooksPath": "/dev/null", "core.autocrlf": "false", "commit.gpgSign": "false",
                    "gc.auto": "0", "core.sharedRepository": "0644", "init.defaultBranch": BRANCH}  # fmt: skip
        self._runner = runner.with_environment(
            **people,
            **as_environment(settings),
            GIT_CONFIG_GLOBAL="/dev/null",
            GIT_CONFIG_NOSYSTEM="1",
            GIT_TERMINAL_PROMPT="0",
        )
        tree.mkdir(parents=True)
        self._runner.run("git", "init", "--quiet", "--bare", "--template=", served, timeout=GIT_SECONDS)
        for folder in (served, *(path for path in served.rglob("*") if path.is_dir())):
            folder.chmod(0o755)

    def commit(self, subject: str, change: Callable[[Path], None]) -> Commit:
        """Let `change` alter the work tree, and commit all it did, even nothing."""
        change(self.tree)
        self._git("add", "--all", "--force")
        self._git("commit", "--quiet", "--allow-empty", "--message", subject)
        return self.head()

    def revert(self, commit: Commit) -> Commit:
        """Commit the opposite of an earlier commit."""
        self._git("revert", "--no-edit", commit.id)
        return self.head()

    def tag(self, name: str, commit: Commit) -> None:
        """Name a commit."""
        self._git("tag", name, commit.id)

    def head(self) -> Commit:
        """Return the newest commit."""
        return self.history()[0]

    def history(self) -> list[Commit]:
        """Return all commits, the newest first."""
        said = self._git("log", "--format=%H %s", BRANCH)
        return [Commit(*line.split(" ", 1)) for line in said.splitlines()]

    def _git(self, *words: str) -> str:
        place = (f"--git-dir={self.served}", f"--work-tree={self.tree}")
        return self._runner.run("git", *place, *words, timeout=GIT_SECONDS, cwd=self.tree).stdout
