"""Overlays, without a cluster."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from conformance.chart import Chart, open_chart
from conformance.errors import BadInput, Incomplete
from conformance.gitops import Overlay
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
