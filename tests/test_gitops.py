"""Commits, overlays and Applications, without a cluster."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from conformance.chart import Chart, open_chart
from conformance.errors import BadInput, Incomplete
from conformance.gitops import Application, Overlay, Repository
from conformance.gitops.application import REFRESH, of_repository
from conformance.gitops.argocd import _core_install, _git_server
from conformance.provision import ArgoCd
from conformance.run import Runner

APPLICATION = {
    "apiVersion": "argoproj.io/v1alpha1",
    "kind": "Application",
    "metadata": {"name": "shop", "namespace": "argocd", "finalizers": ["resources-finalizer.argocd.argoproj.io"]},
    "spec": {
        "project": "sales",
        "source": {"repoURL": "https://git.example.org/x.git", "path": "deploy/shop", "targetRevision": "v1"},
        "destination": {"name": "production", "namespace": "shop"},
        "syncPolicy": {"automated": {"prune": True}},
    },
}


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    return Repository(Runner(tmp_path), tmp_path / "served.git", tmp_path / "tree")


@pytest.fixture
def chart(tmp_path: Path) -> Chart:
    source = tmp_path / "shop"
    (source / "templates").mkdir(parents=True)
    (source / "Chart.yaml").write_text("apiVersion: v2\nname: shop\nversion: 1.5.0\n")
    (source / "templates" / "a.yaml").write_text("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n")
    return open_chart(str(source), into=tmp_path / "opened", runner=Runner(tmp_path))


def overlay(folder: Path, **kustomization: object) -> Overlay:
    folder.mkdir()
    (folder / "application.yaml").write_text(yaml.safe_dump(APPLICATION))
    entry = {"name": "shop", "version": "1.0.0", "repo": "https://charts.example.org", "valuesFile": "values.yaml"}
    said = {"helmCharts": [entry], **kustomization}
    (folder / "kustomization.yaml").write_text(yaml.safe_dump(said))
    (folder / "values.yaml").write_text("web: {replicas: 3, image: {tag: old}}\n")
    return Overlay(folder)


def write(name: str, text: str):
    return lambda tree: (tree / name).write_text(text)


def test_a_revert_restores_what_was_before(repository):
    first = repository.commit("first", write("a", "1"))
    second = repository.commit("second", write("a", "2"))
    repository.tag("v2", second)
    reverted = repository.revert(second)
    assert (repository.tree / "a").read_text() == "1"
    assert [commit.subject for commit in repository.history()] == ['Revert "second"', "second", "first"]
    assert repository.head() == reverted
    assert repository.history()[2] == first


def test_an_empty_commit_is_one(repository):
    first = repository.commit("first", lambda _: None)
    assert repository.commit("second", lambda _: None).id != first.id


def test_everybody_may_read_what_is_served(repository):
    repository.commit("first", write("a", "1"))
    for path in (repository.served, *repository.served.rglob("*")):
        assert path.stat().st_mode & (0o005 if path.is_dir() else 0o004), path


def test_nothing_of_the_caller_decides(tmp_path, repository, monkeypatch):
    hook = tmp_path / "hooks" / "pre-commit"
    hook.parent.mkdir()
    hook.write_text("#!/bin/sh\nexit 1\n")
    hook.chmod(0o755)
    config = tmp_path / ".gitconfig"
    config.write_text(f"[core]\n\thooksPath = {hook.parent}\n[user]\n\tname = someone\n")
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(config))
    assert repository.commit("first", write("a", "1")).subject == "first"


def test_the_overlay_is_written_as_argo_cd_finds_it(tmp_path, chart):
    tree = tmp_path / "tree"
    written = overlay(tmp_path / "overlay", helmGlobals={"chartHome": "../../charts"})
    written.write(tree, chart, {"web": {"image": {"tag": "new"}}})
    said = yaml.safe_load((tree / "deploy/shop/kustomization.yaml").read_text())
    assert said["helmCharts"][0] == {"name": "shop", "version": "1.5.0", "valuesFile": "values.yaml"}
    assert yaml.safe_load((tree / "deploy/shop/values.yaml").read_text()) == {
        "web": {"replicas": 3, "image": {"tag": "new"}}
    }
    assert (tree / "charts/shop/Chart.yaml").is_file()


def test_what_another_version_left_is_gone(tmp_path, chart):
    tree = tmp_path / "tree"
    written = overlay(tmp_path / "overlay")
    for left in ("deploy/shop/old.yaml", "deploy/shop/charts/shop/old.yaml"):
        (tree / left).parent.mkdir(parents=True, exist_ok=True)
        (tree / left).touch()
    written.write(tree, chart, {})
    files = {str(path.relative_to(tree)) for path in tree.rglob("*") if path.is_file()}
    assert files == {
        f"deploy/shop/{name}"
        for name in (
            "application.yaml", "kustomization.yaml", "values.yaml", "charts/shop/Chart.yaml",
            "charts/shop/templates/a.yaml",
        )
    }  # fmt: skip


def test_a_copy_of_the_chart_in_the_overlay_stays(tmp_path, chart):
    written = overlay(tmp_path / "overlay")
    copy = written.folder / "charts" / "shop"
    copy.mkdir(parents=True)
    (copy / "Chart.yaml").write_text("name: shop\nversion: 1.0.0\n")
    written.write(tmp_path / "tree", chart, {})
    assert "1.0.0" in (tmp_path / "tree/deploy/shop/charts/shop/Chart.yaml").read_text()


@pytest.mark.parametrize("home", ["../../../charts", "/charts"])
def test_a_chart_outside_the_repository_is_refused(tmp_path, home):
    with pytest.raises(BadInput, match="inside the repository"):
        overlay(tmp_path / "overlay", helmGlobals={"chartHome": home}).chart_place("shop")


def test_an_overlay_without_the_chart_is_incomplete(tmp_path):
    with pytest.raises(Incomplete, match="helmCharts entry named other"):
        overlay(tmp_path / "overlay").inflation("other")


def test_the_application_runs_on_the_suites_repository():
    made = of_repository(APPLICATION, url="git://git/x.git", branch="main", namespace="own")
    assert made["metadata"] == {"name": "shop", "namespace": "own"}
    assert made["spec"] == {
        "project": "default",
        "source": {"repoURL": "git://git/x.git", "path": "deploy/shop", "targetRevision": "main"},
        "destination": {"server": "https://kubernetes.default.svc", "namespace": "shop"},
        "syncPolicy": {"automated": {"prune": True}},
    }


def application(annotations: dict[str, str] | None = None, **status: object) -> Application:
    settled = {
        "sync": {"status": "Synced", "revision": "abc"},
        "health": {"status": "Healthy"},
        "operationState": {"phase": "Succeeded", "syncResult": {"revision": "abc"}},
        "history": [{"id": 0, "revision": "abc"}],
    }
    metadata = {"name": "shop", "annotations": annotations or {}}
    return Application({"metadata": metadata, "spec": {}, "status": {**settled, **status}})


def resource(**fields: object) -> dict[str, object]:
    return {"kind": "Service", "name": "web", "namespace": "shop", "status": "Synced", **fields}


@pytest.mark.parametrize(
    ("seen", "said"),
    [
        (application(), None),
        (application({REFRESH: "normal"}), "has not compared"),
        (application(sync={"status": "Synced", "revision": "old"}), "has not compared"),
        (application(operationState={"phase": "Running", "message": "waiting for web"}), "waiting for web"),
        (
            application(sync={"status": "OutOfSync", "revision": "abc"}, resources=[resource(status="OutOfSync")]),
            "OutOfSync: Service/web in shop OutOfSync",
        ),
        (
            application(
                health={"status": "Degraded"},
                resources=[resource(health={"status": "Degraded", "message": "why"})],
            ),
            "Degraded: Service/web in shop Degraded why",
        ),
        (
            application(
                sync={"status": "Unknown", "revision": "abc"},
                conditions=[{"type": "ComparisonError", "message": "no such chart"}],
            ),
            "ComparisonError: no such chart",
        ),
    ],
)
def test_what_keeps_an_application_from_being_settled(seen, said):
    found = seen.unlike("abc")
    assert found is None if said is None else said in found


def test_the_core_install_is_fitted(tmp_path):
    pod = {
        "initContainers": [{"name": "copy"}],
        "containers": [
            {"name": "server", "args": ["/bin/argocd-repo-server", "--x"], "readinessProbe": {"periodSeconds": 10}}
        ],
    }
    manifests = tmp_path / "core.yaml"
    manifests.write_text(
        yaml.safe_dump_all(
            [
                {"kind": "Deployment", "metadata": {"name": "s"}, "spec": {"template": {"spec": pod}}},
                {"kind": "ClusterRoleBinding", "metadata": {"name": "b"}, "subjects": [{"namespace": "argocd"}]},
                {"kind": "NetworkPolicy", "metadata": {"name": "n"}},
                {"kind": "ConfigMap", "metadata": {"name": "argocd-cm"}},
                {"kind": "Deployment", "metadata": {"name": "argocd-applicationset-controller"}},
            ]
        )
    )
    made = {body["metadata"]["name"]: body for body in _core_install(ArgoCd("i", "r", manifests), "own")}
    assert made.keys() == {"argocd-redis", "s", "b", "argocd-cm"}
    assert made["b"]["subjects"] == [{"namespace": "own"}]
    assert "namespace" not in made["b"]["metadata"]
    assert made["argocd-cm"]["data"]["kustomize.buildOptions"] == "--enable-helm"
    fitted = made["s"]["spec"]["template"]["spec"]
    assert "initContainers" not in fitted
    (container,) = fitted["containers"]
    assert (container["image"], container["command"], container["args"]) == (
        "i",
        ["/bin/argocd-repo-server"],
        ["--x"],
    )
    assert container["readinessProbe"]["periodSeconds"] == 1


def test_git_is_served_read_only():
    service, deployment = _git_server("i", "own", "/srv")
    pod = deployment["spec"]["template"]["spec"]
    assert service["spec"]["selector"] == deployment["spec"]["template"]["metadata"]["labels"]
    assert all(mount["readOnly"] for mount in pod["containers"][0]["volumeMounts"])
    assert "--enable=receive-pack" not in pod["containers"][0]["command"]


def test_a_sync_that_failed_for_good_is_waited_for_no_longer():
    state = {"phase": "Failed", "message": "invalid", "syncResult": {"revision": "abc"}}
    assert "could not sync: invalid" in (application(operationState=state).failed("abc") or "")
    assert application(operationState=state).failed("newer") is None
    assert application(operationState={**state, "phase": "Running"}).failed("abc") is None
    assert application().failed("abc") is None


def test_without_pruning_nobody_waits_for_what_is_to_be_pruned():
    seen = application(resources=[resource(status="OutOfSync", requiresPruning=True)])
    unpruned = Application({**seen.body, "spec": {"syncPolicy": {"automated": {"prune": False}}}})
    assert "does not prune what is no longer declared: Service/web" in (unpruned.failed("abc") or "")
    pruned = Application({**seen.body, "spec": {"syncPolicy": {"automated": {"prune": True}}}})
    assert pruned.failed("abc") is None
