"""Driving releases: what Helm is told, and what is made of its answers. A script stands in for Helm."""

from __future__ import annotations

import json
import tarfile
from pathlib import Path

import pytest

from conformance.errors import MachineLacks
from conformance.helm import Helm, HelmError, InvalidRollbackTarget, Release, ValuesMode, Wait
from conformance.helm.chart_hooks import mentions_post_hooks
from conformance.helm.errors import message_of
from conformance.helm.results import chart_version, moment
from conformance.observe.deadlines import Deadline, Deadlines
from conformance.redact import REDACTOR
from conformance.run import Runner

MANIFEST = """---
# Source: agents/templates/secret.yaml
apiVersion: v1
kind: Secret
metadata: {name: agents}
stringData: {password: manifest-canary}
"""
HOOK = "apiVersion: batch/v1\nkind: Job\nmetadata: {name: migrate, annotations: {helm.sh/hook: '%s'}}\n"
CHART = Path("/charts/agents")


class Stand:
    """A program that answers like Helm: the first file `answers/<n>-<command>` left, else `<command>`."""

    def __init__(self, folder: Path, major: int) -> None:
        self.folder, self.argv = folder, folder / "argv"
        self.program = folder / "helm"
        self.program.write_text(f"""#!/bin/sh
echo "$@" >> {self.argv}
for name in "$1-$2" "$1"; do
  if [ -f "{folder}/$name" ]; then
    cat "{folder}/$name"; [ ! -f "{folder}/$name.err" ] || cat "{folder}/$name.err" >&2
    [ ! -f "{folder}/$name.sleep" ] || sleep 60
    exit $(cat "{folder}/$name.status" 2>/dev/null || echo 0)
  fi
done
echo "Error: release: not found" >&2
exit 1
""")
        self.program.chmod(0o755)
        self.answer("version", f"v{major}.1")

    def answer(self, command: str, text: str, *, status: int = 0, stderr: str = "", sleeps: bool = False) -> None:
        (self.folder / command).write_text(text)
        (self.folder / f"{command}.status").write_text(str(status))
        (self.folder / f"{command}.err").write_text(stderr)
        if sleeps:
            (self.folder / f"{command}.sleep").touch()

    def told(self, command: str) -> list[str]:
        """Return the last command line that began so, in words."""
        lines = [line.split() for line in self.argv.read_text().splitlines() if line.startswith(command)]
        return lines[-1]


def answer(revision: int = 1, hook: str = "pre-install", status: str = "deployed") -> str:
    info = {"status": status, "last_deployed": "2026-01-02T03:04:05.123456789Z", "description": "complete"}
    return json.dumps({
        "name": "agents", "namespace": "ns", "version": revision, "info": info, "manifest": MANIFEST,
        "hooks": [{"manifest": HOOK % hook}], "config": {"password": "value-canary"},
        "chart": {"metadata": {"name": "agents", "version": "0.9.1"}},
    })  # fmt: skip


def row(revision: int, status: str, description: str = "done") -> dict[str, object]:
    return {
        "revision": revision, "updated": "2026-01-02T03:04:05Z", "status": status, "description": description,
        "chart": f"agents-0.9.{revision}",
    }  # fmt: skip


@pytest.fixture(params=[3, 4])
def stand(request: pytest.FixtureRequest, tmp_path: Path) -> Stand:
    return Stand(tmp_path, request.param)


@pytest.fixture
def helm3(tmp_path: Path) -> Stand:
    return Stand(tmp_path, 3)


def release(stand: Stand, **options: object) -> Release:
    kubeconfig = stand.folder / "kubeconfig"
    kubeconfig.write_text("{}")
    runner = Runner(stand.folder / "home", record=stand.folder / "record")
    return Release(Helm(stand.program, runner, kubeconfig), "agents", "ns", **options)


def is_four(stand: Stand) -> bool:
    return (stand.folder / "version").read_text() == "v4.1"


def test_a_deploy_and_what_it_answers(stand: Stand) -> None:
    stand.answer("install", answer())
    done = release(stand).deploy(CHART, [Path("/v/a.yaml"), Path("/v/b,c.yaml")])
    assert (done.revision, done.chart_version, done.status) == (1, "0.9.1", "deployed")
    assert done.deployed_at == moment("2026-01-02T03:04:05.123456Z")
    assert [str(one.key) for one in done.manifest] == ["Secret/agents in ns"]
    assert [(str(one.key), one.hooks) for one in done.hooks] == [("Job/migrate in ns", ("pre-install",))]
    assert stand.told("install") == [
        "install", "agents", str(CHART), "--values", "/v/a.yaml", "--values", '"/v/b,c.yaml"',
        "--wait=watcher" if is_four(stand) else "--wait", "--timeout", "120s", "--output", "json",
        "--namespace", "ns",
    ]  # fmt: skip


def test_values_and_secrets_are_not_recorded(helm3: Stand) -> None:
    helm3.answer("install", answer())
    release(helm3).deploy(CHART)
    record = (helm3.folder / "record").read_text()
    assert "canary" not in record
    assert "install" in record
    assert "manifest-canary" not in REDACTOR.scrub("password: manifest-canary")


def test_helm_has_a_home_and_a_cluster_of_its_own(helm3: Stand) -> None:
    helm3.answer("install", answer())
    release(helm3).deploy(CHART)
    entry = json.loads((helm3.folder / "record").read_text().splitlines()[-1])
    home = str(helm3.folder / "home")
    assert entry["environment"].pop("KUBECONFIG") == str(helm3.folder / "kubeconfig")
    assert len(entry["environment"]) == 8
    assert all(value.startswith(home) for value in entry["environment"].values())


@pytest.mark.parametrize(
    ("options", "three", "four"),
    [
        ({"wait": Wait.NONE}, [], ["--wait=hookOnly"]),
        (
            {"wait": Wait.HELM, "wait_for_jobs": True},
            ["--wait", "--wait-for-jobs"], ["--wait=watcher", "--wait-for-jobs"],
        ),
        ({"wait": Wait.NONE, "undo_on_failure": True}, ["--atomic"], ["--wait=hookOnly", "--rollback-on-failure"]),
        ({"wait": Wait.NONE, "replace": True}, ["--force"], ["--force-replace", "--wait=hookOnly"]),
        ({"wait": Wait.NONE, "mode": ValuesMode.REUSE}, ["--reuse-values"], ["--reuse-values", "--wait=hookOnly"]),
        (
            {"wait": Wait.NONE, "mode": ValuesMode.RESET_THEN_REUSE, "cleanup_on_failure": True, "history_max": 3},
            ["--reset-then-reuse-values", "--cleanup-on-fail", "--history-max", "3"],
            ["--reset-then-reuse-values", "--cleanup-on-fail", "--history-max", "3", "--wait=hookOnly"],
        ),
    ],
)  # fmt: skip
def test_options_of_both_generations(stand: Stand, options: dict, three: list[str], four: list[str]) -> None:
    stand.answer("upgrade", answer(2))
    release(stand).upgrade(CHART, **options)
    assert stand.told("upgrade")[3:-6] == (four if is_four(stand) else three)


def test_the_suite_waits_unless_hooks_follow(
    helm3: Stand, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    waited: list[list[str]] = []
    monkeypatch.setattr(
        "conformance.helm.release.wait_until_ready",
        lambda _api, declared, **_: waited.append([str(one.key) for one in declared]),
    )
    helm3.answer("install", answer())
    helm3.answer("rollback", "")
    helm3.answer("status", answer(3, hook="post-rollback"))
    driven, chart = release(helm3, api=object()), tmp_path / "chart"
    chart.mkdir()
    driven.deploy(chart)
    assert "--wait" not in helm3.told("install")
    assert waited == [["Secret/agents in ns"]]
    driven.rollback(to=1)
    assert "--wait" not in helm3.told("rollback")
    driven.deploy(chart, undo_on_failure=True)
    assert "--wait" in helm3.told("install")
    driven.rollback(to=3)
    assert "--wait" in helm3.told("rollback")
    (chart / "job.yaml").write_text('annotations: {"helm.sh/hook": post-install}')
    driven.deploy(chart)
    assert "--wait" in helm3.told("install")
    assert len(waited) == 2


def test_a_rollback_writes_over_others_where_asked(stand: Stand) -> None:
    stand.answer("history", json.dumps([row(1, "superseded"), row(2, "deployed")]))
    stand.answer("rollback", "Rollback was a success!")
    stand.answer("status", answer(3))
    release(stand).rollback(to=1, wait=Wait.NONE, take_over=True)
    assert ("--force-conflicts" in stand.told("rollback")) is is_four(stand)


def test_a_rollback_goes_to_the_last_good_revision(stand: Stand) -> None:
    rows = [row(1, "superseded"), row(2, "failed"), row(3, "deployed"), row(4, "failed"), row(5, "failed")]
    stand.answer("history", json.dumps(rows))
    stand.answer("rollback", "Rollback was a success!")
    stand.answer("status", answer(6))
    done = release(stand).rollback()
    assert stand.told("rollback")[:3] == ["rollback", "agents", "3"]
    assert (done.revision, done.chart_version) == (6, "0.9.3")


@pytest.mark.parametrize(
    ("target", "reason"),
    [
        (2, "it is failed: broke"), (3, "it is pending-upgrade: done"),
        (7, "the history holds revisions 1, 2, 3"),
    ],
)  # fmt: skip
def test_bad_rollback_targets_are_refused(helm3: Stand, target: int, reason: str) -> None:
    rows = [row(1, "superseded"), row(2, "failed", "broke"), row(3, "pending-upgrade")]
    helm3.answer("history", json.dumps(rows))
    with pytest.raises(InvalidRollbackTarget) as caught:
        release(helm3).validate_rollback_target(target)
    assert caught.value.reason == reason
    assert release(helm3).validate_rollback_target(1).status == "superseded"


def test_no_good_revision_is_left(helm3: Stand) -> None:
    helm3.answer("history", json.dumps([row(1, "failed"), row(2, "deployed")]))
    with pytest.raises(InvalidRollbackTarget, match="no earlier revision is good"):
        release(helm3).rollback()


def test_a_failure_has_helms_message_and_what_is_left(stand: Stand) -> None:
    noise = 'level=ERROR msg="x"\nI0102 03:04:05.1 client.go] throttled\n'
    said = f"{noise}Error: UPGRADE FAILED: 2 errors:\n\t* a\n\t* b\n"
    stand.answer("upgrade", "", status=1, stderr=said)
    stand.answer("history", json.dumps([row(1, "superseded"), row(2, "failed")]))
    with pytest.raises(HelmError) as caught:
        release(stand).upgrade(CHART)
    assert caught.value.operation == "upgrade"
    assert caught.value.message == "UPGRADE FAILED: 2 errors:\n\t* a\n\t* b"
    assert caught.value.release_status == "failed"
    assert f"{stand.program} upgrade agents {CHART}" in caught.value.command


def test_a_helm_that_does_not_end_is_a_failure_too(helm3: Stand) -> None:
    helm3.answer("upgrade", "", sleeps=True)
    helm3.answer("history", json.dumps([row(2, "pending-upgrade")]))
    deadlines = Deadlines(helm_operation=Deadline(0, "a test", "x"), helm_answer=Deadline(1, "a test", "x"))
    with pytest.raises(HelmError, match="did not end within") as caught:
        release(helm3, deadlines=deadlines).upgrade(CHART)
    assert caught.value.release_status == "pending-upgrade"


def test_no_release_is_no_error_where_one_asks(helm3: Stand) -> None:
    driven = release(helm3)
    assert driven.status() is None
    assert driven.history() == []
    with pytest.raises(HelmError, match="delete failed: release: not found"):
        driven.delete()


def test_manifest_and_hooks_of_a_revision(helm3: Stand) -> None:
    helm3.answer("get-manifest", MANIFEST)
    helm3.answer("get-hooks", HOOK % "post-install,post-upgrade")
    driven = release(helm3)
    assert [one.name for one in driven.manifest(2)] == ["agents"]
    assert helm3.told("get manifest")[3:5] == ["--revision", "2"]
    assert [one.hooks for one in driven.hooks()] == [("post-install", "post-upgrade")]
    assert "--revision" not in helm3.told("get hooks")


def test_an_unknown_generation_is_what_the_machine_lacks(tmp_path: Path) -> None:
    with pytest.raises(MachineLacks, match="expected Helm 3 or 4, seen version v2"):
        _ = release(Stand(tmp_path, 2)).helm.major


@pytest.mark.parametrize(
    ("chart", "version"),
    [("agents-0.9.1", "0.9.1"), ("a-b-1.0.0-rc.1", "1.0.0-rc.1"), ("a-1.0.0-2.0.0", "1.0.0-2.0.0"), ("x", "x")],
)
def test_chart_versions(chart: str, version: str) -> None:
    assert chart_version(chart) == version


def test_messages_without_an_error_line() -> None:
    assert message_of("panic: x\n") == "panic: x"
    assert message_of("") == "it said nothing"


def test_post_hooks_are_found_in_archives_and_subcharts(tmp_path: Path) -> None:
    inner, chart = tmp_path / "inner", tmp_path / "chart"
    for folder in (inner, chart / "charts", chart / "templates"):
        folder.mkdir(parents=True)
    (inner / "job.yaml").write_text("helm.sh/hook: pre-install,post-upgrade")
    (chart / "templates" / "a.yaml").write_text("helm.sh/hook: pre-install")
    assert not mentions_post_hooks(chart)
    with tarfile.open(chart / "charts" / "sub.tgz", "w:gz") as archive:
        archive.add(inner, "sub")
    assert mentions_post_hooks(chart)
    with tarfile.open(tmp_path / "chart.tgz", "w:gz") as archive:
        archive.add(chart, "chart")
    assert mentions_post_hooks(tmp_path / "chart.tgz")
