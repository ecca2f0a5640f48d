"""Chart.yaml: what Helm could not install is refused with file and line."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import pytest

from conformance.chart.metadata import read_metadata
from conformance.errors import BadInput

GOOD = "apiVersion: v2\nname: app\nversion: 1.2.3\n"


def folder(path: Path, chart: str | bytes, **files: str) -> Path:
    (path / "Chart.yaml").write_bytes(chart if isinstance(chart, bytes) else chart.encode())
    for name, text in files.items():
        (path / f"{name}.yaml").write_text(text)
    return path


@pytest.mark.parametrize("version", ["1.2.3", "0.0.0", "1.2.3-rc.1", "1.2.3+build.5", "1.0.0-alpha-a.b+x"])
@pytest.mark.parametrize("form", ["{}", '"{}"', "'{}'", "{}  # comment"])
def test_versions(tmp_path: Path, version: str, form: str) -> None:
    found = read_metadata(folder(tmp_path, GOOD.replace("1.2.3", form.format(version))), "c")
    assert str(found.version) == version


@pytest.mark.parametrize(
    ("written", "read"),
    [('"1.10"', "1.10"), ("1.10", "1.10"), ("0777", "0777"), ("1e3", "1e3"), ("2026-01-01", "2026-01-01"),
     ("~", None), ("[1]", None)],
)  # fmt: skip
def test_an_app_version_is_as_written(tmp_path: Path, written: str, read: str | None) -> None:
    assert read_metadata(folder(tmp_path, f"{GOOD}appVersion: {written}\n"), "c").app_version == read


@pytest.mark.parametrize(
    ("chart", "says"),
    [
        ("", "Chart.yaml:1: expected a YAML mapping, seen an empty file"),
        ("just text", "Chart.yaml:1: expected a mapping with `name` and `version`, seen text"),
        ("- a\n- b\n", "Chart.yaml:1: expected a mapping with `name` and `version`, seen a list"),
        ("name: [app\n", "Chart.yaml:2: expected YAML"),
        ("a: b: c\n", "Chart.yaml:1: expected YAML"),
        ("name: app\n\tversion: 1\n", "Chart.yaml:2: expected YAML"),
        (b"name: \xff\n", "Chart.yaml:1: expected UTF-8"),
        (b"\x00", "Chart.yaml:1: expected YAML"),
        (b"a" * 600_000, "Chart.yaml: expected at most 512 KiB"),
        ("[" * 5000, "levels of nesting"),
        ("version: 1.2.3\n", "Chart.yaml:1: name: expected the chart's name, seen nothing"),
        ("name: app\n", "Chart.yaml:1: version: expected the chart's version, seen nothing"),
        ("name:\nversion: 1.2.3\n", "Chart.yaml:1: name: expected the chart's name, seen nothing"),
        ("name: app\nversion: {a: 1}\n", "Chart.yaml:2: version: expected the chart's version"),
        ("name: ../evil\nversion: 1.2.3\n", "Chart.yaml:1: name: expected a chart's name"),
        ("name: ..\nversion: 1.2.3\n", "Chart.yaml:1: name: expected a chart's name"),
        ("name: a/b\nversion: 1.2.3\n", "Chart.yaml:1: name: expected a chart's name"),
        ("name: -a\nversion: 1.2.3\n", "Chart.yaml:1: name: expected a chart's name"),
        ('name: "a\\nb"\nversion: 1.2.3\n', "Chart.yaml:1: name: expected a chart's name"),
        (GOOD + "type: library\n", "Chart.yaml:4: type: expected a chart that can be installed"),
        (GOOD + "type: plugin\n", "Chart.yaml:4: type: expected application or library, seen plugin"),
        (GOOD + "dependencies: redis\n", "Chart.yaml:4: dependencies: expected a list"),
        (GOOD + "dependencies:\n  - redis\n", "Chart.yaml:5: dependencies[0]: expected a mapping with `name`"),
        (GOOD + "dependencies:\n  - name: redis\n    repository: https://x\n",
         "Chart.yaml:5: dependencies[0].name: expected the subchart redis under charts/"),
    ],
)  # fmt: skip
def test_refusals(tmp_path: Path, chart: str | bytes, says: str) -> None:
    with pytest.raises(BadInput) as caught:
        read_metadata(folder(tmp_path, chart), "c")
    assert says in str(caught.value)
    assert str(caught.value).startswith("chart c: ")
    assert str(caught.value).isprintable()


@pytest.mark.parametrize(
    "version",
    ["v1.2.3", "1.2", "1", "new", "1.2.3.4", "01.2.3", "1.2.3-", "1.2.3-01", "1.2.x", "1.2.3 4", "-1.2.3", "1_0"],
)  # fmt: skip
def test_versions_that_are_not_semver(tmp_path: Path, version: str) -> None:
    with pytest.raises(BadInput, match=r"Chart\.yaml:3: version: expected a SemVer 2 version"):
        read_metadata(folder(tmp_path, GOOD.replace("1.2.3", version)), "c")


def subchart(path: Path, name: str) -> None:
    path.parent.mkdir(exist_ok=True)
    text = f"name: {name}\nversion: 1.0.0\n"
    if path.suffix == ".tgz":
        with tarfile.open(path, "w:gz") as packed:
            for inside in ("sub/templates/x/Chart.yaml", "sub/Chart.yaml"):
                entry = tarfile.TarInfo(inside)
                entry.size = len(text)
                packed.addfile(entry, io.BytesIO(text.encode()))
    else:
        path.mkdir()
        (path / "Chart.yaml").write_text(text)


@pytest.mark.parametrize("file", ["charts/redis", "charts/redis-17.0.0.tgz", "charts/other-folder"])
def test_vendored_dependencies(tmp_path: Path, file: str) -> None:
    folder(tmp_path, GOOD + "dependencies:\n  - name: redis\n    condition: redis.enabled\n")
    subchart(tmp_path / file, "redis")
    assert read_metadata(tmp_path, "c").name == "app"


@pytest.mark.parametrize("file", ["charts/_redis", "charts/.redis", "charts/redis.zip"])
def test_dependencies_that_helm_would_not_find(tmp_path: Path, file: str) -> None:
    folder(tmp_path, GOOD + "dependencies:\n  - name: redis\n")
    subchart(tmp_path / file, "redis" if file != "charts/redis.zip" else "other")
    with pytest.raises(BadInput, match="the subchart redis under charts/"):
        read_metadata(tmp_path, "c")


def test_requirements_of_the_first_chart_version(tmp_path: Path) -> None:
    requirements = "dependencies:\n  - name: redis\n"
    folder(tmp_path, "name: app\nversion: 1.2.3\n", requirements=requirements)
    with pytest.raises(
        BadInput, match=r"requirements\.yaml:2: dependencies\[0\]\.name: expected the subchart redis"
    ):
        read_metadata(tmp_path, "c")
    subchart(tmp_path / "charts" / "redis", "redis")
    assert read_metadata(tmp_path, "c").name == "app"
    folder(tmp_path, GOOD, requirements=requirements.replace("redis", "ignored-by-v2"))
    assert read_metadata(tmp_path, "c").name == "app"


def test_a_broken_subchart_has_no_name(tmp_path: Path) -> None:
    folder(tmp_path, GOOD + "dependencies:\n  - name: redis\n")
    (tmp_path / "charts" / "redis").mkdir(parents=True)
    (tmp_path / "charts" / "redis" / "Chart.yaml").write_text("name: [")
    with pytest.raises(BadInput, match="the subchart redis"):
        read_metadata(tmp_path, "c")
