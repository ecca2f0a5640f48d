"""A revert in git: how long it takes with the suite looking on, beside a bare watch of the Application.

Both commit the revert and have Argo CD look at git at once. The bare one then does nothing but read the events of
the Application; the suite renders the commit, opens its timeline and waits as it does in every scenario.
Issue 5, "Figures": at most 1.2 times.
"""

from __future__ import annotations

import contextlib
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks.figures import Figure, alternating
from conformance.gitops.application import GROUP, REFRESH
from conformance.gitops.repository import Commit
from conformance.journey.git_setting import GitSetting
from conformance.journey.git_stage import Wanted
from conformance.journey.setting import OWN_NAMESPACE
from conformance.manifests import Body
from conformance.options import Options
from conformance.preparation import prepared
from conformance.subject import BASELINE, CANDIDATE

LIMIT = 1.2
#: Seconds after which the bare watch ends without having seen the revert synced.
PATIENCE = 300


def measure(rounds: int) -> list[Figure]:
    """Return how many times the bare watch's seconds the suite takes, median by median."""
    with _delivered() as setting:
        seen = [
            {"busy": busy, "bare": bare, "suite": suite}
            for busy, bare, suite in alternating(rounds, lambda: _bare(setting), lambda: _suite(setting))
        ]
    return [
        Figure("gitops revert", "a revert's commit to Synced and Healthy: the suite's time over a bare watch's",
               "times", tuple(one["suite"] / one["bare"] for one in seen), LIMIT, tuple(seen)),
        Figure("gitops bare", "the same by the bare watch alone", "s", tuple(one["bare"] for one in seen), None,
               tuple(seen)),
    ]  # fmt: skip


@contextmanager
def _delivered() -> Iterator[GitSetting]:
    with (
        tempfile.TemporaryDirectory() as folder,
        prepared(Options(report_dir=Path(folder, "report")), ["gitops/revert-one-sync"]) as preparation,
        preparation.lease("gitops") as lease,
    ):
        setting = preparation.git_setting(lease)
        try:
            setting.settle_at(setting.write(Wanted(BASELINE, BASELINE)))
            yield setting
        finally:
            setting.close()


def _reverted(setting: GitSetting) -> Commit:
    """Deliver the candidate, and return the commit of its revert, which is not delivered yet."""
    commit = setting.write(Wanted(CANDIDATE, CANDIDATE))
    setting.settle_at(commit)
    return setting.revert(commit)


def _suite(setting: GitSetting) -> float:
    commit, ends = _reverted(setting), []
    begun = time.monotonic()

    def drive() -> None:
        setting.settle_at(commit)
        ends.append(time.monotonic())

    setting.recorded("sync", commit, BASELINE, drive).settled()
    return ends[0] - begun


def _bare(setting: GitSetting) -> float:
    commit = _reverted(setting)
    begun = time.monotonic()
    applications = setting.api.resource(GROUP, "Application")
    path = applications.path(OWN_NAMESPACE, setting.name)
    asked = {"metadata": {"annotations": {REFRESH: "normal"}}}
    since = setting.api.request("PATCH", path, body=asked, content_type="application/merge-patch+json")
    version = since["metadata"]["resourceVersion"]
    watch = setting.api.watch(applications, namespace=OWN_NAMESPACE, since=version, seconds=PATIENCE)
    with contextlib.closing(watch):
        for event in watch:
            if _is_settled(event.object, commit.id):
                return time.monotonic() - begun
    raise ValueError(f"no event in {PATIENCE} s said that {commit} is synced and healthy")


def _is_settled(body: Body, revision: str) -> bool:
    status: dict[str, Any] = body.get("status") or {}
    return (
        REFRESH not in (body["metadata"].get("annotations") or {})
        and status.get("sync", {}).get("revision") == revision
        and status["sync"].get("status") == "Synced"
        and status.get("health", {}).get("status") == "Healthy"
        and status.get("operationState", {}).get("phase") == "Succeeded"
    )
