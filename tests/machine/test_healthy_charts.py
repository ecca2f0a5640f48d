"""Healthy charts of different styles, each in two versions: no rule finds anything, with a real Helm and judge."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from conformance.judge import Judge
from conformance.provision import Tools
from conformance.render import Renderer, ValuesSet
from conformance.rules import Rules, load
from conformance.rules.inputs import Given
from conformance.run import Runner

pytestmark = pytest.mark.machine

HERE = Path(__file__).parent / "healthy_charts"
#: Further values of each chart, beside its defaults.
MORE: Mapping[str, Mapping[str, Any]] = {
    "database": {"metrics": {"enabled": True}},
    "operator": {"webhook": {"enabled": True}},
    "scaffold": {
        "autoscaling": {"enabled": True},
        "ingress": {"enabled": True},
        "serviceAccount": {"create": False},
    },
    "umbrella": {"cache": {"enabled": True}, "ingress": {"enabled": True}},
    "worker": {"networkPolicy": {"enabled": True}, "autoscaling": {"enabled": True}, "audit": {"enabled": True}},
}
GIVEN = Given("shop", {"registry": frozenset({".dockerconfigjson"}), "worker-token": frozenset({"token"})})


def scaffold(folder: Path, tools: Tools, runner: Runner) -> Path:
    """Return what `helm create` makes: the chart that most charts begin as."""
    folder.mkdir(parents=True)
    runner.run(tools.helm3, "create", "scaffold", timeout=30, cwd=folder)
    return folder / "scaffold"


def next_version(chart: Path, folder: Path) -> Path:
    """Return the chart with the files of its `next` folder over its own, or only with another version."""
    copy = folder / chart.name
    shutil.copytree(chart, copy, ignore=shutil.ignore_patterns("next"))
    if (chart / "next").is_dir():
        shutil.copytree(chart / "next", copy, dirs_exist_ok=True)
    else:
        metadata = copy / "Chart.yaml"
        text = metadata.read_text().replace("version: 0.1.0", "version: 0.2.0")
        metadata.write_text(text.replace('appVersion: "1.16.0"', 'appVersion: "1.17.0"'))
    return copy


@pytest.mark.parametrize("release", ["shop", "a-release-with-a-rather-long-name"])
@pytest.mark.parametrize("name", MORE)
def test_no_rule_finds_anything(
    tools: Tools, runner: Runner, judge: Judge, tmp_path: Path, name: str, release: str
) -> None:
    source = scaffold(tmp_path / "source", tools, runner) if name == "scaffold" else HERE / name
    baseline = tmp_path / "old" / name
    shutil.copytree(source, baseline, ignore=shutil.ignore_patterns("next"))
    candidate = next_version(source, tmp_path / "new")
    renderings = tmp_path / "renderings"
    renderings.mkdir()
    values = [ValuesSet("own"), ValuesSet("more", sets=MORE[name])]
    with Renderer(
        tools.helm3, 3, runner, release=release, namespace="shop", kube_version="1.35", folder=renderings
    ) as renderer:
        rules = Rules(candidate, renderer, judge, values=values, baseline=baseline, given=GIVEN)
        rules.guard()
        rules.begin()
        asked = [id_ for id_, check in load().items() if {*check.needs} <= {"baseline"}]
        found = {id_: [str(finding) for finding in rules.judge(id_)] for id_ in asked}
    assert len(asked) > 20
    assert {id_: findings for id_, findings in found.items() if findings} == {}
