"""What an upgrade brings unasked: new objects and hooks that no flag keeps back."""

from __future__ import annotations

from collections.abc import Iterator

from conformance.checks import EXTENDED, Finding, rule
from conformance.manifests import Manifest, Manifests
from conformance.rules.images import TESTS
from conformance.rules.inputs import Grown

_ARGO_HOOK = "argocd.argoproj.io/hook"


@rule(
    "render/new-objects-gated", level=EXTENDED, needs=("baseline",),
    seed='000 "new resources gated behind flags", "default flag false"',
)  # fmt: skip
def new_objects_gated(grown: Grown) -> Iterator[Finding]:
    """With values that a user of the baseline can have, the candidate has no object that the baseline lacks.

    A new object is asked for by a flag whose default is off. An object that takes the place of another of its kind
    is a rename, and another rule's; definitions in crds/ stay whatever happens, and hooks have their own rule.
    """
    before, after = grown.before.manifests, grown.after.manifests
    for new in after:
        unasked = new.key not in before and not _events(new) and new.kind != "CustomResourceDefinition"
        if unasked and not _succeeds(new, before, after):
            yield Finding(
                object=str(new.key),
                expected=f"no object of which {grown.before.said} knows nothing, unless a flag asks for it",
                observed=f"in {grown.after.said} from {new.source or 'a template'}, with values for the baseline",
                why="every upgrade brings it unasked; a revert in git leaves it behind where nothing prunes, and "
                "a rollback deletes it with all that came to depend on it",
                remedy="put it behind a flag of the values that is false by default, or accept the finding with a "
                "reason",
            )


@rule(
    "rollback/no-new-hooks", level=EXTENDED, needs=("baseline",),
    seed='000 "templates avoid Helm hooks by default"; public report helm#5825',
)  # fmt: skip
def no_new_hooks(grown: Grown) -> Iterator[Finding]:
    """With values that a user of the baseline can have, the candidate runs no hook that the baseline lacks.

    Hooks of `helm test` may come, and so may one that takes another's place.
    """
    before, after = grown.before.manifests, grown.after.manifests
    for new in after:
        old = before.get(new.key)
        more = _events(new) - (_events(old) if old else frozenset())
        if more and not (old is None and _succeeds(new, before, after)):
            yield Finding(
                object=str(new.key),
                expected=f"the hooks of {grown.before.said}, unless a flag asks for more",
                observed=f"runs at {', '.join(sorted(more))} in {grown.after.said}",
                why="what a hook does and makes is no part of the release: a rollback runs the hooks of the "
                "version that it goes back to, and so undoes nothing of this",
                remedy="put the hook behind a flag of the values that is false by default, or do its work in the "
                "application",
            )


def _events(manifest: Manifest) -> frozenset[str]:
    """Return when a hook of Helm or Argo CD runs, tests apart; nothing for other objects."""
    argo = {word.strip() for word in str(manifest.annotations.get(_ARGO_HOOK, "")).split(",")} - {"", "Skip"}
    return frozenset((set(manifest.hooks) | argo) - TESTS)


def _succeeds(new: Manifest, before: Manifests, after: Manifests) -> bool:
    """Say whether an object takes the place of one of its kind, hook for hook, that is there no more."""
    return any(
        old.kind == new.kind and old.key not in after and bool(_events(old)) == bool(_events(new))
        for old in before
    )
