"""A verbose run that fails, with secrets wherever a caller has some: none of them is in what it leaves or says."""

from __future__ import annotations

import base64
import gzip
import json
import re
import secrets
import urllib.parse
from pathlib import Path

import pytest
import yaml
from chart_sources import Sources, commit, published, served
from command_line import STUBBED, CommandLine

from conformance.chart import reference_chart
from conformance.chart.package import pack
from conformance.evidence.canaries import find_canaries
from conformance.mutants import VERSIONS, mutant
from conformance.provision import provision
from conformance.run import Runner
from conformance.subject import BASELINE, CANDIDATE

pytestmark = pytest.mark.machine

#: A Secret whose value stands in the chart itself.
SECRET = """\
apiVersion: v1
kind: Secret
metadata: {{name: in-the-chart, namespace: "{{{{ .Release.Namespace }}}}"}}
stringData: {{password: "{0}", url: "postgresql://app:{0}@db/app"}}
"""
PREREQUISITES = {"jangar-db-app": "uri", "jangar-db-controllers": "uri", "agents-github-token-env": "GITHUB_TOKEN"}


def _canary(name: str) -> str:
    """Return a value that nothing else contains, with what needs escaping in it."""
    return f"canary-{name}/{secrets.token_hex(6)}+&{secrets.token_hex(4)}"


def test_no_secret_is_in_what_a_failed_run_leaves_or_says(tmp_path: Path) -> None:
    canaries = {name: _canary(name) for name in ("values", "chart", "environment")}
    # In a URL they stand as they are.
    canaries |= {name: f"canary-{name}-{secrets.token_hex(8)}" for name in ("git", "oci")}
    runner = Runner(tmp_path)
    broken = mutant("kept-configmap").chart(CANDIDATE, tmp_path / "agents", runner)
    (broken.folder / "templates" / "in-the-chart.yaml").write_text(SECRET.format(canaries["chart"]))
    repository = commit(broken.folder, tmp_path / "repositories" / "charts")
    baseline = reference_chart(VERSIONS[BASELINE], tmp_path / "baseline", runner)
    pack(baseline.folder, "agents", tmp_path / "agents.tgz")
    artefact = published((tmp_path / "agents.tgz").read_bytes(), "charts/agents", VERSIONS[BASELINE])
    sources = Sources(repository.parent, artefact, frozenset({canaries["git"], canaries["oci"]}), [])
    values = tmp_path / "values.yaml"
    values.write_text(yaml.safe_dump({"credentials": {"enabled": True, "data": {"TOKEN": canaries["values"]}}}))

    caller = CommandLine(tmp_path / "private", environment={"DATABASE_PASSWORD": canaries["environment"]})
    with served(sources) as address:
        said = caller.run(
            "--verbose", "run", *STUBBED, "-k", "rollback/leaves-no-orphans", "-n", "1", "--keep-cluster",
            "--values", values,
            "--chart", f"git:http://robot:{canaries['git']}@{address}/git/charts@main:agents",
            "--baseline", f"oci://robot:{canaries['oci']}@{address}/charts/agents:{VERSIONS[BASELINE]}",
            seconds=600,
        )  # fmt: skip
    try:
        assert said.status == 1, said
        assert "ConfigMap/agents-defaults" in said.stdout
        assert any("/git/" in path for path in sources.came)
        assert any("/blobs/" in path for path in sources.came)
        (kubeconfig,) = re.findall(r"export KUBECONFIG=(\S+)", said.stderr)
        held = runner.run(
            provision().kubectl, "--kubeconfig", kubeconfig, "get", "secrets", "--all-namespaces",
            "--output", "json", timeout=60,
        ).stdout  # fmt: skip
    finally:
        cleaned = caller.run("clean")
    assert len(re.findall(r"^removed cluster agents-conformance-\w{8}-main-1$", cleaned.stdout, re.MULTILINE)) == 1

    for secret in json.loads(held)["items"]:
        if key := PREREQUISITES.get(secret["metadata"]["name"]):
            value = base64.b64decode(secret["data"][key]).decode()
            canaries[secret["metadata"]["name"]] = urllib.parse.urlsplit(value).password or value
    assert len(canaries) == 8
    (caller.here / "report" / "terminal.txt").write_text(said.stdout + said.stderr)
    assert find_canaries(caller.here, canaries.values()) == []

    # The searcher would find each of them, in Helm's releases too, where those of values and chart are.
    (tmp_path / "held").mkdir()
    (tmp_path / "held" / "secrets.json").write_text(held)
    inside = {hit.canary for hit in find_canaries(tmp_path / "held", canaries.values())}
    assert inside == {canaries[name] for name in ("values", "chart", *PREREQUISITES)}
    releases = [one["data"] for one in json.loads(held)["items"] if one["type"] == "helm.sh/release.v1"]
    (tmp_path / "held" / "secrets.json").write_text(json.dumps(releases))
    inside = {hit.canary for hit in find_canaries(tmp_path / "held", canaries.values())}
    assert inside == {canaries[name] for name in ("values", "chart")}
    (tmp_path / "held" / "all.json.gz").write_bytes(gzip.compress(json.dumps(canaries).encode()))
    found = {hit.canary for hit in find_canaries(tmp_path / "held", canaries.values())}
    assert found == set(canaries.values())
