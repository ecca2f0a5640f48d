"""The sections of a contract: frozen values whose docstrings become the JSON Schema's descriptions.

Shapes only. What one section says about another is in `consistency`.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

Text = Annotated[str, Field(min_length=1, pattern=r"\S")]
_SUBDOMAIN = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$"
#: What Kubernetes takes as an object's name (RFC 1123 subdomain).
Name = Annotated[str, Field(max_length=253, pattern=_SUBDOMAIN)]
#: What Kubernetes takes as the name of a namespace or container (RFC 1123 label).
Label = Annotated[str, Field(max_length=63, pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$")]
#: What Helm takes as a release's name.
ReleaseName = Annotated[str, Field(max_length=53, pattern=_SUBDOMAIN)]
DataKey = Annotated[str, Field(max_length=253, pattern=r"^[-._a-zA-Z0-9]+$")]
EnvironmentName = Annotated[str, Field(pattern=r"^[-._a-zA-Z][-._a-zA-Z0-9]*$")]
#: Keys of the chart's values, joined by dots as in Helm's --set; a dot inside a key is written `\.`.
ValuePath = Annotated[str, Field(pattern=r"^([^\s.\[\],={}\\]|\\.)+(\.([^\s.\[\],={}\\]|\\.)+)*$")]
#: Keys of an object, joined by dots.
FieldPath = Annotated[str, Field(pattern=r"^[A-Za-z_][\w-]*(\.[A-Za-z_][\w-]*)*$")]
#: A path below a folder, with forward slashes.
RelativePath = Annotated[str, Field(min_length=1, pattern=r"^[^\x00-\x1f\\]+$")]
Port = Annotated[int, Field(ge=1, le=65535)]
PortName = Annotated[str, Field(max_length=63, pattern=r"^[-a-z0-9]*[a-z][-a-z0-9]*$")]
HttpPath = Annotated[str, Field(pattern=r"^/[^\s]*$")]
CrdName = Annotated[str, Field(pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)+$")]
CheckId = Annotated[str, Field(pattern=r"^[a-z]+/[a-z0-9]+(-[a-z0-9]+)*$")]
Seconds = Annotated[float, Field(ge=0, le=600)]


class Part(BaseModel):
    """What all sections have in common: unknown keys and loose types are refused, nothing changes later."""

    model_config = ConfigDict(
        frozen=True, strict=True, extra="forbid", alias_generator=to_camel, use_attribute_docstrings=True
    )


class Release(Part):
    """The Helm release that the suite installs."""

    name: ReleaseName
    """Name of the release."""
    namespace: Label
    """Namespace of the release; the suite makes it."""


class ValuesSet(Part):
    """Values files under a name, which the rules render beside the run's own."""

    name: Label
    """What the report calls this set."""
    files: tuple[RelativePath, ...] = Field(min_length=1)
    """Files below the contract's folder, in Helm's order, given after `values.files`."""


class Values(Part):
    """The values that the chart is rendered and installed with."""

    files: tuple[RelativePath, ...] = ()
    """Files below the contract's folder, in Helm's order (a later one wins); used in every run."""
    sets: tuple[ValuesSet, ...] = ()
    """Further values that the rules also render, for example with every feature on."""


class ImagePaths(Part):
    """Where the chart's values take one image; the suite sets its own image there."""

    reference: ValuePath | None = None
    """Takes the whole reference, `host/path:tag@digest`; excludes the other keys."""
    registry: ValuePath | None = None
    """Takes the registry's host alone; `repository` then takes the path below it."""
    repository: ValuePath | None = None
    """Takes the repository, with the registry's host unless `registry` is given."""
    tag: ValuePath | None = None
    """Takes the tag."""
    digest: ValuePath | None = None
    """Takes `sha256:…`. Without it the tag becomes `tag@sha256:…`."""
    digest_in_tag: bool = True
    """False where the chart uses its tag elsewhere too, as in a label: the tag then stays a tag."""

    def paths(self) -> dict[str, str]:
        """Return the value paths that are given, by the name of their key."""
        named = {"reference": self.reference, "registry": self.registry, "repository": self.repository,
                 "tag": self.tag, "digest": self.digest}  # fmt: skip
        return {key: path for key, path in named.items() if path is not None}


class Workload(Part):
    """A workload that the chart installs."""

    name: Name
    """Name of the object."""
    kind: Literal["Deployment", "StatefulSet", "DaemonSet"]
    """Its kind."""
    role: Label
    """What it is in the application, in one word of your choice, for example `control-plane`."""
    container: Label
    """Name of the container that runs the application."""
    image: ImagePaths | None = None
    """Where the values take that container's image; needed where the suite sets a stub."""
    environment: tuple[EnvironmentName, ...] = ()
    """Names of environment variables that the container's process must see."""


class Probe(Part):
    """How the suite calls a Service; exactly one of the two."""

    http: HttpPath | None = None
    """Path that answers GET with a status below 400 when the application serves."""
    tcp: Literal[True] | None = None
    """Connecting is enough, as for gRPC."""


class Service(Part):
    """A Service that must go on answering during every upgrade and rollback."""

    name: Name
    """Name of the object."""
    port: Port | PortName
    """Number or name of its port."""
    probe: Probe
    """How it is called."""
    workload: Name | None = None
    """Name of the workload that answers, if a finding shall name it."""
    failure_budget: Annotated[int, Field(ge=0)] = 0
    """How many calls may fail during one upgrade or rollback."""

    @property
    def target(self) -> str:
        """Return what tells it from the other declared Services and ports: `name:port`."""
        return f"{self.name}:{self.port}"


class StubHttp(Part):
    """A port on which the stub answers HTTP."""

    port: Port
    """Number of the container's port."""
    paths: tuple[HttpPath, ...] = ()
    """Paths that answer 200 once the start-up is over; /version always answers."""


class Stub(Part):
    """A small image of the suite's own in place of the chart's, in two versions.

    Scenarios that need the real application are then incomplete, with the reason.
    """

    reason: Text
    """Why the chart's own images cannot be had."""
    http: tuple[StubHttp, ...] = ()
    """Ports on which it answers HTTP."""
    tcp: tuple[Port, ...] = ()
    """Ports on which it accepts connections and answers gRPC's health check."""
    startup_seconds: Seconds = 0.0
    """How long it is not ready after its start, in seconds."""
    drain_seconds: Seconds = 2.0
    """How long it goes on serving after SIGTERM, in seconds."""
    executables: tuple[Annotated[str, Field(pattern=r"^/[^\s]+$")], ...] = ()
    """Absolute paths at which the program also stands, for charts that name a command."""
    further_images: tuple[ImagePaths, ...] = ()
    """Where the values take images that no declared workload names: init containers, hooks, jobs."""

    def config(self) -> dict[str, Any]:
        """Return what the stub's program reads from STUB_CONFIG."""
        return {
            "http": [{"port": served.port, "paths": list(served.paths)} for served in self.http],
            "tcp": list(self.tcp),
            "startupSeconds": self.startup_seconds,
            "drainSeconds": self.drain_seconds,
        }


class Images(Part):
    """What the workloads run; the chart's own images, as the values say, unless the suite brings others."""

    stub: Stub | None = None
    """Declare it where the chart's own images cannot be had, as in a private registry; excludes `platform`."""
    platform: Literal["reference"] | None = None
    """The suite's own application in two versions: each workload runs the component that its role names."""
    runner: ImagePaths | None = None
    """Where the values take the image that the application's own Jobs run; needs `platform`."""


class Secret(Part):
    """A Secret that must exist before the install. The suite makes it with random values: none stands here."""

    name: Name
    """Name of the object."""
    keys: tuple[DataKey, ...] = Field(min_length=1)
    """Its keys."""


class ConfigMap(Part):
    """A ConfigMap that must exist before the install."""

    name: Name
    """Name of the object."""
    data: dict[DataKey, str]
    """Its data; nothing secret."""


class Prerequisites(Part):
    """What the suite makes in the release's namespace before it installs the chart."""

    secrets: tuple[Secret, ...] = ()
    """Secrets, by name and keys."""
    config_maps: tuple[ConfigMap, ...] = ()
    """ConfigMaps, with their data."""


class Crds(Part):
    """The CustomResourceDefinitions that the chart brings."""

    names: tuple[CrdName, ...] = Field(min_length=1)
    """Their names, `plural.group`."""
    upgrade_policy: Literal["frozen", "templated"] = "frozen"
    """`frozen`: under crds/, which Helm installs once and never changes or deletes; `templated`: objects of
    the release, which it upgrades."""


class Phase(Part):
    """The phase in which an example ends."""

    kind: Text
    """Kind of the object in the file that has the phase."""
    path: FieldPath = "status.phase"
    """Where the object says its phase."""
    expected: Text
    """The phase in which it must end."""
    terminal: tuple[Text, ...] = Field(min_length=1)
    """All phases that are an end, so that a wrong one is told at once."""


class Example(Part):
    """A file of example resources; exactly one of `inChart` and `file`."""

    in_chart: RelativePath | None = None
    """Path inside the chart."""
    file: RelativePath | None = None
    """Path below the contract's folder."""
    phase: Phase | None = None
    """Where it ends; left out for resources that have no phase."""


class SecretKey(Part):
    """One key of a Secret."""

    name: Name
    """Name of the Secret."""
    key: DataKey
    """The key in it."""


class Policies(Part):
    """What the chart promises where both answers are sound; undeclared, the checks about it are incomplete."""

    drift: Literal["restored", "kept"] | None = None
    """Whether a rollback restores fields that someone edited by hand, or keeps the edit."""
    rotate_then_rollback: Literal["previous", "current"] | None = None
    """Which credential the pods have when a Secret was rotated and the release is then rolled back."""
