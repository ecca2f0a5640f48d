"""The reference platform's image: what the suite pushes, and what its Dockerfile builds on an imported base."""

from __future__ import annotations

import shutil
from collections.abc import Iterator

import pytest

from conformance.provision import Machine, push_platform
from conformance.provision.platform import VERSIONS, own_source

pytestmark = pytest.mark.machine

BASE, IMAGE = "agents-conformance-test-base", "agents-conformance-test-platform"
MEGABYTE = 1_000_000


@pytest.fixture(scope="module")
def built(machine: Machine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The runner's image, built by the Dockerfile without any registry."""
    context = tmp_path_factory.mktemp("context")
    shutil.unpack_archive(machine.platform / "packages.tar", context / "layer", "tar", filter="data")
    (context / "layer/opt/packages").rename(context / "packages")
    shutil.rmtree(context / "layer")
    for part in VERSIONS["1.1"]:
        shutil.copytree(own_source() / part, context / "source", dirs_exist_ok=True)
    try:
        machine.engine.run("import", machine.platform / "root.tar", BASE, timeout=600)
        arguments = ("--build-arg", f"BASE={BASE}", "--build-arg", "COMPONENT=runner")
        file = own_source() / "Dockerfile"
        machine.engine.run("build", "--quiet", *arguments, "--tag", IMAGE, "--file", file, context, timeout=600)
        yield IMAGE
    finally:
        for image in (IMAGE, BASE):
            machine.engine.run("image", "rm", "--force", image, check=False)


def test_the_dockerfile_builds_without_a_registry_and_its_image_needs_no_rights(
    machine: Machine, built: str
) -> None:
    ran = machine.engine.run(
        "run", "--rm", "--read-only", "--network", "none", "--cap-drop", "ALL", built, "--say", "done", check=False
    )
    assert ran.status == 0, ran.stderr
    assert '"event": "ended"' in ran.stdout
    said = machine.engine.inspect("image", built)
    assert said
    assert said["Config"]["User"] == "65532:65532"
    assert said["Size"] < 200 * MEGABYTE


def test_versions_and_components_have_digests_of_their_own(machine: Machine) -> None:
    pushed = {version: push_platform(machine.platform, machine.registry, version) for version in VERSIONS}
    digests = [image.digest for images in pushed.values() for image in images.values()]
    assert len(set(digests)) == len(digests) == 6
    assert push_platform(machine.platform, machine.registry, "1.0") == pushed["1.0"]
    size = sum((machine.platform / layer).stat().st_size for layer in ("root.tar", "packages.tar"))
    assert size < 200 * MEGABYTE
