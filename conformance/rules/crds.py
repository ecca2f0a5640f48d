"""CustomResourceDefinitions: resources that are stored stay, readable by both versions."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from conformance.checks import EXTENDED, Finding, rule
from conformance.kube_yaml import at, mapping, mappings
from conformance.manifests import Manifest
from conformance.rules.inputs import Pair, Version
from conformance.rules.narrowing import Schemas
from conformance.wording import several

KIND = "CustomResourceDefinition"
_MOST = 5
_KEEP = "helm.sh/resource-policy"
_DELETE_POLICY = "helm.sh/hook-delete-policy"
_REPEATED_HOOKS = {"pre-upgrade", "post-upgrade", "pre-rollback", "post-rollback"}
_SEED = '000 "CRD schema breaking change: very high; use versioned CRDs + conversion strategy"'


@rule("crds/stable-versions", level=EXTENDED, seed=_SEED, needs=("baseline",))
def stable_versions(pair: Pair) -> Iterator[Finding]:
    """Definitions serve every version that they served, store what both can read, and keep kind and scope.

    A new version may come, and may become the stored one once the baseline knows it too.
    """
    for old, new in _definitions(pair):
        wrong = list(_unstable(old, new))
        if wrong:
            yield Finding(
                object=str(old.key),
                expected="; ".join(expected for expected, _ in wrong),
                observed=f"{'; '.join(seen for _, seen in wrong)} (in {pair.after.said})",
                why="resources that are stored already can no longer be read or written by one of the two: "
                "the upgrade or the rollback ends with controllers that see none of them",
                remedy="add the new version beside the old, served and not stored; let it be stored one release "
                "later, with a conversion, and drop the old one when nothing is stored in it",
            )


def _unstable(old: Manifest, new: Manifest) -> Iterator[tuple[str, str]]:
    mine, theirs = _versions(old), _versions(new)
    for name, version in mine.items():
        if version.get("served") and not theirs.get(name, {}).get("served"):
            yield f"{name} is served", f"{name} is {'not served' if name in theirs else 'not there'}"
    stored = _stored(theirs)
    if stored and stored not in mine:
        yield (
            f"stored as {_stored(mine)}, or as a version that both know",
            f"stored as {stored}, which the API server then keeps in status.storedVersions",
        )
    for path in (("scope",), ("names", "kind"), ("group",)):
        was, now = (at(found.body, ("spec", *path)) for found in (old, new))
        if was != now:
            yield f"{'.'.join(path)} {was}", f"{'.'.join(path)} {now}"
    was, now = _strategy(old), _strategy(new)
    served = {name: found for name, found in theirs.items() if found.get("served")}
    if was != now and "None" in (was, now) and max(len(mine), len(served)) > 1 and was == "Webhook":
        yield f"conversion by {was}", f"conversion by {now}"
    elif now == "None" and len(served) > 1 and set(served) - set(mine) and _differing(served):
        yield "a conversion between versions with different fields", "the strategy None, which drops them"
    for name in mine.keys() & theirs.keys():
        for part in ("status", "scale"):
            had, has = (part in mapping(found[name].get("subresources")) for found in (mine, theirs))
            if had and not has:
                yield f"{name} with the subresource {part}", f"{name} without it"


@rule("crds/schema-not-narrower", level=EXTENDED, seed=_SEED, needs=("baseline",))
def schema_not_narrower(pair: Pair) -> Iterator[Finding]:
    """Each version of a definition accepts and keeps everything that it accepted in the baseline.

    New optional fields may come. The way back is judged on a cluster: what the new fields hold is at stake only
    where somebody applies the older definition.
    """
    for old, new in _definitions(pair):
        mine, theirs = _versions(old), _versions(new)
        found = [
            f"{name} {narrower}"
            for name in mine
            if name in theirs
            for narrower in Schemas(_schema(mine[name]), _schema(theirs[name]), pruned=True).narrower()
        ]
        if found:
            yield Finding(
                object=str(old.key),
                expected=f"everything that {pair.before.said} accepts in a version stays acceptable in it",
                observed=f"{several(found, _MOST)} (in {pair.after.said})",
                why="resources that are stored already cannot be written any more, or lose the field at the next "
                "write; a rollback brings back neither",
                remedy="make it optional, or give it a default; what must be stricter belongs into a new version "
                "with a conversion",
            )


@rule(
    "crds/never-deleted",
    level=EXTENDED,
    seed='000 "Never delete CRDs automatically on rollback"',
    needs=("baseline",),
)
def never_deleted(pair: Pair) -> Iterator[Finding]:
    """No upgrade or rollback deletes a definition, and with it every resource of its kind.

    In crds/ Helm leaves it alone for ever; among the templates a later change of its place, or the rollback to a
    version without it, deletes it, unless it is annotated `helm.sh/resource-policy: keep`.
    """
    before, after = pair.before.manifests, pair.after.manifests
    for version in (pair.before, pair.after):
        for crd in version.manifests.of(KIND):
            yield from _as_hook(crd, version)
    if pair.only_version:
        return
    for crd in after.of(KIND):
        old = before.get(crd.key)
        if old is None and _of_release(crd) and not _kept(crd):
            yield _deleted(
                crd, f"an object of the release in {pair.after.said} only",
                "the rollback deletes it, and every resource of its kind",
            )  # fmt: skip
        elif old is not None and _of_release(old) and not _of_release(crd) and not crd.hooks and not _kept(old):
            yield _deleted(
                crd, f"an object of the release in {pair.before.said}, not in {pair.after.said} ({crd.source})",
                "the upgrade deletes it, and every resource of its kind; the rollback makes an empty one",
            )  # fmt: skip
        elif old is not None and _of_release(crd) and not _of_release(old) and not old.hooks:
            yield _deleted(
                crd, f"in crds/ in {pair.before.said}, an object of the release in {pair.after.said}",
                "Helm refuses the upgrade, because the definition is not its own; once adopted, the rollback "
                "deletes it, and every resource of its kind",
            )  # fmt: skip


def _as_hook(crd: Manifest, version: Version) -> Iterator[Finding]:
    policies = {word.strip() for word in str(crd.annotations.get(_DELETE_POLICY, "")).split(",") if word.strip()}
    # Without a policy Helm deletes what has the hook's name before it makes the hook.
    deletes = not policies or policies != {"hook-failed"}
    if _REPEATED_HOOKS & set(crd.hooks) and deletes:
        yield _deleted(
            crd, f"a hook ({', '.join(crd.hooks)}) in {version.said}",
            "Helm deletes a hook before it makes it anew: each upgrade or rollback takes all of its resources",
        )  # fmt: skip


def _deleted(crd: Manifest, observed: str, why: str) -> Finding:
    return Finding(
        object=str(crd.key),
        expected="a definition in crds/ in both versions, or one of the release that is kept",
        observed=observed,
        why=why,
        remedy="keep it in crds/ in every version, or annotate it `helm.sh/resource-policy: keep`",
    )


def _definitions(pair: Pair) -> Iterator[tuple[Manifest, Manifest]]:
    if not pair.only_version:
        yield from pair.before.manifests.paired_with(pair.after.manifests, kinds={KIND})


def _of_release(crd: Manifest) -> bool:
    """Say whether a definition is an object of the release: rendered from a template, and no hook."""
    parts = crd.source.split("/")[1:]
    while len(parts) > 2 and parts[0] == "charts":
        parts = parts[2:]
    return bool(parts) and parts[0] != "crds" and not crd.hooks


def _kept(crd: Manifest) -> bool:
    return str(crd.annotations.get(_KEEP, "")).strip().lower() == "keep"


def _versions(crd: Manifest) -> dict[str, dict[str, Any]]:
    return {str(version.get("name")): version for version in mappings(at(crd.body, ("spec", "versions")))}


def _stored(versions: dict[str, dict[str, Any]]) -> str | None:
    return next((name for name, version in versions.items() if version.get("storage")), None)


def _strategy(crd: Manifest) -> str:
    return str(at(crd.body, ("spec", "conversion", "strategy")) or "None")


def _schema(version: dict[str, Any]) -> dict[str, Any]:
    return mapping(at(version, ("schema", "openAPIV3Schema")))


def _differing(versions: dict[str, dict[str, Any]]) -> bool:
    first, *others = (_schema(version) for version in versions.values())
    return any(list(Schemas(one, two, pruned=True).narrower())
               for other in others for one, two in ((first, other), (other, first)))  # fmt: skip
