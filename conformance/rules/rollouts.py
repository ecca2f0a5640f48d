"""The annotations that roll pods when a Secret or ConfigMap changes: they follow its content and nothing else."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from conformance.checks import EXTENDED, Finding, rule
from conformance.contract import Checksums, Watching
from conformance.contract.images import steps
from conformance.errors import Incomplete
from conformance.kube_yaml import at, mapping
from conformance.manifests import ObjectKey
from conformance.render import Rendering
from conformance.rules.pods import pod_annotations
from conformance.rules.references import references
from conformance.rules.trials import Settings, Trials

#: Data that a careless hash takes for `_DATA`: another value, another key, values exchanged, and the same letters
#: with another border between key and value, or between two values.
_DATA = {"CONFORMANCE_A": "12", "CONFORMANCE_B": "3"}
_OTHERS: Mapping[str, Mapping[str, str]] = {
    "another value": {"CONFORMANCE_A": "12", "CONFORMANCE_B": "4"},
    "another key": {"CONFORMANCE_A": "12", "CONFORMANCE_C": "3"},
    "values exchanged": {"CONFORMANCE_A": "3", "CONFORMANCE_B": "12"},
    "a border moved between values": {"CONFORMANCE_A": "1", "CONFORMANCE_B": "23"},
    "a border moved between key and value": {"CONFORMANCE_A": "12CONFORMANCE_B3"},
}
#: The same data with no change, in objects that have changed otherwise or not at all.
_BASE, _AGAIN, _OFF = "", "listed in another order", "off"
_GIVEN = ("conformance-one", "conformance-two")


@rule("rollout/deterministic", level=EXTENDED, seed="001 Acceptance: deterministic rollout", needs=("checksums",))
def rollout_deterministic(trials: Trials) -> Iterator[Finding]:
    """Pods that use a watched object have a checksum of its data, or the one given, and of nothing else."""
    checksums, values = _declared(trials)
    tried = _tried(checksums, values)
    made = dict(zip(tried, trials.render(tried.values()), strict=True))
    if refused := next((found for found in made.values() if found.refusal), None):
        yield _finding(f"Chart/{trials.name}", "a rendering with the watched names", str(refused.refusal))
        return
    plain, again, off = made[_BASE], made[_AGAIN], made[_OFF]
    for kind, name, annotation in checksums.watched():
        for consumer in _consumers(plain, trials, kind, name):
            hashed = _annotation(consumer, plain, annotation)
            said = f"{annotation} on the pods of {consumer}"
            if not hashed:
                yield _finding(consumer, said, "there is none, though they use it")
                continue
            if (now := _annotation(consumer, again, annotation)) != hashed:
                yield _finding(consumer, f"{said} the same, with the names {_AGAIN}", f"{hashed}, then {now}")
            if name in values.data:
                yield from _follows_data(made, consumer, annotation, name)
            else:
                yield from _follows_given(made, consumer, annotation, name, values)
    for _, name, annotation in checksums.watched() if tried[_OFF] != tried[_BASE] else ():
        for manifest in off.manifests:
            if _annotation(str(manifest.key), off, annotation):
                yield _finding(
                    str(manifest.key), f"no {annotation} for {name} unless it is asked for", "there is one"
                )


@rule(
    "rollout/external-checksum-known",
    level=EXTENDED,
    seed="001 Failure Modes: checksum of external Secrets",
    needs=("checksums",),
)
def external_checksum_known(trials: Trials) -> Iterator[Finding]:
    """Each watched object that the chart does not make has a checksum in the values, so that rotations show."""
    checksums, values = _declared(trials)
    forms = {(kind, path): form for kind, path, form in _places(checksums, values)}
    for own, rendering in trials.as_given():
        for (kind, path), form in forms.items():
            items = at(own, steps(path)) if path else None
            for item in items if isinstance(items, list) else ():
                name = str(mapping(item).get(values.name_key, item))
                if not any(
                    form.replace("<name>", name) in pod_annotations(found) for found in rendering.manifests
                ):
                    continue  # it is off, or the key is a shortened one
                known = ObjectKey("", kind, trials.contract.release.namespace, name) in rendering.manifests
                if not known and not mapping(item).get(values.checksum_key):
                    yield Finding(
                        object=f"{kind}/{name}",
                        expected=f"its {values.checksum_key} in {path}, as the chart does not make it",
                        observed=f"its name alone, with values {rendering.values}",
                        why="the chart cannot know its content, and a rotation rolls nothing",
                        remedy=f"give {{{values.name_key}: {name}, {values.checksum_key}: …}}, another at each "
                        "rotation; or drop it from the list",
                    )


def plan(trials: Trials) -> list[Settings]:
    """Return every setting that the rules of this module will ask for."""
    checksums = trials.contract.checksums
    return list(_tried(checksums, checksums.values).values()) if checksums and checksums.values else []


def _declared(trials: Trials) -> tuple[Checksums, Watching]:
    checksums = trials.contract.checksums
    if checksums is None or checksums.values is None:
        raise Incomplete("the contract declares no `checksums` with `values`")
    return checksums, checksums.values


def _places(checksums: Checksums, values: Watching) -> list[tuple[str, str | None, str]]:
    """Return kind, path of the list and form of the annotation."""
    return [
        ("Secret", values.secrets, checksums.secret_annotation),
        ("ConfigMap", values.config_maps, checksums.config_map_annotation),
    ]


def _tried(checksums: Checksums, values: Watching) -> dict[str, Settings]:
    """Return the settings of each rendering by what they are for."""
    data: dict[str, object] = {path: dict(_DATA) for path in values.data.values()}
    base = {**values.given, **data, **_lists(checksums, values, _GIVEN[0])}
    tried: dict[str, Settings] = {
        _BASE: base,
        _AGAIN: {**base, **_lists(checksums, values, _GIVEN[0], backwards=True)},
        _GIVEN[1]: {**base, **_lists(checksums, values, _GIVEN[1])},
        _OFF: {**base, **values.turned_off},
        **{what: {**base, **{path: dict(other) for path in data}} for what, other in _OTHERS.items()},
    }
    for name, path in values.data.items():
        tried[_only(name)] = {**base, path: dict(_OTHERS["another value"])}
    return tried


def _lists(checksums: Checksums, values: Watching, given: str, *, backwards: bool = False) -> dict[str, object]:
    """Return the lists of watched names: bare for what the chart makes, with a checksum for all others."""
    found: dict[str, object] = {}
    for path, names in ((values.secrets, checksums.secrets), (values.config_maps, checksums.config_maps)):
        items = [
            name if name in values.data else {values.name_key: name, values.checksum_key: given} for name in names
        ]
        if path:
            found[path] = items[::-1] if backwards else items
    return found


def _follows_data(made: Mapping[str, Rendering], consumer: str, annotation: str, name: str) -> Iterator[Finding]:
    hashed = _annotation(consumer, made[_BASE], annotation)
    same = [what for what in _OTHERS if _annotation(consumer, made[what], annotation) == hashed]
    if same:
        yield _finding(consumer, f"another {annotation} for other data", f"the same with {', '.join(same)}")
    for key in (_GIVEN[1], *(key for key in made if key.startswith(_only("")) and key != _only(name))):
        if (seen := _annotation(consumer, made[key], annotation)) != hashed:
            said = "a given checksum has changed" if key == _GIVEN[1] else key
            yield _finding(consumer, f"{annotation} the same where {said}", f"{hashed}, then {seen}")


def _only(name: str) -> str:
    return f"nothing has changed but the data of {name}"


def _follows_given(
    made: Mapping[str, Rendering], consumer: str, annotation: str, name: str, values: Watching
) -> Iterator[Finding]:
    hashed = _annotation(consumer, made[_BASE], annotation)
    if _annotation(consumer, made[_GIVEN[1]], annotation) == hashed:
        yield _finding(
            consumer, f"another {annotation} for another {values.checksum_key} of {name} in the values", "the same"
        )


def _consumers(rendering: Rendering, trials: Trials, kind: str, name: str) -> Sequence[str]:
    """Return the declared workloads whose pods use an object."""
    declared = {(found.kind, found.name) for found in trials.contract.workloads}
    return [
        str(manifest.key)
        for manifest in rendering.manifests
        if (manifest.kind, manifest.name) in declared
        and any((found.kind, found.name) == (kind, name) for found in references(manifest))
    ]


def _annotation(workload: str, rendering: Rendering, key: str) -> str | None:
    found = next((manifest for manifest in rendering.manifests if str(manifest.key) == workload), None)
    return pod_annotations(found).get(key) if found else None


def _finding(object_: str, expected: str, observed: str) -> Finding:
    return Finding(
        object=object_,
        expected=expected,
        observed=observed,
        why="pods go on with an old value after a change, or are rolled without one",
        remedy="annotate the pod template of each workload that uses it with the hash of its data as JSON "
        "(`toJson | sha256sum`) or the given checksum, and with nothing else",
    )
