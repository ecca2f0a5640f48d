"""What the API server would make of a declared object: a dry-run replace, and where a replace cannot tell.

A replace (PUT) with `dryRun=All` runs defaulting, pruning, conversion, validation and admission, and answers
with the object as it would be stored, without storing it. What other parties set after creation is not in the
declared object, so it is carried over from the live one first, by the one table `CARRIED`.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import tenacity

from conformance.api import Api, ApiRefusal, Resource
from conformance.errors import Incomplete
from conformance.manifests import Body, Manifest, ObjectKey

#: The writer's name in dry-run requests; nothing is stored under it.
FIELD_MANAGER = "agents-conformance"

_WEBHOOKS = "admissionregistration.k8s.io"
_TOKEN = "kubernetes.io/service-account-token"  # noqa: S105 - a type of Secret


class CannotTell(Incomplete):
    """The API server cannot say what it would store, for a reason that is not the object's."""


@dataclass(frozen=True)
class Carried:
    """A field that somebody else sets after creation; taken from the live object where the declared has none.

    `kind` is None for all kinds. In `path`, `*` stands for every item of a list, told apart by name.
    """

    kind: tuple[str, str] | None
    path: tuple[str, ...]
    why: str
    applies: Callable[[Body], bool] = lambda _declared: True


#: What a replace cannot express. Everything else that a replace drops is a deviation.
#:
#: Needs no row: a Service's clusterIP, clusterIPs, nodePorts, healthCheckNodePort and IP families, and a
#: Namespace's finalizers, which the API server itself copies from the live object when they are not declared.
CARRIED: tuple[Carried, ...] = (
    Carried(
        None, ("metadata", "labels", "app.kubernetes.io/managed-by"),
        "added by Helm; some kinds default their labels from the pod template only where they have none at all",
    ),
    Carried(("batch", "Job"), ("metadata", "labels"), "defaulted from the pod template, at creation"),
    Carried(("batch", "Job"), ("spec", "selector"), "generated at creation, required and immutable"),
    Carried(
        ("batch", "Job"), ("spec", "template", "metadata", "labels", "controller-uid"), "generated at creation"
    ),
    Carried(("batch", "Job"), ("spec", "template", "metadata", "labels", "job-name"), "generated at creation"),
    Carried(
        ("batch", "Job"), ("spec", "template", "metadata", "labels", "batch.kubernetes.io/controller-uid"),
        "generated at creation",
    ),
    Carried(
        ("batch", "Job"), ("spec", "template", "metadata", "labels", "batch.kubernetes.io/job-name"),
        "generated at creation",
    ),
    Carried(("", "PersistentVolumeClaim"), ("spec", "volumeName"), "set by the binder, immutable"),
    Carried(
        ("", "PersistentVolumeClaim"), ("spec", "storageClassName"),
        "the default class is filled in at creation only, and immutable",
    ),
    Carried(("", "PersistentVolume"), ("spec", "claimRef"), "set by the binder"),
    Carried(
        ("", "PersistentVolume"), ("spec", "nodeAffinity"), "set by admission at creation, immutable",
    ),
    Carried(
        (_WEBHOOKS, "MutatingWebhookConfiguration"), ("webhooks", "*", "clientConfig", "caBundle"),
        "injected by whoever issues the webhook's certificate",
    ),
    Carried(
        (_WEBHOOKS, "ValidatingWebhookConfiguration"), ("webhooks", "*", "clientConfig", "caBundle"),
        "injected by whoever issues the webhook's certificate",
    ),
    Carried(
        ("apiextensions.k8s.io", "CustomResourceDefinition"),
        ("spec", "conversion", "webhook", "clientConfig", "caBundle"),
        "injected by whoever issues the webhook's certificate",
    ),
    Carried(
        ("apiregistration.k8s.io", "APIService"), ("spec", "caBundle"),
        "injected by whoever issues the server's certificate",
    ),
    Carried(
        ("rbac.authorization.k8s.io", "ClusterRole"), ("rules",), "filled in by aggregation",
        lambda declared: bool(declared.get("aggregationRule")) and not declared.get("rules"),
    ),
    Carried(
        ("networking.k8s.io", "Ingress"), ("spec", "ingressClassName"),
        "the default class is filled in at creation only",
    ),
    Carried(("", "ServiceAccount"), ("secrets",), "tokens added by the token controller"),
    Carried(
        ("", "Secret"), ("data",), "filled in by the token controller",
        lambda declared: declared.get("type") == _TOKEN and not declared.get("data"),
    ),
    Carried(
        ("", "Secret"), ("metadata", "annotations", "kubernetes.io/service-account.uid"),
        "set by the token controller", lambda declared: declared.get("type") == _TOKEN,
    ),
)  # fmt: skip

#: Kinds that cannot be replaced by what was declared, because admission and the scheduler complete their spec
#: once and for all at creation. For these only the declared fields are compared.
DECLARED_FIELDS_ONLY = frozenset({("", "Pod")})

#: A workload's replicas while an autoscaler decides them: what is declared is only where it began.
_REPLICAS = Carried(None, ("spec", "replicas"), "an autoscaler targets it")

_CONFLICT, _SERVER_ERRORS = 409, 500


def as_defaulted(api: Api, declared: Manifest, live: Body, *, scaled: bool = False) -> tuple[Body, Body]:
    """Return the declared object as the API server would store it over the live one, and that live one.

    The live object is read again where it changed meanwhile. `scaled` says that an autoscaler decides its
    replicas. Raises `ApiRefusal` where the server would not accept it and `CannotTell` where it cannot say.
    """
    kind = declared.key.group, declared.kind
    if kind in DECLARED_FIELDS_ONLY:
        return as_declared(declared.body, live), live
    resource = api.resource_of(declared.body)
    seen = live

    def attempt() -> Body:
        body = with_carried(declared.body, seen, scaled=scaled)
        body["metadata"]["resourceVersion"] = seen["metadata"]["resourceVersion"]
        return api.request(
            "PUT", resource.path(declared.namespace, declared.name), body=body,
            query={"dryRun": "All", "fieldManager": FIELD_MANAGER, "fieldValidation": "Ignore"},
        )  # fmt: skip

    def read_again(_: tenacity.RetryCallState) -> None:
        nonlocal seen
        seen = _read(api, resource, declared.key)

    patient = tenacity.Retrying(
        retry=tenacity.retry_if_exception(_conflicts), stop=tenacity.stop_after_attempt(5),
        before_sleep=read_again, wait=tenacity.wait_none(), reraise=True,
    )  # fmt: skip
    try:
        return patient(attempt), seen
    except ApiRefusal as refusal:
        if (
            refusal.status >= _SERVER_ERRORS
            or _conflicts(refusal)
            or "does not support dry run" in refusal.message
        ):
            raise CannotTell(f"{declared.key}: {refusal}") from refusal
        raise


def with_carried(declared: Body, live: Body, *, scaled: bool = False) -> Body:
    """Return a copy of the declared object with what a replace cannot express taken from the live one."""
    body = copy.deepcopy(declared)
    body.setdefault("metadata", {})
    key = ObjectKey.of(declared)
    for row in CARRIED:
        if row.kind in (None, (key.group, key.kind)) and row.applies(declared):
            _carry(body, live, row.path)
    if scaled:
        _carry(body, live, _REPLICAS.path, over=True)
    return body


def as_declared(declared: Any, live: Any) -> Any:  # noqa: ANN401 - any part of an object
    """Return the live object with every declared field as declared: what it would be if only those counted.

    Items of lists are told apart by name where they have one; other lists are taken as declared.
    """
    if isinstance(declared, Mapping) and isinstance(live, Mapping):
        merged = {
            name: as_declared(value, live.get(name)) for name, value in declared.items() if value is not None
        }
        return {**live, **merged}
    if isinstance(declared, list) and isinstance(live, list):
        mine, theirs = _named(declared), _named(live)
        if mine and theirs:
            merged = {name: as_declared(item, theirs.get(name)) for name, item in mine.items()}
            return [*({**theirs, **merged}).values()]
    return declared


def _carry(body: Any, live: Any, path: tuple[str, ...], *, over: bool = False) -> None:  # noqa: ANN401
    name, rest = path[0], path[1:]
    if name == "*":
        theirs = _named(live) if isinstance(live, list) else {}
        for item in body if isinstance(body, list) else ():
            if isinstance(item, dict) and item.get("name") in theirs:
                _carry(item, theirs[item["name"]], rest, over=over)
        return
    if not isinstance(body, dict) or not isinstance(live, Mapping) or name not in live:
        return
    if not rest:
        if over or not body.get(name):
            body[name] = live[name]
        return
    if body.get(name) is None and not isinstance(live[name], list):
        # Only where the end of the path is there: an empty parent would be a difference of its own.
        if not _has(live[name], rest):
            return
        body[name] = {}
    _carry(body.get(name), live[name], rest, over=over)


def _has(value: Any, path: tuple[str, ...]) -> bool:  # noqa: ANN401
    for name in path:
        if not isinstance(value, Mapping) or name not in value:
            return False
        value = value[name]
    return True


def _named(items: list[Any]) -> dict[str, Any]:
    named = {item["name"]: item for item in items if isinstance(item, Mapping) and "name" in item}
    return named if len(named) == len(items) else {}


def _conflicts(error: BaseException) -> bool:
    return isinstance(error, ApiRefusal) and error.status == _CONFLICT


def _read(api: Api, resource: Resource, key: ObjectKey) -> Body:
    found = api.get(resource, key.namespace if resource.namespaced else None, key.name)
    if found is None:
        raise ApiRefusal(404, {"reason": "NotFound", "message": f"{key} was deleted while it was compared"})
    return found
