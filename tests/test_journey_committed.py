"""Commits as what drives a release, without a cluster."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import pytest

from conformance.gitops.repository import Commit
from conformance.journey.committed import ByGit
from conformance.journey.git_setting import GitSetting
from conformance.journey.git_stage import Wanted
from conformance.manifests import Manifests


class Git:
    """Takes commits, and says what was done."""

    def __init__(self) -> None:
        self.done: list[str] = []
        self.wanted: list[dict[str, Any]] = []

    def write(self, wanted: Wanted) -> Commit:
        self.wanted.append(wanted.more)
        return Commit(f"{len(self.wanted)}", str(wanted))

    def revert(self, commit: Commit) -> Commit:
        return Commit(f"-{commit.id}", "revert")

    def settle_at(self, commit: Commit) -> None:
        self.done.append(commit.id)

    def declared(self, _: Commit) -> Manifests:
        return Manifests()

    def refreshed(self, times: int) -> None:
        self.done.append(f"{times} looks")


def test_each_commit_is_a_revision_and_the_newest_is_reverted() -> None:
    git = Git()
    drive = ByGit(cast(GitSetting, git))
    assert drive.deploy({"a": 1}).revision == 1
    assert drive.upgrade({"a": 2}).revision == 2
    assert git.wanted == [{"a": 1}, {"a": 2}]
    assert drive.again(3).revision == 2
    assert drive.rollback(1).revision == 3
    assert git.done == ["1", "2", "3 looks", "-2"]
    with pytest.raises(ValueError, match="the newest commit"):
        drive.rollback(1)


def test_what_commits_cannot_do_is_refused() -> None:
    drive = ByGit(cast(GitSetting, Git()))
    with pytest.raises(ValueError, match="waited for"):
        drive.upgrade({}, Path("another"))
    with pytest.raises(ValueError, match="waited for"):
        drive.upgrade({}, wait=False)
