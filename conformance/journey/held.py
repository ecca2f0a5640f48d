"""The Secrets and ConfigMaps that a cluster holds for a release: read by hash alone, changed, taken away."""

from __future__ import annotations

import base64
import hashlib
import secrets
from collections.abc import Callable, Mapping
from typing import Any

from conformance.api import Api
from conformance.contract import Contract
from conformance.errors import Incomplete
from conformance.journey.watched import ROTATED_KEY, Watched
from conformance.kube_yaml import mapping
from conformance.manifests import Body, Manifests
from conformance.redact import REDACTOR

#: Makes the next value of a key: takes the object, the key and the value before.
Fresh = Callable[[Watched, str, bytes], bytes]
#: The SHA-256 of each key's value, in hexadecimal.
Hashes = Mapping[str, str]


class Held:
    """Those of the release's namespace.

    `urls` are the database's by Secret and key, which are rotated to another URL of the same database.
    """

    def __init__(self, api: Api, contract: Contract, urls: Mapping[tuple[str, str], str]) -> None:
        self._api, self._contract, self._urls = api, contract, urls
        self._namespace = contract.release.namespace

    def all(self) -> Manifests:
        """Return all of them, values included: for the suite's own eyes."""
        kinds = [self._api.resource("", kind) for kind in ("Secret", "ConfigMap")]
        return Manifests.of_bodies(
            body for kind in kinds for body in self._api.list(kind, self._namespace)["items"]
        )

    def hashes(self, of: Watched) -> Hashes:
        """Return what is in an object now; nothing where there is no such object."""
        body = self._get(of)
        return hashes(_data(body)) if body else {}

    def rotate(self, of: Watched, fresh: Fresh | None = None) -> tuple[Hashes, Hashes]:
        """Change an object's values; return them before and after. Raises `Incomplete` where it is not there."""
        body = self._get(of)
        if body is None:
            raise Incomplete(
                f"{of} is not there: declare it among the prerequisites, or where the values take its data"
            )
        before = _data(body)
        if of.kind == "ConfigMap":
            before.setdefault(ROTATED_KEY, b"")
        after = {key: (fresh or self.fresh)(of, key, value) for key, value in before.items()}
        self.patch(of, {"data": {key: _encoded(of.kind, value) for key, value in after.items()}})
        return hashes(before), hashes(after)

    def fresh(self, of: Watched, key: str, value: bytes) -> bytes:
        """Return another value that does as well: a database's URL, or its certificate, with something added."""
        token = secrets.token_hex(8)
        if of.kind == "Secret" and (url := self._urls.get((of.name, key))):
            longer = f"{url}{'&' if '?' in url else '?'}application_name=conformance-{token}"
            REDACTOR.add(longer)
            return longer.encode()
        if of.kind == "ConfigMap" and key != ROTATED_KEY:
            database = self._contract.database
            authority = database.certificate if database else None
            known = authority is not None and (authority.name, authority.key) == (of.name, key)
            return value + f"# rotated: {token}\n".encode() if known else value
        return secret().encode()

    def patch(self, of: Watched, change: Mapping[str, Any]) -> None:
        """Change an object."""
        self._api.merge(self._api.resource("", of.kind), self._namespace, of.name, dict(change))

    def put_secret(self, name: str) -> None:
        """Make a Secret that nobody watches, or change its value."""
        data = {"value": _encoded("Secret", secret().encode())}
        if self._get(of := Watched("Secret", name, "", None)):
            self.patch(of, {"data": data})
        else:
            self.make(of, {"data": data})

    def take(self, of: Watched) -> Body:
        """Take an object away and return it."""
        body = self._get(of)
        if body is None:
            raise Incomplete(f"{of} is gone")
        self._api.delete(self._api.resource("", of.kind), self._namespace, of.name)
        return body

    def make(self, of: Watched, fields: Mapping[str, Any]) -> None:
        """Make an object with some fields besides its name."""
        head = {"name": of.name, "namespace": self._namespace}
        self._api.create({"apiVersion": "v1", "kind": of.kind, "metadata": head, **fields})

    def _get(self, of: Watched) -> Body | None:
        return self._api.get(self._api.resource("", of.kind), self._namespace, of.name)


def secret() -> str:
    """Return a new value that is kept from everything the suite writes."""
    value = f"conformance-{secrets.token_urlsafe(24)}"
    REDACTOR.add(value)
    return value


def checksum() -> str:
    """Return a checksum as an operator would give it for data that nobody else knows."""
    return hashlib.sha256(secrets.token_bytes(16)).hexdigest()


def hashes(data: Mapping[str, bytes]) -> Hashes:
    """Return the hash of each value."""
    return {key: hashlib.sha256(value).hexdigest() for key, value in data.items()}


def _data(body: Body) -> dict[str, bytes]:
    data = mapping(body.get("data"))
    if body["kind"] == "ConfigMap":
        return {key: text.encode() for key, text in data.items()}
    return {key: base64.b64decode(text) for key, text in data.items()}


def _encoded(kind: str, value: bytes) -> str:
    return value.decode() if kind == "ConfigMap" else base64.b64encode(value).decode()
