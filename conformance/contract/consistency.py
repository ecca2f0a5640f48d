"""What the sections of a contract may not say about each other, and the files that they name.

Each function yields the place and the sentence of a contradiction; the first in the file is shown.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path, PurePosixPath

from conformance.chart.address import parse
from conformance.checks import NEEDS
from conformance.contract.application import of_platform, of_runs
from conformance.contract.contradiction import Contradiction
from conformance.contract.images import steps
from conformance.contract.model import Contract
from conformance.contract.needs import WHY_UNMET
from conformance.contract.variables import of_variables
from conformance.contract.watching import of_checksums
from conformance.errors import BadInput
from conformance.located_yaml import Place

#: What an overlay consists of; ../shared/seeds 000: "Production / GitOps (source of truth)".
OVERLAY_FILES = ("application.yaml", "kustomization.yaml", "values.yaml")


def contradictions(contract: Contract, folder: Path, known_ids: Collection[str] | None) -> Iterator[Contradiction]:
    """Yield everything that is wrong with a contract beyond its shape."""
    yield from _release(contract)
    yield from _sources(contract, folder)
    yield from _unique(contract)
    yield from _image_paths(contract)
    yield from _services(contract)
    yield from _stub(contract)
    yield from of_platform(contract)
    yield from _examples(contract)
    yield from of_checksums(contract)
    yield from _database(contract)
    yield from of_variables(contract)
    yield from of_runs(contract)
    yield from _patterns(contract)
    yield from _absent(contract)
    yield from _accepted(contract, known_ids)
    yield from _files(contract, folder)


def nearest(word: str, known: Iterable[str]) -> str:
    """Return ` (did you mean …?)`, or nothing when no known word is near."""
    by_lower = {name.lower(): name for name in known}
    found = difflib.get_close_matches(word.lower().replace("_", "").replace("-", ""), by_lower, 1, 0.6)
    found = found or difflib.get_close_matches(word.lower(), by_lower, 1, 0.6)
    return f" (did you mean {by_lower[found[0]]}?)" if found else ""


def _release(contract: Contract) -> Iterator[Contradiction]:
    if contract.release.namespace.startswith("kube-"):
        yield (
            ("release", "namespace"),
            f"expected a namespace of the release's own, seen Kubernetes' own {contract.release.namespace}",
        )


def _sources(contract: Contract, folder: Path) -> Iterator[Contradiction]:
    for key, source in (("chart", contract.chart), ("baseline", contract.baseline)):
        try:
            parse(source or "reference:", folder)
        except BadInput as error:
            yield (key,), str(error)


def _unique(contract: Contract) -> Iterator[Contradiction]:
    named: list[tuple[Place, Iterable[object], str]] = [
        (("workloads",), [(item.kind, item.name) for item in contract.workloads], "the same workload"),
        (("services",), [(item.name, item.port) for item in contract.services], "the same Service and port"),
        (("values", "sets"), [item.name for item in contract.values.sets], "the same name"),
        (("prerequisites", "secrets"), [item.name for item in contract.prerequisites.secrets], "the same Secret"),
        (("prerequisites", "configMaps"), [item.name for item in contract.prerequisites.config_maps],
         "the same ConfigMap"),
        (("crds", "names"), contract.crds.names if contract.crds else (), "the same name"),
        (("examples",), [(item.in_chart, item.file) for item in contract.examples], "the same file"),
        (("absent",), [item.need for item in contract.absent], "the same need"),
        (("accepted",), [(item.id, item.object) for item in contract.accepted], "the same finding"),
    ]  # fmt: skip
    for place, items, what in named:
        seen: dict[object, int] = {}
        for number, item in enumerate(items):
            first = seen.setdefault(item, number)
            if first != number:
                yield (*place, number), f"expected each entry once, seen {what} as in [{first}]; drop one"


def _image_paths(contract: Contract) -> Iterator[Contradiction]:
    for number, workload in enumerate(contract.workloads):
        if (contract.stub or contract.images.platform) and workload.image is None:
            brought = "stub" if contract.stub else "platform"
            yield (
                ("workloads", number),
                (
                    f"expected `image` with the value paths through which the {brought} is set, seen none; add "
                    f"them, or drop images.{brought}"
                ),
            )
    taken: dict[tuple[str, ...], tuple[str, str]] = {}
    for place, _, image in contract.image_paths():
        paths = image.paths()
        if image.reference and len(paths) > 1:
            yield place, "expected `reference` alone, seen other keys beside it; drop them or `reference`"
        elif not image.reference and not image.repository:
            yield place, "expected `repository` or `reference`, seen neither; say where the values take the image"
        elif not image.reference and not (image.tag or image.digest):
            yield place, "expected `tag` or `digest`, seen neither; two versions could not be told apart"
        for key, path in paths.items():
            keys = steps(path)
            for other, (other_key, other_path) in taken.items():
                if other == keys and other_key != key:
                    yield (
                        (*place, key),
                        f"expected a path for one thing, seen {path} as `{other_key}` and as `{key}`",
                    )
                elif other != keys and other[: len(keys)] == keys[: len(other)]:
                    yield (
                        (*place, key),
                        f"expected paths that end in values, seen {path} and {other_path}: one lies in the other",
                    )
            taken.setdefault(keys, (key, path))


def _services(contract: Contract) -> Iterator[Contradiction]:
    names = [workload.name for workload in contract.workloads]
    for number, service in enumerate(contract.services):
        if (service.probe.http is None) == (service.probe.tcp is None):
            yield ("services", number, "probe"), "expected exactly one of `http` (a path) and `tcp: true`"
        if service.workload is not None and service.workload not in names:
            yield (
                ("services", number, "workload"),
                f"expected one of the workloads {', '.join(names)}, seen {service.workload}",
            )


def _stub(contract: Contract) -> Iterator[Contradiction]:
    if contract.stub is None:
        return
    if contract.services and not contract.stub.http and not contract.stub.tcp:
        yield ("images", "stub"), "expected ports in `http` or `tcp` for the declared services, seen none"
    seen: set[int] = set()
    for key, ports in (("http", [served.port for served in contract.stub.http]), ("tcp", contract.stub.tcp)):
        for number, port in enumerate(ports):
            if port in seen:
                yield ("images", "stub", key, number), f"expected each port once, seen {port} again"
            seen.add(port)


def _examples(contract: Contract) -> Iterator[Contradiction]:
    for number, example in enumerate(contract.examples):
        if (example.in_chart is None) == (example.file is None):
            yield ("examples", number), "expected exactly one of `inChart` and `file`"
        if example.phase and example.phase.expected not in example.phase.terminal:
            yield (
                ("examples", number, "phase", "terminal"),
                (
                    f"expected the phase {example.phase.expected} among the terminal ones, "
                    f"seen {', '.join(example.phase.terminal)}; add it"
                ),
            )


def _database(contract: Contract) -> Iterator[Contradiction]:
    database = contract.database
    if database is None:
        return
    declared = {found.name: found.keys for found in contract.prerequisites.secrets}
    for key, secret in (("secret", database.secret), ("controllersSecret", database.controllers_secret)):
        if secret and secret.key not in declared.get(secret.name, ()):
            yield (
                ("database", key),
                (
                    f"expected the Secret {secret.name} with its key {secret.key} under prerequisites.secrets, "
                    "seen none; declare it there"
                ),
            )
    if database.controllers_secret == database.secret:
        yield ("database", "controllersSecret"), "expected another key than `secret`, seen the same; drop it"
    if database.certificate:
        place: Place = ("database", "certificate")
        if database.server is None:
            yield place, "expected `server` beside it, seen none; without a server there is no certificate"
        if database.certificate.name in {found.name for found in contract.prerequisites.config_maps}:
            yield (
                place,
                (
                    f"expected a ConfigMap of its own, seen {database.certificate.name} under prerequisites too; "
                    "drop it there"
                ),
            )


def _patterns(contract: Contract) -> Iterator[Contradiction]:
    for number, entry in enumerate(contract.allowed_warnings):
        try:
            re.compile(entry.message or "")
        except (re.error, RecursionError, OverflowError) as error:
            yield ("allowedWarnings", number, "message"), f"expected a regular expression, seen one with: {error}"


def _absent(contract: Contract) -> Iterator[Contradiction]:
    for number, entry in enumerate(contract.absent):
        place: Place = ("absent", number, "need")
        if entry.need not in NEEDS:
            yield place, f"expected one of {', '.join(NEEDS)}, seen {entry.need}{nearest(entry.need, NEEDS)}"
        elif WHY_UNMET[entry.need](contract) is None:
            yield (
                place,
                f"expected a need that is not met, seen {entry.need}, which the contract declares; drop one",
            )


def _accepted(contract: Contract, known_ids: Collection[str] | None) -> Iterator[Contradiction]:
    for number, entry in enumerate(contract.accepted):
        if known_ids is not None and entry.id not in known_ids:
            yield (
                ("accepted", number, "id"),
                (
                    f"expected the id of a check, seen {entry.id}{nearest(entry.id, known_ids)}; "
                    "`agents-conformance list` shows them"
                ),
            )


def _files(contract: Contract, folder: Path) -> Iterator[Contradiction]:
    named: list[tuple[Place, str]] = [
        (("values", "files", number), file) for number, file in enumerate(contract.values.files)
    ]
    for number, found in enumerate(contract.values.sets):
        named += [(("values", "sets", number, "files", at), file) for at, file in enumerate(found.files)]
    for number, example in enumerate(contract.examples):
        if example.file is not None:
            named.append((("examples", number, "file"), example.file))
        if example.in_chart is not None and (wrong := _leaves(example.in_chart)):
            yield ("examples", number, "inChart"), f"expected a path inside the chart, seen {wrong}"
    if contract.runs:
        runs = contract.runs
        named += [(("runs", "long"), runs.long)] if runs.long else []
        named += [(("runs", "clusterWide"), runs.cluster_wide)] if runs.cluster_wide else []
        named += [(("runs", "failing", number), file) for number, file in enumerate(runs.failing)]
        named += [(("runs", "invalid", number, "file"), entry.file) for number, entry in enumerate(runs.invalid)]
    for place, file in named:
        wrong = _leaves(file) or _not_below(folder, file)
        if wrong:
            yield place, f"expected a path below the contract's folder, seen {wrong}"
        elif not (folder / file).is_file():
            yield place, f"expected a file, seen none at {file}; paths start from the contract's folder"
    if contract.gitops:
        overlay, place = contract.gitops.overlay, ("gitops", "overlay")
        if wrong := _leaves(overlay) or _not_below(folder, overlay):
            yield place, f"expected a path below the contract's folder, seen {wrong}"
        elif lacking := [name for name in OVERLAY_FILES if not (folder / overlay / name).is_file()]:
            yield place, f"expected a folder with {', '.join(OVERLAY_FILES)}, seen none of the name {lacking[0]}"


def _leaves(path: str) -> str | None:
    if path.startswith("/"):
        return f"the absolute path {path}"
    return f"`..` in {path}" if ".." in PurePosixPath(path).parts else None


def _not_below(folder: Path, path: str) -> str | None:
    try:
        below = (folder / path).resolve().is_relative_to(folder.resolve())
    except (OSError, RuntimeError, ValueError) as error:
        return f"{path}, which cannot be followed: {error}"
    return None if below else f"{path}, which links to a place outside it"
