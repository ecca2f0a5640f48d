"""How rules are run: what they are given, and how their answers become results."""

from __future__ import annotations

import struct
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from made_up import deployment

from conformance.errors import BadInput, Incomplete, MachineLacks
from conformance.judge import Answer, Judge, Verdict
from conformance.manifests import Manifests
from conformance.render import Renderer, ValuesSet
from conformance.rules import Rules, chooses_values, load
from conformance.rules.bumped import bumped
from conformance.rules.surroundings import all_surroundings, functions, may_ask_the_clock
from conformance.run import Runner

#: Stands in for Helm: it prints the chart's one template, with the chart's version and the values in their place.
HELM = """#!/bin/sh
[ "$1" = lint ] && exit
version=$(sed -E 's/.*"?version"?: "?([0-9.]+).*/\\1/;q' "$3/Chart.yaml")
for last; do :; done
if [ -f "$last" ] && grep -q '"refuse"' "$last"; then
  echo "Error: execution error at (agents/templates/a.yaml:1:2): no" >&2
  exit 1
fi
sed "s/VERSION/$version/; s|ZONE|$TZ|; s/TIME/$(date +%s)/" "$3/templates/a.yaml"
"""
OWN, REFUSED = ValuesSet("own"), ValuesSet("odd", sets={"refuse": 1})


class FakeJudge(Judge):
    """Refuses Secrets."""

    version = "v1.35.4"  # type: ignore[assignment]

    def __init__(self) -> None:
        self.started = 0

    def start(self) -> Judge:
        self.started += 1
        return self

    def review(self, manifests: Manifests, definitions: Manifests = Manifests()) -> list[Verdict]:  # noqa: B008
        del definitions
        return [Verdict(found, Answer(found.kind != "Secret", "no Secrets")) for found in manifests]


@pytest.fixture
def renderer(tmp_path: Path) -> Iterator[Renderer]:
    program = tmp_path / "helm"
    program.write_text(HELM)
    program.chmod(0o755)
    folder = tmp_path / "renderings"
    folder.mkdir()
    with Renderer(program, 3, Runner(tmp_path), release="agents", namespace="agents", kube_version="1.35.4",
                  folder=folder) as found:  # fmt: skip
        yield found


def chart(folder: Path, template: str, version: str = "0.9.2") -> Path:
    (folder / "templates").mkdir(parents=True)
    (folder / "Chart.yaml").write_text(f"version: {version}\nname: agents\nappVersion: {version}\n")
    (folder / "templates" / "a.yaml").write_text(template)
    return folder


STABLE = deployment("a", "app: a")


def test_a_sound_pair_passes_everything(renderer: Renderer, tmp_path: Path) -> None:
    judge, baseline = FakeJudge(), chart(tmp_path / "old", STABLE)
    rules = Rules(chart(tmp_path / "new", STABLE), renderer, judge, values=[OWN], baseline=baseline)
    rules.begin()
    ids = [id_ for id_, check in load().items() if {*check.needs} <= {"baseline"}]
    assert {id_: rules.judge(id_) for id_ in ids} == {id_: [] for id_ in ids}
    assert judge.started == 1


def test_without_a_baseline_the_pair_rules_are_incomplete(renderer: Renderer, tmp_path: Path) -> None:
    rules = Rules(chart(tmp_path / "new", STABLE), renderer, FakeJudge(), values=[OWN])
    for id_ in ("render/stable-names", "render/stable-selectors"):
        with pytest.raises(Incomplete, match="--baseline"):
            rules.judge(id_)


def test_without_a_contract_the_rules_that_choose_values_are_incomplete(
    renderer: Renderer, tmp_path: Path
) -> None:
    rules = Rules(chart(tmp_path / "new", STABLE), renderer, FakeJudge(), values=[OWN])
    for id_ in filter(chooses_values, load()):
        with pytest.raises(Incomplete, match="no contract"):
            rules.judge(id_)


def test_what_follows_the_version_is_found_without_a_baseline(renderer: Renderer, tmp_path: Path) -> None:
    rules = Rules(chart(tmp_path / "new", deployment("a", "v: VERSION")), renderer, FakeJudge(), values=[OWN])
    (found,) = rules.judge("render/stable-selectors")
    assert "v=0.9.2" in found.expected
    assert "v=0.10.3 in the same chart as 0.10.3" in found.observed
    rules = Rules(chart(tmp_path / "other", deployment("a-VERSION", "v: w")), renderer, FakeJudge(), values=[OWN])
    (found,) = rules.judge("render/stable-names")
    assert "Deployment/a-0.10.3" in found.observed


def test_a_finding_is_said_once_for_all_values(renderer: Renderer, tmp_path: Path) -> None:
    candidate = chart(tmp_path / "new", "apiVersion: v1\nkind: Secret\nmetadata: {name: a}\n")
    values = [OWN, ValuesSet("more", sets={"a": 1})]
    rules = Rules(candidate, renderer, FakeJudge(), values=values, baseline=chart(tmp_path / "old", STABLE))
    (found,) = rules.judge("render/schema-valid")
    assert found.observed == "no Secrets"
    assert found.object == "Secret/a in agents"


def test_where_a_finding_was_made_is_said(renderer: Renderer, tmp_path: Path) -> None:
    baseline = chart(tmp_path / "old", "apiVersion: v1\nkind: Secret\nmetadata: {name: a}\n", "0.9.1")
    rules = Rules(chart(tmp_path / "new", STABLE), renderer, FakeJudge(), values=[OWN, REFUSED], baseline=baseline)
    found = rules.judge("render/schema-valid")
    assert [finding.observed for finding in found] == [
        "agents/templates/a.yaml:1: execution error at (agents/templates/a.yaml:1:2): no (with values odd)",
        "no Secrets (in the baseline 0.9.1)",
    ]


def test_a_chart_that_refuses_the_runs_own_values_is_bad_input(renderer: Renderer, tmp_path: Path) -> None:
    rules = Rules(chart(tmp_path / "new", STABLE), renderer, FakeJudge(), values=[REFUSED])
    for id_ in load():
        with pytest.raises(BadInput, match=r"agents/templates/a\.yaml:1"):
            rules.judge(id_)
    with pytest.raises(BadInput, match=r"agents/templates/a\.yaml:1"):
        rules.guard()


def test_a_judge_that_does_not_start_is_not_the_charts_fault(renderer: Renderer, tmp_path: Path) -> None:
    class Broken(FakeJudge):
        def review(self, manifests: Manifests, definitions: Manifests = Manifests()) -> list[Verdict]:  # noqa: B008
            del manifests, definitions
            raise MachineLacks("the judge's etcd ended with status 1: no")

    candidate = chart(tmp_path / "new", STABLE)
    with pytest.raises(MachineLacks, match="etcd ended"):
        Rules(candidate, renderer, Broken(), values=[OWN]).judge("render/schema-valid")
    with pytest.raises(Incomplete, match="there is no judge"):
        Rules(candidate, renderer, None, values=[OWN]).judge("render/schema-valid")


@pytest.mark.parametrize(("word", "waits"), [("ZONE", False), ("TIME", True)])
def test_the_time_zone_and_the_clock_are_found_out(
    renderer: Renderer, tmp_path: Path, word: str, waits: bool
) -> None:
    template = f"apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: a}}\ndata: {{a: '{word}'}}\n"
    template += "# {{ now }}\n" if waits else ""
    rules = Rules(chart(tmp_path / "agents", template), renderer, None, values=[OWN])
    (found,) = rules.judge("render/deterministic")
    assert found.object == "ConfigMap/a in agents"
    assert "data.a is" in found.observed


def test_only_charts_that_ask_the_clock_wait_for_it(tmp_path: Path) -> None:
    assert not may_ask_the_clock(
        chart(tmp_path / "a", 'a: {{ .Values.now }} {{ $date }} now {{ "x" | sha256sum }}')
    )
    assert may_ask_the_clock(chart(tmp_path / "b", "a: {{ now | unixEpoch }}"))
    hidden = chart(tmp_path / "c", "a: b")
    (hidden / "values.yaml").write_text('stamp: \'{{ dateInZone "2006" (now) "UTC" }}\'')
    assert may_ask_the_clock(hidden)
    packed = chart(tmp_path / "d", "a: b")
    (packed / "charts").mkdir()
    (packed / "charts" / "sub.tgz").touch()
    assert may_ask_the_clock(packed)


def test_functions_are_told_from_fields(tmp_path: Path) -> None:
    file = tmp_path / "a"
    file.write_text('now {{- $now := .Values.date | default (ago "x") -}} {{ "keys" | quote }}')
    assert functions(file) == {"default", "ago", "quote"}
    assert functions(tmp_path / "absent") == set()


def test_surroundings_differ_in_zone_home_and_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = all_surroundings(tmp_path)
    assert len(found) == 5
    assert not found[0].environment
    assert len({tuple(sorted(place.environment.items())) for place in found}) == 5
    assert len({place.folder for place in found}) == 5
    offsets = set()
    for place in found[1:]:
        data = Path(place.environment["TZ"]).read_bytes()
        offsets.add(struct.unpack(">l", data[44:48])[0])
        monkeypatch.setenv("TZ", place.environment["TZ"])
        time.tzset()
        assert -time.timezone == struct.unpack(">l", data[44:48])[0]
    monkeypatch.delenv("TZ")
    time.tzset()
    assert {-12 * 3600, 14 * 3600} <= offsets


@pytest.mark.parametrize(("version", "following"), [
    ("0.9.2", "0.10.3"), ("1.2.3-rc.1+b", "1.3.4"), ("v2.0", "v2.1.1"), ("latest", "latest-next"), ("7", "7.1.1"),
])  # fmt: skip
def test_the_next_release_differs_in_version_alone(tmp_path: Path, version: str, following: str) -> None:
    from conformance.kube_yaml import read

    original = chart(tmp_path / "agents", STABLE, version)
    copy = bumped(original, tmp_path / "work")
    assert bumped(original, tmp_path / "work") == copy
    metadata = read((copy / "Chart.yaml").read_text())
    assert (str(metadata["version"]), str(metadata["appVersion"]), metadata["name"]) == (
        following,
        following,
        "agents",
    )
    assert (copy / "templates" / "a.yaml").read_text() == STABLE
