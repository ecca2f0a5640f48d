"""What Helm or Argo CD is told to keep: data, and nothing that a rollback has to take away."""

from __future__ import annotations

from collections.abc import Iterator

from conformance.checks import EXTENDED, Finding, rule
from conformance.manifests import Manifest
from conformance.rules.inputs import Pair

#: Kinds that hold what nobody can make again.
_DATA = {"CustomResourceDefinition", "Namespace", "PersistentVolume", "PersistentVolumeClaim"}
_POLICY, _OPTIONS = "helm.sh/resource-policy", "argocd.argoproj.io/sync-options"


@rule(
    "rollback/resource-policy-stable", level=EXTENDED, needs=("baseline",),
    seed='000 "Rollback leaves new resources behind"; public reports helm#11748, argo-cd#17819',
)  # fmt: skip
def resource_policy_stable(pair: Pair) -> Iterator[Finding]:
    """No new object is kept when a rollback takes it away, data apart, and none that was kept is so no more.

    To annotate an object that is in both versions is harmless, and so is what the contract declares kept.
    """
    before, after = pair.before.manifests, pair.after.manifests
    for new in after:
        kept = _kept(new)
        told = any(entry.covers(str(new.key)) for entry in pair.given.kept)
        if kept and new.key not in before and new.kind not in _DATA and not new.hooks and not told:
            yield Finding(
                object=str(new.key),
                expected=f"an object that goes with the rollback to {pair.before.said}, which knows nothing of it",
                observed=f"{kept} in {pair.after.said}",
                why="the rollback leaves it behind, owned by nobody, and it acts on with the older version",
                remedy="drop the annotation, or declare the object as kept in the contract",
            )
    for old, new in before.paired_with(after):
        if (kept := _kept(old)) and not _kept(new):
            yield Finding(
                object=str(old.key),
                expected=f"{kept}, as in {pair.before.said}",
                observed=f"not in {pair.after.said}",
                why="what was to outlive the release no longer does: the next version without it, and every "
                "uninstall, deletes it",
                remedy="keep the annotation for as long as the object holds anything",
            )


def _kept(manifest: Manifest) -> str | None:
    """Return the annotation by which an object is kept, as `name: value`; None where it goes."""
    policy, options = (str(manifest.annotations.get(name, "")) for name in (_POLICY, _OPTIONS))
    if policy.strip().lower() == "keep":
        return f"{_POLICY}: {policy}"
    if "prune=false" in [word.strip().lower() for word in options.split(",")]:
        return f"{_OPTIONS}: {options}"
    return None
