"""The reference chart's versions and mutants."""

from __future__ import annotations

import difflib
from pathlib import Path

import pytest

from conformance.chart import Chart, open_chart, reference_chart
from conformance.chart.reference import versions
from conformance.errors import BadInput, CommandFailed
from conformance.run import Runner


@pytest.fixture
def runner(tmp_path: Path) -> Runner:
    return Runner(tmp_path)


def test_versions_are_the_first_and_its_patches() -> None:
    assert versions() == ["0.9.0", "0.9.1", "0.9.2"]


@pytest.mark.parametrize("version", ["0.9.0", "0.9.1", "0.9.2"])
def test_each_version_is_what_it_says(tmp_path: Path, runner: Runner, version: str) -> None:
    chart = open_chart(f"reference:{version}", into=tmp_path / "charts", runner=runner)
    assert (chart.name, str(chart.version), chart.app_version) == ("agents", version, version)
    assert chart.source == f"reference:{version}"
    assert reference_chart(version, tmp_path / "more", runner).digest == chart.digest


def test_versions_differ(tmp_path: Path, runner: Runner) -> None:
    charts = [open_chart(f"reference:{version}", into=tmp_path, runner=runner) for version in versions()]
    assert len({chart.digest for chart in charts}) == len(charts)


@pytest.mark.parametrize("version", ["0.9.3", "", "latest", "../0.9.0", "v0.9.0"])
def test_unknown_versions(tmp_path: Path, runner: Runner, version: str) -> None:
    with pytest.raises(BadInput, match=r"expected one of 0\.9\.0, 0\.9\.1, 0\.9\.2"):
        open_chart(f"reference:{version}", into=tmp_path / "charts", runner=runner)
    assert not any((tmp_path / "charts").iterdir())


def mutant(folder: Path, values: str) -> Path:
    """Write a patch that changes the first line of values.yaml."""
    lines = values.splitlines(keepends=True)
    changed = ["changed: true\n", *lines[1:]]
    folder.mkdir()
    (folder / "chart.patch").write_text(
        "".join(difflib.unified_diff(lines, changed, "a/values.yaml", "b/values.yaml"))
    )
    return folder / "chart.patch"


def test_a_mutant_is_a_version_with_one_more_patch(tmp_path: Path, runner: Runner) -> None:
    whole = reference_chart("0.9.2", tmp_path / "charts", runner)
    patch = mutant(tmp_path / "broken", (whole.folder / "values.yaml").read_text())
    chart = reference_chart("0.9.2", tmp_path / "charts", runner, patch)
    assert (chart.folder / "values.yaml").read_text().splitlines()[0] == "changed: true"
    assert chart.source == "reference:0.9.2 with broken/chart.patch"
    assert chart.digest != whole.digest


def test_a_patch_that_does_not_fit(tmp_path: Path, runner: Runner) -> None:
    with pytest.raises(CommandFailed, match="patch does not apply"):
        reference_chart("0.9.2", tmp_path / "charts", runner, mutant(tmp_path / "broken", "no such\nlines\n"))
    assert not any((tmp_path / "charts").iterdir())


def test_it_also_applies_inside_a_repository(tmp_path: Path, runner: Runner) -> None:
    runner.run("git", "init", "--quiet", tmp_path / "repo", timeout=30)

    def opened(into: Path) -> Chart:
        return open_chart("reference:0.9.2", into=into, runner=runner)

    assert opened(tmp_path / "repo/deep/charts").digest == opened(tmp_path / "outside").digest
