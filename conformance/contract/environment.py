"""The section of a contract that says which values become which variables of the containers' environment."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from conformance.contract.parts import EnvironmentName, Label, Part, SecretKey, ValuePath

#: Texts that nobody else gives a variable, where a row declares none.
MADE_UP = ("conformance-one", "conformance-two")


class Layer(Part):
    """A place in the values that takes variables by name."""

    values: ValuePath
    """The place, for example `env.vars`."""
    roles: tuple[Label, ...] = Field(min_length=1)
    """The roles of the workloads that get them."""


class Source(Part):
    """A place in the values that takes names of Secrets or ConfigMaps, all of whose keys become variables."""

    values: ValuePath
    """The place, for example `envFromSecretRefs`."""
    kind: Literal["Secret", "ConfigMap"]
    """What the names are of."""
    roles: tuple[Label, ...] = Field(min_length=1)
    """The roles of the workloads that read them, in the order given."""


class Sample(Part):
    """A value to set and what the variable then is; neither `text`, `json` nor `secret` where it is not set."""

    value: Any
    """What is set."""
    text: str | None = None
    """The text that the variable has."""
    parsed: Any = Field(default=None, alias="json")
    """What the variable's text is as JSON, however it is written."""
    secret: SecretKey | None = None
    """The key of a Secret that the variable is taken from."""


class Variable(Part):
    """One variable of some workloads, and the value or the literal of the templates that it comes from."""

    name: EnvironmentName
    """Name of the variable."""
    roles: tuple[Label, ...] = Field(min_length=1)
    """The roles of the workloads that get it in this way."""
    value: ValuePath | None = None
    """The value that it comes from; left out where the templates set it to `default`."""
    given: dict[ValuePath, Any] = Field(default={})
    """What must be set as well for the value to have an effect."""
    default: str | None = None
    """Its text as long as nobody sets the value, null where it is not set then; not judged where left out."""
    samples: tuple[Sample, ...] = ()
    """Values to set, and what they come to; the first one is also tried against the layers."""
    above: tuple[ValuePath, ...] = ()
    """Layers that it wins over; all others win over it."""
    overrides: tuple[str, ...] = Field(default=MADE_UP, min_length=2)
    """Texts that the layers are tried with, where the chart does not take made-up ones."""

    @property
    def states_default(self) -> bool:
        """Say whether the row says what the variable is by default."""
        return "default" in self.model_fields_set


class Environment(Part):
    """Which values become which variables of the containers' environment."""

    layers: tuple[Layer, ...] = ()
    """Places that take variables by name, in the order of their precedence, the lowest first."""
    variables: tuple[Variable, ...] = Field(min_length=1)
    """The variables, one row for each value that one comes from."""
    sources: tuple[Source, ...] = ()
    """Places that take names of Secrets and ConfigMaps."""

    def layers_of(self, role: str) -> tuple[Layer, ...]:
        """Return the layers that workloads of a role read, the lowest first."""
        return tuple(layer for layer in self.layers if role in layer.roles)
