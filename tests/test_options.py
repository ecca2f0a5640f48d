from pathlib import Path

import pytest

from conformance.errors import BadInput
from conformance.options import Options, report_folder
from conformance.redact import REDACTOR


def test_a_run_is_reproduced_with_its_own_options():
    options = Options(chart="charts/my chart", values=(Path("a.yaml"), Path("b.yaml")), helm=4)
    assert options.reproducing("run", "render/x") == (
        "agents-conformance run --chart 'charts/my chart' --helm 4 --values a.yaml --values b.yaml "
        "-k render/x --keep-cluster"
    )
    assert options.reproducing("rules").startswith("agents-conformance rules 'charts/my chart' --helm 4")
    assert Options().reproducing("run", "render/x") == "agents-conformance run -k render/x --keep-cluster"


def test_credentials_are_not_reproduced():
    REDACTOR.add("hunter2-the-password")
    said = Options(chart="oci://me:hunter2-the-password@registry.example/c:1.0.0").reproducing("run")
    assert "hunter2" not in said


def test_pytest_gets_the_same_options():
    options = Options(Path("c.yaml"), "x", None, (Path("v.yaml"),), "1.34", 4, Path("r"), True, False)
    assert options.as_pytest() == [
        "--contract=c.yaml", "--chart=x", "--kube-version=1.34", "--helm=4", "--report-dir=r", "--values=v.yaml",
        "--keep-cluster", "--no-install-engine",
    ]  # fmt: skip


def test_the_report_goes_to_the_next_free_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "report-2").touch()
    with report_folder(None) as first, report_folder(None) as second:
        assert (first, second) == (tmp_path / "report", tmp_path / "report-3")
        (first / "report.json").touch()
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["report", "report-2", "report.json"]


def test_a_report_folder_to_which_nothing_is_written_is_as_it_was_before(tmp_path):
    (tmp_path / "mine").mkdir()
    for asked in (tmp_path / "mine", tmp_path / "new" / "deep"):
        with report_folder(asked) as folder:
            assert folder.is_dir()
    assert list(tmp_path.rglob("*")) == [tmp_path / "mine"]


def test_two_runs_cannot_have_one_report_folder(tmp_path):
    with report_folder(tmp_path), pytest.raises(BadInput, match="not empty"), report_folder(tmp_path):
        pass
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("made", "why"), [("full", "not empty"), ("file", "no folder"), ("file/below", "cannot be made")]
)
def test_a_report_folder_that_will_not_do_is_left_alone(tmp_path, made, why):
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "x").write_text("precious")
    (tmp_path / "file").write_text("precious")
    with pytest.raises(BadInput, match=why), report_folder(tmp_path / made):
        pass
    assert (tmp_path / "full" / "x").read_text() == (tmp_path / "file").read_text() == "precious"


def test_the_root_is_no_report_folder():
    with pytest.raises(BadInput, match="root of the file system"), report_folder(Path("/")):
        pass
