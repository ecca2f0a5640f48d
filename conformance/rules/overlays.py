"""Overlays: what git says of a chart is what Helm would say of it, at the version that git names."""

from __future__ import annotations

from collections.abc import Iterator

from conformance.checks import EXTENDED, Finding, rule
from conformance.manifests import Manifests, difference, normalise
from conformance.rules.inputs import Built

#: Lines of a finding that name differences; the rest follows from them.
_MOST = 10


@rule(
    "gitops/renders-as-helm", level=EXTENDED, seed="000 Rollout + validation: render exactly like Argo CD",
    needs=("gitops",),
)  # fmt: skip
def renders_as_helm(built: Built) -> Iterator[Finding]:
    """`kustomize build --enable-helm` of the overlay gives the objects that Helm renders with its values.

    The overlay's own resources, patches and transformers are left out: they are there to differ.
    """
    if built.refusal:
        yield _finding(built, "a build without an error", built.refusal, "the overlay cannot be built")
        return
    wanted = built.wanted
    for key in sorted({*wanted.keys(), *built.manifests.keys()}):
        if said := _unlike(wanted, built.manifests, key):
            yield Finding(
                object=str(key),
                expected=f"as Helm renders {built.version.said}",
                observed=said,
                why="Argo CD applies what nobody tested with Helm, so a rollback by Helm leads somewhere else",
                remedy="give the helmCharts entry the release's name and namespace and includeCRDs: true, and let "
                "the chart render the same without a cluster",
            )


@rule(
    "gitops/chart-version-taken", level=EXTENDED, seed="000 GitOps: chart version pinned in kustomization.yaml",
    needs=("gitops", "baseline"),
)  # fmt: skip
def chart_version_taken(built: Built) -> Iterator[Finding]:
    """Bumping the chart's version in git renders that version, also where an earlier one was built before.

    Follows kustomize#4768: a copy of the chart that an earlier build left, or that was committed, is used.
    """
    if built.bumped is None or built.refusal:
        return
    before, after = built.bumped.wanted, built.wanted
    changed = [key for key in sorted(after.keys()) if _unlike(before, after, key)]
    stale = [str(key) for key in changed if _unlike(after, built.manifests, key)]
    if changed and len(stale) == len(changed):
        yield _finding(
            built,
            f"what {built.version.said} changes: {', '.join(map(str, changed[:_MOST]))}",
            f"none of it in the build after the version was bumped from {built.bumped.version.said}",
            "the version that git names is not the version that is applied: a bump does nothing, and so does "
            "its revert",
        )


def _unlike(wanted: Manifests, seen: Manifests, key: object) -> str:
    expected, observed = wanted.get(key), seen.get(key)  # type: ignore[arg-type]
    if expected is None or observed is None:
        return "" if expected is observed else ("it is missing" if observed is None else "Helm does not render it")
    changes = difference(normalise(expected.body), normalise(observed.body))
    return "\n".join(map(str, changes[:_MOST]))


def _finding(built: Built, expected: str, observed: str, why: str) -> Finding:
    return Finding(
        object=f"Chart/{built.version.rendering.name}",
        expected=expected,
        observed=observed,
        why=why,
        remedy="correct the overlay's helmCharts entry; keep no copy of the chart where kustomize looks for it "
        "beside the one that is versioned",
    )
