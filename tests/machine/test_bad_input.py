"""What a clumsy or hostile caller hands to the command line: one clear line, and nothing left behind."""

# ruff: noqa: E501 - one row a case

from __future__ import annotations

import gzip
import io
import os
import re
import subprocess
import tarfile
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest
from command_line import CHART, CONTRACT, CommandLine, Said, write_chart

from conformance.loopback import free_port

pytestmark = pytest.mark.machine


@dataclass(frozen=True)
class Case:
    """Arguments of the command line, made in a folder of the caller's, and a pattern of what it must say."""

    name: str
    words: Callable[[Path], list[str | Path]]
    says: str
    status: int = 2


@dataclass(frozen=True)
class Refusal:
    """How a case ended, what it left behind and what it left running."""

    said: Said
    left: list[Path]
    processes: list[str]


Refusals = dict[Case, Future[Refusal]]


@pytest.fixture(scope="module")
def refusals(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Refusals]:
    """Begin all selected cases, two at a time: a command line spends most of its second starting."""

    def refusal(case: Case) -> Refusal:
        folder = tmp_path_factory.mktemp("case")
        caller = CommandLine(folder / "private")
        return Refusal(caller.run(*case.words(folder)), caller.left(), caller.processes())

    cases = [
        item.callspec.params["case"]
        for item in request.session.items
        if isinstance(item, pytest.Function) and "refusals" in item.fixturenames
    ]
    with ThreadPoolExecutor(2) as pool:
        yield {case: pool.submit(refusal, case) for case in cases}
        pool.shutdown(cancel_futures=True)


def _file(path: Path, text: str | bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def _contract(folder: Path, text: str = CONTRACT) -> Path:
    return _file(folder / "contract.yaml", text)


def _rules(folder: Path, chart: str | Path, *more: str | Path) -> list[str | Path]:
    return ["rules", chart, "--contract", _contract(folder), *more]


def _templates(**files: str) -> Callable[[Path], list[str | Path]]:
    """Return the arguments that judge the small chart with further templates."""
    return lambda folder: _rules(
        folder, write_chart(folder / "mine", {f"templates/{name}.yaml": text for name, text in files.items()})
    )


def _metadata(text: str) -> Callable[[Path], list[str | Path]]:
    return lambda folder: _rules(folder, write_chart(folder / "mine", {"Chart.yaml": text}))


def _under(text: str) -> Callable[[Path], list[str | Path]]:
    """Return the arguments that judge the small chart under another contract."""
    return lambda folder: ["rules", write_chart(folder / "mine"), "--contract", _contract(folder, text)]


def _archive(*members: tarfile.TarInfo, size: int = 0) -> Callable[[Path], list[str | Path]]:
    """Return the arguments that judge a chart's archive with further members, the last of `size` zeros."""

    def made(folder: Path) -> list[str | Path]:
        chart = write_chart(folder / "mine")
        with tarfile.open(folder / "mine.tgz", "w:gz") as packed:
            packed.add(chart, "mine")
            for member in members:
                member.size = size if member is members[-1] else 0
                packed.addfile(member, io.BytesIO(bytes(member.size)))
        return _rules(folder, folder / "mine.tgz")

    return made


def _member(name: str, kind: bytes = tarfile.REGTYPE, link: str = "") -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.type, member.linkname = kind, link
    return member


def _linked(name: str, target: str) -> Callable[[Path], list[str | Path]]:
    def made(folder: Path) -> list[str | Path]:
        chart = write_chart(folder / "mine")
        (chart / name).symlink_to(target)
        return _rules(folder, chart)

    return made


def _values(text: str | bytes | None) -> Callable[[Path], list[str | Path]]:
    def made(folder: Path) -> list[str | Path]:
        file = folder / "values.yaml"
        if text is not None:
            _file(file, text)
        return _rules(folder, write_chart(folder / "mine"), "--values", file)

    return made


def _run(*words: str) -> Callable[[Path], list[str | Path]]:
    return lambda folder: ["run", "--chart", write_chart(folder / "mine"), "--contract", _contract(folder), *words]


def _report(where: Callable[[Path], Path]) -> Callable[[Path], list[str | Path]]:
    return lambda folder: ["run", "--report-dir", where(folder)]


def _git(ref: str = "main", path: str = "mine", repo: str | None = None) -> Callable[[Path], list[str | Path]]:
    def made(folder: Path) -> list[str | Path]:
        repository = folder / "repository"
        write_chart(repository / "mine")
        for words in (
            ("init", "--quiet", "--initial-branch=main"),
            ("add", "."),
            ("commit", "--quiet", "--message=x"),
        ):
            who = {
                "GIT_AUTHOR_NAME": "x",
                "GIT_AUTHOR_EMAIL": "x",
                "GIT_COMMITTER_NAME": "x",
                "GIT_COMMITTER_EMAIL": "x",
            }
            subprocess.run(["git", *words], cwd=repository, check=True, env={**os.environ, **who})
        return _rules(folder, f"git:{repo or repository}@{ref}:{path}")

    return made


POD = "apiVersion: v1\nkind: Pod\nmetadata: {name: x}\nspec: {containers: [{name: x, image: x}], volumes: [{name: x, hostPath: {path: /var/run}}]}\n"
ALIASES = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{name}: &{name} [{', '.join([f'*{before}'] * 9)}]\n"
    for before, name in zip("abcdefgh", "bcdefghi", strict=True)
)

USAGE = [
    Case("no such command", lambda _: ["frobnicate"], "No such command 'frobnicate'.*--help"),
    Case("no such option", lambda _: ["run", "--frob"], "No such option: --frob.*run --help"),
    Case("option without its value", lambda _: ["run", "-k"], "'-k' requires an argument"),
    Case("one argument too many", lambda _: ["run", "extra"], r"unexpected extra argument.*\(extra\)"),
    Case("no chart", lambda _: ["rules"], "Missing argument 'CHART'"),
    Case("unknown Helm", lambda _: ["run", "--helm", "5"], "'--helm'.*4"),
    Case("Helm that is no number", lambda _: ["rules", "x", "--helm", "three"], "'--helm'.*integer"),
    Case("no worker", lambda _: ["run", "-n", "0"], "'-n'.*1"),
    Case("unknown format", lambda _: ["list", "--format", "xml"], "--format: 'xml' is not one of table, json"),
    Case("unknown mutant", lambda _: ["mutants", "--rules-only", "nope"], "nope: expected a check or a mutant"),
    Case("unknown Kubernetes", lambda _: ["rules", "reference:0.9.2", "--kube-version", "1.2"], "--kube-version 1.2.* use one of 1.34"),
    Case("unknown Kubernetes to doctor", lambda _: ["doctor", "--kube-version", "x"], "--kube-version x"),
    Case("unknown Kubernetes to provision", lambda _: ["provision", "--kube-version", "1.35.999"], "--kube-version 1.35.999"),
    Case("unknown Kubernetes to run", _run("--kube-version", "2"), "--kube-version 2"),
    Case("no check matches", _run("-k", "no-such-check"), "no check matches.*agents-conformance list"),
    Case("no expression", _run("-k", "and ("), "Wrong expression passed to '-k': and"),
    Case("no mark matches", _run("-m", "no_such_mark"), "no check matches"),
    Case("no mark expression", _run("-m", "core or ("), "Wrong expression passed to '-m': core or"),
]  # fmt: skip

CHARTS = [
    Case("nothing there", lambda folder: _rules(folder, folder / "nope"), "chart .*/nope: expected a chart's folder or .tgz, seen nothing"),
    Case("nothing there to run", lambda folder: ["run", "--chart", folder / "nope"], "chart .*/nope: expected"),
    Case("no baseline there", lambda folder: ["run", "--baseline", folder / "nope"], "chart .*/nope: expected"),
    Case("empty name", lambda _: ["rules", ""], "chart source: expected .*, seen nothing"),
    Case("empty baseline", lambda _: ["rules", "reference:0.9.2", "--baseline", ""], "chart source: expected .*, seen nothing"),
    Case("empty candidate", lambda _: ["run", "--chart="], "chart source: expected .*, seen nothing"),
    Case("empty folder", lambda folder: _rules(folder, (folder / "empty").mkdir() or folder / "empty"), "seen an empty folder"),
    Case("not a chart", lambda folder: _rules(folder, _file(folder / "x" / "README.md", "x").parent), "expected a folder with Chart.yaml"),
    Case("a file", lambda folder: _rules(folder, _file(folder / "x.txt", "x")), "expected a chart's folder or .tgz"),
    Case("a device", lambda folder: _rules(folder, "/dev/zero"), "expected a chart's folder or .tgz"),
    Case("the root", lambda folder: _rules(folder, "/"), "expected a folder with Chart.yaml"),
    Case("unknown scheme", lambda folder: _rules(folder, "ftp://x/y"), "the scheme ftp"),
    Case("broken Chart.yaml", _metadata("name: [\n"), "Chart.yaml:"),
    Case("binary Chart.yaml", _metadata("\0\1\2"), "Chart.yaml"),
    Case("Chart.yaml is a list", _metadata("- x\n"), "Chart.yaml:1: expected a mapping"),
    Case("no version", _metadata("apiVersion: v2\nname: mine\n"), "Chart.yaml:1: version: expected the chart's version"),
    Case("not SemVer", _metadata("apiVersion: v2\nname: mine\nversion: 1.0\n"), "Chart.yaml:3: version: "),
    Case("not SemVer either", _metadata("apiVersion: v2\nname: mine\nversion: v1.2\n"), "Chart.yaml:3: version: expected a SemVer 2 version"),
    Case("a library", _metadata(CHART + "type: library\n"), "seen a library chart"),
    Case("not vendored", _metadata(CHART + "dependencies:\n  - {name: redis, version: 1.0.0, repository: 'https://charts.invalid'}\n"), r"Chart.yaml:5: dependencies\[0\].name: expected the subchart redis under charts/ .*helm dependency build"),
    Case("unknown reference", lambda folder: _rules(folder, "reference:7.7.7"), "7.7.7"),
    Case("unknown mutant", lambda folder: _rules(folder, "mutant:nope"), "mutant nope: "),
    Case("no template function", _templates(x="a: b\nc: {{ frobnicate }}\n"), r"templates/x.yaml:2: .*function \\?\"frobnicate"),
    Case("nil in a template", _templates(x="\n\na: {{ .Values.a.b }}\n"), "mine/templates/x.yaml:3: .*nil pointer"),
    Case("template of no YAML", _templates(x="a: b\n  c: d\n"), "mine/templates/x.yaml:.*"),
    Case("a template that fails", _templates(x='{{ fail "no\\nway" }}\n'), "mine/templates/x.yaml:1: .*no way"),
    Case("endless memory", _templates(x="{{ range until 2000000000 }}{{ end }}\n"), "mine: expected a chart that renders.*(memory|did not end)"),
    Case("endless output", _templates(x="# {{ repeat 80000000 \"x\" }}\n"), "more than 64 MiB"),
    Case("endless recursion", _templates(x='{{ define "x" }}{{ include "x" . }}{{ end }}{{ include "x" . }}\n'), "mine/templates/x.yaml:1"),
    Case("in kube-system", _templates(x="apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x, namespace: kube-system}\n"), r"ConfigMap/x in kube-system \(mine/templates/x.yaml\): expected objects in the release's namespace mine only"),
    Case("a hook in kube-system", _templates(x="apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x, namespace: kube-system, annotations: {helm.sh/hook: pre-install}}\n"), "in kube-system"),
    Case("kube-system itself", _templates(x="apiVersion: v1\nkind: Namespace\nmetadata: {name: kube-system}\n"), "kube-system"),
    Case("a hidden list in kube-system", _templates(x="apiVersion: v1\nkind: List\nitems:\n  - {apiVersion: v1, kind: ConfigMap, metadata: {name: x, namespace: kube-system}}\n"), "kube-system"),
    Case("hostPath", _templates(x=POD), r"Pod/x.*hostPath /var/run of the machine"),
    Case("finalizers", _templates(x="apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x, finalizers: [a.b/c]}\n"), "ConfigMap/x.*finalizers a.b/c, which nothing may ever remove"),
    Case("escaping archive", _archive(_member("mine/../../x")), "expected names that stay inside"),
    Case("absolute archive", _archive(_member("/etc/x")), "expected relative names"),
    Case("archive with a link out", _archive(_member("mine/x", tarfile.SYMTYPE, "/etc/passwd")), "expected no links"),
    Case("archive with a hard link", _archive(_member("mine/x", tarfile.LNKTYPE, "mine/Chart.yaml")), "expected no links"),
    Case("archive with a device", _archive(_member("mine/x", tarfile.CHRTYPE)), "expected files and folders only"),
    Case("bomb", _archive(_member("mine/x"), size=200 * 2**20), "expected at most|files of at most"),
    Case("no gzip", lambda folder: _rules(folder, _file(folder / "x.tgz", "x")), "expected a gzipped tar, seen a broken one"),
    Case("empty archive", lambda folder: _rules(folder, _file(folder / "x.tgz", gzip.compress(bytes(1024)))), "seen an empty archive"),
    Case("link out of the folder", _linked("templates/x.yaml", "/etc/passwd"), "templates/x.yaml links to a place outside the chart"),
    Case("link to nothing", _linked("templates/x.yaml", "nope.yaml"), "templates/x.yaml links to nothing"),
    Case("link in a circle", _linked("templates/x", ".."), "links to a folder that it lies in"),
    Case("git option as ref", _git(ref="--upload-pack=touch x"), "expected .*<ref>|another form"),
    Case("git option as repository", _git(repo="--upload-pack=touch${IFS}x"), "expected a git repository|expected a path"),
    Case("git option as path", _git(path="--help"), "expected"),
    Case("git out of the repository", _git(path="../../etc"), "expected a <path> inside the repository"),
    Case("git ext transport", _git(repo="ext::sh -c touch% x"), "seen another transport"),
    Case("git over http", _git(repo="http://example.invalid/x"), "seen http"),
    Case("git without the ref", _git(ref="v9"), "seen no v9 in the repository"),
    Case("git without the path", _git(path="other"), "the path other at main, seen none"),
    Case("unreachable git", _git(repo=f"https://127.0.0.1:{free_port()}/x.git"), "the repository cannot be reached", status=3),
    Case("unreachable registry", lambda folder: _rules(folder, f"oci://127.0.0.1:{free_port()}/charts/mine:1.0.0"), "the registry cannot be reached", status=3),
    Case("unresolvable registry", lambda folder: ["run", "--chart", "oci://registry.invalid/charts/mine:1.0.0"], "the registry cannot be reached", status=3),
    Case("registry of another form", lambda folder: _rules(folder, "oci://user:hunter2-hunter2@host"), r"chart source oci://\*\*\*@host: expected oci://"),
]  # fmt: skip

#: The line of what is written below the small contract.
BELOW = len(CONTRACT.splitlines()) + 1
CONTRACTS = [
    Case("no contract there", lambda folder: ["rules", write_chart(folder / "mine"), "--contract", folder / "nope.yaml"], "nope.yaml: expected a file, seen nothing there"),
    Case("a folder", lambda folder: ["rules", write_chart(folder / "mine"), "--contract", folder], "expected a file, seen a folder"),
    Case("unknown key", _under(CONTRACT + "relase: {}\n"), rf"contract.yaml:{BELOW}: relase: .*did you mean release\?"),
    Case("wrong type", _under(CONTRACT + "services: 7\n"), f"contract.yaml:{BELOW}: services: expected a list, seen 7"),
    Case("not YAML", _under("a: [\n"), "contract.yaml:"),
    Case("missing workload", _under(CONTRACT.replace("name: mine, kind", "name: other, kind")), r"contract.yaml:4: .*expected Deployment/other in the chart's rendering, seen Deployment/mine"),
    Case("missing container", _under(CONTRACT.replace("server", "other")), "contract.yaml:4: .*expected a container other in Deployment/mine"),
    Case("missing Service", _under(CONTRACT + "services:\n  - {name: mine, port: http, probe: {tcp: true}}\n"), "expected Service/mine in the chart's rendering"),
    Case("values above", _under(CONTRACT + "values: {files: [../values.yaml]}\n"), rf"contract.yaml:{BELOW}: values.files\[0\]: expected a path below the contract's folder, seen `..`"),
    Case("example above", _under(CONTRACT + "examples:\n  - {inChart: ../../etc/passwd}\n"), "expected a path inside the chart"),
    Case("alias bomb", _under(ALIASES), "contract.yaml:.*alias"),
    Case("a Secret's value", _under(CONTRACT + "prerequisites: {secrets: [{name: x, keys: [a], data: {a: hunter2-hunter2}}]}\n"), "a Secret's value does not belong in a contract"),
    Case("no chart at all", lambda folder: ["run", "--contract", _contract(folder)], "names no chart: give --chart"),
    Case("no values there", _values(None), "values.yaml: expected a file, seen nothing there"),
    Case("values of no YAML", _values("a: [\n"), "values.yaml: expected YAML, seen: "),
    Case("values in binary", _values(b"\xff\xfe\0"), "values.yaml: expected UTF-8"),
    Case("values of no mapping", _values("- a\n"), "values.yaml: expected a mapping of values, seen list"),
    Case("values of aliases", _values(ALIASES), "values.yaml"),
    Case("values from a device", lambda folder: _rules(folder, write_chart(folder / "mine"), "--values", "/dev/zero"), "/dev/zero: expected a file, seen a device"),
]  # fmt: skip

REPORTS = [
    Case("the root", _report(lambda _: Path("/")), "--report-dir / is the root"),
    Case("not empty", _report(lambda folder: _file(folder / "x" / "y", "").parent), "is not empty"),
    Case("a file", _report(lambda folder: _file(folder / "x", "")), "is no folder"),
    Case("below a file", _report(lambda folder: _file(folder / "x", "") / "y"), "cannot be made: Not a directory"),
    Case("taken by a run that goes on", _report(lambda folder: _file(folder / "x" / "commands.jsonl", "").parent), "is not empty"),
    Case("read-only", _report(lambda _: Path("/proc/x")), "cannot be made"),
    Case("read-only and there", _report(lambda _: Path("/proc/self/task")), "is not (empty|writable)"),
]  # fmt: skip


@pytest.mark.parametrize(
    "case", USAGE + CHARTS + CONTRACTS + REPORTS, ids=lambda case: case.name.replace(" ", "-")
)
def test_refused_in_one_clear_line(refusals: Refusals, case: Case) -> None:
    refusal = refusals[case].result()
    assert "Traceback" not in refusal.said.stdout + refusal.said.stderr
    assert refusal.said.status == case.status, refusal.said
    (line,) = refusal.said.errors
    assert re.match(rf"agents-conformance: .*{case.says}", line), line
    assert line.isprintable()
    assert refusal.said.stdout == ""
    assert refusal.left == []
    assert refusal.processes == []


@pytest.mark.parametrize(
    ("baseline", "relation"), [("0.9.2", "is newer than"), ("0.9.1", "has the same version as")]
)
def test_a_baseline_that_is_not_older_is_allowed_and_said(tmp_path: Path, baseline: str, relation: str) -> None:
    caller = CommandLine(tmp_path)
    said = caller.run("rules", "reference:0.9.1", "--baseline", f"reference:{baseline}")
    assert f"note       the baseline agents {baseline} {relation} the candidate agents 0.9.1" in said.stdout
    assert said.errors == []
    assert said.status in (0, 1)
    assert caller.left() == []
