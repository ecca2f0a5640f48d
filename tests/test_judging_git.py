"""What is said of a revert, from what was recorded of it."""

from __future__ import annotations

import dataclasses
import datetime
from typing import Any

import pytest

from conformance.errors import Incomplete
from conformance.gitops import Application
from conformance.gitops.repository import Commit
from conformance.helm import Deployed
from conformance.journey import judging_git
from conformance.journey.configuration import other_configuration
from conformance.journey.delivery import Reverted
from conformance.journey.git_stage import GitStage
from conformance.manifests import Manifest, Manifests, ObjectKey

COMMIT = Commit("abcdef1234", "baseline")


def application(sync: str = "Synced", health: str = "Healthy", syncs: int = 1) -> Application:
    status: dict[str, Any] = {
        "sync": {"status": sync},
        "health": {"status": health},
        "history": [{"id": number, "revision": "abcdef1234"} for number in range(syncs)],
        "resources": [{"kind": "Service", "name": "web", "namespace": "shop", "status": sync}],
    }
    return Application({"metadata": {"name": "shop"}, "status": status})


def stage(failure: str | None = None, syncs: int = 1) -> GitStage:
    nothing: Any = None
    return GitStage(
        "sync", nothing, nothing, 0.0, 1.0, nothing, nothing, failure,
        commit=COMMIT, application=application(), syncs=syncs,
    )  # fmt: skip


def reverted(*later: Application) -> Reverted:
    return Reverted(stage(), stage(), stage(), (), later)


def test_a_stage_names_its_commit():
    assert str(stage()) == "the sync of commit abcdef12 baseline"
    assert stage().declared_by == "commit abcdef12 baseline"


def test_what_settled_is_well():
    assert not list(judging_git.not_settled(stage()))


def test_what_did_not_settle_is_told_with_its_last_words():
    (finding,) = judging_git.not_settled(stage("ConfigMap/x OutOfSync"))
    assert (finding.object, finding.observed) == ("Application/shop", "ConfigMap/x OutOfSync")


@pytest.mark.parametrize(("syncs", "found"), [(0, 0), (1, 0), (2, 1)])
def test_a_revert_takes_one_sync(syncs, found):
    assert len(list(judging_git.several_syncs(stage(syncs=syncs)))) == found


def test_a_revert_that_failed_is_not_told_twice():
    assert not list(judging_git.several_syncs(stage("it is OutOfSync", syncs=0)))


def test_what_rests_is_well():
    assert not list(judging_git.restless(reverted(application(), application())))


@pytest.mark.parametrize("moved", [application("OutOfSync"), application(health="Degraded"), application(syncs=2)])
def test_what_moves_without_a_commit_is_told_once(moved):
    (finding,) = judging_git.restless(reverted(application(), moved, moved))
    assert "after look 2" in finding.observed


def declaring(*bodies: dict[str, Any], failure: str | None = None) -> GitStage:
    made = Deployed(
        revision=0, chart_version="", status="deployed", description="",
        deployed_at=datetime.datetime.now(datetime.UTC), manifest=Manifests.of_bodies(bodies), hooks=Manifests(),
    )  # fmt: skip
    return dataclasses.replace(stage(failure), made=made)


SETTINGS = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "settings"}, "data": {"a": "1"}}


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        (declaring(SETTINGS), "changes nothing that is rendered"),
        (declaring(failure="Service/web Degraded"), "did not end synced and healthy: Service/web Degraded"),
    ],
)
def test_a_revert_of_nothing_proves_nothing(changed, said):
    with pytest.raises(Incomplete, match=said):
        Reverted(declaring(SETTINGS), changed, declaring(SETTINGS), (), ()).effective()


def test_a_commit_that_changed_something_was_one():
    changed = declaring({**SETTINGS, "data": {"a": "2"}})
    assert Reverted(declaring(SETTINGS), changed, declaring(SETTINGS), (), ()).effective() is changed


@pytest.mark.parametrize(
    ("annotation", "moments", "ran", "found"),
    [
        ("argocd.argoproj.io/hook", "PreSync", "Succeeded", 0),
        ("argocd.argoproj.io/hook", "PreSync, PostSync", "Failed", 1),
        ("helm.sh/hook", "pre-install,pre-upgrade", None, 1),
        ("helm.sh/hook", "test", None, 0),
        ("argocd.argoproj.io/hook", "Skip", None, 0),
        ("argocd.argoproj.io/hook", "SyncFail", None, 0),
    ],
)
def test_a_hook_that_was_skipped_is_named(annotation, moments, ran, found):
    job = Manifest({"kind": "Job", "metadata": {"name": "announce", "annotations": {annotation: moments}}})
    rows = [{"kind": "Job", "name": "announce", "hookType": "PreSync", "hookPhase": ran}] if ran else []
    seen = application()
    status = {**seen.body["status"], "operationState": {"phase": "Succeeded", "syncResult": {"resources": rows}}}
    made = dataclasses.replace(declaring().made, hooks=Manifests((job,)))
    ended = dataclasses.replace(stage(), made=made, application=Application({**seen.body, "status": status}))
    assert len(list(judging_git.skipped_hooks(ended))) == found


WEB = ObjectKey("apps", "Deployment", "shop", "web")


def configuration(*told: dict[str, str] | None) -> dict[ObjectKey, dict[str, dict[str, str] | None]]:
    return {WEB: {f"web-{number}": one for number, one in enumerate(told)}}


def test_a_process_that_sees_what_one_saw_before_is_well():
    before = configuration({"LEVEL": "1"}, {"LEVEL": "2"})
    assert not list(other_configuration(before, configuration({"LEVEL": "2"}, {"LEVEL": "2"})))
    assert not list(other_configuration({}, {}))


@pytest.mark.parametrize(
    ("before", "after", "observed"),
    [
        ({"LEVEL": "1", "MODE": "a"}, {"LEVEL": "2", "MODE": "a"}, "LEVEL 2"),
        ({"LEVEL": "1"}, {}, "LEVEL not there"),
        ({"LEVEL": "1"}, None, "it tells nothing"),
        (None, {"LEVEL": "1"}, "no earlier pod"),
    ],
)
def test_a_process_that_sees_something_else_is_named(before, after, observed):
    (finding,) = other_configuration(configuration(before), configuration(after))
    assert finding.object == "Pod/web-0"
    assert observed in finding.observed


def test_what_the_server_refuses_is_named():
    (finding,) = judging_git.refused([(ObjectKey("argoproj.io", "Application", "own", "shop"), "unknown field x")])
    assert finding.object.startswith("Application/shop")
    assert finding.observed == "unknown field x"
