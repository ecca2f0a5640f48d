"""A contract that is right: what it says, and what the suite ships with it."""

from __future__ import annotations

import datetime
import json
import pickle
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from conformance import paths
from conformance.checks import NEEDS
from conformance.contract import Contract, builtin, json_schema, lacks, load
from conformance.contract.needs import WHY_UNMET
from conformance.contract.schema import SCHEMA_FILE, schema_text

ROOT = Path(__file__).parent.parent
EXAMPLE = ROOT / "docs" / "contract.example.yaml"
DOCUMENT = ROOT / "docs" / "contract.md"
MINIMAL = {
    "apiVersion": "conformance/v1",
    "release": {"name": "app", "namespace": "app"},
    "workloads": [{"name": "app", "kind": "Deployment", "role": "web", "container": "app"}],
}


def contract(folder: Path, **more: Any) -> Contract:
    file = folder / "contract.yaml"
    file.write_text(yaml.safe_dump({**MINIMAL, **more}, sort_keys=False))
    return load(file)


def test_the_smallest_contract_takes_the_defaults(tmp_path: Path) -> None:
    found = contract(tmp_path)
    assert (found.release.name, found.workloads[0].kind) == ("app", "Deployment")
    assert (found.services, found.stub, found.values_files, found.candidate_source) == ((), None, (), None)


def test_the_built_in_contract_describes_the_reference_chart() -> None:
    found = builtin()
    assert [(each.name, each.role) for each in found.workloads] == [
        ("agents", "control-plane"), ("agents-controllers", "controllers"),
    ]  # fmt: skip
    assert found.crds
    on_disk = {
        yaml.safe_load(file.read_text())["metadata"]["name"]
        for file in (paths.bundle("fixtures") / "charts" / "agents" / "crds").glob("*.yaml")
    }
    assert set(found.crds.names) == on_disk
    assert all(file.is_file() for _, file in found.example_files(paths.bundle("fixtures") / "charts" / "agents"))
    assert all(file.is_file() for files in found.values_sets.values() for file in files)

    assert load(found.file, set()) == found


def test_the_documented_example_loads_and_uses_every_key() -> None:
    found = load(EXAMPLE, {"render/stable-names"})
    assert found.workloads_of("worker") == (found.workloads[1],)
    whole = json_schema()
    keys = {(name, key) for name, part in whole["$defs"].items() for key in part["properties"]}
    keys |= {("", key) for key in whole["properties"]}
    either = {("Images", "platform"), ("Images", "runner")}  # the example declares a stub, which excludes them
    assert keys - either - set(_used("", whole, whole, yaml.safe_load(EXAMPLE.read_text()))) == set()


def _used(name: str, schema: dict[str, Any], whole: dict[str, Any], value: Any) -> Iterator[tuple[str, str]]:
    """Yield each section's name with each of its keys that a value uses."""
    for each in (schema, *schema.get("anyOf", ())):
        if "$ref" in each:
            name = each["$ref"].rpartition("/")[2]
            yield from _used(name, whole["$defs"][name], whole, value)
        elif "properties" in each and isinstance(value, dict):
            for key in value:
                yield name, key
                yield from _used("", each["properties"][key], whole, value[key])
        elif "items" in each and isinstance(value, list):
            for item in value:
                yield from _used("", each["items"], whole, item)


def test_every_key_is_documented() -> None:
    text = DOCUMENT.read_text()
    keys = {key for part in (json_schema(), *json_schema()["$defs"].values()) for key in part["properties"]}
    undocumented = {key for key in keys if not re.search(rf"`[^`]*\b{key}\b[^`]*`", text)}
    assert undocumented == set()


def test_the_example_in_the_document_loads(tmp_path: Path) -> None:
    blocks = re.findall(r"```yaml\n(.*?)```", DOCUMENT.read_text(), re.DOTALL)
    assert len(blocks) == 1
    (tmp_path / "contract.yaml").write_text(blocks[0])
    assert load(tmp_path / "contract.yaml").services[0].probe.http == "/healthz"


def test_the_shipped_schema_is_current() -> None:
    update = "python -c 'from conformance.contract.schema import write_schema; write_schema()'"
    assert SCHEMA_FILE.read_text() == schema_text(), f"out of date; {update}"


def test_the_schema_judges_as_the_loader_does() -> None:
    validator = jsonschema.Draft202012Validator(json.loads(SCHEMA_FILE.read_text()))
    example = yaml.load(EXAMPLE.read_text(), Loader=yaml.BaseLoader)  # noqa: S506 - text only, then typed below
    example = yaml.safe_load(EXAMPLE.read_text()) | {"accepted": example["accepted"]}
    assert list(validator.iter_errors(example)) == []
    for wrong in (
        {"relase": {}},
        {"workloads": []},
        {"services": [{"name": "x"}]},
        {"apiVersion": "conformance/v2"},
    ):
        assert list(validator.iter_errors({**example, **wrong}))


def test_it_travels_to_worker_processes() -> None:
    found = builtin()
    copy = pickle.loads(pickle.dumps(found))  # noqa: S301 - our own
    assert copy == found
    assert copy.where(("release", "name")) == found.where(("release", "name"))
    assert copy.folder == found.folder


def test_it_cannot_change() -> None:
    with pytest.raises(Exception, match="frozen"):
        builtin().release.name = "other"  # type: ignore[misc]


def test_paths_start_from_its_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "conf").mkdir()
    for name in ("a.yaml", "b.yaml"):
        (tmp_path / "conf" / name).write_text("{}")
    monkeypatch.chdir(tmp_path)
    found = contract(
        Path("conf"),
        chart="../charts/app",
        baseline="git:../repo@v1:charts/app",
        values={"files": ["a.yaml"], "sets": [{"name": "more", "files": ["b.yaml"]}]},
        examples=[{"file": "a.yaml"}, {"inChart": "examples/x.yaml"}],
    )
    here = tmp_path / "conf"
    assert found.candidate_source == str(here / "../charts/app")
    assert found.baseline_source == f"git:{here / '../repo'}@v1:charts/app"
    assert found.values_files == (here / "a.yaml",)
    assert found.values_sets == {"more": (here / "a.yaml", here / "b.yaml")}
    assert [file for _, file in found.example_files(Path("/chart"))] == [
        here / "a.yaml",
        Path("/chart/examples/x.yaml"),
    ]


def test_every_need_has_its_decision() -> None:
    assert WHY_UNMET.keys() == NEEDS.keys()


SECTIONS: dict[str, dict[str, Any]] = {
    "services": {"services": [{"name": "app", "port": 80, "probe": {"http": "/"}}]},
    "crds": {"crds": {"names": ["things.example.org"]}, "examples": [{"inChart": "thing.yaml"}]},
    "checksums": {"checksums": {"secrets": ["s"]}},
    "migrations": {"migrations": {"variable": "MIGRATE", "controllers": "env", "controllersRole": "web"}},
    "database": {
        "database": {"secret": {"name": "db", "key": "uri"}, "server": "postgres"},
        "prerequisites": {"secrets": [{"name": "db", "keys": ["uri"]}]},
    },
}


@pytest.mark.parametrize("need", sorted(SECTIONS))
def test_a_need_is_met_by_its_section_missing_without_and_absent_when_declared(tmp_path: Path, need: str) -> None:
    assert lacks(contract(tmp_path, **SECTIONS[need]), (need,), baseline=False) == []
    (missing,) = lacks(contract(tmp_path), (need,), baseline=True)
    assert (missing.need, missing.declared) == (need, False)
    assert "declares no" in missing.reason
    (absent,) = lacks(contract(tmp_path, absent=[{"need": need, "reason": "it has none"}]), (need,), baseline=True)
    assert (absent.declared, absent.reason) == (True, "it has none")


@pytest.mark.parametrize(("text", "skips"), [
    ("skip", True), (" OFF\n", True), ("False", True), ("0", True), ("\tDisabled ", True),
    (None, False), ("", False), (" ", False), ("auto", False), ("skip it", False), ("00", False), ("no", False),
])  # fmt: skip
def test_the_mode_of_the_migrations_is_skip_only_where_a_spelling_of_it_stands(
    tmp_path: Path, text: str | None, skips: bool
) -> None:
    migrations = contract(tmp_path, **SECTIONS["migrations"]).migrations
    assert migrations
    assert migrations.skips(text) is skips
    assert not any(map(migrations.skips, migrations.auto))


def test_crds_without_examples_do_not_meet_the_need(tmp_path: Path) -> None:
    assert lacks(contract(tmp_path, crds={"names": ["things.example.org"]}), ("crds",), baseline=False)


def test_a_baseline_is_the_runs_and_not_the_contracts(tmp_path: Path) -> None:
    assert lacks(contract(tmp_path, baseline="oci://h/x:1.0.0"), ("baseline",), baseline=False)
    declared = contract(tmp_path, absent=[{"need": "baseline", "reason": "the first version"}])
    assert lacks(declared, ("baseline",), baseline=True) == []
    assert lacks(declared, ("baseline",), baseline=False)[0].declared


def test_a_stub_is_no_application(tmp_path: Path) -> None:
    assert lacks(contract(tmp_path), ("application",), baseline=False) == []
    assert lacks(builtin(), ("baseline", "services", "crds", "application"), baseline=True) == []
    found = load(EXAMPLE)
    (lack,) = lacks(found, ("services", "application"), baseline=True)
    assert (lack.need, lack.declared) == ("application", True)
    assert found.stub
    assert found.stub.reason in str(WHY_UNMET["application"](found))


def test_the_reference_platform_is_an_application_with_an_image_for_each_role_and_its_runs() -> None:
    assert builtin().image_names == {"control-plane", "controllers", "runner"}
    assert load(EXAMPLE).image_names >= {"further"}


def test_the_reference_chart_has_a_contract_with_a_stub_as_well() -> None:
    stubbed = load(builtin().folder / "agents-stub.yaml")
    assert stubbed.stub
    assert stubbed.workloads == builtin().workloads
    asked = ("application", "database", "runs", "migrations", "environment")
    lacking = lacks(stubbed, asked, baseline=True)
    assert all(lack.declared for lack in lacking)
    assert len(lacking) == 5


def test_lacks_keep_the_order_asked(tmp_path: Path) -> None:
    asked = ("gitops", "database", "baseline")
    assert tuple(lack.need for lack in lacks(contract(tmp_path), asked, baseline=False)) == asked


def test_the_stub_reads_the_declared_ports() -> None:
    found = load(EXAMPLE).stub
    assert found
    assert found.config() == {
        "http": [{"port": 8080, "paths": ["/health", "/ready"]}], "tcp": [50051], "startupSeconds": 1.5,
        "drainSeconds": 5.0,
    }  # fmt: skip


DAY = datetime.date(2026, 5, 31)


@pytest.mark.parametrize(
    ("pattern", "object_", "covered"),
    [
        ("Deployment/app", "Deployment/app in prod", True),
        ("Deployment/app", "Deployment/app", True),
        ("Deployment/app", "Deployment/app-worker in prod", False),
        ("Deployment/app*", "Deployment/app-worker in prod", True),
        ("Deployment/app in prod", "Deployment/app in prod", True),
        ("Deployment/app in prod", "Deployment/app in test", False),
        ("deployment/app", "Deployment/app in prod", False),
        ("*", "ClusterRole/anything", True),
    ],
)
def test_an_accepted_finding_covers_its_object_until_it_expires(
    tmp_path: Path, pattern: str, object_: str, covered: bool
) -> None:
    entry = {
        "id": "render/stable-names",
        "object": pattern,
        "reason": "r",
        "owner": "o",
        "expires": DAY.isoformat(),
    }
    found = contract(tmp_path, accepted=[entry])
    accepted = found.accepts("render/stable-names", object_, DAY)
    assert (accepted is not None) is covered
    assert found.accepts("render/stable-names", object_, DAY + datetime.timedelta(days=1)) is None
    assert found.accepts("render/schema-valid", object_, DAY) is None
    assert found.expired(DAY) == []
    assert found.expired(DAY + datetime.timedelta(days=1)) == [found.accepted[0]]


def test_warnings_are_allowed_by_reason_object_and_message(tmp_path: Path) -> None:
    entry = {"reason": "Unhealthy", "object": "Pod/app-*", "message": "^Startup", "why": "slow"}
    found = contract(tmp_path, allowedWarnings=[entry, {"reason": "Other", "why": "noise"}])
    assert found.allows_warning("Unhealthy", "Pod/app-1 in prod", "Startup probe failed")
    assert not found.allows_warning("Unhealthy", "Pod/app-1", "Liveness probe failed")
    assert not found.allows_warning("Unhealthy", "Pod/web-1", "Startup probe failed")
    assert not found.allows_warning("BackOff", "Pod/app-1", "Startup probe failed")
    assert found.allows_warning("Other", "Node/n", "")


def test_kept_objects_are_named_with_their_reason(tmp_path: Path) -> None:
    found = contract(tmp_path, kept=[{"object": "PersistentVolumeClaim/data-*", "why": "orders"}])
    kept = found.keeps("PersistentVolumeClaim/data-0 in prod")
    assert kept
    assert kept.why == "orders"
    assert found.keeps("ConfigMap/data-0 in prod") is None
