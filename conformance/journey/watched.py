"""Which objects are watched, who uses them and where, and the values that ask for their checksums. Pure."""

from __future__ import annotations

import dataclasses
import posixpath
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from conformance.contract import Checksums, Watching
from conformance.environment import seen, sources
from conformance.kube_yaml import at, mapping
from conformance.manifests import Manifest, Manifests, ObjectKey
from conformance.rules.references import references
from conformance.rules.trials import structure

#: The key that the suite adds to what the chart makes, and to ConfigMaps that exist beforehand.
ROTATED_KEY = "CONFORMANCE_ROTATED"


@dataclass(frozen=True)
class Watched:
    """One watched object; `data` is where the values take its data, None for one that the chart does not make."""

    kind: str
    name: str
    annotation: str
    data: str | None

    def __str__(self) -> str:
        """Return it as findings name it."""
        return f"{self.kind}/{self.name}"


def watched(checksums: Checksums, values: Watching) -> list[Watched]:
    """Return the objects that the contract declares as watched."""
    return [
        Watched(kind, name, annotation, values.data.get(name)) for kind, name, annotation in checksums.watched()
    ]


@dataclass(frozen=True)
class Asked:
    """What the values ask for, by the names of watched objects (`Kind/name`) and of workloads.

    `texts` stands under `ROTATED_KEY` in what the chart makes, `checksums` are given for the others but for those
    that are `looked_up`; `more` Secrets are in the lists besides. `only` lists, for a workload, the names that it
    is rolled for; with `several` the workloads have more than one replica.
    """

    on: bool = False
    texts: Mapping[str, str] = field(default_factory=dict, repr=False)
    checksums: Mapping[str, str] = field(default_factory=dict)
    looked_up: frozenset[str] = frozenset()
    only: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    several: bool = False
    more: tuple[str, ...] = ()

    def with_text(self, of: Watched, text: str) -> Asked:
        """Return the same with another text in what the chart makes."""
        return dataclasses.replace(self, texts={**self.texts, str(of): text})

    def with_checksum(self, of: Watched, checksum: str) -> Asked:
        """Return the same with another checksum for what it does not make."""
        return dataclasses.replace(self, checksums={**self.checksums, str(of): checksum})

    def without(self, name: str, workload: str) -> Asked:
        """Return the same with one name less that a workload is rolled for."""
        left = tuple(one for one in self.only[workload] if one != name)
        return dataclasses.replace(self, only={**self.only, workload: left})

    def values(self, checksums: Checksums, values: Watching) -> dict[str, Any]:
        """Return the values as a file holds them."""
        settings: dict[str, Any] = {**values.given}
        settings |= (values.lookup if self.looked_up else {}) | (values.several if self.several else {})
        found = watched(checksums, values)
        settings |= {one.data: {ROTATED_KEY: self.texts[str(one)]} for one in found if one.data}
        for kind, path in (("Secret", values.secrets), ("ConfigMap", values.config_maps)):
            if path:
                listed = [one for one in (*found, *self._more()) if one.kind == kind]
                settings[path] = [self._item(one, values) for one in listed]
        settings |= {values.only[name]: [*names, *self.more] for name, names in self.only.items()}
        if not self.on:  # only the switch: everything else stays as operators leave it
            settings |= values.turned_off
        return structure(settings)

    def _more(self) -> list[Watched]:
        return [Watched("Secret", name, "", None) for name in self.more]

    def _item(self, one: Watched, values: Watching) -> object:
        if one.data or str(one) in self.looked_up or str(one) not in self.checksums:
            return one.name
        return {values.name_key: one.name, values.checksum_key: self.checksums[str(one)]}


def uses(workload: Manifest, of: Watched) -> bool:
    """Say whether a workload's pods use an object."""
    return any((found.kind, found.name) == (of.kind, of.name) for found in references(workload))


def mounted(workload: Manifest, of: Watched) -> bool:
    """Say whether a workload's pods have an object as a volume that holds its keys as files."""
    spec = mapping(mapping(workload.pod_template).get("spec"))
    return any(list(_files(volume, of, [""])) for volume in spec.get("volumes") or ())


def places(workload: Manifest, container: str, of: Watched, live: Manifests) -> Iterator[tuple[str, str]]:
    """Yield where a container's process finds the keys of an object: each key and a variable's name or a path.

    A variable that something else sets is left out, and so is a file that other things are mounted over.
    """
    body = next((found for found in workload.containers() if found.get("name") == container), {})
    held = live.get(ObjectKey("", of.kind, workload.namespace, of.name))
    keys = sorted(mapping(held.body.get("data"))) if held else []
    names = {str(entry.get("name")) for entry in body.get("env") or ()}
    for kind, name, prefix in sources(body):
        names |= {prefix + key for key in keys} if (kind, name) == (of.kind, of.name) else set()
    for variable in sorted(names):
        reference = seen(variable, workload, container, live).reference
        if reference and reference[:2] == (of.kind, of.name):
            yield reference[2], variable
    spec = mapping(mapping(workload.pod_template).get("spec"))
    for volume in spec.get("volumes") or ():
        for key, file in _files(volume, of, keys):
            for mount in body.get("volumeMounts") or ():
                if mount.get("name") == volume.get("name"):
                    yield from _mounted(key, file, mount)


def _files(volume: Mapping[str, Any], of: Watched, keys: list[str]) -> Iterator[tuple[str, str]]:
    """Yield each key of an object that a volume holds, with its path in the volume."""
    for part in (volume, *(at(volume, ("projected", "sources")) or ())):
        source = mapping(part.get("secret" if of.kind == "Secret" else "configMap"))
        if of.name in (source.get("secretName"), source.get("name")):
            items = source.get("items")
            yield from ([(item["key"], item["path"]) for item in items] if items else [(key, key) for key in keys])


def _mounted(key: str, file: str, mount: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    under = mount.get("subPath")
    if under is None:
        yield key, posixpath.join(mount["mountPath"], file)
    elif under == file:
        yield key, mount["mountPath"]
