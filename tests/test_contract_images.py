"""From a contract's value paths to values, and whether the chart takes them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from conformance.contract import Contract, ImagePaths, image_values, load, require_rendered
from conformance.contract.images import merge, nested, steps
from conformance.errors import BadInput
from conformance.manifests import Manifests


@dataclass(frozen=True)
class Image:
    repository: str = "localhost:5001/stub"
    tag: str = "one"
    digest: str = "sha256:" + "a" * 64


IMAGE = Image()
PINNED = f"one@{IMAGE.digest}"


@pytest.mark.parametrize(
    ("paths", "values"),
    [
        ({"repository": "image.repository", "tag": "image.tag", "digest": "image.digest"},
         {"image": {"repository": IMAGE.repository, "tag": "one", "digest": IMAGE.digest}}),
        ({"repository": "image.repository", "tag": "image.tag"},
         {"image": {"repository": IMAGE.repository, "tag": PINNED}}),
        ({"repository": "image.repository", "tag": "image.tag", "digestInTag": False},
         {"image": {"repository": IMAGE.repository, "tag": "one"}}),
        ({"repository": "image.repository", "digest": "image.digest"},
         {"image": {"repository": IMAGE.repository, "digest": IMAGE.digest}}),
        ({"registry": "global.imageRegistry", "repository": "image.repository", "tag": "image.tag"},
         {"global": {"imageRegistry": "localhost:5001"}, "image": {"repository": "stub", "tag": PINNED}}),
        ({"reference": "image"}, {"image": f"{IMAGE.repository}:{PINNED}"}),
        ({"reference": r"images.shop\.example\.org/web"},
         {"images": {"shop.example.org/web": f"{IMAGE.repository}:{PINNED}"}}),
    ],
)  # fmt: skip
def test_value_paths_become_values(paths: dict[str, Any], values: dict[str, Any]) -> None:
    assert image_values(ImagePaths.model_validate(paths), IMAGE) == values


@pytest.mark.parametrize(
    ("path", "keys"),
    [
        ("a", ["a"]),
        ("a.b", ["a", "b"]),
        (r"a\.b.c", ["a.b", "c"]),
        (r"a\\.b", ["a\\", "b"]),
        (r"a.\.b\.", ["a", ".b."]),
    ],
)
def test_dots_are_escaped_as_in_helms_set(path: str, keys: list[str]) -> None:
    assert steps(path) == tuple(keys)
    value: Any = nested(path, "v")
    for key in keys:
        value = value[key]
    assert value == "v"


def test_merging_refuses_two_values_for_one_path() -> None:
    both = merge({"a": {"b": 1}}, {"a": {"c": 2, "b": 1}})
    assert both == {"a": {"b": 1, "c": 2}}
    with pytest.raises(BadInput, match=r"one value for a\.b, seen 1 and 3"):
        merge(both, {"a": {"b": 3}})


def test_merging_leaves_the_merged_values_alone() -> None:
    more = {"a": {"b": 1}}
    merge(merge({}, more), {"a": {"c": 2}})
    assert more == {"a": {"b": 1}}


CONTRACT = """\
apiVersion: conformance/v1
release: {name: app, namespace: prod}
workloads:
  - name: app
    kind: Deployment
    role: web
    container: web
    image: {repository: image.repository, tag: image.tag, digest: image.digest}
services:
  - {name: app, port: http, probe: {tcp: true}}
"""


@pytest.fixture
def contract(tmp_path: Path) -> Contract:
    (tmp_path / "c.yaml").write_text(CONTRACT)
    return load(tmp_path / "c.yaml")


def rendered(image: str = f"{IMAGE.repository}@{IMAGE.digest}", **names: str) -> Manifests:
    container = {"name": names.get("container", "web"), "image": image}
    workload = {
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": names.get("workload", "app")},
        "spec": {"template": {"spec": {"containers": [container]}}},
    }  # fmt: skip
    port = {"name": names.get("port", "http"), "port": 80}
    service = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": names.get("service", "app")},
               "spec": {"ports": [port]}}  # fmt: skip
    return Manifests.parse(yaml.safe_dump_all([workload, service]), "prod")


def test_a_contract_of_this_chart_is_taken(contract: Contract) -> None:
    require_rendered(contract, rendered(), {"app": IMAGE})
    require_rendered(contract, rendered(image="anything"))


@pytest.mark.parametrize(
    ("manifests", "says"),
    [
        (rendered(workload="other"), "c.yaml:4: workloads[0].name: expected Deployment/app in the chart's"),
        (rendered(workload="other"), "seen Deployment/other; correct the contract or its values"),
        (rendered(container="main"), "c.yaml:7: workloads[0].container: expected a container web in"),
        (rendered(container="main"), "seen main"),
        (rendered(image="ghcr.io/app:1"), "c.yaml:8: workloads[0].image: expected localhost:5001/stub@sha256:"),
        (rendered(image="localhost:5001/stub:one"), "c.yaml:8: workloads[0].image: expected"),
        (rendered(service="web"), "c.yaml:10: services[0].name: expected Service/app in the chart's rendering"),
        (rendered(port="grpc"), "c.yaml:10: services[0].port: expected a port http of Service/app in prod"),
        (rendered(port="grpc"), "seen grpc 80"),
        (Manifests(), "seen none"),
    ],
)  # fmt: skip
def test_a_contract_of_another_chart_is_refused_with_its_line(
    contract: Contract, manifests: Manifests, says: str
) -> None:
    with pytest.raises(BadInput) as caught:
        require_rendered(contract, manifests, {"app": IMAGE})
    assert says in str(caught.value)
