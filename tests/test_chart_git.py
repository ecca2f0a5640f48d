"""Charts from git: by branch, tag and commit; nothing of the repository's or the caller's is run or read."""

from __future__ import annotations

import base64
import http.server
import json
import shutil
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from conformance.chart import Chart, open_chart
from conformance.errors import BadInput, MachineLacks
from conformance.run import Runner

CHART = "apiVersion: v2\nname: app\nversion: {}\n"
SECRET = "p4ssw0rd" + "-canary"
IDENTITY = ("-c", "user.name=Test", "-c", "user.email=test@example.org", "-c", "commit.gpgsign=false")


@pytest.fixture
def runner(tmp_path: Path) -> Runner:
    home = tmp_path / "home"
    home.mkdir()
    return Runner(home, record=tmp_path / "commands.jsonl")


@pytest.fixture(scope="module")
def origin(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository with 1.0.0 tagged `v1`, 1.1.0 on `main`, 2.0.0 on `feat/two`."""
    runner = Runner(tmp_path_factory.mktemp("home"))
    folder = tmp_path_factory.mktemp("origin") / "repo"

    def git(*words: str) -> None:
        runner.run("git", "-C", folder, *IDENTITY, *words, timeout=30)

    runner.run("git", "init", "--quiet", "--initial-branch=main", folder, timeout=30)
    for version, after in (
        ("1.0.0", ("tag", "v1")),
        ("1.1.0", ("checkout", "-q", "-b", "feat/two")),
        ("2.0.0", None),
    ):
        (folder / "charts/app/templates").mkdir(parents=True, exist_ok=True)
        (folder / "charts/app/Chart.yaml").write_text(CHART.format(version))
        (folder / "README.md").write_text(version)
        git("add", "-A")
        git("commit", "-qm", version)
        if after:
            git(*after)
    git("checkout", "-q", "main")
    return folder


@pytest.fixture
def repo(tmp_path: Path, origin: Path) -> Path:
    """A copy of the repository, to be changed."""
    return shutil.copytree(origin, tmp_path / "repo", symlinks=True)


@pytest.fixture
def opened(tmp_path: Path, runner: Runner) -> Callable[[str], Chart]:
    return lambda source: open_chart(source, into=tmp_path / "charts", runner=runner)


def commit(repo: Path, runner: Runner, ref: str) -> str:
    return runner.run("git", "-C", repo, "rev-parse", ref, timeout=30).stdout.strip()


@pytest.mark.parametrize(
    ("ref", "version"),
    [("v1", "1.0.0"), ("main", "1.1.0"), ("feat/two", "2.0.0"), ("HEAD", "1.1.0"), ("HEAD~1", "1.0.0"),
     ("refs/tags/v1", "1.0.0"), ("refs/heads/feat/two", "2.0.0"), ("feat/two~2", "1.0.0"), ("v1^0", "1.0.0")],
)  # fmt: skip
def test_refs(opened: Callable[[str], Chart], repo: Path, ref: str, version: str) -> None:
    chart = opened(f"git:{repo}@{ref}:charts/app")
    assert str(chart.version) == version
    assert [file.name for file in chart.folder.iterdir()] == ["Chart.yaml"]
    assert {file.name for file in chart.folder.parent.iterdir()} == {"app", f"app-{version}.tgz"}


def test_commits_whole_and_short(opened: Callable[[str], Chart], repo: Path, runner: Runner) -> None:
    whole = commit(repo, runner, "v1")
    for ref in (whole, whole[:10]):
        assert str(opened(f"git:{repo}@{ref}:charts/app").version) == "1.0.0"


def test_file_urls_bare_repositories_and_relative_paths(
    opened: Callable[[str], Chart], repo: Path, runner: Runner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runner.run("git", "clone", "-q", "--bare", repo, tmp_path / "bare.git", timeout=30)
    monkeypatch.chdir(tmp_path)
    for source in (f"file://{repo}", "bare.git", "./repo", str(repo / ".git")):
        assert str(opened(f"git:{source}@main:charts/app").version) == "1.1.0"


def test_the_top_of_a_repository_may_be_the_chart(
    opened: Callable[[str], Chart], repo: Path, runner: Runner
) -> None:
    (repo / "Chart.yaml").write_text(CHART.format("3.0.0"))
    runner.run("git", "-C", repo, "add", "-A", timeout=30)
    runner.run("git", "-C", repo, *IDENTITY, "commit", "-qm", "x", timeout=30)
    chart = opened(f"git:{repo}@main:.")
    assert str(chart.version) == "3.0.0"
    assert not (chart.folder / ".git").exists()


@pytest.mark.parametrize(
    ("source", "says"),
    [
        ("git:{repo}@nope:charts/app", "seen no nope in the repository"),
        ("git:{repo}@main~99:charts/app", "seen no main~99 in the repository"),
        ("git:{repo}@0123456789012345678901234567890123456789:charts/app", "seen no 0123456789"),
        ("git:{repo}@main:charts/none", "expected the path charts/none at main, seen none"),
        ("git:{repo}@main:README.md", "expected a chart's folder, seen a file"),
        ("git:{repo}@main:charts", "a folder without one"),
        ("git:{repo}@main:charts/*", "expected the path charts/* at main, seen none"),
        ("git:{repo}/none@main:charts/app", "seen no folder at"),
        ("git:{repo}/charts@main:charts/app", "expected a git repository"),
        ("git:file:///none@main:charts/app", "expected a git repository"),
        ("git:{repo}@--upload-pack=touch:charts/app", "a branch, tag or commit"),
        ("git:--upload-pack=touch@main:charts/app", "seen no folder at"),
        ("git:ext::sh -c touch% owned@main:charts/app", "another transport"),
    ],
)  # fmt: skip
def test_refusals(opened: Callable[[str], Chart], repo: Path, tmp_path: Path, source: str, says: str) -> None:
    with pytest.raises(BadInput) as caught:
        opened(source.format(repo=repo))
    assert says in str(caught.value)
    assert str(caught.value).isprintable()
    assert not (tmp_path / "charts").exists() or not any((tmp_path / "charts").iterdir())


def test_links_out_of_the_repository_are_refused(
    opened: Callable[[str], Chart], repo: Path, runner: Runner
) -> None:
    (repo / "out").symlink_to("/etc")
    (repo / "alias").symlink_to("charts/app")
    (repo / "charts/app/link").symlink_to("../../README.md")
    runner.run("git", "-C", repo, "add", "-A", timeout=30)
    runner.run("git", "-C", repo, *IDENTITY, "commit", "-qm", "links", timeout=30)
    for path, says in (("out", "a place outside the repository"), ("charts/app", "link links to a place outside"),
                       ("alias", "expected a chart's folder")):  # fmt: skip
        with pytest.raises(BadInput, match=says):
            opened(f"git:{repo}@main:{path}")


def test_nothing_of_the_repository_or_the_caller_runs(
    opened: Callable[[str], Chart], repo: Path, runner: Runner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trap = tmp_path / "trap"
    script = f"#!/bin/sh\ntouch {trap}\n"
    template, config = tmp_path / "template", tmp_path / "config"
    for hook in (repo / ".git/hooks/post-checkout", template / "hooks/post-checkout", tmp_path / "filter"):
        hook.parent.mkdir(parents=True, exist_ok=True)
        hook.write_text(script)
        hook.chmod(0o755)
    config.write_text(
        f"[init]\n\ttemplateDir = {template}\n[core]\n\thooksPath = {template}/hooks\n"
        f'[filter "evil"]\n\tsmudge = {tmp_path}/filter\n\tclean = cat\n[credential]\n\thelper = !touch {trap}\n'
    )
    (repo / "charts/app/.gitattributes").write_text("* filter=evil\n")
    (repo / ".gitmodules").write_text('[submodule "x"]\n\tpath = x\n\turl = ext::sh -c touch% trap\n')
    runner.run("git", "-C", repo, "add", "-A", timeout=30)
    runner.run("git", "-C", repo, *IDENTITY, "commit", "-qm", "traps", timeout=30)
    poison = {"GIT_CONFIG_GLOBAL": config, "GIT_TEMPLATE_DIR": template, "GIT_DIR": "/none", "HOME": tmp_path}
    for name, value in poison.items():
        monkeypatch.setenv(name, str(value))
    (tmp_path / ".gitconfig").write_text(config.read_text())
    before = {file: file.read_bytes() for file in repo.rglob("*") if file.is_file()}
    assert opened(f"git:{repo}@main:charts/app").name == "app"
    assert not trap.exists()
    assert before == {file: file.read_bytes() for file in repo.rglob("*") if file.is_file()}


class _Refusing(http.server.BaseHTTPRequestHandler):
    status = 401
    seen: list[str | None] = []  # noqa: RUF012 - one a test

    def do_GET(self) -> None:
        self.seen.append(self.headers.get("Authorization"))
        self.send_response(self.status)
        self.send_header("WWW-Authenticate", 'Basic realm="x"')
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setattr(_Refusing, "seen", [])
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Refusing) as served:
        threading.Thread(target=served.serve_forever, daemon=True).start()
        yield f"127.0.0.1:{served.server_port}"
        served.shutdown()


def test_credentials_reach_the_server_and_nothing_else(
    opened: Callable[[str], Chart], server: str, tmp_path: Path
) -> None:
    with pytest.raises(BadInput, match="expected leave to read the repository") as caught:
        opened(f"git:http://user:{SECRET}@{server}/repo@main:charts/app")
    pair = base64.b64encode(f"user:{SECRET}".encode()).decode()
    assert f"Basic {pair}" in _Refusing.seen
    recorded = (tmp_path / "commands.jsonl").read_text()
    assert "fetch" in recorded
    for text in (recorded, str(caught.value)):
        assert SECRET not in text
        assert pair not in text
    argv = " ".join(word for line in recorded.splitlines() for word in json.loads(line)["command"])
    assert "user" not in argv
    assert not [
        file for file in tmp_path.rglob("*") if file.is_file() and SECRET in file.read_text(errors="replace")
    ]


def test_servers_that_know_no_such_repository(
    opened: Callable[[str], Chart], server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_Refusing, "status", 404)
    with pytest.raises(BadInput, match="expected a git repository, seen"):
        opened(f"git:http://{server}/repo@main:charts/app")


def test_unreachable_repositories_are_the_machines_lack(opened: Callable[[str], Chart], tmp_path: Path) -> None:
    with pytest.raises(MachineLacks, match="the repository cannot be reached"):
        opened("git:http://127.0.0.1:9/repo@main:charts/app")
    assert not any((tmp_path / "charts").iterdir())


def test_a_machine_without_git(tmp_path: Path) -> None:
    (tmp_path / "repo").mkdir()
    with pytest.raises(MachineLacks, match="git: command not found"):
        open_chart(
            f"git:{tmp_path}/repo@v1:c", into=tmp_path / "c", runner=Runner(tmp_path, {"PATH": str(tmp_path)})
        )
