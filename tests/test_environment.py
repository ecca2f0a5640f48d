"""What a container sees of a variable: as the kubelet puts its environment together."""

from __future__ import annotations

import base64

import pytest

from conformance.environment import Seen, seen
from conformance.manifests import Manifests

CONFIG = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: config}\ndata: {MODE: from-config, P_MODE: prefixed}\n"
LATER = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: later}\ndata: {MODE: from-later}\n"
SECRET = f"""\
apiVersion: v1
kind: Secret
metadata: {{name: secret}}
data: {{MODE: {base64.b64encode(b"from-secret").decode()}, OTHER: '***'}}
stringData: {{TEXT: plain}}
"""


def look(container: str, variable: str = "MODE") -> Seen:
    workload = f"""\
apiVersion: apps/v1
kind: Deployment
metadata: {{name: app}}
spec:
  template:
    spec:
      initContainers: [{{name: before, env: [{{name: MODE, value: wrong}}]}}]
      containers: [{{name: sidecar, env: [{{name: MODE, value: wrong}}]}}, {{name: app, {container}}}]
"""
    manifests = Manifests.parse("\n---\n".join([workload, CONFIG, LATER, SECRET]), "apps")
    return seen(variable, manifests.items[0], "app", manifests)


@pytest.mark.parametrize(("container", "text"), [
    ("env: [{name: MODE, value: skip}]", "skip"),
    ("env: [{name: MODE, value: ''}]", ""),
    ("env: [{name: MODE}]", ""),
    ("env: [{name: MODE, value: one}, {name: MODE, value: two}]", "two"),
    ("env: [{name: MODE, value: skip}], envFrom: [{configMapRef: {name: config}}]", "skip"),
    ("envFrom: [{configMapRef: {name: config}}]", "from-config"),
    ("envFrom: [{configMapRef: {name: config}}, {configMapRef: {name: later}}]", "from-later"),
    ("envFrom: [{configMapRef: {name: later}}, {configMapRef: {name: config}}]", "from-config"),
    ("envFrom: [{secretRef: {name: secret}}]", "from-secret"),
    ("envFrom: [{prefix: P_, configMapRef: {name: later}}]", None),
    ("envFrom: [{prefix: MO, configMapRef: {name: config}}]", None),
    ("env: [{name: MODE, valueFrom: {secretKeyRef: {name: secret, key: TEXT}}}]", "plain"),
    ("env: [{name: MODE, valueFrom: {configMapKeyRef: {name: later, key: MODE}}}]", "from-later"),
    ("env: [{name: MODE, valueFrom: {secretKeyRef: {name: external, key: mode}}}]", None),
    ("env: []", None),
    ("env: nonsense, envFrom: {}", None),
])  # fmt: skip
def test_what_wins(container: str, text: str | None) -> None:
    assert look(container).text == text


def test_where_it_comes_from_is_told() -> None:
    found = look("env: [{name: MODE, valueFrom: {secretKeyRef: {name: external, key: mode}}}]")
    assert found.reference == ("Secret", "external", "mode")
    assert str(found) == "the key mode of Secret/external"
    assert not found.missing
    assert (
        str(look("envFrom: [{configMapRef: {name: config}}]"))
        == "the key MODE of ConfigMap/config ('from-config')"
    )
    assert str(look("env: []")) == "not set"


def test_a_secrets_value_is_not_shown() -> None:
    assert "from-secret" not in str(look("envFrom: [{secretRef: {name: secret}}]"))


def test_an_object_outside_the_rendering_may_set_it() -> None:
    found = look("envFrom: [{configMapRef: {name: config}}, {secretRef: {name: external}}]")
    assert (found.text, found.unseen) == (None, ("Secret/external",))
    assert look("envFrom: [{secretRef: {name: external}}, {configMapRef: {name: config}}]").text == "from-config"
    assert str(look("envFrom: [{secretRef: {name: external}}]")) == "not set (unless Secret/external sets it)"


def test_a_field_of_the_pod_is_no_text() -> None:
    found = look("env: [{name: MODE, valueFrom: {fieldRef: {fieldPath: metadata.name}}}]")
    assert (found.text, found.missing) == (None, False)
