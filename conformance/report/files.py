"""The files of a report: `report.json` for programs, `junit.xml` for CI."""

from __future__ import annotations

import dataclasses
import json
import xml.etree.ElementTree as ET
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import conformance
from conformance.checks import Outcome
from conformance.evidence.write import write_text
from conformance.report.result import CheckResult, verdict

API_VERSION = "conformance.report/v1"


@dataclass(frozen=True)
class Context:
    """What was judged and with what, as `report.json` states it."""

    chart: Mapping[str, str]
    baseline: Mapping[str, str] | None
    kube_version: str
    helm_version: str
    tools: Mapping[str, str]
    notes: tuple[str, ...] = ()


def write(folder: Path, context: Context, results: Sequence[CheckResult], *, interrupted: bool = False) -> None:
    """Write `report.json` and `junit.xml` into an existing folder, secrets redacted."""
    write_text(
        folder / "report.json", json.dumps(as_json(context, results, interrupted=interrupted), indent=2) + "\n"
    )
    write_text(folder / "junit.xml", as_junit(context, results))


def as_json(context: Context, results: Sequence[CheckResult], *, interrupted: bool = False) -> dict[str, Any]:
    """Return the content of `report.json`."""
    decided = verdict(results)
    counted = Counter(result.outcome for result in results)
    return {
        "apiVersion": API_VERSION,
        "suite": {"version": conformance.__version__},
        "chart": dict(context.chart),
        "baseline": dict(context.baseline) if context.baseline else None,
        "kubeVersion": context.kube_version,
        "helmVersion": context.helm_version,
        "tools": dict(context.tools),
        "notes": list(context.notes),
        "interrupted": interrupted,
        "verdict": str(decided.outcome),
        "without": list(decided.without),
        "because": list(decided.because),
        "summary": {str(outcome): counted[outcome] for outcome in Outcome},
        "checks": [_check(result) for result in results],
    }


def _check(result: CheckResult) -> dict[str, Any]:
    check = result.check
    said = {
        "id": check.id,
        "level": str(check.level),
        "seed": check.seed,
        "outcome": str(result.outcome),
        "seconds": round(result.seconds, 3),
        "findings": [dataclasses.asdict(finding) for finding in result.findings],
    }
    optional = {"reason": result.reason, "without": result.without, "evidence": result.evidence}
    return said | {name: value for name, value in optional.items() if value}


def as_junit(context: Context, results: Sequence[CheckResult]) -> str:
    """Return the content of `junit.xml`.

    A failed check is a failure, an incomplete one an error of type `incomplete` (red, never a quiet skip), a
    deselected one is absent, an accepted finding a property of its check.
    """
    shown = [result for result in results if result.outcome is not Outcome.DESELECTED]
    counted = Counter(result.outcome for result in shown)
    suite = ET.Element(
        "testsuite",
        name=f"{context.chart['name']} {context.chart['version']}",
        tests=str(len(shown)),
        failures=str(counted[Outcome.FAIL]),
        errors=str(counted[Outcome.INCOMPLETE]),
        skipped="0",
        time=f"{sum(result.seconds for result in shown):.3f}",
    )
    for result in shown:
        area, _, proves = result.id.partition("/")
        case = ET.SubElement(suite, "testcase", classname=area, name=proves, time=f"{result.seconds:.3f}")
        properties = ET.SubElement(case, "properties")
        ET.SubElement(properties, "property", name="level", value=str(result.check.level))
        for finding in result.findings:
            if finding.accepted is not None:
                said = f"{_printable(finding.object)}: {_printable(finding.accepted)}"
                ET.SubElement(properties, "property", name="accepted", value=said)
        standing = [finding for finding in result.findings if finding.accepted is None]
        if result.outcome is Outcome.FAIL:
            failure = ET.SubElement(case, "failure", type="fail", message=_printable(standing[0].why))
            failure.text = _printable("\n".join(map(str, standing)))
        elif result.outcome is Outcome.INCOMPLETE:
            ET.SubElement(case, "error", type="incomplete", message=_printable(result.reason or ""))
    root = ET.Element("testsuites")
    root.append(suite)
    ET.indent(root)
    return ET.tostring(root, encoding="unicode", xml_declaration=True) + "\n"


def _printable(text: str) -> str:
    # XML 1.0 has no way to write most control characters, which a chart's output may well contain.
    return "".join(char if char.isprintable() or char in "\n\t" else "�" for char in text)
