"""The rules about checksums, on a made-up chart of another shape than the reference's."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest
from made_up import rendering

from conformance.contract import load
from conformance.errors import Incomplete
from conformance.render import Rendering
from conformance.rules.rollouts import external_checksum_known, plan, rollout_deterministic
from conformance.rules.trials import Trials
from conformance.values import over

DEFAULTS: dict[str, Any] = {"roll": {"on": False, "secrets": [], "maps": []}, "settings": {}}
CONTRACT = """\
apiVersion: conformance/v1
release: {name: shop, namespace: agents}
workloads:
  - {name: shop, kind: StatefulSet, role: web, container: main}
checksums:
  secretAnnotation: roll/s-<name>
  configMapAnnotation: roll/m-<name>
  secrets: [db]
  configMaps: [settings]
  values:
    given: {roll.on: true}
    secrets: roll.secrets
    configMaps: roll.maps
    data: {settings: settings}
    nameKey: object
    checksumKey: sum
"""
#: Makes the annotations from the values.
Hashing = Callable[[dict[str, Any]], dict[str, str]]


def sound(values: dict[str, Any]) -> dict[str, str]:
    """Annotate as the contract says."""
    if not values["roll"]["on"]:
        return {}
    made = {
        f"roll/m-{name}": digest(json.dumps(values["settings"], sort_keys=True)) for name in values["roll"]["maps"]
    }
    for item in values["roll"]["secrets"]:
        name = item if isinstance(item, str) else item["object"]
        made[f"roll/s-{name}"] = digest(name) if isinstance(item, str) else item["sum"]
    return made


def digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def trials(
    folder: Path, hashing: Hashing, files: Mapping[str, Any] | None = None, contract: str = CONTRACT
) -> Trials:
    def render(settings: Mapping[str, Any]) -> Rendering:
        values = over(over(DEFAULTS, files or {}), settings)
        env = [{"secretRef": {"name": "db"}}, {"configMapRef": {"name": "settings"}}]
        template = {
            "metadata": {"annotations": hashing(values)},
            "spec": {"containers": [{"name": "main", "envFrom": env}]},
        }
        workload = {
            "apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": {"name": "shop"},
            "spec": {"template": template},
        }  # fmt: skip
        config = {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": "settings"},
            "data": values["settings"],
        }
        return rendering(json.dumps(workload), json.dumps(config))

    def submit(settings: Mapping[str, Any]) -> Future[Rendering]:
        future: Future[Rendering] = Future()
        future.set_result(render(settings))
        return future

    file = folder / "contract.yaml"
    file.write_text(contract)
    given = over(DEFAULTS, files or {})
    return Trials("shop", load(file), DEFAULTS, files or {}, submit, lambda: [(given, render({}))])


ON = {"roll": {"on": True, "secrets": [{"object": "db", "sum": "x"}], "maps": ["settings"]}}


@pytest.mark.parametrize("files", [{}, ON, {"settings": {"LEVEL": "info"}}])
def test_a_sound_chart_passes(tmp_path: Path, files: dict[str, Any]) -> None:
    found = trials(tmp_path, sound, files)
    assert list(rollout_deterministic(found)) == []
    assert list(external_checksum_known(found)) == []
    assert plan(found)


def test_without_the_values_the_rules_are_incomplete(tmp_path: Path) -> None:
    found = trials(tmp_path, sound, contract=CONTRACT.split("  values:")[0])
    for rule in (rollout_deterministic, external_checksum_known):
        with pytest.raises(Incomplete, match="values"):
            list(rule(found))
    assert plan(found) == []


def changed(change: Callable[[dict[str, Any], dict[str, str]], dict[str, str]]) -> Hashing:
    return lambda values: change(values, sound(values))


WRONG: dict[str, tuple[Hashing, str]] = {
    "constant": (changed(lambda _, made: dict.fromkeys(made, "x")), "the same with another value"),
    "values alone": (
        changed(lambda values, made: made and {
            **made, "roll/m-settings": digest(str(list(values["settings"].values())))
        }),
        "the same with another key",
    ),
    "no separators": (
        changed(lambda values, made: made and {
            **made, "roll/m-settings": digest("".join(map("".join, sorted(values["settings"].items()))))
        }),
        "a border moved between key and value",
    ),
    "no annotation": (lambda _: {}, "there is none, though they use it"),
    "always on": (lambda values: sound({**values, "roll": {**values["roll"], "on": True}}), "there is one"),
    "order of the list": (
        changed(lambda values, made: made and {**made, "roll/s-db": digest(str(values))}), "then",
    ),
    "given checksum ignored": (changed(lambda _, made: made and {**made, "roll/s-db": "x"}), "the same"),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_what_follows_anything_else_is_found(tmp_path: Path, name: str) -> None:
    hashing, said = WRONG[name]
    contract = (
        CONTRACT.replace("secrets: [db]", "secrets: [db, other]") if name == "order of the list" else CONTRACT
    )
    found = list(rollout_deterministic(trials(tmp_path, hashing, contract=contract)))
    assert {finding.object for finding in found} == {"StatefulSet/shop in agents"}
    assert any(said in finding.observed for finding in found)


def test_an_external_secret_without_a_checksum_is_found_only_where_it_is_watched(tmp_path: Path) -> None:
    bare = {"roll": {**ON["roll"], "secrets": ["db"]}}
    (found,) = external_checksum_known(trials(tmp_path, sound, bare))
    assert (found.object, "roll.secrets" in found.expected) == ("Secret/db", True)
    assert "{object: db, sum: …}" in found.remedy
    off = {"roll": {**bare["roll"], "on": False}}
    assert list(external_checksum_known(trials(tmp_path, sound, off))) == []
