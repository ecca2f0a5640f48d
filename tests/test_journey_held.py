"""How watched objects are changed in a cluster, and that none of their values can be shown."""

from __future__ import annotations

import base64
import hashlib
from typing import Any

import pytest

from conformance.api import Api, Body, Resource
from conformance.contract import Contract, builtin
from conformance.errors import Incomplete
from conformance.journey.held import Held, secret
from conformance.journey.rows import LARGEST, _binary, _large
from conformance.journey.watched import ROTATED_KEY, Watched
from conformance.redact import REDACTOR

URL = "postgresql://application:conformance-password@database/application?sslmode=verify-full"
SECRET = Watched("Secret", "jangar-db-app", "", None)
CERTIFICATE = Watched("ConfigMap", "jangar-db-ca", "", None)


class OneObject(Api):
    """A cluster that holds one object."""

    def __init__(self, body: Body | None) -> None:
        super().__init__("https://fake.test")
        self.body = body

    def resource(self, group: str, kind: str) -> Resource:
        return Resource(group, "v1", f"{kind.lower()}s", kind, True, frozenset())

    def get(self, resource: Resource, namespace: str | None, name: str) -> Body | None:
        return self.body

    def request(self, method: str, path: str, *, body: Any = None, **_: Any) -> Body:
        assert method == "PATCH"
        assert self.body
        self.body["data"] |= body["data"]
        return self.body


def held(of: Watched, **data: str) -> tuple[Held, OneObject]:
    contract: Contract = builtin()
    cluster = OneObject({"kind": of.kind, "metadata": {"name": of.name}, "data": data})
    return Held(cluster, contract, {("jangar-db-app", "uri"): URL}), cluster


def decoded(cluster: OneObject, key: str) -> str:
    assert cluster.body
    return base64.b64decode(cluster.body["data"][key]).decode()


def test_a_secret_gets_new_values_that_are_never_shown() -> None:
    found, cluster = held(SECRET, uri=base64.b64encode(URL.encode()).decode(), other="b2xk")
    before, after = found.rotate(SECRET)
    assert before.keys() == after.keys() == {"uri", "other"}
    assert before["other"] == hashlib.sha256(b"old").hexdigest() != after["other"]
    for key in after:
        value = decoded(cluster, key)
        assert after[key] == hashlib.sha256(value.encode()).hexdigest()
        assert value not in REDACTOR.scrub(f"it is {value}")
    url = decoded(cluster, "uri")
    assert url.startswith(f"{URL}&application_name=")
    found.rotate(SECRET)
    assert decoded(cluster, "uri").count("application_name") == 1


def test_a_config_map_keeps_what_is_in_it() -> None:
    found, cluster = held(CERTIFICATE, **{"ca.crt": "-----BEGIN", "other": "x"})
    before, after = found.rotate(CERTIFICATE)
    assert cluster.body
    assert cluster.body["data"]["ca.crt"].startswith("-----BEGIN# rotated: ")
    assert cluster.body["data"]["other"] == "x"
    assert {key for key in after if before[key] != after[key]} == {"ca.crt", ROTATED_KEY}


def test_what_is_not_there_cannot_be_rotated() -> None:
    with pytest.raises(Incomplete, match="Secret/jangar-db-app is not there"):
        Held(OneObject(None), builtin(), {}).rotate(SECRET)


def test_large_and_binary_values_are_kept_from_output_as_well() -> None:
    large = _large(1)(SECRET, "uri", b"")
    assert len(large) == LARGEST
    assert large.decode().rstrip(".") not in REDACTOR.scrub(large.decode())
    assert _binary(SECRET, "uri", b"") in REDACTOR.known
    made = secret()
    assert made not in REDACTOR.scrub(base64.b64encode(made.encode()).decode())
