"""The images that a run brings for each side of it, in the local registry."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from conformance import provision
from conformance.contract import Contract
from conformance.mutants import asked_for
from conformance.options import Options
from conformance.provision import Image, Machine
from conformance.run import Runner
from conformance.subject import BASELINE, CANDIDATE

#: The version of the reference platform that each side of a run has.
PLATFORM_VERSIONS = {CANDIDATE: "1.1", BASELINE: "1.0"}


def images_of_sides(
    promised: Contract, options: Options, machine: Machine, runner: Runner, folder: Path
) -> dict[str, dict[str, Image]]:
    """Return the images of each side by their names; none where the charts run their own.

    A side for which a mutant was asked that breaks the reference platform has the broken one's; `folder` is where
    that is made.
    """
    return {**_declared(promised, machine), **_broken(options, machine, runner, folder)}


def _declared(promised: Contract, machine: Machine) -> dict[str, dict[str, Image]]:
    if promised.images.platform:
        return {side: platform_images(machine, side) for side in (CANDIDATE, BASELINE)}
    if promised.stub is None:
        return {}
    config, executables = json.dumps(promised.stub.config()), promised.stub.executables
    stubs = {side: _stub(machine, side, {"STUB_CONFIG": config}, executables) for side in (CANDIDATE, BASELINE)}
    return {side: dict.fromkeys(promised.image_names, stub) for side, stub in stubs.items()}


def _broken(options: Options, machine: Machine, runner: Runner, folder: Path) -> dict[str, dict[str, Image]]:
    images = {}
    for side, source in ((CANDIDATE, options.chart), (BASELINE, options.baseline)):
        asked = asked_for(source)
        if asked and (broken := asked.platform(side, folder / side, runner)):
            images[side] = platform_images(machine, side, broken)
    return images


def platform_images(machine: Machine, side: str, source: Path | None = None) -> dict[str, Image]:
    """Return the reference platform's images of a side, made of `source` where that is not the suite's own."""
    return provision.push_platform(machine.platform, machine.registry, PLATFORM_VERSIONS[side], source)


def probe_image(machine: Machine) -> str:
    """Return the image, by reference, that calls Services from inside a cluster."""
    return _stub(machine, CANDIDATE, {}).reference


def server_image(promised: Contract, machine: Machine) -> str | None:
    """Return the database server's image, by reference; None where the contract asks for no server."""
    if promised.database is None or promised.database.server is None:
        return None
    return provision.push_database(machine.database, machine.engine, machine.registry).reference


def _stub(machine: Machine, side: str, config: dict[str, str], executables: Sequence[str] = ()) -> Image:
    return provision.push_stub(machine.stub, machine.registry, side, {**config, "STUB_VERSION": side}, executables)
