"""What is said of first installs, of features turned on and off, and of the digests after a rollback."""

from __future__ import annotations

import copy
import datetime
from collections.abc import Iterable
from types import SimpleNamespace
from typing import Any

import pytest

from conformance.checks import Finding
from conformance.contract import Contract
from conformance.errors import Incomplete
from conformance.helm import Deployed
from conformance.journey import Stage, judging_beginnings, judging_digests
from conformance.journey.beginnings import Adoption, Recovered, Switched
from conformance.manifests import Body, Manifests, ObjectKey
from conformance.observe.inventory import Inventory
from conformance.observe.live_state import Deviation, LiveState

WHEN = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
CONTRACT = Contract.model_validate({
    "apiVersion": "conformance/v1", "release": {"name": "shop", "namespace": "shop"},
    "workloads": ({"name": "web", "kind": "Deployment", "role": "web", "container": "server"},),
})  # fmt: skip
LEFT = Deviation(ObjectKey("", "ConfigMap", "shop", "left"), left_over=True)
HOOK = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: left, annotations: {helm.sh/hook: pre-install}}"


def deployment(image: str) -> Body:
    pod = {"spec": {"containers": [{"name": "server", "image": image}]}}
    metadata = {"name": "web", "namespace": "shop", "uid": "web"}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata, "spec": {"template": pod}}


def pod(image: str) -> Body:
    metadata = {"name": "web-1", "namespace": "shop", "uid": "web-1"}
    owners = [{"kind": "Deployment", "name": "web", "uid": "web", "controller": True}]
    status = {"phase": "Running", "containerStatuses": [{"name": "server", "imageID": image}]}
    return {
        "apiVersion": "v1", "kind": "Pod", "metadata": {**metadata, "ownerReferences": owners}, "status": status
    }  # fmt: skip


def stage(
    *objects: Body, declared: Iterable[Body] = (), failure: str | None = None, hooks: str = "", made: bool = True
) -> Stage:
    nothing: Any = None
    revision = Deployed(
        2, "1", "deployed", WHEN, "", manifest=Manifests.of_bodies(list(declared)),
        hooks=Manifests.parse(hooks, "shop"),
    )  # fmt: skip
    live = LiveState(Inventory.of(objects), frozenset())
    chart: Any = SimpleNamespace(name="shop", version="1")
    return Stage("install", chart, revision if made else None, 0.0, 1.0, nothing, live, failure)


def said(found: Iterable[Finding]) -> list[str]:
    return [f"{one.object}: {one.observed}" for one in found]


SERVICE: Body = {
    "apiVersion": "v1", "kind": "Service", "metadata": {"name": "web", "namespace": "shop", "uid": "theirs"},
    "spec": {"ports": [{"port": 80}]},
}  # fmt: skip
REFUSED = stage(failure='Service "web" in namespace "shop" exists', made=False)
WITH_SERVICE = "apiVersion: v1\nkind: Service\nmetadata: {name: web, annotations: {helm.sh/hook: pre-install}}"


def adopted(made: Stage, after: Body | None) -> list[str]:
    return said(judging_beginnings.adopted([Adoption(SERVICE, made, after)]))


def test_an_install_onto_somebody_elses_service() -> None:
    assert adopted(REFUSED, SERVICE) == []
    assert adopted(REFUSED, None) == ["Service/web in shop: it is gone"]
    replaced, relabelled = copy.deepcopy(SERVICE), copy.deepcopy(SERVICE)
    replaced["metadata"]["uid"] = "ours"
    assert adopted(REFUSED, replaced) == ["Service/web in shop: it was made anew, uid ours"]
    relabelled["metadata"]["labels"] = {"a": "b"}
    assert len(adopted(REFUSED, relabelled)) == 1
    assert adopted(stage(failure="it failed", made=False), SERVICE) == ["Service/web in shop: it failed"]
    assert adopted(stage(hooks=WITH_SERVICE), SERVICE) == ["Service/web in shop: revision 2 was made"]
    with pytest.raises(Incomplete, match="the chart makes none"):
        adopted(stage(), SERVICE)


def recovered(failed: Stage, after: Stage, *deviations: Deviation) -> list[str]:
    return said(judging_beginnings.not_recovered(Recovered(failed, after, deviations)))


def test_a_first_install_that_failed() -> None:
    failed = stage(failure="context canceled")
    assert recovered(failed, stage()) == []
    assert recovered(failed, stage(failure="field is immutable")) == ["Release/shop: field is immutable"]
    (left,) = recovered(failed, stage(), LEFT)
    assert left.startswith("ConfigMap/left in shop: it lives after")
    assert recovered(stage(failure="context canceled", hooks=HOOK), stage(), LEFT) == []
    assert recovered(failed, stage(hooks=HOOK), LEFT) == []
    with pytest.raises(Incomplete, match="no revision was made"):
        recovered(REFUSED, stage())


def test_features_turned_on_and_off() -> None:
    def switched(off: Stage, *deviations: Deviation) -> list[str]:
        one = Switched("all", stage(), stage(), off, deviations)
        return said(judging_beginnings.not_switched_off([one]))

    assert switched(stage()) == []
    assert switched(stage(), LEFT) == ["ConfigMap/left in shop: it still lives"]
    assert switched(stage(failure="not ready")) == ["Release/shop: not ready"]


OLD, NEW = "web@sha256:old", "web@sha256:new"


def not_prior(before: Stage, *after: Body) -> list[str]:
    return said(judging_digests.not_prior(CONTRACT, before, stage(*after)))


@pytest.mark.parametrize("image", [OLD, "web:1"], ids=["pinned", "by what ran"])
def test_running_pods_have_the_prior_digest(image: str) -> None:
    before = stage(deployment(image), pod(OLD), declared=[deployment(image)])
    assert not_prior(before, deployment(image), pod(OLD)) == []
    assert not_prior(before, deployment(image), pod(NEW)) == ["Deployment/web in shop: web-1 has web@sha256:new"]
    assert not_prior(before, deployment(image)) == ["Deployment/web in shop: no pod is running"]
    assert not_prior(stage(), deployment(image), pod(NEW)) == []


def test_a_workload_that_a_hook_makes_is_held_to_its_digest_too() -> None:
    hook = (
        "{apiVersion: apps/v1, kind: Deployment, metadata: {name: web, "
        "annotations: {helm.sh/hook: post-install}}, "
        f"spec: {{template: {{spec: {{containers: [{{name: server, image: '{OLD}'}}]}}}}}}}}"
    )
    assert len(not_prior(stage(hooks=hook), deployment(NEW), pod(NEW))) == 1
