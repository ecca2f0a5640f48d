"""Hand-made renderings for the tests of rules."""

from __future__ import annotations

from pathlib import Path

from conformance.manifests import Manifests
from conformance.refusal import Refusal
from conformance.render import PLAIN, Rendering, Surroundings, ValuesSet
from conformance.rules.inputs import Grown, Pair, Version

OWN = ValuesSet("own")


def rendering(
    *documents: str,
    chart: Path = Path("agents"),
    surroundings: Surroundings = PLAIN,
    refusal: Refusal | None = None,
) -> Rendering:
    """Return a rendering of the given YAML documents."""
    text = "\n---\n".join(documents)
    manifests = Manifests.parse(text, "agents")
    return Rendering(chart, OWN, "helm 3", text, manifests, refusal, surroundings, 1.0, 0.1)


def pair(before: list[str], after: list[str], *, only_version: bool = False) -> Pair:
    """Return two versions, each of the given YAML documents."""
    return Pair(
        Version("the baseline 1.0.0", rendering(*before)),
        Version("the candidate 1.1.0", rendering(*after)),
        only_version,
    )


def grown(before: list[str], after: list[str]) -> Grown:
    """Return two versions with values that a user of the first can have."""
    both = pair(before, after)
    return Grown(both.before, both.after)


def plain(kind: str, name: str, version: str = "v1", annotations: str = "") -> str:
    """Return an object with nothing but its name."""
    return f"apiVersion: {version}\nkind: {kind}\nmetadata: {{name: {name}, annotations: {{{annotations}}}}}"


def deployment(name: str, selector: str, labels: str | None = None, body: str = "containers: []") -> str:
    """Return a Deployment that selects `selector`, its pods labelled alike or with `labels`."""
    return f"""
apiVersion: apps/v1
kind: Deployment
metadata: {{name: {name}}}
spec:
  selector: {{matchLabels: {{{selector}}}}}
  template: {{metadata: {{labels: {{{labels or selector}}}}}, spec: {{{body}}}}}
"""


def service(name: str, selector: str) -> str:
    """Return a Service that selects `selector`."""
    return f"apiVersion: v1\nkind: Service\nmetadata: {{name: {name}}}\nspec: {{selector: {{{selector}}}}}"
