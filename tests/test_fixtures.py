"""The reference chart's patches and the mutants apply, and say what they must."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

from conformance import catalogue, paths
from conformance.mutants import mutants, one_for_each
from conformance.run import Runner

FIXTURES = paths.bundle("fixtures")
CHART = FIXTURES / "charts" / "agents"
PLATFORM = FIXTURES / "platform"
PATCHES = FIXTURES / "charts" / "patches"
MUTANTS = sorted(path.parent for path in (FIXTURES / "mutants").glob("*/mutant.yaml"))
OVERLAY = FIXTURES / "contracts" / "agents" / "gitops"
VERSIONS = ("0.9.0", "0.9.1", "0.9.2")
GROUP, KINDS = "agents.proompteng.ai", {"Agent", "AgentProvider", "AgentRun"}


def read(path: Path) -> Any:
    return yaml.load(path.read_text(), yaml.CSafeLoader)


def apply(patch: Path, folder: Path, *words: str) -> None:
    git = Runner(folder.parent, {"GIT_CEILING_DIRECTORIES": str(folder.parent)})
    git.run("git", "apply", "-p1", "--whitespace=error", *words, patch, timeout=30, cwd=folder)


@pytest.fixture(scope="module")
def charts(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Each version of the reference chart as a folder."""
    folders: dict[str, Path] = {}
    source = CHART
    for version in VERSIONS:
        folder = tmp_path_factory.mktemp("charts") / version
        shutil.copytree(source, folder)
        if version != VERSIONS[0]:
            apply(PATCHES / f"{version}.patch", folder)
        source = folders[version] = folder
    return folders


def test_every_patch_leads_to_a_version() -> None:
    assert {patch.stem for patch in PATCHES.iterdir()} == set(VERSIONS[1:])


@pytest.mark.parametrize("version", VERSIONS)
def test_patches_apply_in_order(charts: dict[str, Path], version: str) -> None:
    declared = read(charts[version] / "Chart.yaml")
    assert (declared["version"], declared["appVersion"]) == (version, version)
    assert f"| {version} |" in (charts[version] / "README.md").read_text()


@pytest.mark.parametrize("version", VERSIONS)
def test_schema_knows_every_value(charts: dict[str, Path], version: str) -> None:
    schema = json.loads((charts[version] / "values.schema.json").read_text())
    assert set(schema["properties"]) == set(read(charts[version] / "values.yaml"))


@pytest.mark.parametrize("version", VERSIONS)
def test_crds_and_examples_agree(charts: dict[str, Path], version: str) -> None:
    crds = {crd["spec"]["names"]["kind"]: crd for crd in map(read, (charts[version] / "crds").iterdir())}
    assert set(crds) == KINDS
    for crd in crds.values():
        names, (served,) = crd["spec"]["names"], crd["spec"]["versions"]
        assert crd["metadata"]["name"] == f"{names['plural']}.{GROUP}"
        assert served["subresources"] == {"status": {}}
        assert served["additionalPrinterColumns"]
        status = served["schema"]["openAPIV3Schema"]["properties"]["status"]["properties"]
        assert {"conditions", "observedGeneration"} <= set(status)
    examples = list(map(read, (charts[version] / "examples").iterdir()))
    assert {example["kind"] for example in examples} == KINDS
    for example in examples:
        (served,) = crds[example["kind"]]["spec"]["versions"]
        assert example["apiVersion"] == f"{GROUP}/{served['name']}"
        spec = served["schema"]["openAPIV3Schema"]["properties"]["spec"]
        assert set(spec.get("required", ())) <= set(example["spec"]) <= set(spec["properties"])


def test_new_fields_are_additive(charts: dict[str, Path]) -> None:
    def spec(version: str) -> dict[str, Any]:
        (served,) = read(charts[version] / "crds" / "agentruns.yaml")["spec"]["versions"]
        return served["schema"]["openAPIV3Schema"]["properties"]["spec"]

    before, after = spec("0.9.1"), spec("0.9.2")
    assert after["required"] == before["required"]
    assert {name: after["properties"][name] for name in before["properties"]} == before["properties"]
    assert set(after["properties"]) - set(before["properties"]) == {"activeDeadlineSeconds"}


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda folder: folder.name)
def test_mutant_applies(charts: dict[str, Path], mutant: Path) -> None:
    declared = read(mutant / "mutant.yaml")
    assert set(declared) <= {"name", "about", "report", "side", "caught_by"}
    assert declared["name"] == mutant.name
    assert declared["about"].endswith((".", ")"))
    assert declared["report"]
    sides = {"candidate": ["0.9.2"], "baseline": ["0.9.1"], "both": ["0.9.1", "0.9.2"]}
    broken = sides[declared.get("side", "candidate")]
    wholes = {"chart": [charts[side] for side in broken], "platform": [PLATFORM], "overlay": [OVERLAY]}
    patches = list(mutant.glob("*.patch"))
    assert patches
    for patch in patches:
        for whole in wholes[patch.stem]:
            apply(patch, whole, "--check")


def test_every_id_is_the_named_catcher_of_a_mutant() -> None:
    caught = [read(mutant / "mutant.yaml")["caught_by"] for mutant in MUTANTS]
    assert {ids[0] for ids in caught} == set(catalogue.load())
    assert {id_ for ids in caught for id_ in ids} <= set(catalogue.load())


def test_one_mutant_for_each_check_is_the_first_that_names_it() -> None:
    chosen = {one.caught_by[0]: one.name for one in one_for_each(mutants())}
    assert chosen.keys() == catalogue.load().keys()
    assert all(chosen[other.caught_by[0]] <= other.name for other in mutants())
