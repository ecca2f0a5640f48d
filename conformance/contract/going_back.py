"""The sections of a contract about how the chart is deployed, and gone back from."""

from __future__ import annotations

from conformance.contract.parts import Part, RelativePath, Text


class Gitops(Part):
    """How the chart is deployed from git."""

    overlay: RelativePath
    """Folder below the contract's with application.yaml, kustomization.yaml and values.yaml."""


class Readme(Part):
    """What the chart's README must tell."""

    rollback_section: Text
    """Heading of the section that says, version by version, what is safe to revert."""
