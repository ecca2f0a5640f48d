"""A chart, ready to be used: opened from its source, checked, and packed reproducibly."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import assert_never

import semver

from conformance.chart import archive, folder, git, oci, reference
from conformance.chart.address import Files, Git, Oci, Reference, parse, shown
from conformance.chart.metadata import read_metadata
from conformance.chart.package import pack
from conformance.errors import BadInput, MachineLacks
from conformance.run import Runner


@dataclass(frozen=True)
class Chart:
    """A chart at one version, as a private copy of the suite's own.

    `folder` is unpacked, `archive` packed reproducibly, `digest` the archive's (`sha256:…`); `source` is where it
    came from, with credentials hidden.
    """

    name: str
    version: semver.Version
    app_version: str | None
    folder: Path
    archive: Path
    digest: str
    source: str


def open_chart(source: str, *, into: Path, runner: Runner, helm: Path | None = None) -> Chart:
    """Open a chart from a folder, a .tgz, `git:<repo>@<ref>:<path>`, `oci://…` or `reference:<version>`.

    Copies it below `into`, which is made if need be; nothing is left there on failure. `helm` is only needed for
    `oci://`. Raises `BadInput` for what is no usable chart, `MachineLacks` for an unreachable registry or
    repository.
    """
    address, name = parse(source), shown(source)

    def fill(work: Path, to: Path) -> None:
        match address:
            case Files(path):
                _open_files(path, to, name)
            case Git():
                folder.copy(git.fetch(address, work / "git", runner, name), to, name)
            case Oci():
                archive.unpack(oci.pull(address, work / "oci", runner, helm, name), to, name)
            case Reference(version):
                folder.copy(reference.materialise(version, work / "reference", runner), to, name)
            case _:
                assert_never(address)

    return _opened(name, into, fill)


def reference_chart(version: str, into: Path, runner: Runner, patch: Path | None = None) -> Chart:
    """Open a version of the reference chart, with one more patch applied where one is given, as for a mutant.

    Raises as `open_chart` does, and `CommandFailed` for a patch that does not fit.
    """
    name = f"reference:{version}" + (f" with {patch.parent.name}/{patch.name}" if patch else "")

    def fill(work: Path, to: Path) -> None:
        folder.copy(reference.materialise(version, work / "reference", runner, patch), to, name)

    return _opened(name, into, fill)


def compare_versions(baseline: Chart, candidate: Chart) -> str | None:
    """Return a sentence where the baseline is not older than the candidate: allowed, and worth saying."""
    if baseline.version < candidate.version:
        return None
    relation = "is newer than" if baseline.version > candidate.version else "has the same version as"
    content = ", and the same content" if baseline.digest == candidate.digest else ""
    return (
        f"the baseline {baseline.name} {baseline.version} {relation} the candidate "
        f"{candidate.name} {candidate.version}{content}"
    )


def _open_files(path: Path, to: Path, name: str) -> None:
    try:
        is_folder, is_there = path.is_dir(), path.exists()
    except OSError as error:
        raise BadInput(f"chart {name}: cannot be looked at: {error.strerror}; check the path") from None
    if is_folder:
        folder.copy(path, to, name)
    elif path.name.endswith((".tgz", ".tar.gz")):
        if not is_there:
            raise BadInput(f"chart {name}: expected a .tgz file, seen nothing there; check the path")
        archive.unpack(path, to, name)
    else:
        seen = "another kind of file" if is_there else "nothing there"
        raise BadInput(f"chart {name}: expected a chart's folder or .tgz, seen {seen}; check the path")


def _opened(source: str, into: Path, fill: Callable[[Path, Path], None]) -> Chart:
    """Make a chart in a folder of its own below `into`; remove that folder on any failure."""
    try:
        into.mkdir(parents=True, exist_ok=True)
        work = Path(tempfile.mkdtemp(prefix="chart-", dir=into))
    except OSError as error:
        raise MachineLacks(f"chart {source}: no folder for its copy at {into}: {error.strerror}") from None
    try:
        fill(work, work / "unpacked")
        archive.check_subcharts(work / "unpacked", source)
        metadata = read_metadata(work / "unpacked", source)
        for left in ("git", "oci", "reference"):
            shutil.rmtree(work / left, ignore_errors=True)
        own = (work / "unpacked").rename(work / metadata.name)
        packed = work / f"{metadata.name}-{metadata.version}.tgz"
        digest = pack(own, metadata.name, packed)
    except BaseException as error:
        shutil.rmtree(work, ignore_errors=True)
        if isinstance(error, OSError):
            raise MachineLacks(f"chart {source}: its copy failed: {error.strerror or error}") from None
        raise
    return Chart(metadata.name, metadata.version, metadata.app_version, own, packed, digest, source)
