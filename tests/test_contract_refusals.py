"""A contract that is wrong: one line with file, line, path, what was expected, what was seen, what to do."""

# ruff: noqa: E501 - one row a case

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from conformance.contract import load
from conformance.errors import BadInput

#: Lines 1 to 4; what a test appends begins on line 5.
HEAD = """\
apiVersion: conformance/v1
release: {name: app, namespace: app}
workloads:
  - {name: app, kind: Deployment, role: web, container: app, image: {repository: r, tag: t, digest: d}}
"""
#: Lines 1 to 7.
DATABASE = HEAD + (
    "prerequisites: {secrets: [{name: db, keys: [uri]}], configMaps: [{name: map, data: {}}]}\n"
    "database:\n  secret: {name: db, key: uri}\n"
)
STUB = "images: {stub: {reason: private, http: [{port: 80}]}}\n"
KNOWN = {"render/stable-names", "render/schema-valid", "rollback/leaves-no-orphans"}
HIDDEN = "hunter2-is-my-password"


@pytest.fixture
def refusal(tmp_path: Path) -> Callable[[str], str]:
    """Load a text as a contract and return the one line that refuses it, without the folder."""

    def of(text: str) -> str:
        file = tmp_path / "contract.yaml"
        file.write_text(text)
        with pytest.raises(BadInput) as caught:
            load(file, KNOWN)
        said = str(caught.value)
        assert caught.value.exit_status == 2
        assert said.isprintable()
        assert said.startswith(f"{file}:")
        return said.removeprefix(f"{tmp_path}/")

    return of


SHAPES = [
    # text, line, path, what else the line says
    ("relase: {name: x}\n", 5, "relase", "did you mean release?"),
    ("allowed_warnings: []\n", 5, "allowed_warnings", "did you mean allowedWarnings?"),
    ("values:\n  file: [x]\n", 6, "values.file", "expected a key that there is, seen an unknown one (did you mean files?)"),
    ("services:\n  - name: app\n    port: http\n    prob: {tcp: true}\n", 8, "services[0].prob", "did you mean probe?"),
    ("zzzzzz: 1\n", 5, "zzzzzz", "expected one of the keys apiVersion, release, "),
    ("services: app\n", 5, "services", 'expected a list, seen "app"'),
    ("values: [x]\n", 5, "values", "expected a mapping, seen a list"),
    ("services:\n  - {name: 5, port: 80, probe: {tcp: true}}\n", 6, "services[0].name", "expected text, seen 5; quote it"),
    ("services:\n  - {name: a, port: 1.5, probe: {tcp: true}}\n", 6, "services[0].port", "a whole number or text, seen 1.5"),
    ("services:\n  - {name: a, port: 0, probe: {tcp: true}}\n", 6, "services[0].port", "expected at least 1, seen 0; correct it"),
    ("services:\n  - {name: a, port: 80, probe: {tcp: yes}}\n", 6, "services[0].probe.tcp", 'expected true, seen "yes"'),
    ("services:\n  - {name: a, port: 80, probe: {http: x}}\n", 6, "services[0].probe.http", "begins with `/`"),
    ("services:\n  - {name: a, port: 80, probe: {tcp: true}, failureBudget: -1}\n", 6, "services[0].failureBudget",
     "at least 0, seen -1"),
    ("services:\n  - {name: Not_A_Name, port: 80, probe: {tcp: true}}\n", 6, "services[0].name", "a Kubernetes name"),
    ("crds: {names: [agents]}\n", 5, "crds.names[0]", "plural.group"),
    ("crds: {names: []}\n", 5, "crds.names", "at least one entry, seen an empty list"),
    ("crds: {names: [a.b], upgradePolicy: maybe}\n", 5, "crds.upgradePolicy", "'frozen' or 'templated', seen \"maybe\""),
    ("accepted:\n  - {id: render/stable-names, object: x, reason: r, owner: o, expires: soon}\n", 6, "accepted[0].expires",
     'expected a date, YYYY-MM-DD, seen "soon"'),
    ("accepted:\n  - {id: render/stable-names, object: x, reason: r, owner: o, expires: 2026-13-01}\n", 6,
     "accepted[0].expires", "a date"),
    ("accepted:\n  - {id: render/stable-names, object: x, reason: r, owner: o, expires: 2026}\n", 6,
     "accepted[0].expires", "a date"),
    ("accepted:\n  - {id: render/stable-names, object: x, reason: r, expires: 2027-01-01}\n", 6, "accepted[0].owner",
     "expected this key, seen only id, object, reason, expires; add it"),
    ("accepted:\n  - {id: render/stable-names, object: x, reason: ' ', owner: o, expires: 2027-01-01}\n", 6,
     "accepted[0].reason", "not empty"),
    ("accepted:\n  - {id: Stable, object: x, reason: r, owner: o, expires: 2027-01-01}\n", 6, "accepted[0].id", "a check's id"),
    ("images: {stub: {reason: r, startupSeconds: long}}\n", 5, "images.stub.startupSeconds", "expected a number"),
    ("images: {stub: {reason: r, startupSeconds: 9999}}\n", 5, "images.stub.startupSeconds", "at most 600, seen 9999"),
    ("images: {stub: {reason: r, tcp: [70000]}}\n", 5, "images.stub.tcp[0]", "at most 65535"),
    ("images: {stub: {}}\n", 5, "images.stub.reason", "seen nothing; add it"),
    ("prerequisites: {configMaps: [{name: c, data: {k: 1}}]}\n", 5, "prerequisites.configMaps[0].data.k", "quote it"),
    ("policies: {drift: whatever}\n", 5, "policies.drift", "'restored' or 'kept'"),
    ("gitops: {overlay: ''}\n", 5, "gitops.overlay", "not empty"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "line", "path", "says"), SHAPES)
def test_wrong_keys_and_types(refusal: Callable[[str], str], text: str, line: int, path: str, says: str) -> None:
    said = refusal(HEAD + text)
    assert said.startswith(f"contract.yaml:{line}: {path}: "), said
    assert says in said


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "contract.yaml:1: expected a YAML mapping, seen an empty file"),
        ("- a\n", "contract.yaml:1: expected a mapping that begins with `apiVersion: conformance/v1`, seen a list"),
        ("just text", 'contract.yaml:1: expected a mapping that begins with `apiVersion: conformance/v1`, seen "just text"'),
        ("release: {name: a, namespace: a}\n", "contract.yaml:1: apiVersion: expected this key"),
        (HEAD.replace("v1", "v2"), "contract.yaml:1: apiVersion: expected 'conformance/v1', seen \"conformance/v2\""),
        ("apiVersion: conformance/v1\nrelease: {name: a, namespace: a}\nworkloads: []\n",
         "contract.yaml:3: workloads: expected at least one entry"),
        ("apiVersion: conformance/v1\nrelease: {name: a, namespace: a}\n",
         "contract.yaml:1: workloads: expected this key, seen only apiVersion, release; add it"),
        (HEAD.replace("Deployment", "Job"), "contract.yaml:4: workloads[0].kind: expected 'Deployment', 'StatefulSet' or"),
        (HEAD.replace("name: app, namespace", "name: App, namespace"), "contract.yaml:2: release.name: expected"),
        (HEAD.replace("container: app, ", ""), "contract.yaml:4: workloads[0].container: expected this key"),
        (HEAD + "values: {files: [a\n", "contract.yaml:"),
        (HEAD + HEAD, "contract.yaml:5: apiVersion: expected each key once"),
        (HEAD + "a: &a [x]\nb: [*a, *zzz]\n", "contract.yaml:6: expected YAML, seen: found undefined alias"),
    ],
)  # fmt: skip
def test_no_contract_at_all(refusal: Callable[[str], str], text: str, says: str) -> None:
    assert refusal(text).startswith(says)


def image(paths: str) -> str:
    return HEAD.replace("{repository: r, tag: t, digest: d}", paths)


SECOND = "  - {name: two, kind: Deployment, role: w, container: c, image: %s}\n"
CONTRADICTIONS = [
    (HEAD + SECOND % "{reference: x}" + SECOND % "{reference: y}", 6, "workloads[2]", "the same workload as in [1]"),
    (HEAD + "  - {name: two, kind: Deployment, role: w, container: c}\n" + STUB, 5, "workloads[1]", "expected `image`"),
    (image("{reference: r, tag: t}"), 4, "workloads[0].image", "`reference` alone"),
    (image("{tag: t}"), 4, "workloads[0].image", "`repository` or `reference`"),
    (image("{repository: r}"), 4, "workloads[0].image", "`tag` or `digest`"),
    (image("{repository: image, tag: image.tag}"), 4, "workloads[0].image.tag", "one lies in the other"),
    (image("{repository: image.r, tag: image.r}"), 4, "workloads[0].image.tag", "as `repository` and as `tag`"),
    (image("{repository: 'a..b', tag: t}"), 4, "workloads[0].image.repository", "a value path"),
    (image("{repository: 'a[0].b', tag: t}"), 4, "workloads[0].image.repository", "a value path"),
    (HEAD.replace("namespace: app", "namespace: kube-system"), 2, "release.namespace", "kube-system"),
    (HEAD + "services:\n  - {name: a, port: 80, probe: {}}\n", 6, "services[0].probe", "exactly one"),
    (HEAD + "services:\n  - {name: a, port: 80, probe: {tcp: true, http: /}}\n", 6, "services[0].probe", "exactly one"),
    (HEAD + "services:\n  - {name: a, port: 80, probe: {tcp: true}, workload: web}\n", 6, "services[0].workload",
     "one of the workloads app, seen web"),
    (HEAD + "services:\n" + "  - {name: a, port: 80, probe: {tcp: true}}\n" * 2, 7, "services[1]", "the same Service"),
    (HEAD + "images: {stub: {reason: r}}\nservices:\n  - {name: a, port: 80, probe: {tcp: true}}\n", 5, "images.stub",
     "expected ports"),
    (HEAD + "images: {stub: {reason: r, http: [{port: 80}], tcp: [80]}}\n", 5, "images.stub.tcp[0]", "80 again"),
    (HEAD + "images: {platform: reference}\n", 4, "workloads[0].role", "control-plane, controllers), seen web"),
    (HEAD + STUB.replace("{stub:", "{platform: reference, stub:"), 4, "workloads[0].role", "control-plane"),
    (HEAD.replace("role: web", "role: controllers") + STUB.replace("{stub:", "{platform: reference, stub:"), 5,
     "images.platform", "either `stub` or `platform`"),
    (HEAD.replace("role: web", "role: controllers").replace(", image: {repository: r, tag: t, digest: d}", "")
     + "images: {platform: reference}\n", 4, "workloads[0]", "through which the platform is set"),
    (HEAD + "images: {runner: {reference: x}}\n", 5, "images.runner", "expected `platform: reference`"),
    (HEAD + "runs: {kind: K}\n", 5, "runs", "expected `crds`"),
    (HEAD + "crds: {names: [ks.example.org]}\nruns: {kind: K}\n", 6, "runs.controllersRole",
     "one of web, seen controllers"),
    (HEAD + "crds: {names: [ks.example.org]}\nruns: {kind: K, controllersRole: web, failed: Bad}\n", 6,
     "runs.failed", "terminal phases"),
    (HEAD + "crds: {names: [ks.example.org]}\nruns: {kind: K, controllersRole: web, long: nope.yaml}\n", 6,
     "runs.long", "seen none at nope.yaml"),
    (HEAD + "examples: [{}]\n", 5, "examples[0]", "exactly one of `inChart` and `file`"),
    (HEAD + "examples:\n  - inChart: a.yaml\n    phase: {kind: K, expected: Done, terminal: [Failed]}\n", 7,
     "examples[0].phase.terminal", "Done among the terminal ones"),
    (HEAD + "checksums: {}\n", 5, "checksums", "at least one name"),
    (HEAD + "checksums: {secrets: [s], secretAnnotation: checksum/secret/<name>}\n", 5, "checksums.secretAnnotation",
     "one slash at most"),
    (HEAD + "database: {secret: {name: db, key: uri}}\n", 5, "database.secret", "declare it there"),
    (HEAD + "checksums: {secrets: [a], values: {data: {b: x.data}}}\n", 5, "checksums.values.data.b", "seen b; add it there"),
    (HEAD + "checksums: {secrets: [a], values: {only: {b: x.only}}}\n", 5, "checksums.values.only.b", "the name of a workload"),
    (HEAD + "environment: {variables: [{name: A, roles: [worker], default: x}]}\n", 5, "environment.variables[0].roles[0]",
     "one of web, seen worker"),
    (HEAD + "environment: {variables: [{name: A, roles: [web]}]}\n", 5, "environment.variables[0]", "say which it is"),
    (HEAD + "environment: {variables: [{name: A, roles: [web], value: a}]}\n", 5, "environment.variables[0]", "add one"),
    (HEAD + "environment: {variables: [{name: A, roles: [web], value: a, samples: [{value: 1, text: b, json: 2}]}]}\n", 5,
     "environment.variables[0].samples[0]", "seen several; drop some"),
    (HEAD + "environment: {variables: [{name: A, roles: [web], default: x, above: [env]}]}\n", 5,
     "environment.variables[0].above[0]", "seen env"),
    (HEAD + "migrations: {variable: M, controllers: env}\n", 5, "migrations.controllersRole", "one of web, seen controllers"),
    (HEAD + "migrations: {variable: M, controllers: e, controllersRole: web, controlPlane: f}\n", 5, "migrations.controlPlaneRole",
     "one of web, seen control-plane"),
    (HEAD + "migrations: {variable: M, controllers: e, controllersRole: web, auto: [auto, OFF]}\n", 5, "migrations.auto[1]",
     "not under `skip`, seen OFF"),
    (DATABASE + "  controllersSecret: {name: other, key: uri}\n", 8, "database.controllersSecret",
     "declare it there"),
    (DATABASE + "  controllersSecret: {name: db, key: uri}\n", 8, "database.controllersSecret", "drop it"),
    (DATABASE + "  certificate: {name: ca, key: ca.crt}\n", 8, "database.certificate", "`server` beside it"),
    (DATABASE + "  server: postgres\n  certificate: {name: map, key: ca.crt}\n", 9, "database.certificate",
     "drop it there"),
    (HEAD + "allowedWarnings:\n  - {reason: r, why: w, message: '('}\n", 6, "allowedWarnings[0].message",
     "a regular expression"),
    (HEAD + "absent:\n  - {need: gitop, reason: r}\n", 6, "absent[0].need", "did you mean gitops?"),
    (HEAD + "absent:\n  - {need: services, reason: r}\nservices:\n  - {name: a, port: 80, probe: {tcp: true}}\n", 6,
     "absent[0].need", "seen services, which the contract declares"),
    (HEAD + "absent:\n  - {need: baseline, reason: r}\nbaseline: oci://h/x\n", 6, "absent[0].need", "baseline"),
    (HEAD + "absent:\n  - {need: application, reason: r}\n", 6, "absent[0].need", "application"),
    (HEAD + "accepted:\n  - {id: render/stable-name, object: x, reason: r, owner: o, expires: 2027-01-01}\n", 6,
     "accepted[0].id", "did you mean render/stable-names?"),
    (HEAD + "chart: https://example.org/x.tgz\n", 5, "chart", "the scheme https"),
    (HEAD + "baseline: 'git:ext::sh -c id@v1:charts'\n", 5, "baseline", "another transport"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "line", "path", "says"), CONTRADICTIONS)
def test_contradictions(refusal: Callable[[str], str], text: str, line: int, path: str, says: str) -> None:
    said = refusal(text)
    assert said.startswith(f"contract.yaml:{line}: {path}: "), said
    assert says in said


@pytest.mark.parametrize(
    "path", ["../secrets.yaml", "/etc/passwd", "a/../../b.yaml", "link/passwd", "loop", "missing.yaml", "folder"]
)
@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("values: {{files: [{}]}}\n", "values.files[0]"),
        ("values: {{sets: [{{name: s, files: [{}]}}]}}\n", "values.sets[0].files[0]"),
        ("examples: [{{file: {}}}]\n", "examples[0].file"),
        ("gitops: {{overlay: {}}}\n", "gitops.overlay"),
    ],
)
def test_paths_stay_below_its_folder(
    refusal: Callable[[str], str], tmp_path: Path, text: str, place: str, path: str
) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "link").symlink_to("/etc")
    (tmp_path / "loop").symlink_to("loop")
    said = refusal(HEAD + text.format(path))
    assert said.startswith(f"contract.yaml:5: {place}: expected a ")
    assert path in said or "seen none" in said


@pytest.mark.parametrize("path", ["../x.yaml", "/etc/passwd"])
def test_paths_inside_the_chart_stay_there(refusal: Callable[[str], str], path: str) -> None:
    assert "expected a path inside the chart" in refusal(HEAD + f"examples: [{{inChart: {path}}}]\n")


@pytest.mark.parametrize(
    ("text", "path"),
    [
        (f"prerequisites:\n  secrets:\n    - {{name: s, keys: [k], data: {{k: {HIDDEN}}}}}\n", "prerequisites.secrets[0].data"),
        (f"prerequisites:\n  secrets:\n    - {{name: s, stringData: {{k: {HIDDEN}}}}}\n",
         "prerequisites.secrets[0].stringData"),
        (f"prerequisites:\n  secrets:\n    - {{name: s, value: {HIDDEN}}}\n", "prerequisites.secrets[0].value"),
        (f"prerequisites:\n  secrets:\n    - {{name: s, keys: {{k: {HIDDEN}}}}}\n", "prerequisites.secrets[0].keys"),
        (f"prerequisites:\n  secrets:\n    - {{name: s, keys: [{{name: k, value: {HIDDEN}}}]}}\n",
         "prerequisites.secrets[0].keys[0].value"),
        (f"database: {{secret: {{name: d, key: k, value: {HIDDEN}}}}}\n", "database.secret.value"),
        (f"chart: oci://user:{HIDDEN}@example.org/chart\n", "chart"),
        (f"baseline: git:https://{HIDDEN}@example.org/repo@v1:chart\n", "baseline"),
        (f"prerequisites: {{configMaps: [{{name: c, data: {{u: 'postgres://u:{HIDDEN}@db/x'}}}}]}}\n",
         "prerequisites.configMaps[0].data.u"),
        ("prerequisites: {configMaps: [{name: c, data: {k: '-----BEGIN RSA PRIVATE KEY-----'}}]}\n",
         "prerequisites.configMaps[0].data.k"),
    ],
)  # fmt: skip
def test_secret_values_do_not_belong_in_it(refusal: Callable[[str], str], text: str, path: str) -> None:
    said = refusal(HEAD + text)
    assert f": {path}: " in said
    assert "a contract" in said
    assert HIDDEN not in said


@pytest.mark.parametrize(
    "text",
    [
        f"prerequisites: {{secrets: {{s: {HIDDEN}}}}}\n",
        f"prerequisites: {{secrets: {HIDDEN}}}\n",
        f"prerequisites: {{secrets: [{HIDDEN}]}}\n",
        f"prerequisites: {{secrets: [{{name: s, keys: {HIDDEN}}}]}}\n",
        f"prerequisites: {{secrets: [{{name: s, keys: ['k={HIDDEN}']}}]}}\n",
        f"prerequisites: {{secrets: [{{name: s, keys: [k], password: {HIDDEN}}}]}}\n",
        f"secrets: {{s: {HIDDEN}}}\n",
        f"prerequisites: {{secrets: [{{name: s, keys: [k] {HIDDEN}\n",
    ],
)
def test_no_message_shows_what_stands_where_secrets_do(refusal: Callable[[str], str], text: str) -> None:
    assert HIDDEN not in refusal(HEAD + text)


def test_ssh_and_plain_urls_carry_no_credentials(tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text(
        HEAD + "chart: git:ssh://git@example.org/repo@v1:chart\nbaseline: git:git@example.org:repo@v1:chart\n"
        "prerequisites: {configMaps: [{name: c, data: {u: 'mail to a@b.org at https://example.org/a@b'}}]}\n"
    )
    assert load(tmp_path / "c.yaml").baseline_source == "git:git@example.org:repo@v1:chart"


def test_alias_bombs_are_refused_before_they_grow(refusal: Callable[[str], str]) -> None:
    bomb = "x0: &x0 [a]\n" + "".join(f"x{n}: &x{n} [{', '.join([f'*x{n - 1}'] * 10)}]\n" for n in range(1, 30))
    assert "once its aliases are expanded" in refusal(HEAD + bomb)
    assert "alias of what it stands in" in refusal(HEAD + "values: &v {files: *v}\n")


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"a" * 10_000_000, "at most 512 KiB"),
        (b"apiVersion: \xff\n", "1: expected UTF-8 text, seen the byte 0xff"),
        (b"\x00\x01\x02", "a character that it does not allow"),
        (b"[" * 400_000, "levels of nesting"),
        (b"{" * 400_000, "levels of nesting"),
        (b"a: " + b"9" * 400_000, "apiVersion: expected this key"),
        (b"a: 1e999\nb: .nan\n", "expected"),
        (b'"a\\nb": 1\n', "apiVersion: expected this key"),
    ],
)
def test_unexpected_content_is_one_line(tmp_path: Path, data: bytes, says: str) -> None:
    file = tmp_path / "c.yaml"
    file.write_bytes(data)
    with pytest.raises(BadInput) as caught:
        load(file)
    assert says in str(caught.value)
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 1100


def test_a_folder_and_nothing_are_no_contract(tmp_path: Path) -> None:
    for path, says in ((tmp_path, "seen a folder"), (tmp_path / "none", "seen nothing there")):
        with pytest.raises(BadInput, match=says):
            load(path)
