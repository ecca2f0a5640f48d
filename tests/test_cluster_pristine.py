"""A cluster is pristine when it holds exactly what it held, and it is brought back there or replaced."""

from types import SimpleNamespace

import pytest
from fake_cluster import FakeCluster, body

from conformance.cluster import lease as lease_
from conformance.cluster import pristine as pristine_
from conformance.cluster.lease import Lease
from conformance.cluster.pristine import NotPristine, departures, restore
from conformance.errors import BadInput, CommandFailed, MachineLacks
from conformance.observe.inventory import Inventory

SYSTEM = (
    body("Namespace", "default"),
    body("ConfigMap", "settings", "default", data={"a": "1"}),
    body("ClusterRole", "edit", rules=[{"verbs": ["get"]}]),
    body("CertificateSigningRequest", "csr-1"),
)


@pytest.fixture
def cluster(monkeypatch):
    monkeypatch.setattr(pristine_, "MENDING_SECONDS", 0.0)
    return FakeCluster(*SYSTEM)


def test_a_cluster_that_nobody_touched_is_pristine(cluster):
    pristine = Inventory.take(cluster)
    assert departures(pristine, Inventory.take(cluster)) == []


@pytest.mark.parametrize(
    ("change", "departure"),
    [
        (lambda c: c.put(body("Secret", "x", "default")), "Secret/x in default is left over"),
        (lambda c: c.objects.pop(next(k for k in c.objects if k.name == "settings")),
         "ConfigMap/settings in default is missing"),
        (lambda c: c.put(body("ConfigMap", "settings", "default", data={"a": "1"})),
         "ConfigMap/settings in default was replaced"),
        (lambda c: c.put(body("ConfigMap", "settings", "default", data={"a": "2"}, metadata={"uid": "uid-2"})),
         "ConfigMap/settings in default was changed: data.a: expected '1', observed '2'"),
        (lambda c: c.put(body("Namespace", "default", metadata={"uid": "uid-1", "deletionTimestamp": "now"})),
         "Namespace/default was changed: metadata.deletionTimestamp: expected absent, observed 'now'"),
    ],
    ids=["left over", "missing", "replaced", "changed", "going"],
)  # fmt: skip
def test_every_difference_is_named(cluster, change, departure):
    pristine = Inventory.take(cluster)
    change(cluster)
    assert departures(pristine, Inventory.take(cluster)) == [departure]


def test_what_the_control_plane_drops_in_time_is_no_difference(cluster):
    pristine = Inventory.take(cluster)
    cluster.objects = {key: found for key, found in cluster.objects.items() if key.name != "csr-1"}
    restore(cluster, pristine)


def test_everything_extra_goes_finalizers_or_not(cluster):
    pristine = Inventory.take(cluster)
    held = {"finalizers": ["example.test/never"]}
    cluster.put(
        body("Namespace", "agents"),
        body("ConfigMap", "held", "agents", metadata=held),
        body("Pod", "pod", "agents"),
        body("Deployment", "web", "agents"),
        body("ClusterRole", "mine"),
        body("ValidatingWebhookConfiguration", "deny"),
    )
    restore(cluster, pristine)
    assert departures(pristine, Inventory.take(cluster)) == []
    order = [asked.removeprefix("DELETE ") for asked in cluster.asked if asked.startswith("DELETE")][:3]
    assert order == ["validatingwebhookconfigurations/deny", "namespaces/agents", "deployments/web"]


def test_a_namespace_is_let_go_only_once_it_is_empty(cluster):
    pristine = Inventory.take(cluster)
    cluster.put(body("Namespace", "agents"), body("ConfigMap", "x", "agents"))
    restore(cluster, pristine)
    assert cluster.asked.index("DELETE configmaps/x") < cluster.asked.index("PUT namespaces/agents/finalize")


def test_finalizers_of_definitions_stay_because_they_clean_up(cluster, monkeypatch):
    monkeypatch.setattr(pristine_, "RESET", SimpleNamespace(seconds=0.1))
    pristine = Inventory.take(cluster)
    cluster.put(body("CustomResourceDefinition", "w.example.test", metadata={"finalizers": ["cleanup"]}))
    with pytest.raises(NotPristine, match=r"CustomResourceDefinition/w\.example\.test is left over"):
        restore(cluster, pristine)
    assert not [asked for asked in cluster.asked if asked.startswith("PATCH")]


def test_what_cannot_be_deleted_ends_in_bounded_time(cluster, monkeypatch):
    monkeypatch.setattr(pristine_, "RESET", SimpleNamespace(seconds=0.1))
    pristine = Inventory.take(cluster)
    cluster.put(body("ConfigMap", "forever", "default"))
    cluster.undeletable.add("forever")
    with pytest.raises(NotPristine, match="ConfigMap/forever in default is left over"):
        restore(cluster, pristine)


def test_a_changed_pristine_object_is_reason_to_replace_the_cluster(cluster):
    pristine = Inventory.take(cluster)
    cluster.put(body("ClusterRole", "edit", rules=[], metadata={"uid": "uid-3"}))
    with pytest.raises(NotPristine, match="ClusterRole/edit was changed"):
        restore(cluster, pristine)


class FakeClusters:
    """Stands for `Cluster`: remembers what was done to each, and fails as told."""

    def __init__(self):
        self.done = []
        self.failures = []
        self.pristine = True

    def __call__(self, name, *_, images):
        def create():
            self.done.append(f"create {name}")
            if self.failures:
                raise self.failures.pop(0)
            made.created = True

        def reset():
            self.done.append(f"reset {name}")
            if not self.pristine:
                raise NotPristine(["Secret/x is left over"])

        made = SimpleNamespace(
            name=name, created=False, create=create, reset=reset, keep=lambda: f"kept {name}",
            delete=lambda: self.done.append(f"delete {name}"),
        )  # fmt: skip
        return made


@pytest.fixture
def clusters(monkeypatch):
    made = FakeClusters()
    monkeypatch.setattr(lease_, "Cluster", made)
    return made


@pytest.fixture
def lease():
    return Lease(None, None, SimpleNamespace(name=lambda *words: "-".join(words)), "gw0")


def test_a_worker_keeps_its_cluster_and_resets_it_between_uses(lease, clusters):
    assert lease.pristine_cluster() is lease.pristine_cluster()
    lease.close()
    assert clusters.done == ["create gw0-1", "reset gw0-1", "delete gw0-1"]


def test_a_cluster_that_cannot_be_reset_is_replaced(lease, clusters):
    lease.pristine_cluster()
    clusters.pristine = False
    assert lease.pristine_cluster().name == "gw0-2"
    assert clusters.done == ["create gw0-1", "reset gw0-1", "delete gw0-1", "create gw0-2"]


def test_after_a_cluster_was_kept_a_new_one_is_made(lease, clusters):
    lease.pristine_cluster()
    assert lease.keep() == "kept gw0-1"
    assert lease.pristine_cluster().name == "gw0-2"
    assert "delete gw0-1" not in clusters.done


def test_a_failure_to_make_a_cluster_is_tried_once_more(lease, clusters):
    clusters.failures = [CommandFailed("kind was late")]
    assert lease.pristine_cluster().name == "gw0-2"
    assert clusters.done == ["create gw0-1", "delete gw0-1", "create gw0-2"]


def test_a_machine_that_cannot_make_clusters_is_not_asked_again(lease, clusters):
    clusters.failures = [CommandFailed("kind was late"), CommandFailed("kind was late again")]
    for _ in range(2):
        with pytest.raises(CommandFailed, match="late again"):
            lease.pristine_cluster()
    assert lease.cluster.name == "gw0-2", "kept for the evidence"
    lease.close()
    assert clusters.done == ["create gw0-1", "delete gw0-1", "create gw0-2", "delete gw0-2"]


@pytest.mark.parametrize("error", [BadInput("not ours"), MachineLacks("no disk")])
def test_what_trying_again_does_not_mend_is_raised_at_once(lease, clusters, error):
    clusters.failures = [error]
    with pytest.raises(type(error)):
        lease.pristine_cluster()
    assert clusters.done == ["create gw0-1"]
