"""What the sections `environment` and `migrations` may not say: see `consistency`."""

from __future__ import annotations

from collections.abc import Iterator

from conformance.contract.contradiction import Contradiction, unknown_role
from conformance.contract.environment import Environment, Variable
from conformance.contract.model import Contract
from conformance.located_yaml import Place


def of_variables(contract: Contract) -> Iterator[Contradiction]:
    """Yield the place and the sentence of each contradiction."""
    yield from _migrations(contract)
    if contract.environment:
        yield from _roles(contract, contract.environment)
        for number, row in enumerate(contract.environment.variables):
            yield from _row(("environment", "variables", number), row, contract.environment)


def _roles(contract: Contract, environment: Environment) -> Iterator[Contradiction]:
    named: dict[str, list[tuple[str, ...]]] = {
        "layers": [layer.roles for layer in environment.layers],
        "variables": [row.roles for row in environment.variables],
        "sources": [source.roles for source in environment.sources],
    }
    for key, entries in named.items():
        for number, roles in enumerate(entries):
            for at, role in enumerate(roles):
                if said := unknown_role(contract, role):
                    yield ("environment", key, number, "roles", at), said


def _row(place: Place, row: Variable, environment: Environment) -> Iterator[Contradiction]:
    if row.value is None and (row.samples or row.default is None):
        yield place, "expected `value`, or the `default` that the templates set and no samples; say which it is"
    if row.value is not None and not row.samples:
        yield place, "expected at least one of `samples` for the value, seen none; add one"
    for number, sample in enumerate(row.samples):
        told = {"text", "parsed", "secret"} & sample.model_fields_set
        if len(told) > 1:
            yield (
                (*place, "samples", number),
                "expected one of `text`, `json` and `secret`, seen several; drop some",
            )
    if row.overrides[0] == row.overrides[1]:
        yield (*place, "overrides"), "expected texts that differ, seen the same twice; change one"
    layers = [layer.values for layer in environment.layers]
    for number, path in enumerate(row.above):
        if path not in layers:
            yield (*place, "above", number), f"expected one of the layers {', '.join(layers)}, seen {path}"


def _migrations(contract: Contract) -> Iterator[Contradiction]:
    found = contract.migrations
    if found is None:
        return
    for key, role, taken in (
        ("controllersRole", found.controllers_role, True),
        ("controlPlaneRole", found.control_plane_role, found.control_plane is not None),
    ):
        if taken and (said := unknown_role(contract, role)):
            yield ("migrations", key), said
    for number, text in enumerate(found.auto if "auto" in found.model_fields_set else ()):
        if found.skips(text):
            yield ("migrations", "auto", number), f"expected a spelling that is not under `skip`, seen {text}"
