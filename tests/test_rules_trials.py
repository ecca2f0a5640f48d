"""Rules that choose values, on made-up charts of another shape than the reference's."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from made_up import rendering

from conformance.checks import Finding
from conformance.contract import Contract, load
from conformance.kube_yaml import at
from conformance.refusal import Refusal
from conformance.render import Rendering
from conformance.rules.environment import environment_mapping, environment_precedence
from conformance.rules.environment import plan as environment_plan
from conformance.rules.migrations import explicit_skip_kept, plan, render_refuses_non_skip, rendered_default_skips
from conformance.rules.trials import Trials, structure, told
from conformance.values import as_text, overlaid

#: Environments by workload, or why there is no rendering.
Made = Mapping[str, list[dict[str, Any]]] | str
Chart = Callable[[dict[str, Any]], Made]

DEFAULTS = {"common": {"MIGRATE": "auto"}, "web": {"env": {}}, "worker": {"env": {}}, "limits": {"rate": 5}}
CONTRACT = """\
apiVersion: conformance/v1
release: {name: shop, namespace: agents}
workloads:
  - {name: shop, kind: Deployment, role: web, container: main}
  - {name: shop-worker, kind: Deployment, role: worker, container: main}
environment:
  layers:
    - {values: common, roles: [web, worker]}
    - {values: web.env, roles: [web]}
    - {values: worker.env, roles: [worker]}
  variables:
    - {name: RATE, roles: [web, worker], value: limits.rate, default: "5", samples: [{value: 0, text: "0"}]}
    - name: BURST
      roles: [web]
      value: limits.burst
      given: {limits.rate: 7}
      default: null
      samples: [{value: {a: 1, b: [2]}, json: {b: [2], a: 1}}, {value: {}}]
    - {name: MIGRATE, roles: [worker], default: skip, above: [common], overrides: ["never", skip]}
migrations:
  variable: MIGRATE
  controllers: worker.env
  shared: common
  controllersRole: worker
  skip: [skip, never, "0"]
"""


def text(value: object) -> str:
    return json.dumps(value) if isinstance(value, dict | list) else as_text(value) or ""


def env(variables: Mapping[str, object]) -> list[dict[str, Any]]:
    return [{"name": name, "value": text(value)} for name, value in variables.items()]


def sound(values: dict[str, Any]) -> Made:
    own = values["worker"]["env"]
    if "MIGRATE" in own and text(own["MIGRATE"]).strip().lower() not in ("skip", "never", "0"):
        return f"worker.env.MIGRATE: expected skip, never or 0, seen {own['MIGRATE']}"
    limits = values["limits"]
    shared = {"RATE": limits["rate"], **({"BURST": limits["burst"]} if limits.get("burst") else {})}
    web = {**shared, **values["common"], **values["web"]["env"]}
    return {"shop": env(web), "shop-worker": env({**shared, **values["common"], "MIGRATE": "skip", **own})}


def contract(folder: Path) -> Contract:
    file = folder / "standard.yaml"
    file.write_text(CONTRACT)
    return load(file)


def trials(folder: Path, chart: Chart, files: Mapping[str, Any] | None = None) -> Trials:
    """Return the trials of a chart that is a function of its values; null stays in them, as Helm lets it."""

    def submit(settings: Mapping[str, Any]) -> Future[Rendering]:
        made = chart(_kept(overlaid(DEFAULTS, files or {}), settings))
        future: Future[Rendering] = Future()
        if isinstance(made, str):
            future.set_result(rendering(refusal=Refusal(made, "shop/templates/a.yaml", 1)))
        else:
            future.set_result(rendering(*(_deployment(name, env) for name, env in made.items())))
        return future

    return Trials(
        "shop",
        contract(folder),
        DEFAULTS,
        files or {},
        submit,
        lambda: [(overlaid(DEFAULTS, files or {}), submit({}).result())],
    )


def _kept(values: Any, settings: Any) -> Any:
    if not (isinstance(values, dict) and isinstance(settings, dict)):
        return settings
    return {**values, **{key: _kept(values.get(key, {}), value) for key, value in settings.items()}}


def _deployment(name: str, env: list[dict[str, Any]]) -> str:
    spec = {"template": {"spec": {"containers": [{"name": "main", "env": env}]}}}
    # JSON is YAML, and made in a tenth of the time.
    return json.dumps({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name}, "spec": spec})


RULES = [
    render_refuses_non_skip, explicit_skip_kept, rendered_default_skips, environment_mapping,
    environment_precedence,
]  # fmt: skip


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize(
    "files", [{}, {"common": {"RATE": 9}}, {"limits": {"rate": 8}}, {"worker": {"env": {"MIGRATE": "0"}}}]
)
def test_a_sound_chart_passes(tmp_path: Path, rule: Callable[[Trials], Any], files: dict[str, Any]) -> None:
    assert list(rule(trials(tmp_path, sound, files))) == []


def test_what_is_planned_is_what_is_asked_of_a_sound_chart(tmp_path: Path) -> None:
    asked: list[str] = []

    def noting(values: dict[str, Any]) -> Made:
        asked.append(json.dumps(values, sort_keys=True))
        return sound(values)

    found = trials(tmp_path, noting)
    for settings in (*plan(found), *environment_plan(found)):
        found.submit(structure(settings))
    begun = {*asked, json.dumps(DEFAULTS, sort_keys=True)}
    asked.clear()
    for rule in RULES:
        list(rule(found))
    assert set(asked) <= begun


def test_a_chart_that_takes_only_text_for_a_variable_is_sound(tmp_path: Path) -> None:
    def strict(values: dict[str, Any]) -> Made:
        own = values["worker"]["env"].get("MIGRATE", "skip")
        if not isinstance(own, str):
            return "at '/worker/env/MIGRATE': got boolean, want string"
        return sound(values)

    for rule in RULES:
        assert list(rule(trials(tmp_path, strict))) == []


def test_a_null_that_helm_removes_is_the_default(tmp_path: Path) -> None:
    def removing(values: dict[str, Any]) -> Made:
        return sound(overlaid(values))

    for rule in RULES:
        assert list(rule(trials(tmp_path, removing))) == []


def changed(**changes: Callable[[dict[str, Any], list[dict[str, Any]]], list[dict[str, Any]]]) -> Chart:
    """Return the sound chart with one workload's environment changed."""

    def chart(values: dict[str, Any]) -> Made:
        made = sound(values)
        if isinstance(made, str):
            return made
        return {name: changes[name](values, env) if name in changes else env for name, env in made.items()}

    return chart


def without(variable: str) -> Callable[[dict[str, Any], list[dict[str, Any]]], list[dict[str, Any]]]:
    return lambda _, env: [entry for entry in env if entry["name"] != variable]


def test_a_guard_that_is_not_there_is_found_with_what_the_container_sees(tmp_path: Path) -> None:
    def open_(values: dict[str, Any]) -> Made:
        own = values["worker"]["env"].get("MIGRATE", "skip")
        return {"shop": [], "shop-worker": env({"MIGRATE": own})}

    (found,) = render_refuses_non_skip(trials(tmp_path, open_))
    assert (found.object, "worker.env.MIGRATE" in found.expected) == ("Chart/shop", True)
    assert "\"auto\": Deployment/shop-worker in agents then sees 'auto'" in found.observed


def test_a_replaced_value_is_not_refused_and_is_found(tmp_path: Path) -> None:
    def replacing(values: dict[str, Any]) -> Made:
        return {"shop": [], "shop-worker": env({"MIGRATE": "skip"})}

    (found,) = render_refuses_non_skip(trials(tmp_path, replacing))
    assert '"auto"' in found.observed
    (kept,) = explicit_skip_kept(trials(tmp_path, replacing))
    assert "\"never\": 'skip'" in kept.observed
    assert kept.object == "Deployment/shop-worker in agents"


@pytest.mark.parametrize("message", [
    "not supported", "MIGRATE is wrong", "use skip",
    "at <eq .Values.worker.env.MIGRATE \"skip\">: error calling eq: incompatible types for comparison",
])  # fmt: skip
def test_a_refusal_that_helps_nobody_is_found(tmp_path: Path, message: str) -> None:
    def mute(values: dict[str, Any]) -> Made:
        made = sound(values)
        return message if isinstance(made, str) else made

    (found,) = render_refuses_non_skip(trials(tmp_path, mute))
    assert "a refusal that names the variable of worker.env.MIGRATE" in found.expected
    assert message in found.observed


def test_a_spelling_of_skip_that_is_refused_is_found(tmp_path: Path) -> None:
    def narrow(values: dict[str, Any]) -> Made:
        own = values["worker"]["env"].get("MIGRATE", "skip")
        return sound(values) if own in ("skip", "never", "0", 0) else "worker.env.MIGRATE: expected skip"

    (found,) = render_refuses_non_skip(trials(tmp_path, narrow))
    assert '" SKIP\\t"' in found.observed
    assert "in any case and with space around it" in found.expected


def test_a_default_below_what_is_shared_is_found(tmp_path: Path) -> None:
    def shared(values: dict[str, Any], env_: list[dict[str, Any]]) -> list[dict[str, Any]]:
        own = values["worker"]["env"]
        return env({**{entry["name"]: entry["value"] for entry in env_}, **values["common"], **own})

    (found,) = rendered_default_skips(trials(tmp_path, changed(**{"shop-worker": shared})))
    assert found.object == "Deployment/shop-worker in agents"
    assert "with common.MIGRATE=\"auto\": 'auto'" in found.observed
    (alone,) = environment_mapping(trials(tmp_path, changed(**{"shop-worker": shared})))
    assert alone.expected.startswith("MIGRATE 'skip' in the container main")


def test_a_missing_default_is_found(tmp_path: Path) -> None:
    found = list(rendered_default_skips(trials(tmp_path, changed(**{"shop-worker": without("MIGRATE")}))))
    assert "not set" in found[0].observed


def test_a_mapping_in_one_workload_only_names_the_other(tmp_path: Path) -> None:
    found = list(environment_mapping(trials(tmp_path, changed(**{"shop-worker": without("RATE")}))))
    assert {finding.object for finding in found} == {"Deployment/shop-worker in agents"}
    assert {finding.observed for finding in found} == {"RATE is not set"}
    assert any(finding.expected == "RATE '0' in the container main, with limits.rate=0" for finding in found)


def test_a_value_that_loses_to_its_row_is_found(tmp_path: Path) -> None:
    def low(values: dict[str, Any], env_: list[dict[str, Any]]) -> list[dict[str, Any]]:
        return env({**{entry["name"]: entry["value"] for entry in env_}, "RATE": values["limits"]["rate"]})

    found = list(environment_precedence(trials(tmp_path, changed(shop=low))))
    assert {finding.object for finding in found} == {"Deployment/shop in agents"}
    assert any("common.RATE" in finding.expected for finding in found)


def test_json_may_be_written_in_any_way_and_must_be_equal(tmp_path: Path) -> None:
    def burst(value: str) -> Chart:
        def written(values: dict[str, Any], env_: list[dict[str, Any]]) -> list[dict[str, Any]]:
            kept = [entry for entry in env_ if entry["name"] != "BURST"]
            return [*kept, *([{"name": "BURST", "value": value}] if values["limits"].get("burst") else [])]

        return changed(shop=written)

    assert list(environment_mapping(trials(tmp_path, burst('{"b": [ 2 ],"a":1}')))) == []
    for wrong in ("{a: 1, b: [2]}", '{"a": 1}'):
        (found,) = environment_mapping(trials(tmp_path, burst(wrong)))
        assert 'BURST the JSON {"b": [2], "a": 1}' in found.expected


@pytest.mark.parametrize(("given", "judged"), [("", 0), ("      given: {own.url: ''}\n", 2)])
def test_a_row_is_not_judged_where_the_run_sets_another_row_of_its_variable(
    tmp_path: Path, given: str, judged: int
) -> None:
    def urls(values: dict[str, Any]) -> Made:
        own = {"URL": values["own"]["url"] or values["limits"].get("url", "unset")}
        return {"shop": env(own), "shop-worker": env(own)}

    rows = f"""\
    - name: URL
      roles: [web]
      value: limits.url
{given}      default: wrong
      samples: [{{value: a, text: wrong}}]
    - {{name: URL, roles: [web], value: own.url, samples: [{{value: b, text: b}}]}}
"""
    head, tail = CONTRACT.split("  variables:\n")
    (tmp_path / "contract.yaml").write_text(f"{head}  variables:\n{rows}migrations:{tail.split('migrations:')[1]}")
    found = trials(tmp_path, urls, {"own": {"url": "mine"}})
    told = replace(found, contract=load(tmp_path / "contract.yaml"))
    assert len(list(environment_mapping(told))) == judged


def test_a_chart_that_refuses_a_sample_is_found(tmp_path: Path) -> None:
    def refusing(values: dict[str, Any]) -> Made:
        return sound(values) if values["limits"]["rate"] else "limits.rate is too small"

    found: list[Finding] = list(environment_mapping(trials(tmp_path, refusing)))
    assert [finding.object for finding in found] == ["Chart/agents"]
    assert "limits.rate is too small" in found[0].observed


def test_what_only_happens_beside_other_values_is_not_held_against_a_row(tmp_path: Path) -> None:
    def entangled(values: dict[str, Any]) -> Made:
        made = sound(values)
        both = values["limits"].get("burst") == {} and values["limits"]["rate"] == 0
        return {"shop": [], "shop-worker": []} if both else made

    assert list(environment_mapping(trials(tmp_path, entangled))) == []


def test_values_are_laid_over_each_other_as_helm_does_it() -> None:
    found = overlaid(
        {"a": {"b": 1, "c": 2}, "d": [1]}, {"a": {"b": None, "e": 3}, "d": [2]}, {"a": {"c": {"f": 4}}}
    )
    assert found == {"a": {"c": {"f": 4}, "e": 3}, "d": [2]}
    assert at(found, ["a", "c", "f"]) == 4
    assert at(found, ["a", "c", "f", "g"]) is None
    assert [as_text(value) for value in (True, 3, 4.0, 0.5, "x", None, [])] == [
        "true",
        "3",
        "4",
        "0.5",
        "x",
        None,
        None,
    ]


def test_settings_are_told_by_their_paths() -> None:
    assert structure({"a.b": 1, r"a.c\.d": [2], "a.e": None}) == {"a": {"b": 1, "c.d": [2], "e": None}}
    assert told({"a.b": "x"}) == 'a.b="x"'
    assert told({}) == "the run's own values"
