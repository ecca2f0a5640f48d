"""What an API server says when one version of an object is put in the place of another, and back.

Which fields can never change is the server's own knowledge: immutable fields, what a PersistentVolumeClaim or a
StatefulSet allows, the stored versions of a CustomResourceDefinition, transition rules in CEL. So the judge makes
the objects for real, each where it meets nothing else, and replaces one by the other.
"""

from __future__ import annotations

import copy
import itertools
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from weakref import WeakKeyDictionary

from conformance.api import Api, ApiRefusal, Resource
from conformance.errors import Incomplete
from conformance.judge import SIDE_BY_SIDE, Answer, Judge, defines
from conformance.kube_yaml import mapping
from conformance.manifests import Body, Manifest, Manifests
from conformance.observe.dry_run import with_carried

#: Groups whose objects would change what the judge says of others if they were made; none has immutable fields.
_NEVER_MADE = frozenset({"admissionregistration.k8s.io", "apiregistration.k8s.io", "flowcontrol.apiserver.k8s.io"})
_CRD = ("apiextensions.k8s.io", "CustomResourceDefinition")
_CLAIM = ("", "PersistentVolumeClaim")
#: Annotations that make an object the default for others.
_DEFAULTS = ("ingressclass.kubernetes.io/is-default-class", "storageclass.kubernetes.io/is-default-class")
_NAMESPACES = "/api/v1/namespaces"
_CONFLICT, _SERVER_ERRORS = 409, 500
#: The server itself writes to a new CustomResourceDefinition: how often to read it again.
_ATTEMPTS = 10
_LONGEST_NAME = 40

_numbers = itertools.count(1)

#: What each judge has said already: pairs of versions have much in common.
_said: WeakKeyDictionary[Judge, dict[str, Replacement | None]] = WeakKeyDictionary()


@dataclass(frozen=True)
class Replacement:
    """The server's word on `after` in the place of `before`, and on the way back."""

    before: Manifest
    after: Manifest
    forth: Answer
    back: Answer


class Replacer:
    """Asks one judge; the same question is asked once."""

    def __init__(self, judge: Judge) -> None:
        self._judge = judge
        self._known = _said.setdefault(judge, {})

    def replacements(self, before: Manifests, after: Manifests) -> list[Replacement]:
        """Return the server's word on each object that is in both versions and differs in more than its labels.

        Hooks are left out, because Helm deletes them first; so are objects that the server refuses anyway, and
        those of `_NEVER_MADE`. Raises `Incomplete` and `MachineLacks` as the judge does.
        """
        pairs = [(old, new) for old, new in before.paired_with(after) if _concerned(old, new)]
        if not pairs:
            return []
        definitions = {**_definitions(before), **_definitions(after)}
        with ThreadPoolExecutor(SIDE_BY_SIDE, thread_name_prefix="replace") as pool:
            found = pool.map(lambda pair: self._asked(pair[0], pair[1], definitions), pairs)
            return [replacement for replacement in found if replacement is not None]

    def _asked(
        self, old: Manifest, new: Manifest, definitions: dict[tuple[str, str], Manifest]
    ) -> Replacement | None:
        crd = definitions.get((old.key.group, old.kind))
        asked = json.dumps([old.body, new.body, crd and crd.body], sort_keys=True)
        if asked not in self._known:
            self._known[asked] = self._replace(old, new, crd)
        return self._known[asked]

    def _replace(self, old: Manifest, new: Manifest, crd: Manifest | None) -> Replacement | None:
        group = f"replaced{next(_numbers)}.invalid"
        try:
            if crd is not None:
                self._judge.define(Manifest(_regrouped(crd.body, group)))
            here, there = (_Place(self._judge.api, old, group if crd else None) for _ in range(2))
            here.make(old)
            there.make(new)
        except ApiRefusal as refusal:
            if refusal.status >= _SERVER_ERRORS:
                raise Incomplete(f"the judge could not make {old.key}: {refusal}") from refusal
            return None  # whether an object is acceptable at all, another rule says
        forth = here.replaced_by(new)
        return Replacement(old, new, forth, (here if forth.accepted else there).replaced_by(old, store=False))


class _Place:
    """Somewhere for one object alone: in a namespace of its own, or under a name of its own."""

    def __init__(self, api: Api, like: Manifest, group: str | None) -> None:
        self._api = api
        self._mark = f"replaced{next(_numbers)}"
        self._key = like.key
        self._group = f"{self._mark}.invalid" if self._kind == _CRD else group
        self._own_group = defines(like)[0] if self._kind == _CRD else like.key.group
        self._live: Body = {}

    @property
    def _kind(self) -> tuple[str, str]:
        return self._key.group, self._key.kind

    def make(self, manifest: Manifest) -> None:
        """Make the object. Raises `ApiRefusal`."""
        body = self._disguised(manifest)
        resource = self._api.resource_of(body)
        if resource.namespaced:
            self._api.request("POST", _NAMESPACES, body={"metadata": {"name": self._mark}})
        self._live = self._api.request("POST", resource.path(self._mark), body=body)
        if self._kind == _CLAIM:
            self._bind(resource)

    def replaced_by(self, manifest: Manifest, *, store: bool = True) -> Answer:
        """Put an object in the place of the one that is there, for real or only to see what the server says."""
        body = with_carried(self._disguised(manifest), self._live)
        resource = self._api.resource_of(body)
        path = resource.path(self._mark, body["metadata"]["name"])
        query = {"fieldValidation": "Ignore", **({} if store else {"dryRun": "All"})}
        for attempt in range(1, _ATTEMPTS + 1):
            body["metadata"]["resourceVersion"] = self._live["metadata"]["resourceVersion"]
            try:
                answer = self._api.request("PUT", path, body=body, query=query)
            except ApiRefusal as refusal:
                if refusal.status == _CONFLICT and attempt < _ATTEMPTS:
                    self._live = self._api.request("GET", path)
                    continue
                if refusal.status >= _SERVER_ERRORS or refusal.status == _CONFLICT:
                    raise Incomplete(f"the judge could not replace {manifest.key}: {refusal}") from refusal
                return Answer(False, self._undisguised(refusal.message), tuple(_causes(refusal)))
            self._live = answer if store else self._live
            break
        return Answer(True)

    def _disguised(self, manifest: Manifest) -> Body:
        """Return the object as it is called here, and without what would make it matter to others."""
        body = copy.deepcopy(manifest.body)
        if self._group:
            body = _regrouped(body, self._group)
        metadata = body["metadata"]
        metadata.pop("ownerReferences", None)
        for name in _DEFAULTS:
            mapping(metadata.get("annotations")).pop(name, None)
        if self._key.namespace:
            metadata["namespace"] = self._mark
        elif self._kind != _CRD:
            metadata["name"] = f"{str(metadata['name'])[:_LONGEST_NAME].rstrip('.-')}-{self._mark}"
        return body

    def _undisguised(self, message: str) -> str:
        shown = message.replace(f"-{self._mark}", "")
        return shown.replace(self._group, self._own_group) if self._group else shown

    def _bind(self, resource: Resource) -> None:
        """Let a claim look bound: more may change in one that is not."""
        capacity = mapping(mapping(self._live["spec"].get("resources")).get("requests"))
        bound = {**self._live, "status": {"phase": "Bound", "capacity": capacity}}
        path = resource.path(self._mark, self._live["metadata"]["name"], "status")
        self._live = self._api.request("PUT", path, body=bound)


def _concerned(old: Manifest, new: Manifest) -> bool:
    if old.hooks or new.hooks or not old.name or old.key.group in _NEVER_MADE or old.kind == "Namespace":
        return False
    return _content(old.body) != _content(new.body)


def _content(body: Body) -> Body:
    """Return the object without its labels and annotations: no API has them immutable."""
    return {name: value for name, value in body.items() if name != "metadata"}


def _definitions(manifests: Manifests) -> dict[tuple[str, str], Manifest]:
    return {defines(crd): crd for crd in manifests.of(_CRD[1])}


def _regrouped(body: Body, group: str) -> Body:
    """Return a custom resource, or the definition of one, as if it belonged to another API group."""
    if body.get("kind") != _CRD[1]:
        version = str(body["apiVersion"]).rpartition("/")[2]
        return {**body, "apiVersion": f"{group}/{version}"}
    spec = {name: value for name, value in mapping(body.get("spec")).items() if name != "conversion"}
    plural = mapping(spec.get("names")).get("plural")
    metadata = {**mapping(body.get("metadata")), "name": f"{plural}.{group}"}
    return {**body, "metadata": metadata, "spec": {**spec, "group": group}}


def _causes(refusal: ApiRefusal) -> Iterator[tuple[str, str]]:
    """Yield field and reason; a reason that shows the whole value at length ends in what is wrong with it."""
    seen: set[tuple[str, str]] = set()
    for cause in refusal.causes:
        said = " ".join(str(cause.get("message", "")).split())
        if said.startswith("Invalid value: ") and ": " in said.removeprefix("Invalid value: "):
            said = said.rpartition(": ")[2]
        found = (str(cause.get("field", "")), said)
        if found not in seen:
            seen.add(found)
            yield found
