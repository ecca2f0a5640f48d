"""The live state of a release, and how it deviates from what is declared."""

from __future__ import annotations

import copy
import threading

import pytest
from observe_server import Server

from conformance.api import Api
from conformance.manifests import ABSENT, Change, Manifests, ObjectKey
from conformance.observe.deadlines import Deadline
from conformance.observe.dry_run import CannotTell, as_declared, with_carried
from conformance.observe.inventory import Inventory
from conformance.observe.live_state import Deviation, LiveState, compare


def thing(kind: str, name: str, api_version: str = "v1", namespace: str | None = "ns", **more: object) -> dict:
    metadata = {"name": name, "uid": f"uid-{name}", "resourceVersion": "1", **more.pop("metadata", {})}
    if namespace:
        metadata["namespace"] = namespace
    return {"apiVersion": api_version, "kind": kind, "metadata": metadata, **more}


def names(state: LiveState) -> list[str]:
    return [key.name for key in state]


CONTROLLED = {"ownerReferences": [{"uid": "x", "controller": True}]}


@pytest.mark.parametrize(
    "other",
    [
        thing("ReplicaSet", "x", "apps/v1", metadata=CONTROLLED),
        thing("ServiceAccount", "default"),
        thing("ConfigMap", "kube-root-ca.crt"),
        thing("Secret", "sh.helm.release.v1.agents.v1", type="helm.sh/release.v1"),
        thing("ConfigMap", "agents.v1", metadata={"labels": {"owner": "helm"}}),
        thing("Secret", "agents-token-x7f2k", type="kubernetes.io/service-account-token"),
        thing("APIService", "v1.a.b", "apiregistration.k8s.io/v1", None,
              metadata={"labels": {"kube-aggregator.kubernetes.io/automanaged": "onstart"}}),
        thing("IPAddress", "10.0.0.1", "networking.k8s.io/v1", None,
              metadata={"labels": {"ipaddress.kubernetes.io/managed-by": "ipallocator.k8s.io"}}),
        thing("PersistentVolumeClaim", "data-db-0"),
        thing("PersistentVolume", "pvc-1", namespace=None,
              metadata={"annotations": {"pv.kubernetes.io/provisioned-by": "x"}}),
        thing("ConfigMap", "suites-own"),
        thing("ConfigMap", "by-uid", metadata={"uid": "the-suites"}),
        thing("Pod", "availability", namespace="suite"),
        thing("Namespace", "suite", namespace=None),
        thing("ConfigMap", "before"),
    ],
    ids=lambda body: f"{body['kind']}-{body['metadata']['name']}",
)  # fmt: skip
def test_what_is_not_the_releases(other: dict) -> None:
    claims = {"volumeClaimTemplates": [{"metadata": {"name": "data"}}]}
    own = [thing("StatefulSet", "db", "apps/v1", spec=claims), thing("ConfigMap", "own")]
    state = LiveState.of(
        Inventory.of([*own, other]), Inventory.of([thing("ConfigMap", "before")]),
        made_by_suite=[ObjectKey("", "ConfigMap", "ns", "suites-own"), "the-suites"], suite_namespaces=["suite"],
    )  # fmt: skip
    assert names(state) == ["own", "db"]


@pytest.mark.parametrize(
    "own",
    [
        thing("ReplicaSet", "x", "apps/v1", metadata={"ownerReferences": [{"uid": "x"}]}),
        thing("Secret", "declared-token", type="kubernetes.io/service-account-token"),
        thing("PersistentVolumeClaim", "data-gone-0"),
        thing("ConfigMap", "before", metadata={"uid": "made anew"}),
        thing("APIService", "v1.own", "apiregistration.k8s.io/v1", None),
    ],
    ids=lambda body: f"{body['kind']}-{body['metadata']['name']}",
)
def test_what_is_the_releases(own: dict) -> None:
    state = LiveState.of(Inventory.of([own]), Inventory.of([thing("ConfigMap", "before")]))
    assert names(state) == [own["metadata"]["name"]]


def live(*bodies: dict) -> LiveState:
    return LiveState.of(Inventory.of(bodies), Inventory.of([]))


def test_states_are_equal_by_content_and_tell_their_difference() -> None:
    before = live(thing("ConfigMap", "a", data={"x": "1"}), thing("ConfigMap", "b"))
    again = live(
        thing(
            "ConfigMap", "a", data={"x": "1"}, metadata={"resourceVersion": "9", "uid": "other"}, status={"a": 1}
        ),
        thing("ConfigMap", "b"),
    )
    after = live(thing("ConfigMap", "a", data={"x": "2"}), thing("ConfigMap", "c"))
    key_a, key_b, key_c = (ObjectKey("", "ConfigMap", "ns", name) for name in "abc")
    assert before == again
    assert before != after
    assert before.changed_to(after) == [
        Deviation(key_a, (Change("data.x", "1", "2"),)), Deviation(key_b, missing=True),
        Deviation(key_c, left_over=True),
    ]  # fmt: skip
    assert before.difference(after, key_b) == [Change(".", "present", ABSENT)]
    assert before.difference(after, key_c) == [Change(".", ABSENT, "present")]


def test_declared_and_live_are_compared_both_ways(served: tuple[Server, Api]) -> None:
    server, api = served
    server.replace = lambda body: {**body, "immutable": False}  # what the server defaults
    state = live(
        thing("ConfigMap", "same", data={"x": "1"}, immutable=False),
        thing("ConfigMap", "drifted", data={"x": "1", "by-hand": "y"}, immutable=False),
        thing("ConfigMap", "hook"), thing("ConfigMap", "kept"),
    )  # fmt: skip
    declared = Manifests.of_bodies(
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": name, "namespace": "ns"},
            "data": {"x": "1"},
        }
        for name in ("same", "drifted", "absent")
    )
    found = compare(api, declared, state, kept=lambda key: key.name == "kept")
    assert [(one.key.name, str(one)) for one in found] == [
        ("absent", "it is missing"),
        ("drifted", "data.by-hand: expected absent, observed 'y'"),
        ("hook", "it is left over"),
    ]
    assert all("dryRun=All" in asked for asked in server.asked if asked.startswith("PUT"))


def declared_map(**data: str) -> Manifests:
    metadata = {"name": "a", "namespace": "ns"}
    return Manifests.of_bodies([{"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data}])


def test_a_refused_replace_is_a_deviation_in_the_servers_words(served: tuple[Server, Api]) -> None:
    server, api = served
    server.refuse("PUT", "configmaps", (422, "data: field is immutable"))
    (found,) = compare(api, declared_map(x="2"), live(thing("ConfigMap", "a", data={"x": "1"})))
    assert found.refusal == "data: field is immutable"
    assert found.changes == (Change("data.x", "2", "1"),)
    assert str(found) == "the API server refuses what is declared: data: field is immutable\n" + str(
        found.changes[0]
    )


def test_an_object_that_changes_meanwhile_is_read_again(served: tuple[Server, Api]) -> None:
    server, api = served
    server.put("configmaps", thing("ConfigMap", "a", data={"x": "2"}))
    server.refuse("PUT", "configmaps", (409, "the object has been modified"))
    assert compare(api, declared_map(x="2"), live(thing("ConfigMap", "a", data={"x": "1"}))) == []


@pytest.mark.parametrize("refusal", [(500, "broken"), (400, "admission webhook x does not support dry run")])
def test_a_server_that_cannot_tell_is_not_the_charts_fault(
    served: tuple[Server, Api], refusal: tuple[int, str]
) -> None:
    server, api = served
    server.refuse("PUT", "configmaps", refusal)
    with pytest.raises(CannotTell):
        compare(api, declared_map(x="2"), live(thing("ConfigMap", "a", data={"x": "1"})))


def test_a_kind_that_is_not_served_any_more_is_missing(served: tuple[Server, Api]) -> None:
    _, api = served
    gone = Manifests.of_bodies([thing("Agent", "a", "agents.example/v1")])
    (found,) = compare(api, gone, live())
    assert found.missing
    assert "serves no Agent" in found.refusal


def test_an_autoscaler_decides_the_replicas(served: tuple[Server, Api]) -> None:
    _, api = served
    target = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "a"}
    scaler = thing("HorizontalPodAutoscaler", "h", "autoscaling/v2", spec={"scaleTargetRef": target})
    workload = thing("Deployment", "a", "apps/v1", spec={"replicas": 3})
    declared = copy.deepcopy(workload) | {"spec": {"replicas": 1}}
    expected = Manifests.of_bodies([declared])
    assert compare(api, expected, live(workload, scaler), kept=lambda _: True) == []
    (found,) = compare(api, expected, live(workload))
    assert found.changes == (Change("spec.replicas", 1, 3),)


WEBHOOK = "admissionregistration.k8s.io/v1"


@pytest.mark.parametrize(
    ("declared", "lives", "path"),
    [
        (thing("Job", "a", "batch/v1", spec={"template": {}}),
         thing("Job", "a", "batch/v1", spec={"selector": {"x": "y"}}), ("spec", "selector")),
        (thing("Job", "a", "batch/v1", spec={"template": {}}),
         thing("Job", "a", "batch/v1", spec={"template": {"metadata": {"labels": {"job-name": "a"}}}}),
         ("spec", "template", "metadata", "labels", "job-name")),
        (thing("PersistentVolumeClaim", "a", spec={}),
         thing("PersistentVolumeClaim", "a", spec={"volumeName": "v"}), ("spec", "volumeName")),
        (thing("ServiceAccount", "a"), thing("ServiceAccount", "a", secrets=[{"name": "t"}]), ("secrets",)),
        (thing("ClusterRole", "a", "rbac.authorization.k8s.io/v1", aggregationRule={"x": 1}, rules=[]),
         thing("ClusterRole", "a", "rbac.authorization.k8s.io/v1", rules=[{"verbs": ["get"]}]), ("rules",)),
        (thing("Ingress", "a", "networking.k8s.io/v1", spec={}),
         thing("Ingress", "a", "networking.k8s.io/v1", spec={"ingressClassName": "c"}),
         ("spec", "ingressClassName")),
        (thing("ConfigMap", "a"),
         thing("ConfigMap", "a", metadata={"labels": {"app.kubernetes.io/managed-by": "Helm"}}),
         ("metadata", "labels", "app.kubernetes.io/managed-by")),
    ],
    ids=lambda value: value["kind"] if isinstance(value, dict) else None,
)  # fmt: skip
def test_what_others_set_is_carried_over(declared: dict, lives: dict, path: tuple[str, ...]) -> None:
    original = copy.deepcopy(declared)
    carried, expected = with_carried(declared, lives), lives
    for name in path:
        carried, expected = carried[name], expected[name]
    assert carried == expected
    assert declared == original


def test_a_certificate_is_carried_to_the_webhook_of_its_name() -> None:
    def hooks(*pairs: tuple[str, str]) -> dict:
        webhooks = [{"name": name, "clientConfig": {"caBundle": ca} if ca else {}} for name, ca in pairs]
        return thing("ValidatingWebhookConfiguration", "a", WEBHOOK, None, webhooks=webhooks)

    carried = with_carried(hooks(("b", ""), ("a", "own"), ("c", "")), hooks(("a", "A"), ("b", "B")))
    assert [hook["clientConfig"] for hook in carried["webhooks"]] == [{"caBundle": "B"}, {"caBundle": "own"}, {}]


def test_nothing_is_carried_over_what_is_declared_or_absent() -> None:
    declared = thing("PersistentVolumeClaim", "a", spec={"volumeName": "mine"})
    assert with_carried(declared, thing("PersistentVolumeClaim", "a", spec={"volumeName": "v"})) == declared
    job = thing("Job", "a", "batch/v1", spec={"template": {}})
    assert with_carried(job, thing("Job", "a", "batch/v1", spec={"template": {"spec": {}}})) == job


def test_only_declared_fields_of_a_pod_are_compared(served: tuple[Server, Api]) -> None:
    server, api = served
    pod = thing("Pod", "a", spec={"containers": [{"name": "c", "image": "x:1"}]})
    completed = copy.deepcopy(pod)
    completed["spec"] |= {"nodeName": "n", "containers": [{"name": "c", "image": "x:2", "tty": False}]}
    (found,) = compare(api, Manifests.of_bodies([pod]), live(completed))
    assert found.changes == (Change("spec.containers[c].image", "x:1", "x:2"),)
    assert not any(asked.startswith("PUT") for asked in server.asked)


def test_declared_fields_are_laid_over_the_live_ones() -> None:
    declared = {"a": None, "list": [{"name": "x", "v": 1}, {"name": "new"}], "plain": [1]}
    lives = {"a": 1, "b": 2, "list": [{"name": "y"}, {"name": "x", "v": 0, "w": 2}], "plain": [1, 2]}
    assert as_declared(declared, lives) == {
        "a": 1, "b": 2, "list": [{"name": "y"}, {"name": "x", "v": 1, "w": 2}, {"name": "new"}], "plain": [1],
    }  # fmt: skip


def test_what_is_being_deleted_is_waited_for(served: tuple[Server, Api]) -> None:
    server, api = served
    server.everywhere = True
    server.put("configmaps", thing("ConfigMap", "stays"))
    server.put("configmaps", thing("ConfigMap", "going", metadata={"deletionTimestamp": "now"}))
    threading.Timer(0.1, lambda: server.remove("configmaps", "going")).start()
    assert names(LiveState.take(api, Inventory.of([]))) == ["stays"]
    server.put("configmaps", thing("ConfigMap", "held", metadata={"deletionTimestamp": "now"}))
    now = Deadline(0, "a test", "now")
    assert names(LiveState.take(api, Inventory.of([]), deadline=now)) == ["held", "stays"]


def test_the_inventory_holds_everything_but_the_noise(served: tuple[Server, Api]) -> None:
    server, api = served
    server.refuse("GET", "jobs", (404, "the type has vanished"))
    taken = Inventory.take(api)
    assert len(taken) == 0
    listed = {asked.split("?")[0].rpartition("/")[2] for asked in server.asked if "/" in asked}
    assert {"configmaps", "pods", "jobs", "namespaces"} <= listed
    assert "events" not in listed


def test_an_inventory_knows_objects_by_key_and_uid() -> None:
    taken = Inventory.of([thing("ConfigMap", "a"), thing("Namespace", "b", namespace=None)])
    assert taken[ObjectKey("", "ConfigMap", "ns", "a")]["metadata"]["uid"] == "uid-a"
    assert ObjectKey("", "Namespace", None, "b") in taken
    assert taken.uids() == {"uid-a", "uid-b"}
