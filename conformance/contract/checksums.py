"""The section of a contract about the annotations by which a changed Secret or ConfigMap rolls its consumers."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from conformance.contract.parts import Name, Part, Text, ValuePath


class Watching(Part):
    """How the chart's values turn the annotations on, and what the rules may set to try them.

    An item of a list is a name, or a mapping of a name and a checksum that the operator gives.
    """

    given: dict[ValuePath, Any] = Field(default={})
    """What must be set for the annotations to be made; without it there are none."""
    secrets: ValuePath | None = None
    """Where the values take the list of Secrets."""
    config_maps: ValuePath | None = None
    """Where the values take the list of ConfigMaps."""
    data: dict[Name, ValuePath] = Field(default={})
    """Where the values take the data of those that the chart itself makes, by their names."""
    name_key: Text = "name"
    """The key of an item's name."""
    checksum_key: Text = "checksum"
    """The key of an item's checksum."""


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

    def watched(self) -> list[tuple[str, str, str]]:
        """Return kind, name and annotation of each watched object."""
        secrets = [("Secret", name, self.secret_annotation.replace("<name>", name)) for name in self.secrets]
        annotation = self.config_map_annotation
        return secrets + [("ConfigMap", name, annotation.replace("<name>", name)) for name in self.config_maps]
