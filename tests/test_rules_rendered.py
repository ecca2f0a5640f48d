"""The rules that look at one rendering: what they find, and what they leave alone."""

from __future__ import annotations

from typing import Any

import pytest
from made_up import deployment, pair, plain, rendering, service

from conformance.checks import Finding
from conformance.rules.images import images_pinned
from conformance.rules.inputs import Given, Rendered, Version
from conformance.rules.lists import unique_list_keys
from conformance.rules.ports import ports_resolve, stable_ports
from conformance.rules.references import references_exist
from conformance.rules.selecting import selectors_find_pods
from conformance.rules.writers import single_writer

GIVEN = Given("agents", {"db": frozenset({"uri"})}, {"settings": frozenset({"level"})}, frozenset({"pinned"}))


def found(rule: Any, *documents: str) -> list[Finding]:
    return list(rule(Rendered(Version("the candidate 1.1.0", rendering(*documents)), GIVEN)))


def pods(name: str, spec: str, labels: str = "app: a") -> str:
    return deployment(name, labels, body=spec)


def with_env(env: str) -> str:
    return pods("a", f"containers: [{{name: a, image: 'a:1', {env}}}]")


# --- render/references-exist ---


CONFIG = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: own}\ndata: {level: info}"


@pytest.mark.parametrize("env", [
    "envFrom: [{configMapRef: {name: own}}, {secretRef: {name: db}}]",
    "env: [{name: A, valueFrom: {configMapKeyRef: {name: own, key: level}}}]",
    "env: [{name: A, valueFrom: {secretKeyRef: {name: db, key: uri}}}, {name: B, value: b}]",
    "env: [{name: A, valueFrom: {configMapKeyRef: {name: settings, key: level}}}]",
    "envFrom: [{configMapRef: {name: elsewhere, optional: true}}, {configMapRef: {name: kube-root-ca.crt}}]",
    "env: [{name: A, valueFrom: {fieldRef: {fieldPath: metadata.name}}}]",
])  # fmt: skip
def test_what_is_in_the_chart_or_given_or_optional_is_there(env: str) -> None:
    assert found(references_exist, CONFIG, with_env(env)) == []


@pytest.mark.parametrize(("env", "seen"), [
    ("envFrom: [{configMapRef: {name: owm}}]", "no such ConfigMap in the chart or among the prerequisites"),
    ("envFrom: [{secretRef: {name: other}}]", "no such Secret"),
    ("env: [{name: A, valueFrom: {configMapKeyRef: {name: own, key: levle}}}]", "has only level"),
    ("env: [{name: A, valueFrom: {secretKeyRef: {name: db, key: url}}}]", "the prerequisite has only uri"),
])  # fmt: skip
def test_a_missing_object_or_key_is_found(env: str, seen: str) -> None:
    (finding,) = found(references_exist, CONFIG, with_env(env))
    assert finding.object == "Deployment/a in agents"
    assert seen in finding.observed
    assert "never start" in finding.why


@pytest.mark.parametrize(("spec", "kind"), [
    ("serviceAccountName: other", "ServiceAccount/other"),
    ("imagePullSecrets: [{name: other}]", "Secret/other"),
    ("volumes: [{name: v, persistentVolumeClaim: {claimName: other}}]", "PersistentVolumeClaim/other"),
    ("volumes: [{name: v, secret: {secretName: other}}]", "Secret/other"),
    ("volumes: [{name: v, projected: {sources: [{configMap: {name: other}}]}}]", "ConfigMap/other"),
])  # fmt: skip
def test_everything_that_pods_name_is_looked_for(spec: str, kind: str) -> None:
    (finding,) = found(references_exist, pods("a", spec))
    assert kind in finding.expected
    name = kind.split("/")
    version = "v1"
    assert found(references_exist, pods("a", spec), plain(name[0], name[1], version)) == []


def test_bindings_autoscalers_and_ingresses_are_followed() -> None:
    binding = "apiVersion: rbac.authorization.k8s.io/v1\nkind: RoleBinding\nmetadata: {name: b}\n"
    scaler = "apiVersion: autoscaling/v2\nkind: HorizontalPodAutoscaler\nmetadata: {name: h}\n"
    ingress = "apiVersion: networking.k8s.io/v1\nkind: Ingress\nmetadata: {name: i}\n"
    backend = "spec: {rules: [{http: {paths: [{path: /, backend: {service: {name: NAME, port: {name: PORT}}}}]}}]}"
    documents = [
        binding + "roleRef: {kind: Role, name: gone}",
        scaler + "spec: {scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: gone}}",
        ingress + backend.replace("NAME", "gone").replace("PORT", "http"),
    ]
    assert len(found(references_exist, *documents)) == 3
    fine = [
        binding + "roleRef: {kind: ClusterRole, name: view}",
        scaler + "spec: {scaleTargetRef: {apiVersion: argoproj.io/v1alpha1, kind: Rollout, name: gone}}",
        ingress + backend.replace("NAME", "redirect").replace("PORT", "use-annotation"),
    ]
    assert found(references_exist, *fine) == []


MAKER = (
    "apiVersion: batch/v1\nkind: Job\nmetadata: {name: j}\nspec: {template: {spec: {containers: "
    "[{name: c, image: 'c:1', args: [create, --secret-name=made]}]}}}"
)


@pytest.mark.parametrize("maker", [
    "apiVersion: cert-manager.io/v1\nkind: Certificate\nmetadata: {name: c}\nspec: {secretName: made}",
    "apiVersion: bitnami.com/v1alpha1\nkind: SealedSecret\nmetadata: {name: made}",
    MAKER,
])  # fmt: skip
def test_what_the_chart_makes_while_it_runs_is_left_alone(maker: str) -> None:
    assert found(references_exist, maker, pods("a", "volumes: [{name: v, secret: {secretName: made}}]")) == []


def test_a_hook_before_the_install_cannot_use_what_is_yet_to_come() -> None:
    job = (
        "apiVersion: batch/v1\nkind: Job\nmetadata: {name: j, annotations: {helm.sh/hook: HOOK}}\n"
        "spec: {template: {spec: {serviceAccountName: s, containers: []}}}"
    )
    (finding,) = found(references_exist, job.replace("HOOK", "pre-install"), plain("ServiceAccount", "s"))
    assert "before the install" in finding.observed
    assert found(references_exist, job.replace("HOOK", "post-install"), plain("ServiceAccount", "s")) == []
    early = plain("ServiceAccount", "s", annotations="helm.sh/hook: pre-install")
    assert found(references_exist, job.replace("HOOK", "pre-install"), early) == []


def test_a_claim_template_is_a_statefulsets_own_volume() -> None:
    text = pods("a", "volumes: [{name: data, persistentVolumeClaim: {claimName: x}}]").replace(
        "kind: Deployment", "kind: StatefulSet"
    )
    assert found(references_exist, text + "  volumeClaimTemplates: [{metadata: {name: data}}]\n") == []


# --- render/ports-resolve, render/stable-ports ---


def named(name: str = "http", number: int = 80) -> str:
    return pods(
        "a", f"containers: [{{name: a, image: 'a:1', ports: [{{name: {name}, containerPort: {number}}}]}}]"
    )


def port(target: str, name: str = "http", number: int = 80, more: str = "") -> str:
    return (
        service("a", "app: a")[:-1] + f", ports: [{{name: {name}, port: {number}, targetPort: {target}{more}}}]}}"
    )


@pytest.mark.parametrize("target", ["http", "80", "9999", "'8080'"])
def test_targets_that_lead_somewhere_pass(target: str) -> None:
    assert found(ports_resolve, named(), port(target)) == []


def test_a_target_of_an_unknown_name_is_found() -> None:
    (finding,) = found(ports_resolve, named(), port("web"))
    assert finding.observed == "the pods of Deployment/a in agents name http"
    assert found(ports_resolve, port("web")) == []  # without pods it is another rule's


def test_probes_policies_ingresses_and_webhooks_are_followed() -> None:
    probe = pods("a", "containers: [{name: a, image: 'a:1', livenessProbe: {httpGet: {port: web}}}]")
    policy = "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: p}\nspec: "
    hook = (
        "apiVersion: admissionregistration.k8s.io/v1\nkind: ValidatingWebhookConfiguration\nmetadata: {name: w}\n"
    )
    client = "webhooks: [{name: w, clientConfig: {service: {namespace: agents, name: NAME, port: 80}}}]"
    ingress = "apiVersion: networking.k8s.io/v1\nkind: Ingress\nmetadata: {name: i}\nspec: "
    backend = "{defaultBackend: {service: {name: a, port: {number: NUMBER}}}}"
    assert found(ports_resolve, probe)
    assert found(ports_resolve, named(), policy + "{podSelector: {}, ingress: [{ports: [{port: web}]}]}")
    assert found(ports_resolve, named(), port("http"), hook + client.replace("NAME", "b"))
    assert found(ports_resolve, named(), port("http"), ingress + backend.replace("NUMBER", "81"))
    assert found(
        ports_resolve, named(), port("http"), hook + client.replace("NAME", "a"),
        ingress + backend.replace("NUMBER", "80"),
        policy + "{podSelector: {}, ingress: [{ports: [{port: http}, {port: 443}]}]}",
    ) == []  # fmt: skip


@pytest.mark.parametrize(("old", "new", "times"), [
    (port("http"), port("http"), 0), (port("http"), port("http", name="web"), 1),
    (port("http"), port("http", number=81), 1), (port("http"), port("http", more=", protocol: TCP"), 0),
    (port("http", more=", nodePort: 30000"), port("http"), 1),
    (port("http"), port("http", more=", nodePort: 30000"), 0),
])  # fmt: skip
def test_ports_may_come_but_not_go(old: str, new: str, times: int) -> None:
    assert len(list(stable_ports(pair([named(), old], [named(), new])))) == times


def test_a_port_by_name_may_change_its_number_and_one_by_number_may_not() -> None:
    assert list(stable_ports(pair([named(), port("http")], [named(number=81), port("http")]))) == []
    findings = list(stable_ports(pair([named(), port("80")], [named(number=81), port("81")])))
    assert len(findings) == 2
    assert "targetPort 81" in findings[0].observed + findings[1].observed
    renamed = list(stable_ports(pair([named(), port("http")], [named("web"), port("web")])))
    assert len(renamed) == 2


# --- render/selectors-find-pods ---


def budget(name: str, labels: str) -> str:
    selector = f"{{selector: {{matchLabels: {{{labels}}}}}}}"
    return f"apiVersion: policy/v1\nkind: PodDisruptionBudget\nmetadata: {{name: {name}}}\nspec: {selector}"


def test_services_and_budgets_select_pods() -> None:
    objects = [named(), port("http"), budget("a", "app: a"), plain("Service", "external")]
    assert found(selectors_find_pods, *objects) == []
    wrong = found(selectors_find_pods, named(), service("a", "app: b"), budget("b", "app: c"))
    assert [finding.object for finding in wrong] == ["Service/a in agents", "PodDisruptionBudget/b in agents"]
    assert "the pods of Deployment/a in agents have app=a" in wrong[0].observed


def test_an_operators_pods_may_be_selected() -> None:
    operated = plain("Cluster", "db", "postgresql.cnpg.io/v1")
    assert found(selectors_find_pods, named(), service("a", "app: b"), operated) == []


# --- render/unique-list-keys ---


@pytest.mark.parametrize("spec", [
    "env: [{name: A, value: a}, {name: A, value: b}]", "ports: [{containerPort: 80}, {containerPort: 80}]",
    "volumeMounts: [{name: a, mountPath: /a}, {name: b, mountPath: /a}]",
])  # fmt: skip
def test_keys_that_stand_twice_are_found(spec: str) -> None:
    (finding,) = found(unique_list_keys, with_env(spec))
    assert "2 times" in finding.observed


@pytest.mark.parametrize("spec", [
    "env: [{name: A, value: a}, {name: B, value: a}]",
    "ports: [{containerPort: 53, protocol: UDP}, {containerPort: 53, protocol: TCP}]",
    "volumeMounts: [{name: a, mountPath: /a, subPath: x}, {name: a, mountPath: /b, subPath: y}]",
])  # fmt: skip
def test_different_keys_pass(spec: str) -> None:
    assert found(unique_list_keys, with_env(spec)) == []


def test_an_object_is_no_hook_as_well() -> None:
    hook = plain("ConfigMap", "a", annotations="helm.sh/hook: pre-upgrade")
    (finding,) = found(unique_list_keys, plain("ConfigMap", "a"), hook)
    assert "a hook (pre-upgrade) as well" in finding.observed
    assert found(unique_list_keys, hook, hook) == []


# --- render/single-writer ---


SCALER = (
    "apiVersion: autoscaling/v2\nkind: HorizontalPodAutoscaler\nmetadata: {name: NAME}\n"
    "spec: {scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: a}}"
)


def test_an_autoscaler_decides_alone() -> None:
    assert found(single_writer, named(), SCALER) == []
    fixed = named().replace("spec:\n", "spec:\n  replicas: 2\n", 1)
    (finding,) = found(single_writer, fixed, SCALER)
    assert finding.observed == "replicas: 2"
    assert found(single_writer, fixed) == []
    assert len(found(single_writer, named(), SCALER, SCALER.replace("NAME", "b"))) == 1


def test_pods_have_one_budget_and_one_owner() -> None:
    assert found(single_writer, named(), budget("a", "app: a"), budget("b", "app: b")) == []
    assert len(found(single_writer, named(), budget("a", "app: a"), budget("b", "app: a"))) == 1
    wide = deployment("b", "app: a", "app: a, role: b")
    assert len(found(single_writer, named(), wide)) == 1
    assert found(single_writer, named(), deployment("b", "app: b")) == []


# --- render/images-pinned ---


DIGEST = "@sha256:" + "0" * 64


@pytest.mark.parametrize(("name", "image", "fine"), [
    ("any", "registry.io:5000/a/b:1.2.3", True), ("any", "a", False), ("any", "a:latest", False),
    ("any", f"a:latest{DIGEST}", True), ("pinned", "a:1.2.3", False), ("pinned", f"a{DIGEST}", True),
    ("any", "registry.io:5000/a", False),
])  # fmt: skip
def test_images_that_move_are_found(name: str, image: str, fine: bool) -> None:
    assert (found(images_pinned, pods(name, f"containers: [{{name: a, image: '{image}'}}]")) == []) is fine
    assert (found(images_pinned, pods(name, f"initContainers: [{{name: a, image: '{image}'}}]")) == []) is fine


def test_the_images_of_a_charts_tests_may_move() -> None:
    pod = plain("Pod", "a", annotations="helm.sh/hook: test") + "\nspec: {containers: [{name: a, image: busybox}]}"
    assert found(images_pinned, pod) == []
