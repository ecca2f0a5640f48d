"""Each rule on hand-made renderings: what it finds, and what it leaves alone."""

from __future__ import annotations

from pathlib import Path

import pytest
from made_up import deployment, pair, plain, rendering, service

from conformance.checks import CORE, Finding
from conformance.errors import BadInput
from conformance.judge import Answer, Verdict
from conformance.refusal import Refusal
from conformance.render import Surroundings
from conformance.rules import LONG_LIVED, guard, load
from conformance.rules.determinism import deterministic
from conformance.rules.inputs import Judged, Pair, Repeats, Version
from conformance.rules.names import stable_names
from conformance.rules.schema import schema_valid
from conformance.rules.selectors import stable_selectors


def names(pair: Pair) -> list[Finding]:
    return list(stable_names(pair))


def selectors(pair: Pair) -> list[Finding]:
    return list(stable_selectors(pair))


#: The rules that every conformant chart passes; all others are extended.
CORE_RULES = {"render/deterministic", "render/schema-valid", "render/stable-names", "render/stable-selectors"}


def test_every_rule_that_must_pass_is_core() -> None:
    levels = {id_: check.level for id_, check in load().items()}
    assert {id_ for id_ in CORE_RULES if levels[id_] is CORE} == CORE_RULES


# --- render/stable-selectors ---


def test_equal_selectors_pass() -> None:
    objects = [deployment("a", "app: a", "app: a, version: v1"), service("a", "app: a")]
    other = [deployment("a", "app: a", "app: a, version: v2"), service("a", "app: a")]
    assert selectors(pair(objects, other)) == []


@pytest.mark.parametrize("back", [False, True])
def test_a_changed_selector_is_found_in_both_directions(back: bool) -> None:
    versions = [deployment("a", "app: a")], [deployment("a", "app: a, version: v2")]
    (found,) = selectors(pair(*(reversed(versions) if back else versions)))
    assert found.object == "Deployment/a in agents"
    assert "changes version" in found.why
    assert "immutable" in found.why
    assert "version=v2" in found.observed + found.expected


def test_a_selector_that_follows_the_charts_version_is_found_without_a_baseline() -> None:
    (found,) = selectors(pair([service("a", "v: v1")], [service("a", "v: v2")], only_version=True))
    assert "nothing changed but the chart's version" in found.observed
    assert "no endpoint" in found.why


def test_a_selector_in_another_form_is_found() -> None:
    expressions = deployment("a", "app: a").replace(
        "selector: {matchLabels: {app: a}}",
        "selector: {matchExpressions: [{key: app, operator: In, values: [a]}]}",
    )
    (found,) = selectors(pair([deployment("a", "app: a")], [expressions]))
    assert "changes app" in found.why
    assert "matchExpressions" not in found.expected


def test_pods_that_leave_their_service_are_found() -> None:
    before = [deployment("a", "app: a", "app: a, role: web"), service("a", "role: web")]
    after = [deployment("a", "app: a", "app: a"), service("a", "role: web")]
    for versions in ((before, after), (after, before)):
        (found,) = selectors(pair(*versions))
        assert found.object == "Service/a in agents"
        assert "Deployment/a" in found.expected


def test_a_service_without_pods_of_the_chart_is_left_alone() -> None:
    objects = [deployment("a", "app: a"), service("external", "app: other"), plain("Service", "none")]
    assert selectors(pair(objects, objects)) == []


def test_a_workload_that_does_not_select_itself_is_found() -> None:
    broken = deployment("a", "app: a", "app: b")
    found = selectors(pair([broken], [broken]))
    assert {finding.object for finding in found} == {"Deployment/a in agents"}
    assert "app=b" in found[0].observed


def test_jobs_get_their_selector_from_the_server() -> None:
    job = "apiVersion: batch/v1\nkind: Job\nmetadata: {name: a}\nspec: {template: {spec: {}}}"
    assert selectors(pair([job], [job])) == []


# --- render/stable-names ---


def test_new_objects_may_come() -> None:
    assert names(pair([plain("Service", "a")], [plain("Service", "a"), plain("Service", "b")])) == []


@pytest.mark.parametrize("kind", sorted(LONG_LIVED | {"ConfigMap", "Secret", "Agent"}))
def test_every_long_lived_kind_keeps_its_name(kind: str) -> None:
    (found,) = names(pair([plain(kind, "agents-web")], [plain(kind, "agents-www")]))
    assert f"{kind}/agents-www" in found.observed
    assert "rollback deletes" in found.why


def test_a_removed_object_is_no_rename() -> None:
    (found,) = names(pair([plain("Service", "a")], []))
    assert "nothing there takes its place" in found.observed


def test_another_kind_of_the_same_name_is_found() -> None:
    (found,) = names(pair([deployment("a", "x: y")], [plain("StatefulSet", "a", "apps/v1")]))
    assert "StatefulSet/a" in found.observed


@pytest.mark.parametrize("kind", ["Job", "Pod"])
def test_what_runs_once_may_have_a_name_per_version(kind: str) -> None:
    assert names(pair([plain(kind, "migrate-1")], [plain(kind, "migrate-2")])) == []


def test_hooks_come_and_go() -> None:
    hook = plain("Secret", "a", annotations="helm.sh/hook: pre-install")
    assert names(pair([hook], [])) == []


@pytest.mark.parametrize("back", [False, True])
def test_an_object_that_becomes_a_hook_is_found(back: bool) -> None:
    versions = [[plain("Service", "a")], [plain("Service", "a", annotations="helm.sh/hook: pre-install")]]
    (found,) = names(pair(*(reversed(versions) if back else versions)))
    assert f"a hook (pre-install) in the {'baseline' if back else 'candidate'}" in found.observed


CONTENT = [("agents-1a2b3c4d", "agents-5e6f7a8b"), ("agents-8b4f2kt7gh", "agents-2d9mc6tbt5")]


def mounting(name: str) -> str:
    return deployment("a", "x: y", body=f"volumes: [{{name: v, configMap: {{name: {name}}}}}]")


@pytest.mark.parametrize(("old", "new"), CONTENT)
def test_a_hash_of_its_content_may_end_the_name_of_a_configmap(old: str, new: str) -> None:
    before, after = ([plain("ConfigMap", name), mounting(name)] for name in (old, new))
    assert names(pair(before, after)) == []


@pytest.mark.parametrize(("kind", "old", "new"), [
    ("ConfigMap", "agents-1.0.0", "agents-1.1.0"), ("ConfigMap", "agents-1a2b3c4d", "other-5e6f7a8b"),
    ("ConfigMap", "agents-feedback", "agents-fallback"), ("Service", "agents-1a2b3c4d", "agents-5e6f7a8b"),
])  # fmt: skip
def test_no_other_end_of_a_name_is_taken_for_a_hash(kind: str, old: str, new: str) -> None:
    assert len(names(pair([plain(kind, old)], [plain(kind, new)]))) == 1


def test_a_configmap_that_is_still_named_may_not_go() -> None:
    old, new = CONTENT[0]
    before, after = [plain("ConfigMap", old), mounting(old)], [plain("ConfigMap", new), mounting(old)]
    assert [found.object for found in names(pair(before, after))] == [f"ConfigMap/{old} in agents"]


# --- render/deterministic ---


ELSEWHERE = Surroundings("in UTC+14 and another folder")


def repeats(first: str, *others: str, chart: Path = Path("agents")) -> list[Finding]:
    rest = (rendering(other, chart=chart, surroundings=ELSEWHERE) for other in others)
    return list(deterministic(Repeats((rendering(first, chart=chart), *rest))))


def config(value: str, source: str = "agents/templates/a.yaml") -> str:
    return f"# Source: {source}\napiVersion: v1\nkind: ConfigMap\nmetadata: {{name: a}}\ndata: {{a: {value}}}\n"


def test_equal_bytes_pass() -> None:
    assert repeats(config("x"), config("x"), config("x")) == []


def test_a_field_that_differs_is_named_with_what_makes_it(tmp_path: Path) -> None:
    chart = tmp_path / "agents"
    (chart / "templates").mkdir(parents=True)
    (chart / "templates" / "a.yaml").write_text("a: {{ randAlphaNum 5 | quote }}")
    (found,) = repeats(config("x"), config("x"), config("z"), chart=chart)
    assert found.object == "ConfigMap/a in agents"
    assert found.observed == "data.a is 'x', and 'z' in UTC+14 and another folder"
    assert "`randAlphaNum` in agents/templates/a.yaml" in found.remedy


def test_a_clock_in_a_helper_is_named(tmp_path: Path) -> None:
    chart = tmp_path / "agents"
    (chart / "templates").mkdir(parents=True)
    (chart / "templates" / "a.yaml").write_text('a: {{ include "stamp" . }}')
    (chart / "templates" / "_h.tpl").write_text('{{ define "stamp" }}{{ now | date "2006" }}{{ end }}')
    (found,) = repeats(config("x"), config("y"), chart=chart)
    assert "`date` and `now` in agents/templates/_h.tpl" in found.remedy


def test_a_name_that_differs_is_one_finding() -> None:
    (found,) = repeats(config("x"), config("x").replace("name: a", "name: b"))
    assert found.observed == "its name is b in UTC+14 and another folder"


def test_a_secret_that_differs_is_not_shown() -> None:
    secret = "apiVersion: v1\nkind: Secret\nmetadata: {name: a}\nstringData: {a: %s}"
    (found,) = repeats(secret % "wordly-wise", secret % "wisely-worded")
    assert "wordly" not in str(found)


def test_text_that_differs_between_equal_objects_is_found() -> None:
    (found,) = repeats(config("x"), config("x") + "# rendered by somebody\n")
    assert found.object == "Chart/agents"
    assert "another length" in found.observed
    (found,) = repeats(config("x") + "# by a\n", config("x") + "# by b\n")
    assert "'# by a', and '# by b'" in found.observed


def test_a_refusal_here_and_none_there_is_found() -> None:
    refusing = rendering(surroundings=ELSEWHERE, refusal=Refusal("too late", "agents/templates/a.yaml", 3))
    (found,) = deterministic(Repeats((rendering(config("x")), refusing)))
    assert "agents/templates/a.yaml:3: too late" in found.observed
    assert list(deterministic(Repeats((refusing, refusing)))) == []


def test_a_thousand_differences_are_a_few_findings() -> None:
    many = "\n---\n".join(config("x").replace("name: a", f"name: a{number}") for number in range(50))
    found = repeats(many, many.replace("a: x", "a: y"))
    assert len(found) == 8
    assert "50 objects differ" in found[0].observed


# --- render/schema-valid ---


def judged(*documents: str, answer: Answer, refusal: Refusal | None = None) -> list[Finding]:
    seen = rendering(*documents, refusal=refusal)
    verdicts = tuple(Verdict(manifest, answer) for manifest in seen.manifests)
    return list(schema_valid(Judged(Version("the candidate 1.1.0", seen), verdicts, "v1.35.4")))


def test_what_the_judge_accepts_passes() -> None:
    assert judged(config("x"), answer=Answer(True)) == []


def test_what_the_judge_refuses_is_found_in_its_own_words() -> None:
    answer = Answer(False, "ConfigMap is invalid", (("data[a]", "Invalid value"), ("metadata.name", "Too long")))
    (found,) = judged(config("x"), answer=answer)
    assert found.observed == "data[a]: Invalid value; metadata.name: Too long"
    assert found.remedy == "mend data[a], metadata.name in agents/templates/a.yaml"
    assert "v1.35.4" in found.expected


@pytest.mark.parametrize(("message", "why"), [
    ('strict decoding error: unknown field "spec.x"', "never takes effect"),
    ('yaml: unmarshal errors:\n  line 4: key "a" already set in map', "given twice"),
    ("no API serves x/v1 Foo: it is served neither…", "half-way"),
])  # fmt: skip
def test_the_reason_fits_the_words(message: str, why: str) -> None:
    (found,) = judged(config("x"), answer=Answer(False, message))
    assert why in found.why
    assert "\n" not in found.observed


def test_an_object_rendered_twice_is_found_but_not_a_hook() -> None:
    twice = [config("x"), config("y", "agents/templates/b.yaml")]
    (found,) = judged(*twice, answer=Answer(True))
    assert "agents/templates/a.yaml and agents/templates/b.yaml" in found.observed
    hook = plain("Job", "a", "batch/v1", "helm.sh/hook: pre-install")
    assert judged(hook, hook, answer=Answer(True)) == []


def test_a_further_values_set_that_does_not_render_is_found() -> None:
    (found,) = judged(answer=Answer(True), refusal=Refusal("no good", "agents/templates/a.yaml", 5))
    assert found.observed == "agents/templates/a.yaml:5: no good"


# --- bad input ---


def refused(*documents: str, refusal: Refusal | None = None) -> str:
    with pytest.raises(BadInput) as caught:
        guard([rendering(*documents, refusal=refusal)], "agents")
    assert "\n" not in str(caught.value)
    assert "; " in str(caught.value)
    return str(caught.value)


def in_namespace(name: str) -> str:
    return f"apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: a, namespace: {name}}}"


@pytest.mark.parametrize("namespace", ["kube-system", "kube-public", "kube-node-lease", "default"])
def test_foreign_namespaces_are_refused(namespace: str) -> None:
    assert f"seen {namespace}" in refused(in_namespace(namespace))
    assert f"seen {namespace}" in refused(plain("Namespace", namespace))


def test_what_may_be_installed_is_let_through() -> None:
    guard([rendering(in_namespace("agents"), in_namespace("other"), plain("Namespace", "agents"))], "agents")
    guard([rendering(in_namespace("default"))], "default")


def test_host_paths_are_refused() -> None:
    pods = deployment("a", "x: y", body="volumes: [{name: v, hostPath: {path: /etc}}]")
    assert "hostPath /etc" in refused(pods)
    assert "hostPath /srv" in refused(plain("PersistentVolume", "a") + "\nspec: {hostPath: {path: /srv}}")


def test_finalizers_are_refused() -> None:
    assert "seen finalizers x.io/y" in refused(
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a, finalizers: [x.io/y]}"
    )


def test_a_chart_that_does_not_render_is_refused_with_helms_place() -> None:
    assert "agents/templates/a.yaml:5: no good" in refused(
        refusal=Refusal("no good", "agents/templates/a.yaml", 5)
    )
