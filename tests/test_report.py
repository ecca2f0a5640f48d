import dataclasses
import json
import types
import xml.etree.ElementTree as ET

import pytest

from conformance.checks import Outcome
from conformance.report import files, text
from conformance.report.result import CheckResult, judged, verdict
from conformance.run_report import check_of

CONTEXT = files.Context(
    chart={"name": "c", "version": "1.2.3", "digest": "sha256:0"},
    baseline=None,
    kube_version="1.35.4",
    helm_version="3.22.0",
    tools={"kind": "0.33.0"},
)
AGAIN = "agents-conformance run -k rollback/c --keep-cluster"
PASS, FAIL, INCOMPLETE, DESELECTED = Outcome.PASS, Outcome.FAIL, Outcome.INCOMPLETE, Outcome.DESELECTED


@dataclasses.dataclass(frozen=True)
class Accepting:
    """A contract that accepts what one check finds on one object."""

    id: str
    object: str

    def accepts(self, id_, object_, today):
        return types.SimpleNamespace(reason="planned") if (id_, object_) == (self.id, self.object) else None


def results(a=PASS, b=PASS, c=PASS, d=PASS, **without):
    outcomes = {"render/a": a, "render/b": b, "rollback/c": c, "gitops/d": d}
    return [
        CheckResult(id_, outcome, without=without.get(id_[-1] + "_without")) for id_, outcome in outcomes.items()
    ]


@pytest.mark.parametrize(
    ("given", "outcome", "status", "because"),
    [
        (results(), "pass", 0, ()),
        (results(b=FAIL), "fail", 1, ("render/b",)),
        (results(a=INCOMPLETE, b=FAIL), "fail", 1, ("render/b",)),
        (results(a=INCOMPLETE), "incomplete", 3, ("render/a",)),
        (results(b=INCOMPLETE), "pass", 0, ()),
        (results(c=DESELECTED), "incomplete", 0, ("rollback/c",)),
        (results(d=DESELECTED), "pass", 0, ()),
    ],
)
def test_verdict(registry, given, outcome, status, because):
    decided = verdict(given)
    assert (decided.outcome, decided.exit_status, decided.because) == (outcome, status, because)


def test_a_declared_absence_is_named_and_does_not_count(registry):
    decided = verdict(results(c=DESELECTED, c_without="baseline"))
    assert str(decided) == "pass, without: baseline"
    assert decided.exit_status == 0


def test_accepted_findings_do_not_fail_a_check(registry, finding):
    other = dataclasses.replace(finding, object="Secret/z")

    contract = Accepting("render/a", finding.object)
    assert judged("render/a", [finding], contract, 1.0).outcome is PASS
    assert judged("render/b", [finding], contract, 1.0).outcome is FAIL
    both = judged("render/a", [finding, other], contract, 1.0)
    assert both.outcome is FAIL
    assert [found.accepted for found in both.findings] == ["planned", None]


def test_a_result_survives_the_way_from_worker_to_controller(registry, finding):
    result = CheckResult("render/a", FAIL, 1.5, (finding,), evidence="render-a")
    assert CheckResult.from_json(result.as_json()) == result


def test_report_files(registry, finding, tmp_path):
    accepted = dataclasses.replace(finding, accepted="planned\x07")
    said = [
        CheckResult("render/a", FAIL, 1.0, (finding, accepted)),
        CheckResult("render/b", PASS, 0.5, (accepted,)),
        CheckResult("rollback/c", INCOMPLETE, reason="no engine"),
        CheckResult("gitops/d", DESELECTED),
    ]
    files.write(tmp_path, CONTEXT, said)
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["verdict"] == "fail"
    assert report["summary"] == {"pass": 1, "fail": 1, "incomplete": 1, "deselected": 1}
    assert [check["id"] for check in report["checks"]] == ["render/a", "render/b", "rollback/c", "gitops/d"]
    assert report["checks"][0]["findings"][0]["expected"] == "absent"
    suite = ET.parse(tmp_path / "junit.xml").getroot()[0]
    cases = {case.get("name"): case for case in suite}
    assert set(cases) == {"a", "b", "c"}, "a deselected check is absent"
    assert len(cases["a"].findall("failure")) == 1
    assert cases["c"].find("error").get("type") == "incomplete"
    assert cases["b"].find("failure") is None
    accepted_property = cases["b"].find("properties/property[@name='accepted']")
    assert accepted_property.get("value") == "ConfigMap/x in y: planned�"
    assert (suite.get("failures"), suite.get("errors"), suite.get("tests")) == ("1", "1", "3")


def test_a_failure_fits_a_terminal_and_says_how_to_go_on(registry, finding):
    long = dataclasses.replace(finding, observed="one two three " * 20 + "\nsecond line")
    result = CheckResult("rollback/c", FAIL, 14.2, (long,), evidence="rollback-c")
    lines = list(text.lines_of(result, "report", AGAIN))
    assert all(len(line) <= 80 for line in lines)
    assert lines[0].startswith("FAIL       rollback/c")
    assert lines[0].endswith("14.2 s")
    assert lines[1] == "  ConfigMap/x in y: left over"
    assert "    fix       drop it" in lines
    assert lines[-2:] == [
        "  evidence   report/rollback-c/",
        "  reproduce  agents-conformance run -k rollback/c --keep-cluster",
    ]


def test_a_pass_is_one_line(registry):
    assert len(list(text.lines_of(CheckResult("render/a", PASS, 0.1), "report", AGAIN))) == 1


@pytest.mark.parametrize(
    ("nodeid", "id_"),
    [
        ("scenarios/test_x.py::test_c", "rollback/c"),
        ("test_x.py::test_c@lifecycle", "rollback/c"),
        ("test_rules.py::test_rule[render/a]", "render/a"),
        ("test_rules.py::test_rule[render/a]@rules", "render/a"),
        ("tests/test_x.py::test_other", None),
    ],
)
def test_which_check_a_pytest_node_runs(registry, nodeid, id_):
    assert check_of(nodeid) == id_
