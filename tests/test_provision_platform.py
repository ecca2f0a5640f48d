"""The reference platform's images: their layers, and a digest for each version and component."""

from __future__ import annotations

import shutil
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from provision_registry import FakeRegistry

from conformance.contract import COMPONENTS as ROLES
from conformance.provision import platform
from conformance.provision.oci import Entry, ImageFile, write_layer
from conformance.provision.platform import COMPONENTS, VERSIONS, own_source, push_platform
from conformance.provision.registry import Registry

BASELINE, CANDIDATE = VERSIONS


@pytest.fixture
def base(tmp_path: Path) -> Path:
    folder = tmp_path / "base"
    folder.mkdir()
    for layer in ("root.tar", "packages.tar"):
        write_layer(folder / layer, [Entry(f"/{layer}", layer.encode())])
    return folder


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[Registry]:
    with FakeRegistry().serving() as served:
        yield Registry(served.address, "registry.test:5000", tmp_path)


def names(layer: Path) -> set[str]:
    with tarfile.open(layer) as archive:
        return {member.name for member in archive if member.isfile()}


def layer_of(folder: Path, version: str, source: Path) -> set[str]:
    return names(write_layer(folder / f"{version}.tar", platform._source(source, version)))


def test_a_workload_can_have_any_component_but_the_runner_as_its_role() -> None:
    assert {*ROLES, "runner"} == set(COMPONENTS)


def test_the_candidate_has_one_migration_more(tmp_path: Path) -> None:
    first, second = (layer_of(tmp_path, version, own_source()) for version in VERSIONS)
    (more,) = second - first
    assert first < second
    assert "/migrations/" in more
    assert more.endswith(".sql")
    assert not [name for name in second if name.endswith(".pyc") or "/tests/" in name]


def test_every_version_and_component_has_a_digest_of_its_own(base: Path, registry: Registry) -> None:
    pushed = {version: push_platform(base, registry, version) for version in VERSIONS}
    images = [image for found in pushed.values() for image in found.values()]
    assert len({image.digest for image in images}) == len(images) == len(COMPONENTS) * len(VERSIONS)
    assert {image.repository for image in images} == {f"registry.test:5000/platform/{name}" for name in COMPONENTS}
    assert push_platform(base, registry, BASELINE) == pushed[BASELINE]


def test_a_changed_source_is_another_image(base: Path, registry: Registry, tmp_path: Path) -> None:
    shutil.copytree(own_source(), tmp_path / "changed", ignore=shutil.ignore_patterns("__pycache__"))
    before = push_platform(base, registry, CANDIDATE, tmp_path / "changed")
    assert before == push_platform(base, registry, CANDIDATE)
    (tmp_path / "changed/src/reference_platform/log.py").write_text("")
    after = push_platform(base, registry, CANDIDATE, tmp_path / "changed")
    assert all(after[name].digest != before[name].digest for name in COMPONENTS)
    assert all(after[name].tag != before[name].tag for name in COMPONENTS)


def test_it_runs_without_rights(base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: dict[str, ImageFile] = {}

    def push(registry: str, name: str, tag: str, image: ImageFile) -> str:
        seen[name] = image
        return "sha256:0"

    monkeypatch.setattr(platform, "push", push)
    push_platform(base, Registry("a", "b", tmp_path), CANDIDATE)
    assert {name: image.entrypoint[-1] for name, image in seen.items()} == {
        f"platform/{component}": component for component in COMPONENTS
    }
    assert {image.user for image in seen.values()} == {"65532:65532"}
