"""The rules on every pair of many versions: one judge, each version rendered once.

Issue 5, figures: all pairs of 20 versions, made from the reference chart, below 10 s.
"""

from __future__ import annotations

import itertools
import shutil
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.figures import Figure, busy
from conformance import contract, provision
from conformance.chart import reference_chart
from conformance.judge import Judge
from conformance.provision import Tools
from conformance.render import Renderer, ValuesSet
from conformance.rules import Rules, load
from conformance.rules.opening import given
from conformance.run import Runner

VERSIONS, LIMIT = 20, 10.0

#: What each version adds to the one before: a feature behind a flag that is off.
_TEMPLATE = """{{- if .Values.added%(number)d.enabled }}
apiVersion: v1
kind: ConfigMap
metadata:
  name: {{ .Release.Name }}-added-%(number)d
data: {version: "%(number)d"}
{{- end }}
"""


def measure(rounds: int) -> list[Figure]:
    """Return the seconds that the rules on pairs take on every pair, a judge that runs already answering."""
    tools = provision.tools()
    found = [_all_pairs(tools) for _ in range(rounds)]
    return [
        Figure("versions", f"the rules on all pairs of {VERSIONS} versions", "s",
               tuple(one["seconds"] for one in found), LIMIT, tuple(found)),
    ]  # fmt: skip


def _all_pairs(tools: Tools) -> dict[str, Any]:
    promised = contract.builtin()
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        for name in ("home", "judge", "renderings"):
            (folder / name).mkdir()
        runner = Runner(folder / "home")
        charts = _versions(folder, runner)
        values = [ValuesSet("own", promised.values_files)]
        values += [ValuesSet(name, files) for name, files in promised.values_sets.items()]
        with Judge(tools.judge, runner, folder / "judge") as judge, Renderer(
            tools.helm3, 3, runner, release=promised.release.name, namespace=promised.release.namespace,
            kube_version="1.35", folder=folder / "renderings",
        ) as renderer:  # fmt: skip
            _ = judge.api
            ids = [id_ for id_, check in load().items() if {"baseline", "gitops"} & {*check.needs} == {"baseline"}]
            before, started = busy(), time.monotonic()
            for chart, one in itertools.product(charts, values):
                renderer.submit(chart, one)
            pairs = list(itertools.combinations(charts, 2))
            for old, new in pairs:
                rules = Rules(new, renderer, judge, values=values, baseline=old, given=given(promised))
                for id_ in ids:
                    if findings := rules.judge(id_):
                        raise ValueError(f"{id_} should pass {old.name} and {new.name}: {findings}")
            seconds = time.monotonic() - started
    return {
        "busy": before,
        "seconds": seconds,
        "pairs": len(pairs),
        "rules": len(ids),
        "helm": renderer.helm_seconds,
    }


def _versions(folder: Path, runner: Runner) -> list[Path]:
    charts = [reference_chart("0.9.2", folder / "reference", runner).folder]
    for number in range(1, VERSIONS):
        chart = folder / f"0.9.{number + 2}"
        shutil.copytree(charts[-1], chart)
        metadata = chart / "Chart.yaml"
        metadata.write_text(metadata.read_text().replace(f"0.9.{number + 1}", f"0.9.{number + 2}"))
        (chart / "templates" / f"added-{number}.yaml").write_text(_TEMPLATE % {"number": number})
        with (chart / "values.yaml").open("a") as file:
            file.write(f"\nadded{number}: {{enabled: false}}\n")
        charts.append(chart)
    return charts
