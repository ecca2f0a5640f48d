"""Every version is written once, and only pinned Kubernetes versions can be asked for."""

from __future__ import annotations

import re

import pytest

from conformance.errors import BadInput
from conformance.options import KUBE_VERSION
from conformance.provision.pins import pins


@pytest.mark.parametrize("asked", ["1.35", "v1.35", " 1.35", "1.35.4", "v1.35.4"])
def test_a_release_may_be_asked_for_in_several_ways(asked: str) -> None:
    assert pins().release(asked).version == "v1.35.4"


@pytest.mark.parametrize("asked", ["1.30", "1.35.3", "latest", "", "1", "1.35.4-rc.0", "v1.35.4/../x"])
def test_any_other_version_is_refused_with_those_that_are_supported(asked: str) -> None:
    with pytest.raises(
        BadInput, match=r"1\.34 \(v1\.34\.4\), 1\.35 \(v1\.35\.4\), 1\.36 \(v1\.36\.3\)"
    ) as refused:
        pins().release(asked)
    assert asked in str(refused.value)
    assert "\n" not in str(refused.value)


def test_the_default_release_is_the_command_lines_default() -> None:
    assert pins().default == KUBE_VERSION
    assert pins().release(KUBE_VERSION).minor == KUBE_VERSION


def test_everything_is_pinned_to_one_version() -> None:
    versions = [tool.version for tool in pins().tools.values()] + list(pins().versions.values())
    versions += [release.version for release in pins().releases.values()]
    assert [version for version in versions if not re.fullmatch(r"v\d+\.\d+\.\d+", version)] == []
    assert all(len(digest) == 64 for digest in pins().go.sha256)


def test_an_image_has_the_tag_of_its_release() -> None:
    assert str(pins().image("node", "v1.35.4")) == "docker.io/kindest/node:v1.35.4"
    assert pins().image("registry").tag == pins().images["registry"]["tag"]
