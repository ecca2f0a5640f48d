"""When an operation is interfered with, and what is said of a mishap and the way out of it; without a cluster."""

from __future__ import annotations

import dataclasses
import datetime
from collections.abc import Iterable
from types import SimpleNamespace
from typing import Any

import pytest

from conformance.api import Event
from conformance.checks import Finding
from conformance.contract import Contract
from conformance.errors import Incomplete
from conformance.helm import Deployed, ReleaseRevision
from conformance.journey import Stage, judging_mishaps, moments
from conformance.journey.mishaps import Drifted, Mishap, Pruned
from conformance.manifests import Body, Manifests, ObjectKey
from conformance.observe.history import History
from conformance.observe.inventory import Inventory
from conformance.observe.live_state import Deviation, LiveState
from conformance.subject import PlaceholderImage, Subject

WEB, WORKER = (ObjectKey("apps", "Deployment", "shop", name) for name in ("web", "worker"))
WHEN = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
CONTRACT = Contract.model_validate({
    "apiVersion": "conformance/v1", "release": {"name": "shop", "namespace": "shop"},
    "workloads": (
        {"name": "web", "kind": "Deployment", "role": "web", "container": "server",
         "image": {"repository": "image.repository", "tag": "image.tag"}},
    ),
})  # fmt: skip


def body(kind: str, name: str, owner: str = "", generation: int = 1, **more: Any) -> Body:
    owners = [{"kind": "any", "name": owner, "uid": owner, "controller": True}] if owner else []
    version = "v1" if kind == "Pod" else "batch/v1" if kind == "Job" else "apps/v1"
    metadata = {
        "name": name,
        "namespace": "shop",
        "uid": name,
        "generation": generation,
        "ownerReferences": owners,
    }
    return {"apiVersion": version, "kind": kind, "metadata": metadata, **more}


def waiting(name: str, owner: str, reason: str = "ErrImagePull") -> Body:
    status = {"containerStatuses": [{"name": "server", "state": {"waiting": {"reason": reason}}}]}
    return body("Pod", name, owner, status=status)


def seen(*bodies: Body, before: int) -> Any:
    history = History()
    for number, found in enumerate(bodies):
        history.record(Event("ADDED", found), float(number), before=number < before)
    return history


BEFORE = (body("Deployment", "web"), body("Deployment", "worker"), body("Pod", "web-1", "web"))
CHANGED = body("Deployment", "web", generation=2)


@pytest.mark.parametrize(
    ("after", "expected"),
    [
        ([], False),
        ([CHANGED], True),
        ([body("ReplicaSet", "web-2", "web")], False),
        ([body("Job", "prepare")], True),
    ],
)
def test_an_operation_has_begun_with_its_first_change(after: list[Body], expected: bool) -> None:
    assert moments.begun(seen(*BEFORE, *after, before=len(BEFORE)), [WEB, WORKER]) is expected


@pytest.mark.parametrize(
    ("after", "expected"),
    [
        ([CHANGED], False),
        ([CHANGED, waiting("web-2", "web", "ContainerCreating")], False),
        ([CHANGED, waiting("web-2", "web")], True),
        ([waiting("web-2", "web")], False),
        ([body("Job", "prepare"), waiting("prepare-1", "prepare")], True),
    ],
    ids=["no pod yet", "it may yet start", "it cannot start", "left by an earlier upgrade", "a hook's pod"],
)
def test_pods_cannot_start_once_one_of_each_changed_workload_waits(after: list[Body], expected: bool) -> None:
    assert moments.cannot_start(seen(*BEFORE, *after, before=len(BEFORE)), [WEB]) is expected
    assert not moments.cannot_start(seen(*BEFORE, CHANGED, waiting("x", "web"), before=3), [WEB, WORKER])


def test_missing_images_are_others_each_time() -> None:
    nothing: Any = None
    subject = Subject(CONTRACT, nothing, nothing, (), "1.34", 3)
    one, two = (subject.missing_image_values(number)["image"] for number in (1, 2))
    assert one["repository"] == "registry.invalid/missing"
    assert one["tag"] == f"missing@sha256:{1:064}" != two["tag"]
    brought = dataclasses.replace(
        subject, images={"candidate": {"web": PlaceholderImage("registry:5000/web", "1")}}
    )
    assert brought.missing_image_values(1)["image"]["repository"] == "registry:5000/web"
    plain = CONTRACT.workloads[0].model_copy(update={"image": None})
    without = dataclasses.replace(subject, contract=CONTRACT.model_copy(update={"workloads": (plain,)}))
    with pytest.raises(Incomplete, match="no workload's `image` paths"):
        without.missing_image_values(1)


def stage(*objects: Body, status: str = "deployed", failure: str | None = None, hooks: str = "") -> Stage:
    declared = Manifests.of_bodies([found for found in objects if found["kind"] != "Pod"])
    made = Deployed(2, "1", status, WHEN, "", manifest=declared, hooks=Manifests.parse(hooks, "shop"))
    inventory = Inventory.of(objects)
    chart: Any = SimpleNamespace(name="shop", version="1")
    nothing: Any = None
    live = LiveState(inventory, frozenset(declared.keys()))
    return Stage("rollback", chart, made, 0.0, 1.0, nothing, live, failure)


def rows(*statuses: str) -> list[ReleaseRevision]:
    return [ReleaseRevision(number, "1", status, WHEN, "") for number, status in enumerate(statuses, start=1)]


GOOD = Mishap(
    "an upgrade that was killed", stage(), (stage(status="pending-upgrade"),), stage(), (), (),
    rows("superseded", "pending-upgrade", "deployed"),
)  # fmt: skip


def said(found: Iterable[Finding]) -> list[str]:
    return [f"{one.object}: {one.observed}" for one in found]


def taken_back(**changes: Any) -> list[str]:
    return said(judging_mishaps.not_taken_back(CONTRACT, dataclasses.replace(GOOD, **changes)))


def test_a_mishap_that_was_taken_back_has_no_finding() -> None:
    assert taken_back() == []
    judging_mishaps.not_interrupted(GOOD)


def test_what_is_not_as_it_was_is_found() -> None:
    assert taken_back(after=stage(failure="no such hook")) == ["Release/shop: no such hook"]
    assert taken_back(deviations=[Deviation(WEB, missing=True)]) == ["Deployment/web in shop: it is missing"]
    (pending,) = taken_back(history=rows("deployed", "pending-rollback"))
    assert pending == "Release/shop: the history holds 1 deployed, 2 pending-rollback"
    (twice,) = taken_back(history=rows("deployed", "deployed"))
    assert twice == "Release/shop: the history holds 1 deployed, 2 deployed"


HOOK = "apiVersion: batch/v1\nkind: Job\nmetadata: {name: prepare, annotations: {helm.sh/hook: pre-upgrade%s}}"


@pytest.mark.parametrize(
    ("policy", "found"),
    [("", 0), (", helm.sh/hook-delete-policy: 'before-hook-creation,hook-succeeded'", 0),
     (", helm.sh/hook-delete-policy: hook-succeeded", 1)],
)  # fmt: skip
def test_a_hook_that_its_next_run_removes_may_stay(policy: str, found: int) -> None:
    killed = stage(hooks=HOOK % policy)
    left = Deviation(ObjectKey("batch", "Job", "shop", "prepare"), left_over=True)
    assert len(taken_back(during=(killed,), deviations=[left])) == found


def test_what_was_not_interrupted_proves_nothing() -> None:
    with pytest.raises(Incomplete, match="the release is deployed: nothing was interrupted"):
        judging_mishaps.not_interrupted(dataclasses.replace(GOOD, during=(stage(),)))


def test_an_upgrade_after_a_killed_one_must_end_ready() -> None:
    assert not list(judging_mishaps.not_ready_again(stage()))
    (finding,) = judging_mishaps.not_ready_again(stage(failure='jobs.batch "prepare" already exists'))
    assert "before-hook-creation" in finding.remedy


def pruned(before: Stage, aged: Stage, after: Stage, *, kept: bool = False) -> list[str]:
    refusal: Any = None if kept else "the history holds revisions 3, 4"
    return said(judging_mishaps.not_refused(CONTRACT, Pruned(1, before, aged, refusal, after)))


def test_a_refused_rollback_changes_nothing() -> None:
    refused = stage(body("Deployment", "web"), body("Pod", "web-1", "web"), failure="release: not found")
    assert pruned(refused, refused, refused) == []
    gone = stage(failure="release: not found")
    assert pruned(gone, refused, gone) == ["Deployment/web in shop: it is missing"]
    (made,) = pruned(refused, refused, dataclasses.replace(refused, failure=None))
    assert made == "Release/shop: revision 2 was made"
    with pytest.raises(Incomplete, match="revision 1 is still in the history"):
        pruned(refused, refused, refused, kept=True)


def test_an_upgrade_that_changes_nothing_rolls_no_pods() -> None:
    was = stage(body("Deployment", "web"), body("Pod", "web-1", "web"), failure="release: not found")
    now = stage(body("Deployment", "web"), body("Pod", "web-2", "web"), failure="release: not found")
    assert pruned(was, now, now) == ["Deployment/web in shop: pods web-2 in place of web-1"]


@pytest.mark.parametrize(
    ("policy", "live", "found"), [("restored", 1, 0), ("restored", 2, 1), ("kept", 2, 0), ("kept", 1, 1)]
)
def test_what_was_edited_by_hand_is_as_promised(policy: str, live: int, found: int) -> None:
    good = stage(body("Deployment", "web", spec={"replicas": 1}))
    after = stage(body("Deployment", "web", spec={"replicas": live}))
    assert len(list(judging_mishaps.not_as_promised(policy, Drifted({WEB: 2}, good, after)))) == found
