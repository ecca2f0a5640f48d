"""Images are made without an engine, the same for the same input, and are sent only once."""

from __future__ import annotations

import hashlib
import json
import tarfile
from pathlib import Path

import pytest
from provision_registry import FakeRegistry

from conformance.errors import MachineLacks
from conformance.provision.images import Image, push_stub
from conformance.provision.oci import Entry, ImageFile, digest, push, write_archive, write_layer
from conformance.provision.registry import Registry


@pytest.fixture
def program(tmp_path: Path) -> Path:
    file = tmp_path / "program"
    file.write_bytes(b"\x7fELF")
    return file


def test_a_layer_is_the_same_for_the_same_entries(tmp_path: Path, program: Path) -> None:
    entries = [
        Entry("/usr/bin/program", program),
        Entry("etc/config", b"text", mode=0o644),
        Entry("/bin/link", link="/usr/bin/program"),
    ]
    first = write_layer(tmp_path / "a.tar", entries)
    program.touch()
    second = write_layer(tmp_path / "b.tar", entries)
    assert first.read_bytes() == second.read_bytes()
    with tarfile.open(first) as archive:
        found = {member.name: member for member in archive}
        content = archive.extractfile("etc/config")
        assert content is not None
        assert content.read() == b"text"
    assert list(found) == ["usr", "usr/bin", "usr/bin/program", "etc", "etc/config", "bin", "bin/link"]
    assert {(member.uid, member.gid, member.mtime) for member in found.values()} == {(0, 0, 0)}
    assert found["usr/bin/program"].mode == 0o755
    assert found["bin/link"].linkname == "/usr/bin/program"


def test_the_manifest_names_what_is_in_the_image(tmp_path: Path, program: Path) -> None:
    layer = write_layer(tmp_path / "layer.tar", [Entry("/program", program)])
    image = ImageFile((layer,), entrypoint=("/program",), environment={"B": "2", "A": "1"}, user="1:1")
    manifest, config = json.loads(image.manifest()), json.loads(image.config())
    assert manifest["config"]["digest"] == digest(image.config())
    assert manifest["layers"][0]["digest"] == digest(layer.read_bytes())
    assert manifest["layers"][0]["size"] == layer.stat().st_size
    assert config["rootfs"]["diff_ids"] == [digest(layer.read_bytes())]
    assert config["config"] == {"Entrypoint": ["/program"], "Env": ["A=1", "B=2"], "User": "1:1"}


def test_an_archive_holds_each_layer_once(tmp_path: Path, program: Path) -> None:
    base = write_layer(tmp_path / "base.tar", [Entry("/base", b"")])
    own = write_layer(tmp_path / "own.tar", [Entry("/program", program)])
    write_archive(tmp_path / "out.tar", {"x/a:1": ImageFile((base,)), "x/b:1": ImageFile((base, own))})
    with tarfile.open(tmp_path / "out.tar") as archive:
        names = archive.getnames()
        file = archive.extractfile("manifest.json")
        assert file is not None
        said = json.load(file)
    assert len(names) == len(set(names)) == 2 + 2 + 1
    assert [image["RepoTags"] for image in said] == [["x/a:1"], ["x/b:1"]]
    assert {name for image in said for name in (image["Config"], *image["Layers"])} < set(names)


def test_what_is_in_the_registry_is_not_sent_again(tmp_path: Path, program: Path) -> None:
    image = ImageFile((write_layer(tmp_path / "layer.tar", [Entry("/program", program)]),))
    with FakeRegistry().serving() as registry:
        first = push(registry.address, "stub", "1", image)
        sent = len([asked for asked in registry.asked if asked.startswith("PUT")])
        assert push(registry.address, "stub", "1", image) == first
        assert push(registry.address, "stub", "2", image) == first
    assert sent == 3
    assert [asked for asked in registry.asked if asked.startswith("PUT")][sent:] == ["PUT /v2/stub/manifests/2"]
    assert hashlib.sha256(registry.content["/v2/stub/manifests/1"]).hexdigest() == first.removeprefix("sha256:")


def test_a_registry_that_does_not_answer_is_what_the_machine_lacks(tmp_path: Path, program: Path) -> None:
    with FakeRegistry().serving() as registry:
        pass
    with pytest.raises(MachineLacks, match="local registry does not answer"):
        push(registry.address, "stub", "1", ImageFile((program,)))


def test_versions_of_the_stub_differ_by_digest_and_only_then(tmp_path: Path, program: Path) -> None:
    with FakeRegistry().serving() as served:
        registry = Registry(served.address, "registry:5000", tmp_path)
        first = push_stub(program, registry, "1", {"VERSION": "1"}, ("agents", "/app/run"))
        again = push_stub(program, registry, "1", {"VERSION": "1"}, ("agents", "/app/run"))
        second = push_stub(program, registry, "2", {"VERSION": "2"}, ("agents", "/app/run"))
    assert first == again == Image("registry:5000/stub", "1", first.digest)
    assert first.reference == f"registry:5000/stub@{first.digest}"
    assert second.digest != first.digest
    layers = [content for content in served.content.values() if b"usr/local/bin/agents" in content]
    assert len(layers) == 1
    assert b"app/run" in layers[0]
    assert any(b'"User":"65532:65532"' in content for content in served.content.values())
