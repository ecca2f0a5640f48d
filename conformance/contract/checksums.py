"""The section of a contract about the annotations by which a changed Secret or ConfigMap rolls its consumers."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from conformance.contract.parts import HttpPath, Name, Part, Port, Text, ValuePath


class Watching(Part):
    """How the chart's values turn the annotations on, and what the rules may set to try them.

    An item of a list is a name, or a mapping of a name and a checksum that the operator gives.
    """

    given: dict[ValuePath, Any] = Field(default={})
    """What must be set for the annotations to be made; without it there are none."""
    disabled: dict[ValuePath, Any] = Field(default={})
    """What must be set on top of `given` for none to be made; left out, `false` for every `true` of `given`."""
    secrets: ValuePath | None = None
    """Where the values take the list of Secrets."""
    config_maps: ValuePath | None = None
    """Where the values take the list of ConfigMaps."""
    data: dict[Name, ValuePath] = Field(default={})
    """Where the values take the data of those that the chart itself makes, by their names."""
    only: dict[Name, ValuePath] = Field(default={})
    """Where the values take, for a workload by its name, the list of the names whose change rolls it."""
    lookup: dict[ValuePath, Any] = Field(default={})
    """What must be set for the data in the cluster to decide for an object that has no checksum in its list."""
    several: dict[ValuePath, Any] = Field(default={})
    """What must be set for the workloads to have several replicas, so that a mix among them shows."""
    name_key: Text = "name"
    """The key of an item's name."""
    checksum_key: Text = "checksum"
    """The key of an item's checksum."""

    @property
    def turned_off(self) -> dict[str, Any]:
        """Return what must be set on top of all else for no annotations to be made, by value paths."""
        return {**self.disabled} or {path: False for path, value in self.given.items() if value is True}


class Process(Part):
    """Where the processes of the workloads tell what they were started with: a JSON object of SHA-256s, in hex.

    Left out, the values that a pod was started with follow from when it was made.
    """

    port: Port
    """Number of the containers' port that answers HTTP."""
    environment: HttpPath | None = None
    """Path that tells the hash of each variable's value, by its name."""
    files: HttpPath | None = None
    """Path that tells the hash of each mounted file's content as it was at the start, by its path."""


class Checksums(Part):
    """The pod annotations by which a changed Secret or ConfigMap rolls its consumers."""

    secret_annotation: Text = "checksum/secret-<name>"  # noqa: S105 - an annotation's form
    """Key of the annotation for a Secret; `<name>` stands for the Secret's name."""
    config_map_annotation: Text = "checksum/configmap-<name>"
    """Key of the annotation for a ConfigMap; `<name>` stands for its name."""
    secrets: tuple[Name, ...] = ()
    """Secrets that are watched in this way."""
    config_maps: tuple[Name, ...] = ()
    """ConfigMaps that are watched in this way."""
    values: Watching | None = None
    """How the values turn it on; without this the rules about checksums are incomplete."""

    process: Process | None = None
    """Where the processes tell, by hash, what they were started with."""

    def watched(self) -> list[tuple[str, str, str]]:
        """Return kind, name and annotation of each watched object."""
        secrets = [("Secret", name, self.secret_annotation.replace("<name>", name)) for name in self.secrets]
        annotation = self.config_map_annotation
        return secrets + [("ConfigMap", name, annotation.replace("<name>", name)) for name in self.config_maps]
