"""The section of a contract about runs: custom resources that the application carries out as Jobs."""

from __future__ import annotations

from conformance.contract.parts import FieldPath, Label, Part, RelativePath, Text


class InvalidRun(Part):
    """A file with one resource that the API server must refuse."""

    file: RelativePath
    """File below the contract's folder."""
    field: Text
    """Path of the field that the refusal names, for example `spec.agentRef.name`."""


class Runs(Part):
    """The custom resource of which each is one run, carried out as a Job that it owns."""

    kind: Text
    """Kind of the resource."""
    phase: FieldPath = "status.phase"
    """Where a run says its phase."""
    reason: FieldPath = "status.reason"
    """Where a failed run says why, in a word."""
    succeeded: Text = "Succeeded"
    """The phase of a run whose Job ended well."""
    failed: Text = "Failed"
    """The phase of a run that came to nothing."""
    terminal: tuple[Text, ...] = ("Succeeded", "Failed", "Cancelled")
    """All phases that are an end."""
    status: tuple[FieldPath, ...] = ()
    """What the status of a run that succeeded says, for example `status.finishedAt`; nothing may be lost of it."""
    artefact: FieldPath | None = None
    """Where a run that succeeded says what it left."""
    controllers_role: Label = "controllers"
    """Role of the workloads that carry runs out."""
    long: RelativePath | None = None
    """File below the contract's folder with one run that goes on for some 30 s and then succeeds; what it refers
    to is among the examples. The suite gives it names of its own."""
    failing: tuple[RelativePath, ...] = ()
    """Files below the contract's folder with one run each that must fail with a reason, and what it refers to."""
    invalid: tuple[InvalidRun, ...] = ()
    """Resources that the API server must refuse."""
    cluster_wide: RelativePath | None = None
    """Values file below the contract's folder with which runs of every namespace are carried out."""
