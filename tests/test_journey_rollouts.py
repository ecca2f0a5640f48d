"""What is asked for and seen of rotations, without a cluster."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from typing import Any

import pytest

from conformance.checks import Finding
from conformance.contract import Checksums, Contract
from conformance.journey import judging_annotations
from conformance.journey import judging_rollouts as judging
from conformance.journey.committed import Synced
from conformance.journey.rotation import Rotated, Running, Step, Undone, owned, rolled
from conformance.journey.watched import Asked, Watched, places, uses
from conformance.manifests import Body, Manifest, Manifests, ObjectKey
from conformance.observe.calls import Calls
from conformance.observe.history import Moment, Story

WEB, WORKER = (ObjectKey("apps", "Deployment", "shop", name) for name in ("web", "worker"))
TOKEN = Watched("Secret", "token", "checksum/secret-token", None)
CHECKSUMS = Checksums.model_validate({
    "secrets": ("token", "made"),
    "configMaps": ("settings",),
    "values": {
        "given": {"roll.enabled": True, "made.enabled": True},
        "disabled": {"roll.enabled": False},
        "secrets": "roll.secrets",
        "configMaps": "roll.configMaps",
        "data": {"made": "made.data"},
        "only": {"web": "roll.web"},
        "lookup": {"roll.lookup": True},
    },
})  # fmt: skip


def asked(found: Asked) -> dict[str, Any]:
    assert CHECKSUMS.values
    return found.values(CHECKSUMS, CHECKSUMS.values)


def test_values_ask_for_what_is_wanted() -> None:
    first = Asked(on=True, texts={"Secret/made": "a"}, checksums={"Secret/token": "1", "ConfigMap/settings": "2"})
    assert asked(first) == {
        "roll": {
            "enabled": True,
            "secrets": [{"name": "token", "checksum": "1"}, "made"],
            "configMaps": [{"name": "settings", "checksum": "2"}],
        },
        "made": {"enabled": True, "data": {"CONFORMANCE_ROTATED": "a"}},
    }
    looked_up = dataclasses.replace(first, looked_up=frozenset({"Secret/token"}), only={"web": ("token", "made")})
    assert asked(looked_up)["roll"] | {"enabled": 0} == {
        "enabled": 0, "lookup": True, "secrets": ["token", "made"], "web": ["token", "made"],
        "configMaps": [{"name": "settings", "checksum": "2"}],
    }  # fmt: skip
    assert asked(looked_up.without("made", "web"))["roll"]["web"] == ["token"]
    off = asked(dataclasses.replace(looked_up, on=False))
    assert off["roll"] == asked(looked_up)["roll"] | {"enabled": False}
    assert off["made"]["enabled"] is True


def workload(**spec: Any) -> Manifest:
    return Manifest({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web", "namespace": "shop"},
        "spec": {"template": {"spec": spec}},
    })  # fmt: skip


HELD = Manifests.of_bodies([
    {
        "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "token", "namespace": "shop"},
        "data": {"A": "", "B": ""},
    }
])  # fmt: skip
PLACES: list[tuple[dict[str, Any], list[tuple[str, str]]]] = [
    ({"envFrom": [{"secretRef": {"name": "token"}, "prefix": "X_"}]}, [("A", "X_A"), ("B", "X_B")]),
    ({"envFrom": [{"secretRef": {"name": "token"}}], "env": [{"name": "A", "value": "1"}]}, [("B", "B")]),
    ({"env": [{"name": "T", "valueFrom": {"secretKeyRef": {"name": "token", "key": "A"}}}]}, [("A", "T")]),
    ({"env": [{"name": "T", "valueFrom": {"secretKeyRef": {"name": "other", "key": "A"}}}]}, []),
    ({"volumeMounts": [{"name": "v", "mountPath": "/etc/v"}]}, [("A", "/etc/v/A"), ("B", "/etc/v/B")]),
    ({"volumeMounts": [{"name": "v", "mountPath": "/etc/v/b", "subPath": "B"}]}, [("B", "/etc/v/b")]),
    ({"volumeMounts": [{"name": "p", "mountPath": "/p"}]}, [("A", "/p/a.txt")]),
]


@pytest.mark.parametrize(("container", "expected"), PLACES)
def test_places_are_those_of_the_process(container: dict[str, Any], expected: list[tuple[str, str]]) -> None:
    items = [{"key": "A", "path": "a.txt"}]
    volumes = [
        {"name": "v", "secret": {"secretName": "token"}},
        {"name": "p", "projected": {"sources": [{"secret": {"name": "token", "items": items}}]}},
    ]  # fmt: skip
    found = workload(containers=[{"name": "web", **container}], volumes=volumes)
    assert list(places(found, "web", TOKEN, HELD)) == expected
    assert uses(found, TOKEN)


def story(
    kind: str, name: str, owner: ObjectKey | None, *bodies: Body, before: bool = False, **labels: str
) -> Story:
    owners = (
        [{"apiVersion": "apps/v1", "kind": owner.kind, "name": owner.name, "uid": owner.name, "controller": True}]
        if owner
        else []
    )
    metadata = {"name": name, "namespace": "shop", "uid": name, "labels": labels, "ownerReferences": owners}
    moments = [
        Moment(float(at), "ADDED", {"kind": kind, "metadata": metadata, **body})
        for at, body in enumerate(bodies or ({},))
    ]
    return Story(ObjectKey("", kind, "shop", name), name, before, moments)


def test_a_rollout_is_a_replica_set_that_was_made_or_came_back() -> None:
    none, one = {"spec": {"replicas": 0}}, {"spec": {"replicas": 1}}
    stories = [
        story("ReplicaSet", "web-1", WEB, one, none, before=True),
        story("ReplicaSet", "web-2", WEB, none, one, before=True),
        story("ReplicaSet", "web-3", WEB, one),
        story("ReplicaSet", "worker-1", WORKER, one),
    ]
    assert rolled(stories, WEB) == ("web-2", "web-3")
    assert rolled(stories[:1], WEB) == ()
    pods = [story("Pod", "web-3-x", ObjectKey("apps", "ReplicaSet", "shop", "web-3")), story("Pod", "other", None)]
    assert [pod.key.name for pod in owned([*stories, *pods], WEB)] == ["web-3-x"]
    assert not list(owned([*stories, *pods], WORKER))


def test_a_rollout_without_replica_sets_is_a_revision_of_new_pods() -> None:
    database = ObjectKey("apps", "StatefulSet", "shop", "database")
    old = story("Pod", "database-0", database, before=True, **{"controller-revision-hash": "1"})
    again = story("Pod", "database-1", database, **{"controller-revision-hash": "1"})
    new = story("Pod", "database-2", database, **{"controller-revision-hash": "2"})
    assert rolled([old, again], database) == ()
    assert rolled([old, again, new], database) == ("2",)


PLACED = {WEB: (("A", "TOKEN"),)}
ROTATED = Rotated(TOKEN, "given", {"A": "old"}, {"A": "new"}, PLACED, frozenset({WEB}), frozenset({WORKER}))
GOOD = Step(
    "shop", "rotation", 0, 1, 2, rolled={WEB: ("web-2",), WORKER: ()}, least={WEB: 1, WORKER: 1},
    annotations={WEB: {TOKEN.annotation: "1"}, WORKER: {}},
    running=(
        Running("web-x", WEB, made=True, told={"TOKEN": "new"}), Running("worker-x", WORKER, made=False, told={}),
    ),
    rotated=(ROTATED,),
)  # fmt: skip


def but(**changes: Any) -> Step:
    return dataclasses.replace(GOOD, **changes)


def running(told: dict[str, str] | None, *, made: bool = True) -> Step:
    return but(running=(Running("web-x", WEB, made=made, told=told),))


def said(found: Iterable[Finding]) -> list[str]:
    return [f"{one.object}: {one.observed}" for one in found]


def test_a_good_rotation_has_no_finding() -> None:
    assert not said(judging.not_ready(GOOD))
    assert not said(judging.not_rolled(GOOD))
    assert not said(judging.stale(GOOD))


@pytest.mark.parametrize(
    ("step", "expected"),
    [
        (but(rolled={WEB: ()}), "Deployment/web in shop: none"),
        (but(rolled={WEB: ("a", "b")}), "Deployment/web in shop: 2: a, b"),
        (but(rolled={WEB: ("a",), WORKER: ("b",)}), "Deployment/worker in shop: 1: b"),
    ],
)
def test_each_consumer_is_rolled_once_and_no_other(step: Step, expected: str) -> None:
    assert said(judging.not_rolled(step)) == [expected]


@pytest.mark.parametrize(
    ("step", "expected"),
    [
        (running({"TOKEN": "old"}), "Pod/web-x: TOKEN has the old value"),
        (running({"TOKEN": "third"}), "Pod/web-x: TOKEN has another value"),
        (running({}), "Pod/web-x: TOKEN has it not"),
        (running(None, made=False), "Pod/web-x: the pod is older than the rotation"),
    ],
)
def test_a_process_with_the_old_value_is_found(step: Step, expected: str) -> None:
    assert said(judging.stale(step)) == [expected]
    assert not said(judging.stale(running(None)))


def test_gaps_are_found() -> None:
    promised = Contract.model_construct(services=())
    assert said(judging.unavailable(promised, [GOOD], [])) == []
    (gap,) = said(judging.unavailable(promised, [but(least={WEB: 0})], []))
    assert gap == "Deployment/web in shop: at some moment none was available"
    service = Contract.model_validate({
        "apiVersion": "conformance/v1", "release": {"name": "shop", "namespace": "shop"},
        "workloads": ({"name": "web", "kind": "Deployment", "role": "web", "container": "web"},),
        "services": ({"name": "web", "port": 80, "probe": {"tcp": True}, "workload": "web"},),
    }).services[0]  # fmt: skip
    promised = Contract.model_construct(services=(service,))
    calls = Calls(service.target, 60, 5, 0.3, "refused", 3.0)
    (failed,) = said(judging.unavailable(promised, [GOOD], [calls]))
    assert "5 of 60 failed" in failed
    lost = dataclasses.replace(calls, failures=1, longest_gap=0.05)
    assert not said(judging.unavailable(promised, [GOOD], [lost]))


def test_what_is_rolled_for_nothing_is_found() -> None:
    assert said(judging.rolled_unasked([but(rolled={WEB: ()})])) == []
    assert said(judging.rolled_unasked([GOOD])) == ["Deployment/web in shop: 1: web-2"]


def test_turning_on_and_off() -> None:
    assert not said(judging_annotations.not_annotated(CHECKSUMS, GOOD))
    assert said(
        judging_annotations.not_annotated(CHECKSUMS, but(annotations={WEB: {"checksum/else": "1"}}, rolled={}))
    ) == ["Release/shop: no workload's pods have any"]
    assert said(judging_annotations.not_annotated(CHECKSUMS, but(rolled={WORKER: ("a",)}))) == [
        "Deployment/worker in shop: 1: a"
    ]
    assert said(judging_annotations.not_one_rollout(but(rolled={WEB: ("a", "b")}), "turning on")) == [
        "Deployment/web in shop: 2: a, b"
    ]
    assert said(judging_annotations.still_annotated(CHECKSUMS, GOOD)) == [
        "Deployment/web in shop: checksum/secret-token"
    ]


def test_annotations_are_those_of_the_list() -> None:
    assert not said(judging_annotations.beside_the_list(CHECKSUMS, GOOD, {WEB: frozenset({"token"})}))
    assert said(judging_annotations.beside_the_list(CHECKSUMS, GOOD, {WEB: frozenset({"made"})})) == [
        "Deployment/web in shop: checksum/secret-token"
    ]


def rolled_back(told: dict[str, str] | None, held: str = "old", *, made: bool = True) -> Undone:
    made_by_chart = dataclasses.replace(ROTATED, of=dataclasses.replace(TOKEN, data="made.data"))
    return Undone(running(told, made=made), [made_by_chart], {made_by_chart.of: {"A": held}})


@pytest.mark.parametrize(
    ("undone", "policy"),
    [
        (rolled_back({"TOKEN": "old"}), "previous"),
        (rolled_back({"TOKEN": "new"}), "current"),
        (rolled_back(None), "previous"),
        (rolled_back(None, "new"), "current"),
        (rolled_back(None, made=False), "current"),
    ],
)
def test_the_credential_after_a_rollback_is_the_policys(undone: Undone, policy: str) -> None:
    assert not said(judging.other_credential(undone, policy))
    other = {"previous": "current", "current": "previous"}[policy]
    assert said(judging.other_credential(undone, other)) == [
        f"Deployment/web in shop: Pod/web-x has the {policy} value"
    ]


def test_what_the_chart_does_not_make_is_one_value_for_all_pods() -> None:
    pods = tuple(Running(f"web-{value}", WEB, made=True, told={"TOKEN": value}) for value in ("old", "new"))
    (made,) = rolled_back(None).rotated
    undone = Undone(but(running=pods[:1]), [ROTATED, made], {TOKEN: {}, made.of: {}})
    assert not said(judging.other_credential(undone, "previous"))
    (mixed,) = said(judging.other_credential(Undone(but(running=pods), [ROTATED], {TOKEN: {}}), "current"))
    assert "web-new has the current value" in mixed
    assert "web-old has the previous value" in mixed


def test_quick_rotations_roll_once_at_least_and_not_more_often_than_there_were() -> None:
    assert not said(judging.too_many_rollouts(GOOD, 1))
    assert said(judging.too_many_rollouts(but(rolled={WEB: ("a", "b")}), 1)) == ["Deployment/web in shop: 2: a, b"]
    assert said(judging.too_many_rollouts(but(rolled={WEB: ()}), 1)) == ["Deployment/web in shop: none"]


def test_a_rotation_by_a_commit_is_one_sync() -> None:
    assert not said(judging.several_syncs(Synced("shop", GOOD, 1)))
    assert said(judging.several_syncs(Synced("shop", GOOD, 2))) == ["Application/shop: 2 syncs"]
