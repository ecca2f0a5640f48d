"""The judge: asks an API server without nodes what a cluster would accept.

A server-side dry-run with strict field validation is the truest judge there is of schemas, names, CEL rules and
keys given twice. Nothing is stored but namespaces and the CustomResourceDefinitions that custom resources are
judged by, so one judge serves many charts.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from conformance.api import Api, ApiRefusal, Resource
from conformance.apiserver import ApiServer
from conformance.errors import Incomplete
from conformance.kube_yaml import mapping
from conformance.manifests import Manifest, Manifests
from conformance.run import Runner

#: Seconds until a CustomResourceDefinition must be served, or gone; both take hundredths.
DEFINED_SECONDS = 20.0
#: Objects under judgement at a time: the server needs milliseconds for each.
SIDE_BY_SIDE = 4
#: Statuses that are the server's word on the object; any other says that the judge itself is broken.
_ANSWERS = frozenset({400, 403, 404, 405, 409, 413, 415, 422})

_YAML = "application/yaml"
_CRD = Resource(
    "apiextensions.k8s.io", "v1", "customresourcedefinitions", "CustomResourceDefinition", False,
    frozenset({"create", "delete", "get"}),
)  # fmt: skip
_NAMESPACE = Resource("", "v1", "namespaces", "Namespace", False, frozenset({"create"}))
_DRY_RUN = {"dryRun": "All", "fieldValidation": "Strict"}


@dataclass(frozen=True)
class JudgeBinaries:
    """The two programs the judge consists of, of the Kubernetes version it judges for."""

    etcd: Path
    kube_apiserver: Path


@dataclass(frozen=True)
class Answer:
    """The server's word on one object: `message` is its own, `causes` are its fields and what is wrong there."""

    accepted: bool
    message: str = ""
    causes: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Verdict:
    """What the judge says of one object."""

    manifest: Manifest
    answer: Answer

    @property
    def accepted(self) -> bool:
        """Return whether the API server would accept the object."""
        return self.answer.accepted

    @property
    def message(self) -> str:
        """Return the API server's own message; empty where it accepts."""
        return self.answer.message

    @property
    def causes(self) -> tuple[tuple[str, str], ...]:
        """Return the fields and what is wrong there, where the server names them."""
        return self.answer.causes


class Judge:
    """An API server without nodes that says what a cluster would accept. Safe to use from several threads.

    `start` returns at once and `review` waits until the server answers. Close it when done.
    """

    def __init__(self, binaries: JudgeBinaries, runner: Runner, folder: Path) -> None:
        self._server = ApiServer(binaries.etcd, binaries.kube_apiserver, runner, folder)
        self._known: dict[str, Answer] = {}
        self._namespaces = {"default"}
        self._defined: dict[str, str] = {}
        # Held while custom resources are judged: the next chart may define the same kind otherwise.
        self._defining = threading.RLock()

    def __enter__(self) -> Judge:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.close()

    def start(self) -> Judge:
        """Begin to start, if nobody has, and return at once."""
        self._server.start()
        return self

    def close(self) -> None:
        """End the API server."""
        self._server.close()

    @property
    def api(self) -> Api:
        """Return the API server once it is ready; raises `MachineLacks` when it does not start."""
        return self._server.api

    @functools.cached_property
    def version(self) -> str:
        """Return the Kubernetes version that the judge is, as `v1.35.4`."""
        return str(self.api.request("GET", "/version")["gitVersion"])

    @functools.cached_property
    def _built_in(self) -> dict[tuple[str, str], Resource]:
        """Return what the server serves of its own accord: asked before anything is defined."""
        return {(found.group, found.kind): found for found in self.api.resources()}

    def review(self, manifests: Manifests, definitions: Manifests = Manifests()) -> list[Verdict]:  # noqa: B008
        """Return the API server's word on each object, in their order.

        Custom resources are judged by the CustomResourceDefinitions among the objects and by `definitions`; a
        kind of neither, nor of Kubernetes itself, is refused. Raises `MachineLacks` when the judge does not start,
        `ApiUnreachable` or `Incomplete` when it breaks.
        """
        _ = self._built_in  # before anything is defined
        by_kind = {defines(crd): crd for crd in (*definitions, *manifests.of(_CRD.kind))}
        custom = {manifest.key for manifest in manifests if (manifest.key.group, manifest.kind) in by_kind}
        plain = [manifest for manifest in manifests if manifest.key not in custom]
        with ThreadPoolExecutor(SIDE_BY_SIDE, thread_name_prefix="judge") as pool:
            answers = dict(zip(map(id, plain), pool.map(self._of_plain, plain), strict=True))
        for manifest in manifests:
            if manifest.key in custom:
                crd = by_kind[manifest.key.group, manifest.kind]
                answers[id(manifest)] = self._of_custom(manifest, crd)
        return [Verdict(manifest, answers[id(manifest)]) for manifest in manifests]

    def define(self, crd: Manifest) -> None:
        """Make the server serve a definition, and wait until it does. Raises `ApiRefusal` where it is refused."""
        with self._defining:
            self._define(crd)

    def _of_plain(self, manifest: Manifest) -> Answer:
        if not manifest.body.get("apiVersion") or not manifest.kind:
            return Answer(False, "an object has an apiVersion and a kind; here one is missing")
        known = self._built_in.get((manifest.key.group, manifest.kind))
        if known is None:
            served = f"Kubernetes {self.version} nor by a CustomResourceDefinition of the chart"
            return Answer(False, f"no API serves {_kind(manifest)}: it is served neither by {served}")
        version = str(manifest.body["apiVersion"]).rpartition("/")[2]
        return self._asked(manifest, dataclasses.replace(known, version=version), "")

    def _of_custom(self, manifest: Manifest, crd: Manifest) -> Answer:
        with self._defining:
            try:
                mark = self._define(crd)
            except ApiRefusal:
                return Answer(False, f"{crd.key}, which defines it, is itself refused")
            served = [version["name"] for version in crd.body["spec"]["versions"] if version.get("served")]
            version = str(manifest.body["apiVersion"]).rpartition("/")[2]
            if version not in served:
                return Answer(False, f"no API serves {_kind(manifest)}: {crd.key} serves {', '.join(served)}")
            return self._asked(manifest, _resource(crd, version), mark)

    def _asked(self, manifest: Manifest, resource: Resource, mark: str) -> Answer:
        text = manifest.text or json.dumps(manifest.body)
        asked = hashlib.sha256(f"{mark}\0{manifest.namespace}\0{text}".encode()).hexdigest()
        if asked not in self._known:
            self._known[asked] = self._ask(manifest, resource, text)
        return self._known[asked]

    def _ask(self, manifest: Manifest, resource: Resource, text: str) -> Answer:
        namespace = (manifest.namespace or "default") if resource.namespaced else None
        try:
            if namespace:
                self._make(namespace)
            # The source as it was written: keys given twice are lost once it is read.
            self.api.request("POST", resource.path(namespace), body=text, content_type=_YAML, query=_DRY_RUN)
        except ApiRefusal as refusal:
            return self._answer(manifest, refusal)
        return Answer(True)

    def _answer(self, manifest: Manifest, refusal: ApiRefusal) -> Answer:
        if refusal.status not in _ANSWERS:
            raise Incomplete(f"the judge could not say whether {manifest.key} is acceptable: {refusal}")
        if refusal.reason == "AlreadyExists":  # found out last: everything else about the object was right
            return Answer(True)
        if refusal.status == 404:
            known = self._built_in.get((manifest.key.group, manifest.kind))
            instead = f"; it is served as {known.api_version}" if known else ""
            return Answer(False, f"no API serves {_kind(manifest)} in Kubernetes {self.version}{instead}")
        causes = tuple((cause.get("field", ""), cause.get("message", "")) for cause in refusal.causes)
        return Answer(False, refusal.message, causes)

    def _make(self, namespace: str) -> None:
        if namespace not in self._namespaces:
            try:
                self.api.request("POST", _NAMESPACE.path(), body={"metadata": {"name": namespace}})
            except ApiRefusal as refusal:
                if refusal.reason != "AlreadyExists":
                    raise
            self._namespaces.add(namespace)

    def _define(self, crd: Manifest) -> str:
        """Make the server serve this definition and no earlier one, and return what tells it apart."""
        mark = hashlib.sha256(json.dumps(crd.body, sort_keys=True).encode()).hexdigest()
        if self._defined.get(crd.name) != mark:
            if self._defined.pop(crd.name, None):
                self.api.delete(_CRD, None, crd.name)
                self._until(lambda: self.api.get(_CRD, None, crd.name) is None, f"{crd.key} to go")
            self.api.request("POST", _CRD.path(), body=_alone(crd.body))
            self._until(lambda: self._serves(crd), f"{crd.key} to be served")
            self._age(crd)
            self._defined[crd.name] = mark
        return mark

    def _serves(self, crd: Manifest) -> bool:
        status = mapping(mapping(self.api.get(_CRD, None, crd.name)).get("status"))
        conditions = {found["type"]: found["status"] for found in status.get("conditions") or ()}
        if conditions.get("NamesAccepted") == "False":
            raise ApiRefusal(409, {"message": f"{crd.key}: another definition has its names"})
        if conditions.get("Established") != "True":
            return False
        try:
            for version in crd.body["spec"]["versions"]:
                if version.get("served"):
                    self.api.request("GET", _resource(crd, version["name"]).path("default"), query={"limit": 1})
        except ApiRefusal as refusal:
            if refusal.status in (404, 429, 503):  # its handler is not there yet
                return False
            raise
        return True

    def _age(self, crd: Manifest) -> None:
        """Let the definition look a minute old: the first objects of a new one wait two seconds."""
        status = mapping(self.api.get(_CRD, None, crd.name))["status"]
        a_minute_ago = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() - 60))
        conditions = [{**found, "lastTransitionTime": a_minute_ago} for found in status["conditions"]]
        self.api.merge(_CRD, None, crd.name, {"status": {"conditions": conditions}}, "status")
        time.sleep(0.02)  # nothing tells when the server has taken note; too early costs the two seconds

    def _until(self, happened: Callable[[], bool], what: str) -> None:
        ends = time.monotonic() + DEFINED_SECONDS
        while not happened():
            if time.monotonic() > ends:
                raise Incomplete(f"the judge waited {DEFINED_SECONDS:.0f} s for {what}")
            time.sleep(0.01)


def defines(crd: Manifest) -> tuple[str, str]:
    """Return group and kind of what a CustomResourceDefinition defines."""
    spec = mapping(crd.body.get("spec"))
    return str(spec.get("group")), str(mapping(spec.get("names")).get("kind"))


def _resource(crd: Manifest, version: str) -> Resource:
    spec = crd.body["spec"]
    return Resource(spec["group"], version, spec["names"]["plural"], spec["names"]["kind"],
                    spec["scope"] == "Namespaced", frozenset({"create"}))  # fmt: skip


def _alone(crd: Mapping[str, Any]) -> dict[str, Any]:
    """Return the definition without its conversion webhook, which has no pods to run in here."""
    return {
        **crd,
        "spec": {name: value for name, value in mapping(crd.get("spec")).items() if name != "conversion"},
    }


def _kind(manifest: Manifest) -> str:
    return f"{manifest.body['apiVersion']} {manifest.kind}"
